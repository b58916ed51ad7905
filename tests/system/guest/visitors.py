# SPDX-License-Identifier: LGPL-2.1-or-later
"""Clients for the cases of routes. visitors.py ask: those that a JSON list on stdin describes. visitors.py slow: a
crowd that never finishes its head; at each line on stdin it says how these clients are."""

import argparse
import collections
import json
import resource
import selectors
import socket
import sys
import threading
import time


# ask


def visit(v):
    """Says its pieces, with a pause after each, and reads to the end."""
    answer, end, first, begin = b"", "closed", None, time.monotonic()
    with socket.socket() as client:
        client.settimeout(v.get("timeout", 10))
        try:
            client.bind((v.get("source", "127.0.0.1"), 0))
            client.connect((v.get("to", "127.0.0.1"), v.get("port", 80)))
            v["local"] = client.getsockname()[1]
            for piece in v["say"]:
                client.sendall(piece.encode("latin-1"))
                if v.get("pause"):
                    time.sleep(v["pause"])  # what a slow client does
            if v.get("shutdown"):
                client.shutdown(socket.SHUT_WR)
            while data := client.recv(65536):
                first = first or time.monotonic() - begin
                answer += data
        except OSError as error:
            end = type(error).__name__
    v |= {"answer": answer.decode("latin-1"), "end": end, "first": first, "seconds": time.monotonic() - begin}


def ask(_):
    visitors = json.load(sys.stdin)
    threads = [threading.Thread(target=visit, args=(v,)) for v in visitors]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    json.dump(visitors, sys.stdout)


# slow


class Slow:
    def __init__(self, arguments):
        self.arguments = arguments
        self.select = selectors.DefaultSelector()
        self.select.register(sys.stdin, selectors.EVENT_READ)
        self.rest = {}  # what each client has still to say
        self.begins = {}
        self.answers = {}  # when each answer began
        self.hows = {}  # its first line
        self.ends = collections.defaultdict(list)  # how, and after how many seconds
        self.n_opened = self.n_connecting = 0

    def open(self):
        a = self.arguments
        client = socket.socket()
        client.setblocking(False)
        client.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT: the port is chosen by connect()
        client.bind(("127.0.%d.%d" % (a.network, 1 + self.n_opened % a.sources), 0))
        client.connect_ex(("127.0.0.1", a.port))
        self.begins[client] = time.monotonic()
        self.select.register(client, selectors.EVENT_WRITE)
        self.n_opened += 1
        self.n_connecting += 1

    def end(self, client, how):
        begin, answered = self.begins.pop(client), self.answers.pop(client, None)
        self.ends[how].append((answered or time.monotonic()) - begin)
        self.rest.pop(client, None)
        self.select.unregister(client)
        client.close()

    def on_connected(self, client):
        say = self.arguments.say.encode().decode("unicode_escape").encode()
        self.n_connecting -= 1
        at_once = 1 if self.arguments.every else len(say)
        try:
            client.sendall(say[:at_once])
        except OSError as error:
            self.end(client, type(error).__name__)
            return
        self.rest[client] = say[at_once:]
        self.select.modify(client, selectors.EVENT_READ)

    def on_readable(self, client):
        try:
            data = client.recv(4096)
        except OSError as error:
            self.end(client, type(error).__name__)
            return
        if not data:
            self.end(client, self.hows.pop(client, "closed"))
        elif client not in self.answers:
            self.answers[client] = time.monotonic()
            self.hows[client] = data.split(b"\r\n")[0].decode("latin-1")

    def drip(self):
        for client, rest in list(self.rest.items()):
            if rest and client not in self.answers:
                try:
                    client.sendall(rest[:1])
                    self.rest[client] = rest[1:]
                except OSError as error:
                    self.end(client, type(error).__name__)

    def report(self):
        print(json.dumps({"open": len(self.begins), "ends": {how: len(t) for how, t in self.ends.items()},
                          "times": {how: (min(t), max(t)) for how, t in self.ends.items()}}), flush=True)

    def run(self):
        a = self.arguments
        told, next_drip = False, time.monotonic()
        while True:
            while self.n_opened < a.count and self.n_connecting < 256:
                self.open()
            if not told and self.n_opened == a.count and not self.n_connecting:
                print("connected", flush=True)
                told = True
            wait = max(0, next_drip - time.monotonic()) if a.every else 1
            for key, events in self.select.select(wait):
                if key.fileobj is sys.stdin:
                    if not sys.stdin.readline():
                        return
                    self.report()
                elif events & selectors.EVENT_WRITE:
                    self.on_connected(key.fileobj)
                else:
                    self.on_readable(key.fileobj)
            if a.every and time.monotonic() >= next_drip:
                self.drip()
                next_drip += a.every


def slow(arguments):
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    Slow(arguments).run()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=["ask", "slow"])
    parser.add_argument("--port", type=int, default=80)
    parser.add_argument("--count", type=int, default=1)
    parser.add_argument("--network", type=int, default=1, help="they come from 127.0.NETWORK.1 and on …")
    parser.add_argument("--sources", type=int, default=1, help="… so many addresses")
    parser.add_argument("--say", default="GET / HTTP/1.1\\r\\nHost: localhost\\r\\nX-Slow: ")
    parser.add_argument("--every", type=float, default=0, help="seconds between two bytes; 0: all at once")
    arguments = parser.parse_args()
    globals()[arguments.kind](arguments)


main()
