# SPDX-License-Identifier: LGPL-2.1-or-later
"""Workers that write the body of a response and nothing else: what mod_proxy_fdpass and Flusher= are for. systemd passes
the socket as fd 3, or the path to listen on is the last argument. bodies.py KIND NAME [PATH]"""

import os
import random
import socket
import sys
import time


def listen():
    if len(sys.argv) < 4:
        return socket.socket(fileno=3)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(sys.argv[3])
    os.chmod(sys.argv[3], 0o666)
    listener.listen(64)
    return listener


def waiting(client):
    """What lies in the socket, and is not waited for."""
    try:
        return client.recv(65536, socket.MSG_DONTWAIT)
    except OSError:
        return b""


def answer(client, text):
    with client:
        try:
            client.sendall(text.encode() + b"\n")
            client.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # the client's business


def serve(name):
    """Says what was waiting."""
    while True:
        conn, _ = LISTENER.accept()
        with conn:
            _, fds, _, _ = socket.recv_fds(conn, 1, 1)
        for fd in fds:
            client = socket.socket(fileno=fd)
            answer(client, f"{name}: {waiting(client).decode()}")


def tells(name):
    """For messages: says which head it was told of as well, and that a response was begun."""
    while True:
        conn, _ = LISTENER.accept()
        with conn:
            message, fds, _, _ = socket.recv_fds(conn, 81920, 1)
        for fd in fds:
            client = socket.socket(fileno=fd)
            end = 16 + int.from_bytes(message[14:16], "big")
            at, status, head = 16 + {0x11: 12, 0x21: 36}.get(message[13], 0), 0, 0
            while at < end:
                n = int.from_bytes(message[at + 1:at + 3], "big")
                if message[at] == 0xE9:
                    status, head = int.from_bytes(message[at + 3:at + 5], "big"), int.from_bytes(message[at + 5:at + 9], "big")
                at += 3 + n
            line = message[end:end + head].split(b"\r\n")[0].decode()
            answer(client, f"{name}: {status} {line}: {waiting(client).decode()}")


def moody(name):
    """Dies, with one client in three, before it has looked at it."""
    while True:
        conn, _ = LISTENER.accept()
        if random.random() < 1 / 3:
            time.sleep(0.005)  # the broker has sent it meanwhile, mostly
            os._exit(1)
        with conn:
            _, fds, _, _ = socket.recv_fds(conn, 1, 1)
        for fd in fds:
            answer(socket.socket(fileno=fd), name)


LISTENER = listen()
{"serve": serve, "tells": tells, "moody": moody}[sys.argv[1]](sys.argv[2])
