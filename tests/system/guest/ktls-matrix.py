# SPDX-License-Identifier: LGPL-2.1-or-later
"""Clients of HTTPS in all ways: IPv4 and IPv6, new and resumed, the request in one record or in several, with the
Finished or later, and followed by a FIN. The cipher of TLS 1.3 is from the file of OPENSSL_CONF.
ktls-matrix.py CAFILE HOST 1.2|1.3 CIPHER; prints how many there were, and ends with an error at the first wrong one."""

import socket
import ssl
import sys

CAFILE, HOST, VERSION, CIPHER = sys.argv[1:]
REQUEST = f"GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()
WAYS = ["with the Finished", "in three records with the Finished", "later", "in three records later", "byte by byte", "then a FIN"]


def context():
    result = ssl.create_default_context(cafile=CAFILE)
    result.minimum_version = result.maximum_version = ssl.TLSVersion.TLSv1_2 if VERSION == "1.2" else ssl.TLSVersion.TLSv1_3
    if VERSION == "1.2":
        result.set_ciphers(CIPHER)
    return result


class Client:
    def __init__(self, of, address, session):
        self.socket = socket.create_connection((address, 443), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.input, self.output = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = of.wrap_bio(self.input, self.output, server_hostname=HOST, session=session)

    def hear(self):
        data = self.socket.recv(65536)
        if data:
            self.input.write(data)
        else:
            self.input.write_eof()

    def shake(self):
        """What is to be sent at its end is left in the buffer."""
        while True:
            try:
                return self.tls.do_handshake()
            except ssl.SSLWantReadError:
                self.socket.sendall(self.output.read())
                self.hear()

    def say(self, way):
        if "later" in way:
            self.socket.sendall(self.output.read())
        third = len(REQUEST) // 3
        parts = [REQUEST[:third], REQUEST[third:2 * third], REQUEST[2 * third:]] if "three" in way else [REQUEST]
        for part in parts:
            self.tls.write(part)
            if "later" in way:
                self.socket.sendall(self.output.read())
        rest = self.output.read()
        if "byte" in way:
            for i in range(len(rest)):
                self.socket.sendall(rest[i:i + 1])
        elif rest:
            self.socket.sendall(rest)
        if "FIN" in way:
            self.socket.shutdown(socket.SHUT_WR)

    def answer(self):
        """The body. The end of the connection is the server's business."""
        data = b""
        while not data.endswith(b"\n") or b"\r\n\r\n" not in data:
            try:
                data += self.tls.read(65536) or sys.exit(f"an end after {data}")
            except ssl.SSLWantReadError:
                self.hear()
        return data.partition(b"\r\n\r\n")[2].decode().strip().replace("::ffff:", "")  # IPv4 on a socket of IPv6


def main():
    n = 0
    of = context()
    for address in "127.0.0.1", "::1":
        for way in WAYS:
            session = None
            for resumed in False, True:
                client = Client(of, address, session)
                client.shake()
                cipher = client.tls.cipher()[0]
                client.say(way)
                told = client.answer()
                what = f"{VERSION} {cipher} {address} {way}, resumed: {resumed}: {told}"
                if cipher != CIPHER or client.tls.session_reused != resumed:
                    sys.exit(f"another handshake: {what}, reused: {client.tls.session_reused}")
                if told != "a: %s:%d" % client.socket.getsockname()[:2]:
                    sys.exit(f"another answer: {what}")
                session = client.tls.session
                client.socket.close()
                n += 1
    print(n)


main()
