# SPDX-License-Identifier: LGPL-2.1-or-later
"""A worker that keeps connections, and hands clients back for requests of others. next.py NAME"""

import sys
import threading

sys.path.insert(0, "/usr/src/fdpass/src/libfdpass")

import fdpass

BODY = sys.argv[1].encode()
BIG = 16_000_000
ANSWER = b"HTTP/1.1 200 OK\r\nX-Worker: %s\r\nContent-Length: %d\r\n\r\n%s" % (BODY, len(BODY), BODY)


def read_head(client):
    """One byte at a time, because next() looks at what was not read."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        data = client.socket.recv(1)
        if not data:
            return b""
        head += data
    return head


def serve(client):
    with client:
        try:
            while (head := read_head(client)):
                if head.startswith(b"GET /big "):
                    client.socket.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % BIG + bytes(BIG))
                else:
                    client.socket.sendall(ANSWER)
                if b" HTTP/1.0\r\n" in head or not client.next():
                    return
        except OSError:
            pass  # the client has left


listener = fdpass.Listener()
while True:
    threading.Thread(target=serve, args=[listener.accept()], daemon=True).start()
