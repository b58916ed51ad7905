# SPDX-License-Identifier: LGPL-2.1-or-later
"""A worker that uses fdpass.py: tls-python.py NAME. The last word of the path says how the response ends, and what comes next.

length  by its length, and the connection ends
close   with the connection, by Client.close()
rude    with the connection, by close(2) alone
big     8 MB, and then as "close"
keep    by its length, and the next request may be another worker's
facts   the same; the body has what is told of the client's TLS
forget  the same; the client goes back without what was told of it
"""

import sys

import fdpass

name = sys.argv[1]
listener = fdpass.Listener()


def read_head(client):
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        data = client.recv(65536)
        if not data:
            return None
        head += data
    return head


def serve(client):
    head = read_head(client)
    if not head:
        return
    way = head.split(b" ")[1].rpartition(b"/")[2].decode()
    body = f"{name} {way} {tuple(client.tls) if client.tls else None}\n".encode()
    if way in ("close", "rude", "big"):
        client.socket.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + body * (8 * 2**20 // len(body) if way == "big" else 1))
        if way == "rude":
            client.socket.close()
        return
    client.socket.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    if way == "forget":
        client.tlvs, client._addresses, client._family = {}, b"", 0
    if way != "length":
        client.park()


while True:
    with listener.accept() as client:
        serve(client)
