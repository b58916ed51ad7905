# SPDX-License-Identifier: LGPL-2.1-or-later
"""Asks one host after the other over HTTPS, with the session of the one before. resume.py VERSION CA HOST..."""

import socket
import ssl
import sys

context = ssl.create_default_context(cafile=sys.argv[2])
context.minimum_version = context.maximum_version = ssl.TLSVersion[sys.argv[1]]
session = None

for host in sys.argv[3:]:
    body, reused = b"", False
    try:
        plain = socket.create_connection(("127.0.0.1", 443), timeout=10)
        with context.wrap_socket(plain, server_hostname=host, session=session) as client:
            reused = client.session_reused
            client.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            while data := client.recv(4096):
                body += data
            session = client.session
    except (ssl.SSLError, ConnectionError):
        pass
    print((body.decode().partition("\r\n\r\n")[2].strip() or "nothing") + (" resumed" if reused else ""))
