# SPDX-License-Identifier: LGPL-2.1-or-later
"""stream.py NAME [MOMENT]: a worker that tells each client all that it was told of it, what another worker had read of
it, and what it found in its socket. With MOMENT it does otherwise with the first client, if no other process has:
"dies" kills it before it begins, "refuses" says that another worker should have it."""

import contextlib
import json
import os
import signal
import socket
import sys

ADDRESSES = {0x00: 0, 0x11: 12, 0x21: 36}
KINDS = {0x02: "authority", 0x05: "id", 0xE1: "route", 0xE2: "listener", 0xE3: "data", 0xE5: "protocol", 0xE6: "name"}


def parse(message):
    """What the message tells, and the bytes that it brings."""
    end = 16 + int.from_bytes(message[14:16], "big")
    at = 16 + ADDRESSES[message[13]]
    facts = {"source": message[16:at].hex()}
    while at < end:
        n = int.from_bytes(message[at + 1:at + 3], "big")
        facts[KINDS.get(message[at], str(message[at]))] = message[at + 3:at + 3 + n].decode("latin-1")
        at += 3 + n
    return facts, message[end:]


def body_of(client, head):
    """The rest of the request is in the socket."""
    rest = b""
    length = int((head.lower().partition(b"content-length:")[2].split(b"\r\n") or [b"0"])[0] or 0)
    while len(rest) < length:
        data = client.recv(65536)
        if not data:
            break
        rest += data
    return rest


def first_time(name):
    try:
        os.close(os.open(f"/run/test/{name}.first", os.O_CREAT | os.O_EXCL))
        return True
    except FileExistsError:
        return False


def answer(connection, byte):
    with connection, contextlib.suppress(OSError):  # a broker that has been restarted does not wait for it
        connection.send(byte)


def serve(client, name, message):
    facts, consumed = parse(message)
    body = body_of(client, consumed)
    facts |= {"worker": name, "consumed": consumed.decode("latin-1"), "body": body.decode("latin-1"),
              "peer": client.getpeername()[:2]}
    answer = json.dumps(facts).encode() + b"\n"
    client.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(answer), answer))


name, moment = sys.argv[1], "".join(sys.argv[2:])
listener = socket.socket(fileno=3)
while True:
    connection, _ = listener.accept()
    message, fds, _, _ = socket.recv_fds(connection, 81920, 1)
    with socket.socket(fileno=fds[0]) as client:
        if moment and first_time(name):
            if moment == "dies":
                os.kill(os.getpid(), signal.SIGKILL)
            answer(connection, b"\2")
            continue
        answer(connection, b"\1")
        serve(client, name, message)
