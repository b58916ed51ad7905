# SPDX-License-Identifier: LGPL-2.1-or-later
"""Clients that keep their connections: holders.py COUNT PATH [BYTES]. Each asks for PATH with a body of so many bytes,
and waits for the first bytes of the answer. Prints how many got one from a worker. Each line on standard input ends one."""

import socket
import sys

count, path, size = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 0
clients, served = [], 0
for _ in range(count):
    client = socket.create_connection(("127.0.0.1", 80), 10)
    client.sendall(f"POST {path} HTTP/1.1\r\nHost: h\r\nContent-Length: {size}\r\n\r\n".encode() + b"x" * size)
    served += not client.recv(4096).startswith(b"HTTP/1.1 503")
    clients.append(client)
print(served, flush=True)
for _ in sys.stdin:
    clients.pop().close()
    print(len(clients), flush=True)
