# SPDX-License-Identifier: LGPL-2.1-or-later
"""Clients for the cases; what they saw is printed as JSON. See the options of each kind."""

import argparse
import collections
import json
import multiprocessing
import re
import resource
import selectors
import signal
import socket
import struct
import sys
import threading
import time

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def ask(address, timeout):
    """One request on a connection of its own. Returns its local port and what went wrong, or None."""
    port = None
    try:
        with socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET) as client:
            client.settimeout(timeout)
            client.connect(address)
            port = client.getsockname()[1]
            client.sendall(REQUEST)
            answer = b""
            while data := client.recv(4096):
                answer += data
    except OSError as error:
        return port, type(error).__name__
    if not answer:
        return port, "NoAnswer"
    if is_refusal(answer):
        return port, "Refused"
    if not re.search(rb"\b%d\b" % port, answer):
        return port, "WrongAnswer"
    return port, None


def is_refusal(answer):
    return answer.startswith(b"HTTP/1.1 ") and not answer.startswith(b"HTTP/1.1 200 ")


def percentile(values, percent):
    return values[min(len(values) - 1, len(values) * percent // 100)] if values else None


# load: each of so many clients asks again and again, so many times in all or until SIGTERM.


def load_process(arguments, count, results):
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    seen = []  # what each thread saw

    def client(n):
        times, errors, lost = [], collections.Counter(), []
        while n != 0 and not stop.is_set():
            begin = time.monotonic()
            port, error = ask((arguments.address, arguments.port), arguments.timeout)
            took = time.monotonic() - begin
            times.append(took)
            if error:
                errors[error] += 1
                lost.append(port)
                stop.wait(0.002)  # a closed port is no reason to spin
            n -= 1
        seen.append((times, errors, lost))

    threads = [threading.Thread(target=client, args=(count // arguments.threads if count else -1,))
               for _ in range(arguments.threads)]
    for thread in threads:
        thread.start()
    for thread in threads:
        while thread.is_alive():  # join() alone would keep the signal from being handled
            thread.join(0.1)
    results.put(seen)


def load(arguments):
    results = multiprocessing.Queue()
    processes = [multiprocessing.Process(target=load_process,
                                         args=(arguments, arguments.count // arguments.processes, results))
                 for _ in range(arguments.processes)]
    begin = time.monotonic()
    for process in processes:
        process.start()
    signal.signal(signal.SIGTERM, lambda *_: [process.terminate() for process in processes])
    print("started", flush=True)
    seen = [one for _ in processes for one in results.get()]
    seconds = time.monotonic() - begin
    times = sorted(t for one in seen for t in one[0])
    errors = sum((one[1] for one in seen), collections.Counter())
    print(json.dumps({
        "asked": len(times), "answered": len(times) - errors.total(), "errors": errors,
        "lost": [port for one in seen for port in one[2]], "seconds": seconds,
        "rate": len(times) / seconds, "median": percentile(times, 50), "p99": percentile(times, 99),
        "longest": times[-1] if times else None,
    }))


# crowd: opens so many connections, says something on each, and waits. At each line on stdin it reports how
# many are open, answered, refused (in their protocol), closed or reset, and how long after their beginning.


def crowd(arguments):
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    select = selectors.DefaultSelector()
    select.register(sys.stdin, selectors.EVENT_READ)
    state = collections.Counter()
    ends = []
    address = (arguments.address, arguments.port)
    to_open, connecting = arguments.count, 0
    told = False

    def end(client, how):
        ends.append(time.monotonic() - begins.pop(client))
        state["open"] -= 1
        state[how] += 1
        select.unregister(client)
        client.close()

    begins = {}
    answers = {}
    while True:
        while to_open and connecting < 256:
            client = socket.socket()
            client.setblocking(False)
            if arguments.sources:
                client.bind((f"127.0.1.{to_open % arguments.sources}", 0))
            client.connect_ex(address)
            begins[client] = time.monotonic()
            select.register(client, selectors.EVENT_WRITE)
            state["open"] += 1
            connecting += 1
            to_open -= 1
        if not to_open and not connecting and not told:
            print("connected", flush=True)
            told = True
        for key, events in select.select(1):
            client = key.fileobj
            if client is sys.stdin:
                if not sys.stdin.readline():
                    return
                print(json.dumps({"state": state, "first_end": min(ends, default=None),
                                  "last_end": max(ends, default=None)}), flush=True)
            elif events & selectors.EVENT_WRITE:
                connecting -= 1
                try:
                    client.sendall(REQUEST)
                    select.modify(client, selectors.EVENT_READ)
                except OSError as error:
                    end(client, type(error).__name__)
            else:
                try:
                    data = client.recv(4096)
                except OSError as error:
                    end(client, type(error).__name__)
                    continue
                if data:
                    answers.setdefault(client, data)
                elif client not in answers:
                    end(client, "closed")
                else:
                    end(client, "refused" if is_refusal(answers.pop(client)) else "answered")


# echo: one connection that stays; says a word at each line on stdin and reports whether it came back.


def echo(arguments):
    clients = []
    for _ in range(arguments.count):
        client = socket.create_connection((arguments.address, arguments.port), 10)
        client.sendall(b"hello\n")
        clients.append(client)
    for client in clients:
        data = b""
        while data != b"held\nhello\n":
            data += client.recv(100)
    print("connected", flush=True)
    for line in sys.stdin:
        alive = 0
        for client in clients:
            try:
                client.sendall(line.encode())
                data = b""
                while len(data) < len(line):
                    more = client.recv(100)
                    if not more:
                        break
                    data += more
                alive += data == line.encode()
            except OSError:
                pass
        print(alive, flush=True)


# reset: connects and resets at once, half of the time after a first word.


def reset(arguments):
    for i in range(arguments.count):
        with socket.create_connection((arguments.address, arguments.port), 10) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            if i % 2:
                client.sendall(REQUEST)


# first: how long from connect to the first byte of the answer, in ms.


def first(arguments):
    begin = time.monotonic()
    with socket.create_connection((arguments.address, arguments.port), 10) as client:
        client.sendall(REQUEST)
        if not client.recv(1):
            sys.exit("no answer")
        print((time.monotonic() - begin) * 1000)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=["load", "crowd", "echo", "reset", "first"])
    parser.add_argument("--address", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=80)
    parser.add_argument("--count", type=int, default=0)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--threads", type=int, default=4)
    parser.add_argument("--sources", type=int, default=0, help="how many addresses a crowd comes from")
    parser.add_argument("--timeout", type=float, default=20)
    arguments = parser.parse_args()
    globals()[arguments.kind](arguments)


main()
