# SPDX-License-Identifier: LGPL-2.1-or-later
"""Hostile clients of a.test at port 443, whose worker is next.py. tls-hostile.py CA SECONDS. Prints as JSON what became of
each attack, the CPU that each process used per cent while many clients only hold what they have, and what is wrong."""

import ctypes
import hashlib
import hmac
import json
import pathlib
import socket
import ssl
import subprocess
import sys
import threading
import time

from tlslib import INT, LIBRARY, POINTER, TEXT, Alert, Tls, function
from tlslib import SSL_do_handshake, SSL_key_update, SSL_renegotiate

NAME = "a.test"
ADDRESS = "127.0.0.1", 443
REQUEST = f"GET / HTTP/1.1\r\nHost: {NAME}\r\n\r\n".encode()
UNITS = "fdpass.service", "fdpass-tls.service", "test-a.service"
HELD = 8  # clients of each kind
SETTLED_SEC = 2  # for what they have sent to be served; before the broker gives any of them up
SMALL = 22, 3, 1  # the first bytes of a hello

set_ciphersuites = function("SSL_CTX_set_ciphersuites", INT, POINTER, TEXT)
set_early_data_max = function("SSL_SESSION_set_max_early_data", INT, POINTER, ctypes.c_uint32)
write_early_data = function("SSL_write_early_data", INT, POINTER, TEXT, ctypes.c_size_t, ctypes.POINTER(ctypes.c_size_t))
KEYLOG = ctypes.CFUNCTYPE(None, POINTER, TEXT)
set_keylog = function("SSL_CTX_set_keylog_callback", None, POINTER, KEYLOG)
CRYPTO = ctypes.CDLL("libcrypto.so.3")
for name in "EVP_CIPHER_CTX_new", "EVP_aes_128_gcm":
    getattr(CRYPTO, name).restype = POINTER
secrets = {}


@KEYLOG
def on_key(_, line):
    label, _, secret = line.decode().split()
    secrets[label] = bytes.fromhex(secret)


class Forger:
    """Makes records of a client of TLS 1.3 from its traffic secret (RFC 8446 5.2 and 7.3)."""

    def __init__(self, secret, sequence=0):
        self.key, self.iv, self.sequence = self._expand(secret, b"key", 16), self._expand(secret, b"iv", 12), sequence

    @staticmethod
    def _expand(secret, label, size):
        info = size.to_bytes(2, "big") + bytes([6 + len(label)]) + b"tls13 " + label + b"\0"
        return hmac.new(secret, info + b"\1", hashlib.sha256).digest()[:size]

    def record(self, data, kind=23):
        inner = data + bytes([kind])
        header = bytes([23, 3, 3]) + (len(inner) + 16).to_bytes(2, "big")
        nonce = bytes(a ^ b for a, b in zip(self.iv, self.sequence.to_bytes(12, "big")))
        self.sequence += 1
        c, n = POINTER(CRYPTO.EVP_CIPHER_CTX_new()), ctypes.c_int()
        out, tag = ctypes.create_string_buffer(len(inner) + 16), ctypes.create_string_buffer(16)
        CRYPTO.EVP_EncryptInit_ex(c, POINTER(CRYPTO.EVP_aes_128_gcm()), None, self.key, nonce)
        CRYPTO.EVP_EncryptUpdate(c, None, ctypes.byref(n), header, 5)
        CRYPTO.EVP_EncryptUpdate(c, out, ctypes.byref(n), inner, len(inner))
        CRYPTO.EVP_EncryptFinal_ex(c, tag, ctypes.byref(n))
        CRYPTO.EVP_CIPHER_CTX_ctrl(c, 0x10, 16, tag)  # EVP_CTRL_AEAD_GET_TAG
        CRYPTO.EVP_CIPHER_CTX_free(c)
        return header + out.raw[:len(inner)] + tag.raw


def prepare():
    context = Tls.context("1.3")
    set_ciphersuites(context, b"TLS_AES_128_GCM_SHA256")
    set_keylog(context, on_key)


def forging(request=REQUEST):
    """A client of TLS 1.3 behind its handshake, or its first answer, and its forger."""
    client = Tls("1.3", NAME).connect()
    forger = Forger(secrets["CLIENT_TRAFFIC_SECRET_0"])
    if request:
        client.socket.sendall(forger.record(request))
        client.receive()
    return client, forger


