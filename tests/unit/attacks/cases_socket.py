# SPDX-License-Identifier: LGPL-2.1-or-later
"""A client that a worker had, and did not take: the next worker gets the same connection, untouched and as from
accept(2), or does not get it at all."""

import contextlib
import os
import socket
import struct
import time

import descriptors
import harness
from descriptors import OPTIONS, read_options, set_option
from harness import (ANSWER_ERROR, ANSWER_REFUSED, ANSWER_TAKEN, PLAIN_MESSAGE, ROUTE_REQUEST, Broker, Failure, check,
                     connect_unix, keep_answer, until)

SEQPACKET, STREAM = socket.SOCK_SEQPACKET, socket.SOCK_STREAM
SHORT = "QueueTimeoutSec=1s\n"
GIVEN_SECONDS = 2.5  # by then a client is at the next worker, or has ended


@contextlib.contextmanager
def as_nobody():
    """Without a capability: what follows is done by a worker that has no rights."""
    try:
        if os.getuid() == 0:
            os.seteuid(harness.NOBODY)
        yield
    finally:
        if os.getuid() == 0:
            os.seteuid(0)


def set_as_worker(sock, name):
    if name in descriptors.FILTERS:
        return set_option(sock, name)
    with as_nobody():
        return set_option(sock, name)


def disconnect(sock):
    """connect(2) to AF_UNSPEC: an unconnected socket of the namespace in which it was accepted."""
    check(harness.libc.connect(sock.fileno(), b"\0" * 16, 16) == 0, "connect(AF_UNSPEC)")


# What a worker does instead of taking its client. Each gets the connection and the client's socket, which it closes.


def refuse(conn, sock):
    sock.close()
    conn.sendall(ANSWER_REFUSED)
    conn.close()


def refuse_persistent(conn, sock):
    sock.close()
    conn.sendall(keep_answer(ANSWER_REFUSED, 0, 1, 1))
    conn.close()


def die(conn, sock):
    sock.close()
    conn.close()


ENDS = {
    "refused (stream)": (STREAM, "", 0, refuse),
    "refused (seqpacket)": (SEQPACKET, "", 0, refuse),
    "refused (persistent)": (SEQPACKET, "", 0, refuse_persistent),
    "no answer (ack)": (SEQPACKET, "Receipt=ack\n", 0, die),
    "peeked at and left unread (stream)": (STREAM, "", socket.MSG_PEEK, die),
    "peeked at and left unread (seqpacket)": (SEQPACKET, "", socket.MSG_PEEK, die),
}


def next_socket(workers, client, seconds=GIVEN_SECONDS):
    """The client's socket at the worker that gets it next, or None where the client's connection ends instead."""
    end = time.monotonic() + seconds
    client.setblocking(False)
    while time.monotonic() < end:
        for worker in workers:
            if worker.has_client():
                conn, _, sock = worker.take()
                conn.sendall(ANSWER_TAKEN)
                conn.close()
                return sock
        with contextlib.suppress(BlockingIOError):
            if not receive_or_end(client):
                return None
        time.sleep(0.002)
    raise Failure("the client is neither given on nor ended")


def receive_or_end(client):
    try:
        return client.recv(65536)
    except ConnectionResetError:
        return b""


class Pair:
    """Two workers of one pool: the client goes to one of them first, and to the other if it is given on."""

    def __init__(self, broker, host, kind=STREAM, route=""):
        self.broker, self.host = broker, host
        self.workers = [broker.worker(f"{host}-{x}", f"Host={host}\n{SHORT}{route}", kind) for x in "ab"]

    def first(self, client, flags=0):
        """The worker that gets it first: (connection, message, client's socket)."""
        worker = until(lambda: next((w for w in self.workers if w.has_client()), None), 3, f"a client for {self.host}")
        return worker.take(flags=flags)

    def next(self, client):
        return next_socket(self.workers, client)


def options_after(kind, route, flags, end):
    """For each option: a client whose worker sets it, and does not take the client."""
    def run():
        with Broker({}) as broker:
            pairs = {name: Pair(broker, f"o{i}", kind, route) for i, name in enumerate(["nothing", *OPTIONS])}
            fresh = broker.worker("fresh", "Host=fresh\n")
            broker.start()
            with broker.ask("fresh"):
                _, _, sock = fresh.take()
                expected = read_options(sock)
                sock.close()
            clients, skipped = {}, []
            for name, pair in pairs.items():
                clients[name] = broker.ask(pair.host)
                conn, _, sock = pair.first(clients[name], flags)
                if name != "nothing" and not set_as_worker(sock, name):
                    skipped.append(name)
                end(conn, sock)
            return compare_all(pairs, clients, expected, skipped)
    return run


