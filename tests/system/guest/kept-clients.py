# SPDX-License-Identifier: LGPL-2.1-or-later
"""Clients that keep their connections, and ask for paths of several workers:

    kept-clients.py PORT CLIENTS REQUESTS [HOST]/PATH=WORKER[,WORKER]...

Without a host it is kept.test. With several workers each of them is right.

Each answer has to be the one to its request: X-Worker names the worker, and X-Request has what the client said in the
request. With X-Echo the body is that, a line feed, and the request's body. It prints what it saw as JSON."""

import http.client
import json
import random
import sys
import threading

port, clients, requests = map(int, sys.argv[1:4])
workers = dict(argument.split("=") for argument in sys.argv[4:])
seen = {"right": 0, "wrong": [], "closed": 0, "connections": 0}
lock = threading.Lock()


def ask(connection, target, choose, tag):
    """Sends one request of any kind. Returns the response, its body, and whether that is the right one."""
    host, slash, path = target.partition("/")
    body, sent = None, b""
    method = choose.choice(("GET", "GET", "HEAD", "POST"))
    if method == "POST":
        body = b"GET /other HTTP/1.1\r\nHost: kept.test\r\n\r\n" * choose.choice((0, 1, 300))
        sent = body
        if choose.random() < .5:
            body = iter([body[:7], body[7:]])
    connection.request(method, f"/{path}?{tag}", body, {"Host": host or "kept.test", "X-Request": tag},
                       encode_chunked=body is not None and not isinstance(body, bytes))
    response = connection.getresponse()
    answer = response.read()
    return response, answer, method == "HEAD" or "X-Echo" not in response.headers or answer == tag.encode() + b"\n" + sent


def wander(seed):
    choose = random.Random(seed)
    connection = None
    for n in range(requests):
        path = choose.choice(list(workers))
        tag = f"{seed}-{n}"
        if connection is None:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
            connection.connect()
            with lock:
                seen["connections"] += 1
        try:
            response, body, is_right = ask(connection, path, choose, tag)
        except (OSError, http.client.HTTPException) as error:
            with lock:
                seen["closed"] += 1
                seen["error"] = repr(error)
            connection = None
            continue
        what = response.headers.get("X-Worker"), response.headers.get("X-Request")
        with lock:
            if is_right and what[0] in workers[path].split(",") and what[1] == tag:
                seen["right"] += 1
            else:
                seen["wrong"].append([path, tag, response.status, *what, repr(body[:100])])
        if response.will_close:
            connection = None


threads = [threading.Thread(target=wander, args=(seed,)) for seed in range(clients)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
seen["wrong"] = seen["wrong"][:10]
print(json.dumps(seen))
