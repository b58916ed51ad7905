# SPDX-License-Identifier: LGPL-2.1-or-later
"""A client of TLS on buffers: tls-raw.py CA NAME WHAT

half PATH      sends half a record of a request, waits for 3 s, and sends the rest. Prints the status of the answer
ends [TEXT]    sends TEXT, or nothing, and prints what comes up to the end: the status or -, and how it ends
bye PATH       sends a request and close_notify at once, and prints the same
"""

import socket
import ssl
import sys
import time

ca, name, what, *rest = sys.argv[1:]
context = ssl.create_default_context(cafile=ca)
connection = socket.create_connection(("127.0.0.1", 443))
connection.settimeout(90)
i, o = ssl.MemoryBIO(), ssl.MemoryBIO()
tls = context.wrap_bio(i, o, server_hostname=name)
while True:
    try:
        tls.do_handshake()
        connection.sendall(o.read())
        break
    except ssl.SSLWantReadError:
        connection.sendall(o.read())
        i.write(connection.recv(65536))


def request(path):
    return f"GET {path} HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode()


def answer():
    got, end = b"", "none"
    while end == "none":
        try:
            data = tls.read(65536)
            got += data
            end = "none" if data else "close_notify"
        except ssl.SSLZeroReturnError:
            end = "close_notify"
        except ssl.SSLWantReadError:
            try:
                data = connection.recv(65536)
            except ConnectionResetError:
                end = "reset"
                break
            if not data:
                end = "FIN"
            i.write(data)
    return got.split(b" ")[1].decode() if got.startswith(b"HTTP/") else got.decode() or "-", end


if what == "half":
    tls.write(request(rest[0]))
    record = o.read()
    connection.sendall(record[:20])
    time.sleep(3)
    connection.sendall(record[20:])
elif what == "ends":
    if rest:
        tls.write(rest[0].encode().decode("unicode_escape").encode())
        connection.sendall(o.read())
elif what == "bye":
    tls.write(request(rest[0]))
    try:
        tls.unwrap()
    except ssl.SSLError:
        pass
    connection.sendall(o.read())
print(*answer())
