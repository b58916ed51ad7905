# SPDX-License-Identifier: LGPL-2.1-or-later
# A worker as one writes it for Apache's mod_proxy_fdpass, started by systemd with its socket as fd 3.
import socket

workers = socket.socket(fileno=3)
while True:
    conn, _ = workers.accept()
    _, fds, _, _ = socket.recv_fds(conn, 1, 1)
    conn.close()
    with socket.socket(fileno=fds[0]) as client:
        client.recv(65536)
        body = "plain worker, client %s:%d\n" % client.getpeername()[:2]
        client.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s"
                       % (len(body), body.encode()))
