# SPDX-License-Identifier: LGPL-2.1-or-later
"""Clients that look at whole responses: askers.py COUNT THREADS TEXT. Prints how many were as they should be, one head
that ends with "Connection: close" and the body TEXT, and each kind of those that were not."""

import collections
import re
import socket
import sys
import threading

RIGHT = re.compile(rb"HTTP/1\.1 200 OK\r\nDate: [A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT\r\n"
                   rb"Server: fdpass\r\nConnection: close\r\n\r\n" + re.escape(sys.argv[3].encode()) + rb"\n")
seen = collections.Counter()
lock = threading.Lock()


def ask():
    try:
        with socket.create_connection(("127.0.0.1", 80), 30) as s:
            s.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n")
            data = b""
            while more := s.recv(65536):
                data += more
    except OSError as error:
        return type(error).__name__
    return "right" if RIGHT.fullmatch(data) else repr(data[:400])


def run(n):
    for _ in range(n):
        result = ask()
        with lock:
            seen[result] += 1


threads = [threading.Thread(target=run, args=(int(sys.argv[1]) // int(sys.argv[2]),)) for _ in range(int(sys.argv[2]))]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(seen.pop("right", 0))
for what, n in seen.most_common():
    print(n, what)
