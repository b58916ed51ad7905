# SPDX-License-Identifier: LGPL-2.1-or-later
"""A worker that never comes up: its clients are answered in time, and it gets sockets at their end when it comes."""

import functools
import selectors
import socket
import ssl
import time

from harness import ANSWER_TAKEN, Broker, Failure, Slow, check, keep_answer, until

N_CLIENTS = 200
WAIT, TOLERANCE = 2.0, 0.3  # QueueTimeoutSec=, and how far from it the answer may come
HOST = "late"
ROUTE = f"QueueTimeoutSec={WAIT:.0f}s\n"
SEQPACKET = socket.SOCK_SEQPACKET


class Waiting:
    """One client that waits: what it was sent, and when."""

    def __init__(self, sock):
        self.sock = sock
        self.begin = time.monotonic()
        self.data, self.answered, self.ended = b"", None, None

    def read(self):
        """Returns False at the end."""
        try:
            chunk = self.sock.recv(65536)
        except ConnectionResetError:
            chunk = b"RESET"
            self.ended = time.monotonic()
        self.answered = self.answered or time.monotonic()
        self.data += chunk
        if not chunk:
            self.ended = time.monotonic()
        return self.ended is None

    def seconds(self):
        return self.answered - self.begin if self.answered else None


def http(i):
    return f"GET /{i} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()


@functools.cache
def client_hello():
    """A ClientHello whose server name is HOST."""
    out = ssl.MemoryBIO()
    hello = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), out, server_hostname=HOST)
    try:
        hello.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return out.read()


def tls(i):
    return client_hello()


def raw(i):
    return b"LATE %d\n" % i


def crowd(broker, n, first_bytes):
    clients = []
    for i in range(n):
        client = Waiting(broker.client(source=f"127.0.0.{2 + i % 4}"))
        client.sock.sendall(first_bytes(i))
        clients.append(client)
    return clients


def read_until_end(clients, seconds):
    """Reads all of them, until each has ended or the time is over."""
    end = time.monotonic() + seconds
    with selectors.DefaultSelector() as selector:
        for client in clients:
            selector.register(client.sock, selectors.EVENT_READ, client)
        while selector.get_map() and time.monotonic() < end:
            for key, _ in selector.select(end - time.monotonic()):
                if not key.data.read():
                    selector.unregister(key.fileobj)


def is_504(data):
    return data.startswith(b"HTTP/1.1 504 ")


def is_alert_or_nothing(data):
    return data == b"" or data[:1] == b"\x15"


def check_answers(clients, is_right):
    """Each got the right answer in time, and then the end."""
    silent = [c for c in clients if not c.ended]
    check(not silent, f"{len(silent)} of {len(clients)} clients still wait, or have no end of their connection")
    wrong = [c.data for c in clients if not is_right(c.data)]
    check(not wrong, f"{len(wrong)} of {len(clients)} clients got another answer, such as {wrong[:1]}")
    times = [c.seconds() for c in clients]
    span = f"answered after {min(times):.2f} to {max(times):.2f} s instead of {WAIT} s"
    check(WAIT - TOLERANCE <= min(times), span)
    if max(times) > WAIT + TOLERANCE:
        raise Slow(span)
    return f"{len(clients)} clients answered after {min(times):.2f} to {max(times):.2f} s"


def read_rest(sock):
    """What a worker reads from a client that has ended."""
    sock.settimeout(1)
    data = b""
    try:
        while chunk := sock.recv(65536):
            data += chunk
    except TimeoutError:
        raise Failure(f"the late worker's socket is not at its end; it read {data!r}") from None
    except OSError:
        pass  # the client's reset
    return data


def try_to_send(sock):
    """Whether the kernel takes bytes for the client. It never gets them, see check_nothing_more()."""
    try:
        sock.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    except OSError:
        pass


def take_late(worker, seconds=0.5):
    """Accepts all that wait in the worker's backlog, and reads from each. Returns what it read."""
    seen = []
    while worker.has_client(seconds if not seen else 0.05):
        conn = worker.accept()
        with conn:
            message, fds, _, _ = socket.recv_fds(conn, 1 << 17, 16)
            for fd in fds:
                with socket.socket(fileno=fd) as sock:
                    seen.append(read_rest(sock))
                    try_to_send(sock)
    return seen


def check_nothing_more(clients):
    """Their connections are at their end: what a late worker sends reaches no client."""
    for client in clients:
        client.sock.settimeout(0)
        before = client.data
        try:
            client.data += client.sock.recv(1000)
        except OSError:
            pass
        check(client.data == before, f"a client got {client.data!r}")
        client.sock.close()


def check_once(seen, n):
    """No request was read twice."""
    requests = [data for data in seen if data]
    check(len(set(requests)) == len(requests), "a client was given twice")
    check(len(seen) <= n, f"{len(seen)} clients instead of {n} came")


def serve_next(broker, names, how_many=5):
    """New clients are served by one of these workers."""
    for _ in range(how_many):
        with broker.ask(HOST) as client:
            worker = until(lambda: next((broker.workers[n] for n in names if broker.workers[n].has_client()), None), 3,
                           "the next client at a worker")
            conn, _, sock = worker.take()
            with sock:
                if "ack" in worker.path.name:
                    conn.sendall(ANSWER_TAKEN)
                conn.close()
                sock.recv(1000)
                sock.sendall(b"next\n")
            check(client.recv(10) == b"next\n", "the next client is not served")


def check_after(broker, n_before):
    until(lambda: broker.descriptors() <= n_before, 5, f"{n_before} descriptors as before, not {broker.descriptors()}")
    broker.stop()


