# SPDX-License-Identifier: LGPL-2.1-or-later
"""A worker whose first process does something to a client and dies, and whose later ones serve it: tls-deeds.py FILE DEED

FILE says that there was a first process. DEED: none, peek, one, all, write.
"""

import os
import pathlib
import socket
import sys

mark, deed = pathlib.Path(sys.argv[1]), sys.argv[2]
listener = socket.socket(fileno=3)
while True:
    connection, _ = listener.accept()
    _, fds, _, _ = socket.recv_fds(connection, 81920, 1)
    if not fds:
        continue
    client = socket.socket(fileno=fds[0])
    if not mark.exists():
        mark.touch()
        if deed == "peek":
            client.recv(65536, socket.MSG_PEEK)
        elif deed == "one":
            client.recv(1)
        elif deed == "all":
            client.recv(65536)
        elif deed == "write":
            client.sendall(b"HTTP/1.1 200 OK\r\n")
        os._exit(1)
    connection.send(b"\1")
    connection.close()
    client.recv(65536)
    client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\nConnection: close\r\n\r\nsecond\n")
    client.close()
