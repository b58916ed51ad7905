# SPDX-License-Identifier: LGPL-2.1-or-later
"""Peers of the broker that mean no good. hostile.py worker [KIND…]: a worker that does each of these in turn (all of
them, by default). hostile.py return COUNT [KIND…]: so many messages to the return socket. hostile.py silent COUNT
SECONDS: connections to it that say nothing. hostile.py clients COUNT: clients of the public port that speak no protocol."""

import itertools
import os
import random
import socket
import struct
import sys
import tempfile
import time

RETURN = "/run/fdpass/return.sock"
GOOD = b"\r\n\r\n\0\r\nQUIT\n\x21\x00\x00\x04\xe0\x00\x01\x01"


def lingering():
    """A connection that takes a minute to close for whoever is the last to do so: its peer reads nothing."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        client = socket.create_connection(listener.getsockname())
        peer, _ = listener.accept()
    client.setblocking(False)
    try:
        while True:
            client.send(b"x" * 65536)
    except BlockingIOError:
        pass
    client.setblocking(True)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 60))
    return client, peer


# The worker: each gets the connection, and what it was sent on it is still unread.


def receive(conn):
    _, fds, _, _ = socket.recv_fds(conn, 65536, 4)
    return [socket.socket(fileno=fd) for fd in fds]


def close_all(clients):
    for client in clients:
        client.close()


def unread(conn):
    pass


def garbage(conn):
    clients = receive(conn)
    conn.send(os.urandom(random.randint(1, 4096)))
    close_all(clients)


def unread_garbage(conn):
    conn.send(os.urandom(100))


def refused(conn):
    clients = receive(conn)
    close_all(clients)
    conn.send(b"\x02")


def error(conn):
    clients = receive(conn)
    close_all(clients)
    conn.send(b"\x03")


def many_answers(conn):
    close_all(receive(conn))
    conn.settimeout(0.1)
    for _ in range(10_000):
        conn.send(b"\x7f")


def descriptors(conn):
    clients = receive(conn)
    socket.send_fds(conn, [b"\x01"], [0] * random.choice([1, 2, 253]))
    close_all(clients)


def lingering_descriptor(conn):
    clients = receive(conn)
    mine, peer = lingering()
    try:
        socket.send_fds(conn, [b"\x01"], [mine.fileno()])
    except OSError:
        mine.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 0, 0))  # it is only ours: not sent
    peers.append(peer)
    mine.close()
    close_all(clients)


def lingering_client(conn):
    """The client itself is made to linger, and the broker has the last copy of it."""
    for client in receive(conn):
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 60))
        client.setblocking(False)
        try:
            while True:
                client.send(b"x" * 65536)
        except BlockingIOError:
            pass
        client.close()
    time.sleep(0.05)


def keeps(conn):
    """Neither an answer nor the end, for a while."""
    kept.append((conn.dup(), receive(conn)))


def dies(conn):
    receive(conn)
    os.kill(os.getpid(), 9)


def dies_before(conn):
    os.kill(os.getpid(), 9)


WORKER = {f.__name__: f for f in (unread, garbage, unread_garbage, refused, error, many_answers, descriptors,
                                  lingering_descriptor, lingering_client, keeps, dies, dies_before)}
kept, peers = [], []


def worker(*kinds):
    listener = socket.socket(fileno=3)
    names = list(kinds or WORKER)
    random.shuffle(names)
    for name in itertools.cycle(names):
        conn, _ = listener.accept()
        del kept[:-20], peers[:-20]
        try:
            WORKER[name](conn)
        except OSError:
            pass  # the broker's word
        conn.close()


# The return socket: each makes the bytes and the descriptors of one message.


def client():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        mine = socket.create_connection(listener.getsockname())
        theirs, _ = listener.accept()
    return mine, theirs


def other(kind):
    if kind == "pipe":
        r, w = os.pipe()
        os.close(w)
        return os.fdopen(r, "rb", 0)
    if kind == "file":
        return tempfile.TemporaryFile()
    if kind == "listening":
        s = socket.socket()
        s.bind(("127.0.0.1", 0))
        s.listen(1)
        return s
    if kind == "udp":
        return socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    if kind == "unix":
        return socket.socketpair()[0]
    if kind == "unconnected":
        return socket.socket()
    return lingering()[0]


MESSAGES = {
    "no-fd": lambda fd: (GOOD, []),
    "two-fds": lambda fd: (GOOD, [fd] * 2),
    "three-fds": lambda fd: (GOOD, [fd] * 3),
    "most-fds": lambda fd: (GOOD, [fd] * 253),
    "truncated": lambda fd: (GOOD[:random.randint(1, len(GOOD) - 1)], [fd]),
    "half": lambda fd: (GOOD[:14] + b"\x10\x00", [fd]),
    "oversized": lambda fd: (GOOD + os.urandom(90_000), [fd]),
    "garbage": lambda fd: (os.urandom(random.randint(1, 2000)), [fd]),
    "empty": lambda fd: (b"", [fd]),
    "one-byte": lambda fd: (b"\0", [fd]),
}
OTHERS = ["pipe", "file", "listening", "udp", "unix", "unconnected", "lingering"]


def send(conn, kind, parked):
    if kind == "unconnected" and random.random() < 0.9:
        kind = "udp"  # a socket that is no connection ends at once, but is taken
    if kind in OTHERS:
        with other(kind) as thing:
            socket.send_fds(conn, [GOOD], [thing.fileno()])
        return
    mine, theirs = client()
    with theirs:
        message, fds = MESSAGES[kind](theirs.fileno())
        socket.send_fds(conn, [message], fds)
    parked.append(mine)
    del parked[:-10]


def hand_back(count, *kinds):
    kinds = list(kinds or [*MESSAGES, *OTHERS])
    parked, errors = [], 0
    conn = None
    for i in range(int(count)):
        if not conn:
            conn = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            conn.connect(RETURN)
            conn.settimeout(1)
        try:
            # Answers are not read.
            send(conn, kinds[i % len(kinds)], parked)
        except OSError:
            errors += 1
            conn.close()
            conn = None
    print(errors, flush=True)


def silent(count, seconds):
    conns = []
    for _ in range(int(count)):
        conn = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        conn.setblocking(False)
        try:
            conn.connect(RETURN)
        except BlockingIOError:
            time.sleep(0.01)  # its backlog is full
        conns.append(conn)
    print("connected", flush=True)
    time.sleep(float(seconds))


# Clients


def clients(count):
    for i in range(int(count)):
        with socket.socket() as c:
            c.bind((f"127.0.4.{i % 8 + 1}", 0))
            c.settimeout(2)
            c.connect(("127.0.0.1", 80))
            try:
                c.sendall(random.choice([b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"SSH-2.0-x\r\n", b"\0" * 100, b"GET / HTTP/1.1\r\n\r\n",
                                         b"GET / HTTP/1.1\r\nHost: nobody.test\r\n\r\n", b"PROXY TCP4 1.1.1.1 1.1.1.1 1 1\r\n",
                                         b"x" * 20000, os.urandom(200)]))
                if random.random() < 0.3:
                    c.shutdown(socket.SHUT_WR)
                if random.random() < 0.1:
                    c.recv(100)
            except OSError:
                pass  # the broker's word


if __name__ == "__main__":
    {"worker": worker, "return": hand_back, "silent": silent, "clients": clients}[sys.argv[1]](*sys.argv[2:])
