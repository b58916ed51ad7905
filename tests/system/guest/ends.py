# SPDX-License-Identifier: LGPL-2.1-or-later
"""Connections that end in six ways. ends.py worker [SECONDS]: the worker (fd 3), or a server if that is a TCP socket.
ends.py clients --count=N …: the clients, which print what each connection was: {"127.0.0.1:5000": {kind, begun, ended, in,
out}, …}, bytes as the worker has them. ends.py keep and ends.py hold --count=N: a worker and clients that do nothing."""

import argparse
import collections
import json
import os
import queue
import random
import signal
import socket
import struct
import sys
import threading
import time

KINDS = "server client reset killed unread flight".split()
HEAD = struct.Struct("!BIIf")  # kind, bytes to the worker, bytes to the client, seconds that the worker takes
DIRECTORY = os.environ.get("ENDS_DIRECTORY", "/run/test")
NOW = struct.pack("ii", 1, 0)


def receive_all(sock, n):
    got = 0
    while got < n:
        data = sock.recv(min(n - got, 1 << 20))
        if not data:
            break
        got += len(data)
    return got


def serve(client, slow):
    """Reads, answers and ends the connection as its first bytes ask for it. The caller closes it."""
    head = client.recv(HEAD.size, socket.MSG_WAITALL)
    if len(head) < HEAD.size:
        return
    kind, up, down, seconds = HEAD.unpack(head)
    kind = KINDS[kind]
    receive_all(client, up - HEAD.size)
    time.sleep(seconds * slow)
    client.sendall(b"y" * down)
    if kind == "unread":
        # More bytes, which stay unread: close(2) resets the connection.
        while not client.recv(1, socket.MSG_PEEK):
            pass
    if kind == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if kind in ("client", "reset"):
        try:
            receive_all(client, 1)
        except ConnectionResetError:
            pass


class Worker:
    """Says in DIRECTORY how many clients it has, and had at most, and when it closed each."""

    def __init__(self, slow):
        self.slow = slow
        self.lock = threading.Lock()
        self.n = self.most = 0
        self.closed = open(f"{DIRECTORY}/closed", "a", encoding="ascii", buffering=1)

    def count(self, step):
        with self.lock:
            self.n += step
            self.most = max(self.most, self.n)
            for name, n in ("now", self.n), ("most", self.most):
                with open(f"{DIRECTORY}/{name}", "w", encoding="ascii") as file:
                    file.write(str(n))

    def handle(self, client):
        try:
            address, port = client.getpeername()[:2]
            name = f"{address.removeprefix('::ffff:')}:{port}"
        except OSError:  # it has reset the connection already
            name = None
        self.serve(client)
        with self.lock:
            if name:
                self.closed.write(f"{name} {time.monotonic()}\n")

    def serve(self, client):
        kind = client.recv(1, socket.MSG_PEEK | socket.MSG_WAITALL)
        if kind and KINDS[kind[0]] == "killed":
            # A process of its own, which is the only one that has the socket.
            child = os.fork()
            if child == 0:
                os.closerange(3, client.fileno())  # the sockets of other clients would end with this process
                os.closerange(client.fileno() + 1, 65536)
                serve(client, self.slow)
                os._exit(0)
            client.close()
            os.waitpid(child, 0)
        else:
            try:
                serve(client, self.slow)
            except OSError:
                pass
        self.count(-1)  # before the end, at which the broker may send the next client
        client.close()

    def run(self):
        listener = socket.socket(fileno=3)
        while True:
            conn, _ = listener.accept()
            if listener.family == socket.AF_UNIX:
                with conn:
                    _, fds, _, _ = socket.recv_fds(conn, 1, 1)
                    conn = socket.socket(fileno=fds[0]) if fds else None
            if conn:
                self.count(1)
                threading.Thread(target=self.handle, args=(conn,), daemon=True).start()


def visit(sock, args, chance):
    """Makes one connection by @sock, which has its address. Returns what it was."""
    kind = chance.choice(args.kinds)
    up = HEAD.size + chance.choice((0, 1, chance.randrange(3000), chance.randrange(200000)))
    down = chance.choice((1, chance.randrange(1, 3000), chance.randrange(1, 300000)))
    if kind == "flight":
        down += 500000
    extra = chance.choice((1, 1, 700)) if kind == "unread" else 0
    sock.connect((args.host, args.port))
    begun = time.monotonic()
    sock.sendall(HEAD.pack(KINDS.index(kind), up, down, chance.random() * args.seconds) + b"x" * (up - HEAD.size))
    if kind == "flight":
        time.sleep(0.02)
    got = receive_all(sock, down)
    if extra:
        sock.sendall(b"z" * extra)
        try:
            sock.recv(1)
        except ConnectionResetError:
            pass
    elif kind in ("server", "killed", "flight"):
        receive_all(sock, 1)
    if kind == "reset":
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NOW)
    sock.close()
    return {"kind": kind, "begun": begun, "ended": time.monotonic(), "in": up + extra, "out": got, "asked": down}


