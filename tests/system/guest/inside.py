# SPDX-License-Identifier: LGPL-2.1-or-later
"""Answers one request that comes on standard input, with its name and what it was told of the client. inside.py NAME"""

import os
import sys

while sys.stdin.buffer.readline() not in (b"\r\n", b""):
    pass
told = " ".join(os.environ.get(key, "-") for key in ("REMOTE_ADDR", "FDPASS_AUTHORITY", "FDPASS_ALPN", "FDPASS_LISTENER"))
body = f"{sys.argv[1]}: {told}\n".encode()
sys.stdout.buffer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(body), body))