def compare_all(pairs, clients, expected, skipped):
    """Looks at what comes to the next workers. Returns a line."""
    wrong, refused = [], []
    for name, pair in pairs.items():
        try:
            sock = pair.next(clients[name])
        except Failure as error:
            wrong.append(f"{name}: {error}")
            continue
        if not sock:
            refused.append(name)
            continue
        texts = differences(sock, expected)
        wrong += [f"{name}: {', '.join(texts)}"] if texts else []
        sock.close()
    check(not wrong, "the next worker's socket is not as from accept(2):\n" + "\n".join(wrong))
    check("nothing" not in refused, "a client whose worker did nothing to it is not given on")
    return (f"{len(pairs) - len(refused)} options undone; not given on: {', '.join(refused) or 'none'}; "
            f"not allowed by this kernel: {', '.join(skipped) or 'none'}")


def differences(sock, expected):
    """What the next worker sees of the socket that is not as expected."""
    found = read_options(sock)
    texts = [f"{name} is {show(found.get(name))} instead of {show(value)}" for name, value in expected.items()
             if found.get(name) != value]
    try:
        data = sock.recv(4096, socket.MSG_DONTWAIT)
        if not data.startswith(b"GET "):
            texts.append(f"the request reads {data!r}")
    except BlockingIOError:
        texts.append("the request can't be read")
    return texts


def show(value):
    return value.rstrip(b"\0").hex() or "0" if isinstance(value, bytes) else value


def options_handed_back():
    """For each option: a client that is handed back with it, parked, and has a next request."""
    with Broker({}) as broker:
        names, clients, skipped, not_taken = ["nothing", *OPTIONS], {}, [], []
        hosts = {name: f"o{i}" for i, name in enumerate(names)}
        for host in hosts.values():
            broker.worker(host, f"Host={host}\n")
        broker.start()
        for name in ["fresh", *names]:
            clients[name] = client = broker.ask(hosts.get(name, "o0"))
            conn, _, sock = broker.workers[hosts.get(name, "o0")].take()
            if name == "fresh":
                expected = read_options(sock)
            conn.close()
            answer_request(sock)
            read_response(client)
            if name in OPTIONS and not set_as_worker(sock, name):
                skipped.append(name)
            if hand_back(broker, sock) != ANSWER_TAKEN:
                not_taken.append(name)
            sock.close()
        parked = {name: Parked(broker, hosts[name]) for name in names if name not in not_taken}
        for name, one in parked.items():
            one.ask(clients[name])
        line = compare_all(parked, clients, expected, skipped)
        return f"{line}; not taken back: {', '.join(not_taken) or 'none'}"


def answer_request(sock):
    check(sock.recv(4096).startswith(b"GET "), "no request")
    sock.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")


def read_response(client):
    check(client.recv(4096).startswith(b"HTTP/1.1 204"), "no response")


def hand_back(broker, sock, message=PLAIN_MESSAGE):
    """Hands a socket back; returns the broker's answer (b'' is the end of file: taken)."""
    with connect_unix(broker.return_path, SEQPACKET) as conn:
        socket.send_fds(conn, [message], [sock.fileno()])
        return conn.recv(10) or ANSWER_TAKEN


class Parked:
    """A parked client and the worker of its host, which gets its next request."""

    def __init__(self, broker, host):
        self.worker, self.host = broker.workers[host], host

    def ask(self, client):
        with contextlib.suppress(OSError):
            client.sendall(ROUTE_REQUEST.format(self.host).encode())

    def next(self, client):
        return next_socket([self.worker], client)


# The same connection, untouched


def reconnect(sock):
    """Connects the client's socket to a server of the worker's, which sends a request in the client's name."""
    server = socket.socket()
    server.bind(("127.0.0.1", 0))
    server.listen(1)
    disconnect(sock)
    sock.connect(server.getsockname())
    far, _ = server.accept()
    far.sendall(b"GET /admin HTTP/1.1\r\nHost: evil\r\n\r\n")
    until(lambda: sock.recv(100, socket.MSG_PEEK | socket.MSG_DONTWAIT), 2, "the server's request")
    descriptors.kept.extend([far, server])


def listen(sock):
    disconnect(sock)
    sock.listen(1)


def shut_read(sock):
    sock.shutdown(socket.SHUT_RD)


def shut_write(sock):
    sock.shutdown(socket.SHUT_WR)


def read_one(sock):
    sock.recv(1)


def write_one(sock):
    sock.sendall(b"x")


def read_and_write(sock):
    sock.recv(4096)
    sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n")


def discard(sock):
    sock.recv(4096, socket.MSG_TRUNC)


def write_urgent(sock):
    sock.send(b"x", socket.MSG_OOB)


