# SPDX-License-Identifier: LGPL-2.1-or-later
"""So many connections at once, and on each so many requests, which go to / and to /api in turn and sometimes twice to the
same. Prints how many were answered, and by wrong workers.

    wander.py CONNECTIONS REQUESTS
"""

import http.client
import random
import sys
import threading

n_right, wrong = [], []


def wander(number, n_requests):
    rng = random.Random(number)
    connection = http.client.HTTPConnection("127.0.0.1", 80, timeout=20)
    connection.connect()
    port, path = connection.sock.getsockname(), "/api"
    for i in range(n_requests):
        if rng.randrange(8):
            path = "/api" if path == "/" else "/"
        target = f"{path.rstrip('/')}/{number}-{i}"
        connection.request("GET", target)
        answer = connection.getresponse().read().decode()
        expected = f"GET {target} with 0 bytes, answered by Python" if path == "/api" else f"site {target}\n"
        if not answer.startswith(expected) or connection.sock.getsockname() != port:
            wrong.append(answer)
            return
        n_right.append(target)


threads = [threading.Thread(target=wander, args=(i, int(sys.argv[2]))) for i in range(int(sys.argv[1]))]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(len(n_right), len(wrong), *wrong[:1])