def clients(args):
    jobs, seen, wrong, lost = queue.Queue(), {}, collections.Counter(), []
    for i in range(args.count):
        jobs.put(i)

    def work():
        while True:
            try:
                i = jobs.get_nowait()
            except queue.Empty:
                return
            sock = socket.socket()
            sock.settimeout(60)
            sock.bind((f"127.{1 + i // 62500}.{i // 250 % 250}.{1 + i % 250}", 0))  # so that no port comes again
            name = "%s:%d" % sock.getsockname()
            try:
                seen[name] = visit(sock, args, random.Random(args.seed * 1000003 + i))
            except OSError as error:
                wrong[repr(error)] += 1
                lost.append(name)

    threads = [threading.Thread(target=work) for _ in range(args.threads)]
    print("started", flush=True)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(json.dumps({"seen": seen, "wrong": wrong, "lost": lost}), flush=True)


def closed_in(text):
    """When a worker closed each client, from its file "closed"."""
    return {name: float(at) for name, at in (line.split() for line in text.splitlines())}


def compare(seen, lost, lines, closed):
    """Compares what the clients saw with the lines about their ends: {"127.0.0.1:5000": [(seconds, in, out), …], …}, seconds
    None: its end was not seen. Returns the lines of a table, mistakes with how often, and all errors of durations in seconds."""
    wrong, rows, errors = collections.Counter(), {kind: [0, 0, []] for kind in KINDS}, []
    for name, what in seen.items():
        row, found = rows[what["kind"]], lines.get(name, [])
        row[0] += 1
        if len(found) != 1:
            wrong[f"{what['kind']}: {len(found)} lines"] += 1
            continue
        seconds, n_in, n_out = found[0]
        if seconds is None:
            row[1] += 1
            continue
        for side, n in ("in", n_in), ("out", n_out):
            if n != what[side]:
                wrong[f"{what['kind']}: {side} {n if n is None else n - what[side]}"] += 1
        # A connection ends with the last of its two ends.
        row[2].append(abs(seconds - (max(what["ended"], closed.get(name, 0)) - what["begun"])))
    wrong["a line of no client"] = len(set(lines) - set(seen) - set(lost))
    wrong["two lines of a lost client"] = sum(len(lines.get(name, [])) > 1 for name in lost)
    table = [f"{'end':8}{'connections':>12}{'not seen':>10}{'error of the duration: median':>31}{'99 %':>10}{'largest':>10}"]
    for kind, (n, unseen, late) in {**rows, "all": [sum(part) for part in zip(*(row[:2] for row in rows.values()))] + [errors]}.items():
        errors += late if kind != "all" else []
        late = [f"{second * 1000:.1f} ms" for second in quantiles(late, 0.5, 0.99, 1)]
        table += [f"{kind:8}{n:12}{unseen:10}{late[0]:>31}{late[1]:>10}{late[2]:>10}"] if n else []
    return table, +wrong, errors


def quantiles(values, *parts):
    values = sorted(values) or [0.0]
    return [values[min(int(len(values) * part), len(values) - 1)] for part in parts]


def keep():
    """A worker that keeps its clients, and reads nothing. It says how many it has."""
    listener, kept = socket.socket(fileno=3), []
    while True:
        conn, _ = listener.accept()
        with conn:
            kept += socket.recv_fds(conn, 1, 1)[1]
        with open(f"{DIRECTORY}/now", "w", encoding="ascii") as file:
            file.write(str(len(kept)))


def wait_for_keeper(number):
    """Returns when the worker keeps so many, because more clients than MaxQueued= would be refused."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            with open(f"{DIRECTORY}/now", encoding="ascii") as file:
                if int(file.read() or 0) >= number:
                    return
        except FileNotFoundError:
            pass
        time.sleep(0.01)
    sys.exit("the worker takes no clients")


def hold(args):
    """Clients that stay until the end of the input."""
    socks = []
    for i in range(args.count):
        if i % 50 == 49:
            wait_for_keeper(i - 49)
        socks.append(socket.create_connection((args.host, args.port), source_address=(f"127.1.{i // 250}.1", 0)))
        socks[-1].sendall(b"x")
    print("started", flush=True)
    sys.stdin.read()


def main():
    if sys.argv[1] == "worker":
        Worker(float(sys.argv[2]) if len(sys.argv) > 2 else 1.0).run()
    if sys.argv[1] == "keep":
        keep()
    parser = argparse.ArgumentParser()
    parser.add_argument("what")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=80)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--threads", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=0.05)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kinds", type=lambda text: text.split(","), default=KINDS)
    args = parser.parse_args()
    (hold if args.what == "hold" else clients)(args)


if __name__ == "__main__":
    main()