TOUCHES = {
    "connected to elsewhere": reconnect, "disconnected": disconnect, "disconnected and listening": listen,
    "shut down for reading": shut_read, "shut down for writing": shut_write, "one byte read": read_one,
    "one byte written": write_one, "read and written": read_and_write, "discarded by MSG_TRUNC": discard,
    "an urgent byte written": write_urgent,
}


def touched(kind, route, flags, end):
    """For each touch: the client never comes to another worker, nor does anything in its place."""
    def run():
        with Broker({}) as broker:
            pairs = {name: Pair(broker, f"t{i}", kind, route) for i, name in enumerate(TOUCHES)}
            broker.start()
            clients = {}
            for name, pair in pairs.items():
                clients[name] = broker.ask(pair.host)
                conn, _, sock = pair.first(clients[name], flags)
                TOUCHES[name](sock)
                end(conn, sock)
            given = [name for name, pair in pairs.items() if is_given_on(pair)]
            check(not given, f"a client is given on after it was {', '.join(given)}")
            check_descriptors_end(broker, clients)
            return f"{len(pairs)} touches, none given on"
    return run


def is_given_on(pair, seconds=0.15):
    """Whether anything comes to a worker of the pair. All pairs wait one after the other, so the last one waits longest."""
    for worker in pair.workers:
        if worker.has_client(seconds):
            return True
    return False


def check_descriptors_end(broker, clients):
    for client in clients.values():
        client.close()
    n = len(broker.listeners)
    until(lambda: broker.descriptors() < n + 20, 5, f"the end of the clients, not {broker.descriptors()} descriptors")


def proxy_unix():
    """A PROXY header that tells AF_UNIX addresses changes nothing of it."""
    units = {"fdpass.socket": "[Socket]\nFileDescriptorName=public\n[X-FDPass]\nProxyProtocol=require\n"
                              "TrustedProxies=127.0.0.0/8\n"}
    families = {0x11: b"\xc0\0\2\1\xc0\0\2\2\0\1\0\2", 0x31: b"/x".ljust(108, b"\0") * 2, 0x32: b"/y".ljust(108, b"\0") * 2}
    with Broker(units) as broker:
        pairs = {family: Pair(broker, f"p{family}") for family in families}
        broker.start()
        for family, address in families.items():
            client = broker.client()
            descriptors.kept.append(client)
            client.sendall(b"\r\n\r\n\0\r\nQUIT\n\x21" + bytes([family]) + struct.pack(">H", len(address)) + address
                           + ROUTE_REQUEST.format(f"p{family}").encode())
            if family == 0x32 and refused_header(client):
                continue
            conn, _, sock = pairs[family].first(client)
            read_and_write(sock)
            refuse(conn, sock)
            check(not is_given_on(pairs[family], 0.5), f"family {family:#x}: a client that was served is given on")


def refused_header(client):
    """A datagram's address: the broker may refuse the header."""
    client.settimeout(0.5)
    try:
        return client.recv(1000) == b"" or True
    except TimeoutError:
        return False


# What is the worker's alone


def linger_is_left_alone(kind, receipt):
    def run():
        """A worker that took its client sets SO_LINGER: the broker's close(2) does not take it away."""
        with Broker({}) as broker:
            worker = broker.worker("linger", f"Host=linger\n{'Receipt=ack' if receipt == ANSWER_TAKEN else ''}\n", kind)
            broker.start()
            with broker.ask("linger"):
                conn, _, sock = worker.take()
                value = struct.pack("ii", 1, 30)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, value)
                if receipt:
                    conn.sendall(receipt)
                else:
                    conn.close()
                until(lambda: not broker.holds(sock), 2, "the end of the broker's copy")
                found = sock.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8)
                check(found == value, f"the worker set (1, 30) and has {struct.unpack('ii', found)}")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 0, 0))
                sock.close()
                conn.close()
            broker.stop()
    return run


CASES = {
    **{f"options as from accept(2): {name}": options_after(*end) for name, end in ENDS.items()},
    "options as from accept(2): handed back": options_handed_back,
    **{f"the same client, untouched: {name}": touched(*end) for name, end in ENDS.items()},
    "the same client, untouched: AF_UNIX addresses in a PROXY header": proxy_unix,
    "SO_LINGER of a worker that took its client stays: end of file": linger_is_left_alone(STREAM, b""),
    "SO_LINGER of a worker that took its client stays: ack": linger_is_left_alone(SEQPACKET, ANSWER_TAKEN),
    "SO_LINGER of a worker that took its client stays: persistent":
        linger_is_left_alone(SEQPACKET, keep_answer(ANSWER_TAKEN, 0, 1, 8)),
}
