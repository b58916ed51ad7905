# SPDX-License-Identifier: LGPL-2.1-or-later
"""Workers that speak what the cases of routes need. systemd passes their sockets. speakers.py KIND [ARGUMENT…]"""

import os
import selectors
import socket
import ssl
import subprocess
import sys
import threading

NAMES = os.environ["LISTEN_FDNAMES"].split(":")
LISTENERS = [socket.socket(fileno=3 + i) for i in range(len(NAMES))]


def peer(client):
    if client.family == socket.AF_UNIX:
        return "0.0.0.0:0"
    return "%s:%d" % client.getpeername()[:2]


def take(listener):
    """The next client, or None where the broker thought better of it."""
    conn, _ = listener.accept()
    with conn:
        _, fds, _, _ = socket.recv_fds(conn, 1, 1)
    return socket.socket(fileno=fds[0]) if fds else None


def each(speak):
    """Calls speak(client, name of the socket) for each client, in a thread of its own."""

    def attend(client, name):
        try:
            with client:
                speak(client, name)
        except OSError:
            pass  # the client's business

    select = selectors.DefaultSelector()
    for listener, name in zip(LISTENERS, NAMES):
        select.register(listener, selectors.EVENT_READ, name)
    while True:
        for key, _ in select.select():
            client = take(key.fileobj)
            if client:
                threading.Thread(target=attend, args=(client, key.data), daemon=True).start()


def respond(client, text):
    """Reads a request, with its body where it has one, and answers it."""
    head = b""
    while b"\r\n\r\n" not in head:
        data = client.recv(65536)
        if not data:
            return
        head += data
    body = text.encode() + b"\n"
    client.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))


def http():
    """Answers with the name of the socket through which the client came, and the client's address."""
    each(lambda client, name: respond(client, f"{name}: {peer(client)}"))


def tls(certificate, *protocols):
    """Does its own TLS, and says in addition which name and protocol were agreed on."""
    names = {}
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate + ".crt", certificate + ".key")
    context.sni_callback = lambda connection, name, _: names.__setitem__(connection, name)
    if protocols:
        context.set_alpn_protocols(protocols)

    def speak(client, name):
        address = peer(client)
        with context.wrap_socket(client, server_side=True) as client:
            respond(client, f"{name}: {address} {names.pop(client, None)} {client.selected_alpn_protocol()}")

    each(speak)


def ssh(*options):
    """Runs sshd for each client, as inetd would."""
    while True:
        client = take(LISTENERS[0])
        if client:
            subprocess.Popen(["/usr/sbin/sshd", "-i", *options], stdin=client, stdout=client, close_fds=True)
            client.close()


def greet():
    """Speaks first."""
    each(lambda client, name: client.sendall(f"{name}: {peer(client)}\r\n".encode()))


def raw():
    """Says how the client began, and hears it out."""

    def speak(client, name):
        client.sendall(f"{name}: {peer(client)} {client.recv(64)!r}\r\n".encode())
        client.shutdown(socket.SHUT_WR)
        while client.recv(65536):
            pass

    each(speak)


{f.__name__: f for f in (http, tls, ssh, greet, raw)}[sys.argv[1]](*sys.argv[2:])
