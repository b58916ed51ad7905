# SPDX-License-Identifier: LGPL-2.1-or-later
"""keeping.py ADDRESS HOST CLIENTS PAUSE: clients that stay, and ask again after a pause. What fails is a line "TIME
KIND" (CLOCK_MONOTONIC); SIGTERM ends it with a line of JSON."""

import collections
import heapq
import json
import selectors
import signal
import socket
import sys
import time

address, host, count, pause = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
REQUEST = f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
TIMEOUT = 20
seen = collections.Counter()
select = selectors.DefaultSelector()
due = []        # (time, number, client or None)
asked = {}      # client: when
answers = {}    # client: what it has read


def fail(client, kind):
    print(f"{asked.pop(client):.6f} {kind}", flush=True)
    seen["failed"] += 1
    forget(client)


def forget(client):
    answers.pop(client, None)
    select.unregister(client)
    client.close()
    again(None)


def again(client):
    seen["n"] += 1
    heapq.heappush(due, (time.monotonic() + pause, seen["n"], client))


def ask(client):
    now = time.monotonic()
    if client is not None and client.fileno() < 0:
        return  # it was closed meanwhile, and another one takes its place
    try:
        if client is None:
            seen["connections"] += 1
            client = socket.socket()
            client.bind((address, 0))
            client.settimeout(TIMEOUT)
            client.connect(("127.0.0.1", 80))
            client.setblocking(False)
            select.register(client, selectors.EVENT_READ)
        asked[client] = now
        answers[client] = b""
        client.send(REQUEST)
        seen["asked"] += 1
    except OSError as error:
        asked[client] = now
        print(f"{asked.pop(client):.6f} {type(error).__name__}", flush=True)
        seen["failed"] += 1
        if client in answers:
            forget(client)
        else:
            client.close()
            again(None)


def on_readable(client):
    try:
        data = client.recv(4096)
    except OSError as error:
        return fail(client, type(error).__name__) if client in asked else forget(client)
    if not data:
        # Between two requests it may be closed at any time.
        return fail(client, "closed") if client in asked else forget(client)
    answers[client] += data
    head, _, body = answers[client].partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        return fail(client, "refused-" + head[9:12].decode()) if client in asked else None
    if body.endswith(b"\n"):
        seen["served"] += 1
        asked.pop(client, None)
        answers[client] = b""
        again(client)


stopping = []
signal.signal(signal.SIGTERM, lambda *_: stopping.append(1))
for i in range(count):
    heapq.heappush(due, (time.monotonic() + pause * i / count, -i, None))
while not stopping or (asked and time.monotonic() < stopping[0] + TIMEOUT):
    if stopping and stopping[0] == 1:
        stopping[0] = time.monotonic()
    now = time.monotonic()
    while due and due[0][0] <= now and not stopping:
        ask(heapq.heappop(due)[2])
    for key, _ in select.select(0.02):
        on_readable(key.fileobj)
    for client in [c for c, t in asked.items() if now - t > TIMEOUT]:
        fail(client, "timeout")
print(json.dumps({k: seen[k] for k in ("connections", "asked", "served", "failed")}))