def never_comes(names, route="", kind=socket.SOCK_STREAM, first_bytes=http, is_right=is_504, match=f"Host={HOST}"):
    """All workers of the pool listen, and none accepts."""
    def run():
        with Broker({}) as broker:
            for name in names:
                broker.worker(name, f"{match}\n{ROUTE}{route}", kind)
            broker.start()
            n_before = broker.descriptors()
            clients = crowd(broker, N_CLIENTS, first_bytes)
            read_until_end(clients, WAIT + 1)
            line = check_answers(clients, is_right)
            seen = [data for name in names for data in take_late(broker.workers[name])]
            check_nothing_more(clients)
            check_once(seen, N_CLIENTS)
            if first_bytes == http:
                serve_next(broker, names)
            check_after(broker, n_before)
            return f"{line}; {len(seen)} sockets at their end came to the worker"
    return run


def one_comes():
    """One of two workers accepts all along: its clients are served, the others answered in time, none is given twice."""
    with Broker({}) as broker:
        for name in "dead", "live":
            broker.worker(name, f"Host={HOST}\n{ROUTE}", SEQPACKET)
        broker.start()
        n_before = broker.descriptors()
        clients = crowd(broker, N_CLIENTS, http)
        served = serve_all(broker.workers["live"], WAIT / 2)
        read_until_end(clients, WAIT + 1)
        waited = [c for c in clients if c.data != b"live\n"]
        check(len(served) + len(waited) == N_CLIENTS, f"{len(served)} and {len(waited)} clients of {N_CLIENTS}")
        line = check_answers(waited, is_504) if waited else "none waited"
        seen = take_late(broker.workers["dead"])
        check_nothing_more(waited)
        check_once([*seen, *served], N_CLIENTS)
        serve_next(broker, ["live", "dead"])
        for client in clients:
            client.sock.close()
        check_after(broker, n_before)
        return f"{len(served)} served, {line}"


def serve_all(worker, seconds):
    """Serves all that come to this worker in that time. Returns their requests."""
    served = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if worker.has_client(0.05):
            conn, _, sock = worker.take()
            conn.close()
            with sock:
                served.append(sock.recv(1000))
                sock.sendall(b"live\n")
    return served


def received_but_silent():
    """Receipt=ack: the worker has received its clients, and says nothing."""
    with Broker({}) as broker:
        worker = broker.worker("ack", f"Host={HOST}\nReceipt=ack\n{ROUTE}", SEQPACKET)
        broker.start()
        n_before = broker.descriptors()
        clients = crowd(broker, 20, http)
        held = [worker.take() for _ in clients]
        read_until_end(clients, WAIT + 1)
        line = check_answers(clients, is_504)
        for conn, _, sock in held:
            read_rest(sock)
            try_to_send(sock)
            sock.close()
            conn.close()
        check_nothing_more(clients)
        serve_next(broker, ["ack"])
        check_after(broker, n_before)
        return line


def persistent():
    """The worker keeps its connection, lets many clients come on it, and reads none."""
    with Broker({}) as broker:
        worker = broker.worker("kept", f"Host={HOST}\n{ROUTE}", SEQPACKET)
        broker.start()
        n_before = broker.descriptors()
        first = broker.ask(HOST)
        conn, _, sock = worker.take()
        conn.sendall(keep_answer(ANSWER_TAKEN, 0, 1, 1000))
        sock.close()
        first.close()
        clients = crowd(broker, N_CLIENTS, http)
        read_until_end(clients, WAIT + 1)
        line = check_answers(clients, is_504)
        seen = drain_connection(conn) + take_late(worker)
        check_nothing_more(clients)
        check_once(seen, N_CLIENTS)
        conn.close()
        serve_next(broker, ["kept"])
        check_after(broker, n_before)
        return f"{line}; {len(seen)} sockets at their end came"


def drain_connection(conn):
    """All clients that wait on a persistent connection."""
    seen = []
    conn.settimeout(0.3)
    while True:
        try:
            message, fds, _, _ = socket.recv_fds(conn, 1 << 17, 16)
        except (TimeoutError, ConnectionResetError):
            return seen
        if not message:
            return seen
        for fd in fds:
            with socket.socket(fileno=fd) as sock:
                seen.append(read_rest(sock))
                try_to_send(sock)


ALL_SENT = "MaxPending=1000\n"

CASES = {
    "a worker that never comes up: HTTP": never_comes(["late"]),
    "a worker that never comes up: HTTP, all in its backlog": never_comes(["late"], ALL_SENT),
    "a worker that never comes up: HTTP, with metadata": never_comes(["late"], ALL_SENT, SEQPACKET),
    "a worker that never comes up: two in a pool": never_comes(["late-a", "late-b"]),
    "a worker that never comes up: two in a pool, all in their backlogs": never_comes(["late-a", "late-b"], ALL_SENT, SEQPACKET),
    "a worker that never comes up: the other one of its pool serves": one_comes,
    "a worker that never comes up: TLS": never_comes(["late"], ALL_SENT, first_bytes=tls, is_right=is_alert_or_nothing,
                                                     match=f"Protocol=tls\nHost={HOST}"),
    "a worker that never comes up: raw bytes": never_comes(["late"], ALL_SENT, first_bytes=raw,
                                                           is_right=lambda data: data == b"", match="Prefix=LATE"),
    "a worker that never comes up: Receipt=ack": never_comes(["ack"], f"{ALL_SENT}Receipt=ack\n", SEQPACKET),
    "a worker that received its clients and never takes them: Receipt=ack": received_but_silent,
    "a worker that reads no more on its persistent connection": persistent,
}