def hello(name=NAME, alpn=(), patch=None):
    """The first message of Python's client, changed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    if alpn:
        context.set_alpn_protocols(alpn)
    out = ssl.MemoryBIO()
    try:
        context.wrap_bio(ssl.MemoryBIO(), out, server_hostname=name).do_handshake()
    except ssl.SSLWantReadError:
        pass
    data = out.read()
    return data.replace(*patch) if patch else data


def message(data):
    """The bytes inside of records."""
    found = b""
    while data:
        n = int.from_bytes(data[3:5], "big")
        found, data = found + data[5:5 + n], data[5 + n:]
    return found


def end_of(sock, seconds=20):
    """What the server says before TLS begins: "alert N", "a handshake", the status of an answer without TLS, or "closed"."""
    sock.settimeout(seconds)
    data = b""
    try:
        while len(data) < 7 and (more := sock.recv(65536)):
            data += more
    except socket.timeout:
        return "nothing"
    except ConnectionError:
        data = data or b"reset"
    if data[:1] in (b"\x15", b"\x16"):
        return f"alert {data[6]}" if data[0] == 0x15 else "a handshake"
    return data.split(b"\r\n")[0].decode(errors="replace") if data else "closed"


def send_raw(data):
    with socket.create_connection(ADDRESS) as client:
        try:
            client.sendall(data)
        except ConnectionError:
            pass
        return end_of(client)


def reason(error):
    return "reset" if "reset" in str(error) or "Broken pipe" in str(error) else str(error).split(":")[-1]


def finish(client, data):
    """What the server says to these bytes: "answered", or how it ends."""
    try:
        client.socket.sendall(data)
        got = client.receive()
        return "answered" if got.startswith(b"HTTP/1.1 200") else "closed" if not got else got[:20].decode(errors="replace")
    except (Alert, ConnectionError) as error:
        return reason(error)
    finally:
        client.close()


def corrupt():
    client, forger = forging()
    record = bytearray(forger.record(REQUEST))
    record[-1] ^= 1
    return finish(client, bytes(record))


def text_inside():
    client, _ = forging()
    return finish(client, b"GET / HTTP/1.1\r\n\r\n")


def too_long_record():
    client, _ = forging()
    return finish(client, b"\x17\x03\x03\xff\xff" + bytes(70000))


def empty_records():
    client, forger = forging()
    return finish(client, b"".join(forger.record(b"") for _ in range(100000)))


def tiny_records():
    """A request of one byte a record."""
    client, forger = forging(None)
    return finish(client, b"".join(forger.record(REQUEST[i:i + 1]) for i in range(len(REQUEST))))


def key_updates():
    """So many that are to be answered, and no answer is read before the last."""
    client, _ = forging(None)
    try:
        for _ in range(5000):
            SSL_key_update(client.ssl, 1)  # SSL_KEY_UPDATE_REQUESTED
            SSL_do_handshake(client.ssl)
        client.send(REQUEST)
    except (Alert, ConnectionError) as error:
        return reason(error)
    return finish(client, b"")


def key_update_flood():
    """One is answered by new keys. A second one with the old keys is not of this connection any more."""
    client, forger = forging()
    update = forger.record(b"\x18\0\0\1\1", 22)
    return finish(client, update + forger.record(b"\x18\0\0\1\1", 22) * 20000)


def renegotiate():
    client = Tls("1.2", NAME).connect()
    SSL_renegotiate(client.ssl)
    try:
        client.check(SSL_do_handshake(client.ssl))
    except (Alert, ConnectionError) as error:
        return reason(error)
    return "allowed"


def early_data():
    """The ticket says that there is none. A client that sends it all the same is served, by its second request only."""
    with Tls("1.3", NAME).connect() as client:
        client.send(REQUEST)
        client.receive()
        session = client.session()
    set_early_data_max(session, 16384)
    client, n = Tls("1.3", NAME, session=session), ctypes.c_size_t()
    assert write_early_data(client.ssl, REQUEST, len(REQUEST), ctypes.byref(n)) == 1
    try:
        client.connect().send(REQUEST)
    except (Alert, ConnectionError) as error:
        return reason(error)
    return finish(client, b"")


def one_byte_records():
    """A hello of 64 KiB."""
    inside = message(hello(alpn=[f"{i:0255}" for i in range(250)]))
    return send_raw(b"".join(bytes([22, 3, 1, 0, 1, byte]) for byte in inside))


MAY_RESET = ()  # any end: more comes behind what is wrong, and unread bytes turn the server's close into a reset (RFC 1122 4.2.2.13)
LONG_NAME = ".".join(["x" * 63] * 4)  # 255 bytes
ATTACKS = {
    "corrupt record": (corrupt, {"sslv3 alert bad record mac", "ssl/tls alert bad record mac"}),
    "plain text inside": (text_inside, None),
    "record of 64 KiB": (too_long_record, MAY_RESET),
    "empty records": (empty_records, MAY_RESET),
    "request in records of one byte": (tiny_records, {"answered"}),
    "key updates": (key_updates, MAY_RESET),
    "key updates with old keys": (key_update_flood, MAY_RESET),
    "renegotiation": (renegotiate, {"no renegotiation"}),
    "early data": (early_data, {"answered"}),
    "hello of 64 KiB, one byte a record": (one_byte_records, None),
    "plain HTTP": (lambda: send_raw(b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n"), None),
    "NUL in the name": (lambda: send_raw(hello("aXtest", patch=(b"aXtest", b"a\0test"))), None),
    "name of 253 bytes": (lambda: send_raw(hello(LONG_NAME[:253])), {"a handshake"}),
    "name of 255 bytes": (lambda: send_raw(hello(LONG_NAME)), None),
    "an address as the name": (lambda: send_raw(hello("a.tests.x", patch=(b"a.tests.x", b"127.0.0.1"))), {"a handshake"}),
    "no name": (lambda: send_raw(hello(None)), {"a handshake"}),
    "ALPN without overlap": (lambda: send_raw(hello(alpn=["imap"])), {"alert 120"}),
    "nonsense in a record": (lambda: send_raw(b"\x16\x03\x01\0\x10" + bytes(16)), None),
}


def raw_holder(data):
    client = socket.create_connection(ADDRESS)
    client.sendall(data)
    return client


def tls_holder(before, data):
    client, forger = forging(before)
    client.socket.sendall(data(forger))
    return client


HOLDERS = {
    "three bytes": lambda: raw_holder(bytes(SMALL)),
    "half a hello": lambda: raw_holder(hello()[:100]),
    "a hello": lambda: raw_holder(hello()),
    "a handshake": lambda: tls_holder(None, lambda forger: b""),
    "half a record before the request": lambda: tls_holder(None, lambda forger: forger.record(REQUEST)[:20]),
    "half a request": lambda: tls_holder(None, lambda forger: forger.record(REQUEST[:20])),
    "half a record at the worker": lambda: tls_holder(REQUEST, lambda forger: forger.record(REQUEST)[:20]),
    "nothing at the worker": lambda: tls_holder(REQUEST, lambda forger: b""),
    "half a request at the worker": lambda: tls_holder(REQUEST, lambda forger: forger.record(REQUEST[:20])),
    "an unread answer": lambda: tls_holder(None, lambda forger: forger.record(REQUEST.replace(b"/ ", b"/big "))),
}


def cpu(pid):
    """Seconds that its threads have run."""
    return sum(int(file.read_text().split()[0]) for file in pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9


def pids():
    return {unit: int(subprocess.run(["systemctl", "show", "-P", "MainPID", unit], capture_output=True, check=True).stdout) for unit in UNITS}


def use(seconds):
    """Per cent of CPU of each process."""
    before = {unit: cpu(pid) for unit, pid in pids().items()}
    time.sleep(seconds)
    return {unit: 100 * (cpu(pid) - before[unit]) / seconds for unit, pid in pids().items()}


def hold(makers, seconds):
    """The same while the clients do nothing, and what they have sent before is served."""
    held = [make() for make in makers for _ in range(HELD)]
    end = time.monotonic() + SETTLED_SEC
    while any(percent >= 1 for percent in use(0.2).values()) and time.monotonic() < end:
        pass
    used = use(seconds)
    for client in held:
        client.close()
    return used


class Others(threading.Thread):
    """Clients that do nothing wrong, one after the other; the time of the slowest is kept."""

    def __init__(self, ca):
        super().__init__(daemon=True)
        self.context = ssl.create_default_context(cafile=ca)
        self.is_done, self.slowest, self.n, self.errors = threading.Event(), 0, 0, []

    def one(self):
        with self.context.wrap_socket(socket.create_connection(ADDRESS, timeout=10), server_hostname=NAME) as client:
            client.sendall(REQUEST)
            assert client.recv(65536).startswith(b"HTTP/1.1 200")

    def run(self):
        while not self.is_done.wait(0.05):
            begin = time.monotonic()
            try:
                self.one()
            except (OSError, AssertionError) as error:
                self.errors.append(repr(error))
            self.n += 1
            self.slowest = max(self.slowest, time.monotonic() - begin)


def attack(ca):
    """{attack: how it ended}, and the wrong ones."""
    ends, wrong = {}, []
    others = Others(ca)
    others.start()
    for name, (run, right) in ATTACKS.items():
        ends[name] = run()
        if ends[name] == "nothing" or ends[name] == "reset" and right != MAY_RESET or right and ends[name] not in right:
            wrong.append(f"{name}: {ends[name]}")
    others.is_done.set()
    others.join()
    wrong += [f"another client: {error}" for error in others.errors[:5]]
    return ends, wrong, others.slowest


def main():
    prepare()
    forging()[0].close()  # all are running then
    before = pids()
    ends, wrong, slowest = attack(sys.argv[1])
    used = hold(HOLDERS.values(), float(sys.argv[2]))
    if any(percent >= 1 for percent in used.values()):  # which of them?
        used = {name: hold([make], 2) for name, make in HOLDERS.items()}
        wrong.append("CPU")
    if pids() != before:
        wrong.append(f"processes: {before}, now {pids()}")
    print(json.dumps({"ends": ends, "wrong": wrong, "slowest": slowest, "cpu": used}))


main()
