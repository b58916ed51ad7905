#!/usr/bin/python3
# SPDX-License-Identifier: MIT-0
"""An HTTP worker that keeps its clients, and hands them back for requests of other routes: fdpass.py does both."""

import os
import threading

import fdpass

HEAD_MAX = 16384
BODY_MAX = 1 << 20
IDLE_SEC = 60


class Connection:
    """One client. @left are bytes that were read and belong to what comes next."""

    def __init__(self, client):
        self.client, self.left = client, client.consumed

    def read(self):
        data = self.client.socket.recv(65536)
        if not data:
            raise ConnectionError
        self.left += data

    def take(self, n):
        while len(self.left) < n:
            self.read()
        taken, self.left = self.left[:n], self.left[n:]
        return taken

    def take_head(self):
        while b"\r\n\r\n" not in self.left:
            if len(self.left) > HEAD_MAX:
                raise ConnectionError
            self.read()
        return self.take(self.left.index(b"\r\n\r\n") + 4)

    def answer(self, status, text, is_last):
        end = "Connection: close\r\n" if is_last else ""
        self.client.socket.sendall(f"HTTP/1.1 {status}\r\nContent-Length: {len(text)}\r\n{end}\r\n{text}".encode())

    def serve(self):
        """Answers one request. Returns false if no other may follow."""
        line, *fields = self.take_head().decode("latin-1").strip().split("\r\n")
        method, target, version = line.split(" ")
        field = {name.lower(): value.strip() for name, _, value in (f.partition(":") for f in fields)}

        length = field.get("content-length", "0")
        if "transfer-encoding" in field or not length.isdecimal() or int(length) > BODY_MAX:
            self.answer("413 Content Too Large", "", is_last=True)
            return False
        if int(length) > 0 and field.get("expect", "").lower() == "100-continue":
            self.client.socket.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = self.take(int(length))

        is_last = version != "HTTP/1.1" or "close" in field.get("connection", "").lower()
        text = f"{method} {target} with {len(body)} bytes, answered by Python (process {os.getpid()})\n"
        self.answer("200 OK", "" if method == "HEAD" else text, is_last)
        return not is_last


def serve(client):
    with client:
        try:
            client.socket.settimeout(IDLE_SEC)
            connection = Connection(client)
            while connection.serve() and client.next(connection.left):
                pass
        except (ConnectionError, TimeoutError, ValueError):
            pass  # it has left, is silent, or speaks no HTTP


listener = fdpass.Listener()
while True:
    threading.Thread(target=serve, args=(listener.accept(),), daemon=True).start()
