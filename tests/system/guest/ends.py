# SPDX-License-Identifier: LGPL-2.1-or-later
"""Connections that end in six ways. ends.py worker [SECONDS]: the worker (fd 3). ends.py clients --count=N …: the clients,
which print what each connection was: {"127.0.0.1:5000": {kind, begun, ended, in, out}, …}, bytes as the worker has them."""

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
    """Reads, answers and ends the connection as its first bytes ask for it."""
    with client:
        head = client.recv(HEAD.size, socket.MSG_WAITALL)
        if len(head) < HEAD.size:
            return
        kind, up, down, seconds = HEAD.unpack(head)
        kind = KINDS[kind]
        receive_all(client, up - HEAD.size)
        time.sleep(seconds * slow)
        if kind == "unread":
            # More bytes, which stay unread: close(2) resets the connection.
            client.sendall(b"y" * down)
            while not client.recv(1, socket.MSG_PEEK):
                pass
            return
        client.sendall(b"y" * down)
        if kind == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if kind in ("client", "reset"):
            try:
                receive_all(client, 1)
            except ConnectionResetError:
                pass


class Worker:
    """Says in DIRECTORY how many clients it has, and had at most."""

    def __init__(self, slow):
        self.slow = slow
        self.lock = threading.Lock()
        self.n = self.most = 0

    def count(self, step):
        with self.lock:
            self.n += step
            self.most = max(self.most, self.n)
            for name, n in ("now", self.n), ("most", self.most):
                with open(f"{DIRECTORY}/{name}", "w", encoding="ascii") as file:
                    file.write(str(n))

    def handle(self, client):
        kind = client.recv(1, socket.MSG_PEEK | socket.MSG_WAITALL)
        if kind and KINDS[kind[0]] == "killed":
            # A process of its own, which is the only one that has the socket.
            child = os.fork()
            if child == 0:
                serve(client, self.slow)
                os._exit(0)
            client.close()
            os.waitpid(child, 0)
        else:
            try:
                serve(client, self.slow)
            except OSError:
                pass
        self.count(-1)

    def run(self):
        listener = socket.socket(fileno=3)
        while True:
            conn, _ = listener.accept()
            _, fds, _, _ = socket.recv_fds(conn, 1, 1)
            self.count(1)
            conn.close()
            if fds:
                threading.Thread(target=self.handle, args=(socket.socket(fileno=fds[0]),), daemon=True).start()
            else:
                self.count(-1)


def visit(source, args, chance):
    """Makes one connection. Returns its name and what it was."""
    kind = chance.choice(args.kinds)
    up = HEAD.size + chance.choice((0, 1, chance.randrange(3000), chance.randrange(200000)))
    down = chance.choice((1, chance.randrange(1, 3000), chance.randrange(1, 300000)))
    if kind == "flight":
        down += 500000
    extra = chance.choice((1, 1, 700)) if kind == "unread" else 0
    sock = socket.socket()
    sock.settimeout(60)
    sock.bind((source, 0))
    sock.connect((args.host, args.port))
    begun = time.monotonic()
    name = "%s:%d" % sock.getsockname()
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
    return name, {"kind": kind, "begun": begun, "ended": time.monotonic(), "in": up + extra, "out": got, "asked": down}


def clients(args):
    jobs, seen, wrong = queue.Queue(), {}, collections.Counter()
    for i in range(args.count):
        jobs.put(i)

    def work():
        while True:
            try:
                i = jobs.get_nowait()
            except queue.Empty:
                return
            try:
                # An address for each, so that no port comes again.
                name, what = visit(f"127.{1 + i // 62500}.{i // 250 % 250}.{1 + i % 250}", args, random.Random(args.seed * 1000003 + i))
                seen[name] = what
            except OSError as error:
                wrong[repr(error)] += 1

    threads = [threading.Thread(target=work) for _ in range(args.threads)]
    print("started", flush=True)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(json.dumps({"seen": seen, "wrong": wrong}), flush=True)


def main():
    if sys.argv[1] == "worker":
        Worker(float(sys.argv[2]) if len(sys.argv) > 2 else 1.0).run()
    parser = argparse.ArgumentParser()
    parser.add_argument("what")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=80)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--threads", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=0.05)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kinds", type=lambda text: text.split(","), default=KINDS)
    clients(parser.parse_args())


if __name__ == "__main__":
    main()
