# SPDX-License-Identifier: LGPL-2.1-or-later
"""Workers for the cases, well-behaved and not. systemd passes the socket as fd 3. worker.py KIND [ARGUMENT…]"""

import ctypes
import fcntl
import json
import os
import selectors
import signal
import socket
import struct
import sys
import termios
import time

LIBC = ctypes.CDLL(None, use_errno=True)
LISTENER = socket.socket(fileno=3)


def receive(conn):
    """Takes the client out of a connection of the broker's, and gives the receipt by closing it."""
    _, fds, _, _ = socket.recv_fds(conn, 1, 1)
    conn.close()
    return socket.socket(fileno=fds[0]) if fds else None


def peer(client):
    address = client.getpeername()
    return "%s:%d" % address[:2] if isinstance(address, tuple) else "unix"


def request(client):
    head = b""
    while b"\r\n\r\n" not in head:
        data = client.recv(4096)
        if not data:
            break
        head += data
    return head


def answer(client, text):
    with client:
        try:
            request(client)
            body = text.encode() + b"\n"
            client.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        except OSError:
            pass  # the client's business


def serve(name):
    """Answers with its name and the client's address."""
    while True:
        conn, _ = LISTENER.accept()
        client = receive(conn)
        try:
            answer(client, f"{name}: {peer(client)}")
        except OSError:
            client.close()


def die(point, every, counter, times):
    """Serves a number of clients, then kills itself at a chosen point, until that has been done so many times."""
    served = 0
    while True:
        select = selectors.DefaultSelector()
        select.register(LISTENER, selectors.EVENT_READ)
        select.select()
        with open(counter, "a+b") as file:
            due = served >= int(every) and os.fstat(file.fileno()).st_size < int(times)
            if due and point == "before-accept":
                file.write(b"x")
                file.flush()
                os.kill(os.getpid(), signal.SIGKILL)
            conn, _ = LISTENER.accept()
            if due and point == "after-accept":
                file.write(b"x")
                file.flush()
                os.kill(os.getpid(), signal.SIGKILL)
        client = receive(conn)
        answer(client, f"die: {peer(client)}")
        served += 1


def steady(name, seconds):
    """Takes so long for each client, one at a time. Where /run/test/NAME.kill is, it kills itself between two."""
    select = selectors.DefaultSelector()
    select.register(LISTENER, selectors.EVENT_READ)
    while True:
        select.select()
        if os.path.exists(f"/run/test/{name}.kill"):
            os.unlink(f"/run/test/{name}.kill")
            os.kill(os.getpid(), signal.SIGKILL)
        conn, _ = LISTENER.accept()
        client = receive(conn)
        if client:
            time.sleep(float(seconds))  # its work
            answer(client, f"{name}:")


def record(path):
    """Writes down which client it received, before it does anything for it: what it dies with is known then."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    while True:
        conn, _ = LISTENER.accept()
        os.write(file, b"begin\n")
        client = receive(conn)
        try:
            address = peer(client)
        except OSError:
            address = "gone"  # reset by the client meanwhile
        os.write(file, b"got %s\n" % address.encode())
        if address == "gone":
            client.close()
        else:
            answer(client, f"record: {address}")


def hold():
    """Keeps its clients: greets each with a line and echoes what they say."""
    select = selectors.DefaultSelector()
    select.register(LISTENER, selectors.EVENT_READ)
    while True:
        for key, _ in select.select():
            if key.fileobj is LISTENER:
                conn, _ = LISTENER.accept()
                client = receive(conn)
                client.sendall(b"held\n")
                select.register(client, selectors.EVENT_READ)
                continue
            try:
                data = key.fileobj.recv(4096)
                if data:
                    key.fileobj.sendall(data)
                    continue
            except OSError:
                pass
            select.unregister(key.fileobj)
            key.fileobj.close()


def state(accept):
    """Reports all that can be asked about a client's socket; with accept=yes, about one that it accepts itself."""
    while True:
        conn, _ = LISTENER.accept()
        client = conn if accept == "yes" else receive(conn)
        unread = struct.unpack("i", fcntl.ioctl(client, termios.FIONREAD, b"\0" * 4))[0]
        what = {
            "family": client.family.name,
            "peer": client.getpeername(),
            "local": client.getsockname(),
            "flags": fcntl.fcntl(client, fcntl.F_GETFL),
            "owner": fcntl.fcntl(client, fcntl.F_GETOWN),
            "signal": fcntl.fcntl(client, 10),  # F_GETSIG
            "unread": unread,
            "options": {f"{level}/{name}": option(client, level, name)
                        for level, last in ((socket.SOL_SOCKET, 90), (socket.IPPROTO_IP, 60),
                                            (socket.IPPROTO_IPV6, 90), (socket.IPPROTO_TCP, 50))
                        for name in range(last)},
        }
        what["read"] = request(client).decode()
        with client:
            client.sendall(json.dumps(what).encode())


def option(client, level, name):
    # Some options read what they are asked from the buffer: unlike socket.getsockopt()'s, this one is empty.
    value, size = ctypes.create_string_buffer(512), ctypes.c_uint32(512)
    if LIBC.getsockopt(client.fileno(), level, name, value, ctypes.byref(size)) < 0:
        return ctypes.get_errno()
    return value.raw[:size.value].hex()


def idle():
    """Never accepts anything."""
    signal.pause()


{f.__name__: f for f in (serve, die, steady, record, hold, state, idle)}[sys.argv[1]](*sys.argv[2:])
