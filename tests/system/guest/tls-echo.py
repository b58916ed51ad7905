# SPDX-License-Identifier: LGPL-2.1-or-later
"""A client of TLS that stays: for each line of standard input it sends the line, and prints what comes back. HOST"""

import socket
import ssl
import sys

context = ssl._create_unverified_context()
plain = socket.create_connection(("127.0.0.1", 443), timeout=60)
with context.wrap_socket(plain, server_hostname=sys.argv[1]) as client:
    for line in sys.stdin:
        client.sendall(line.encode())
        seen = b""
        while not seen.endswith(b"\n"):
            data = client.recv(4096)
            if not data:
                sys.exit("the end")
            seen += data
        print(seen.decode().strip(), flush=True)
