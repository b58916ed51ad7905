# SPDX-License-Identifier: LGPL-2.1-or-later
"""A server that knows nothing of fdpass, behind fdpass-proxy: backend.py PORT.

It reads the line of the PROXY protocol and then a request. To "GET /count" it answers, once the client has closed its
direction, with how much came; to others at once with the client's address from that line.
"""

import socket
import sys
import threading


def serve(client):
    with client, client.makefile("rb") as stream:
        proxy = stream.readline().decode().split()
        request = stream.readline()
        while stream.readline() not in (b"\r\n", b""):
            pass
        if request.startswith(b"GET /count"):
            n = 0
            while data := stream.read1(65536):
                n += len(data)
            body = f"{n}\n"
        else:
            body = f"backend: {proxy[2]}\n"
        client.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + body.encode())


with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as listener:
    print("ready", flush=True)
    while True:
        threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
