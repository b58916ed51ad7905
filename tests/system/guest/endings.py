# SPDX-License-Identifier: LGPL-2.1-or-later
"""Answers one request on standard input with a body that ends as its path says: /length, /chunks or /close."""

import sys

line = sys.stdin.buffer.readline()
while sys.stdin.buffer.readline() not in (b"\r\n", b""):
    pass
way = line.split()[1].decode().strip("/")
body = b"the body\n" * 1000
head = {"length": f"Content-Length: {len(body)}\r\n", "chunks": "Transfer-Encoding: chunked\r\n", "close": ""}[way]
sys.stdout.buffer.write(f"HTTP/1.1 200 OK\r\n{head}Connection: close\r\n\r\n".encode())
sys.stdout.buffer.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if way == "chunks" else body)
