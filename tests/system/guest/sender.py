# SPDX-License-Identifier: LGPL-2.1-or-later
"""sender.py PATH: passes one end of a TCP connection as mod_proxy_fdpass does, and prints what comes on the other."""

import os
import socket
import sys

with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname(), 10) as client:
    accepted, _ = listener.accept()
    client.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    accepted.recv(4096)
    accepted.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    os.set_blocking(accepted.fileno(), False)
    with socket.socket(socket.AF_UNIX) as sender:
        sender.connect(sys.argv[1])
        socket.send_fds(sender, [b"\0"], [accepted.fileno()])
    accepted.close()
    answer = b""
    while not answer.endswith(b"held\n"):
        data = client.recv(4096)
        if not data:
            break
        answer += data
    print(answer.decode().splitlines()[-1])
