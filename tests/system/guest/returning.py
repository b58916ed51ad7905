# SPDX-License-Identifier: LGPL-2.1-or-later
"""returning.py NAME [IDLE]: a worker that answers one request of each client and hands the client back. With IDLE it
ends when nobody came for so many seconds."""

import socket
import struct
import sys

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def tlvs(message):
    length = struct.unpack("!H", message[14:16])[0]
    rest = message[16 + {0x00: 0, 0x11: 12, 0x21: 36}[message[13]]:16 + length]
    found = {}
    while rest:
        n = struct.unpack("!H", rest[1:3])[0]
        found[rest[0]] = rest[3:3 + n]
        rest = rest[3 + n:]
    return found


def hand_back(client, listener):
    rest = b"".join(bytes([kind]) + struct.pack("!H", len(value)) + value for kind, value in ((0xE0, b"\1"), (0xE2, listener)))
    message = SIGNATURE + b"\x21\x00" + struct.pack("!H", len(rest)) + rest
    while True:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as broker:
            broker.connect("/run/fdpass/return.sock")
            try:
                socket.send_fds(broker, [message], [client.fileno()])
                return broker.recv(1)
            except ConnectionError:
                pass  # it has ended without the message: to the next one


def serve(client, name, listener):
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        data = client.recv(4096)
        if not data:
            return
        head += data
    body = f"{name} {client.getpeername()[1]}\n".encode()
    client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    hand_back(client, listener)


listener = socket.socket(fileno=3)
listener.settimeout(float(sys.argv[2]) if len(sys.argv) > 2 else None)
while True:
    try:
        conn, _ = listener.accept()
    except TimeoutError:
        break
    message, fds, _, _ = socket.recv_fds(conn, 65536, 1)
    conn.close()
    with socket.socket(fileno=fds[0]) as client:
        try:
            serve(client, sys.argv[1], tlvs(message)[0xE2])
        except OSError:
            pass  # the client's business
