# SPDX-License-Identifier: LGPL-2.1-or-later
"""Clients that ask once, and keep their connections:

    idlers.py CLIENTS HOST PATH... [slow=PATH]...

So many for each path, and for each one more in the middle of an upload. A "slow" path has a response that takes its time. Prints a line
when all have their answers but those. Then it obeys lines:

    finish       finishes the uploads and the slow responses, and asks once more on each of these connections
    ask          asks once more on each connection
    ends N       waits N s at the longest until all have ended

For each it prints JSON: how many were right, and what went wrong; or how many have ended, when the last one did (s), and the bytes that came."""

import http.client
import json
import select
import sys
import time

count, host = int(sys.argv[1]), sys.argv[2]
paths = [a for a in sys.argv[3:] if not a.startswith("slow=")]
slow_paths = [a.removeprefix("slow=") for a in sys.argv[3:] if a.startswith("slow=")]
BODY = b"0123456789"


def connect():
    connection = http.client.HTTPConnection("127.0.0.1", 80, timeout=20)
    connection.connect()
    connection.auto_open = 0
    return connection


def ask(connection, path):
    connection.request("GET", path, headers={"Host": host})
    return answer(connection)


def answer(connection):
    response = connection.getresponse()
    response.read()
    return response.status < 500 and not response.will_close


def begin_upload(path):
    connection = connect()
    connection.putrequest("POST", path, skip_host=True)
    connection.putheader("Host", host)
    connection.putheader("Content-Length", str(2 * len(BODY)))
    connection.endheaders(BODY)
    return connection


def begin_slow(path):
    connection = connect()
    connection.request("GET", path, headers={"Host": host})
    return connection


def tell(action, items):
    right, errors = 0, []
    for connection, path in items:
        try:
            right += action(connection, path)
        except (OSError, http.client.HTTPException) as error:
            errors.append(f"{path}: {error!r}")
    print(json.dumps({"right": right, "errors": errors}), flush=True)


def finish_upload(connection, path):
    connection.send(BODY)
    return answer(connection) and ask(connection, path)


def wait_for_ends(connections, seconds):
    begin = time.monotonic()
    left, came, last = {c.sock.fileno(): c.sock for c in connections}, b"", 0
    poll = select.poll()
    for fd in left:
        poll.register(fd, select.POLLIN)
    while left and time.monotonic() < begin + seconds:
        for fd, _ in poll.poll(100):
            data = left[fd].recv(4096)
            came += data
            if not data:
                poll.unregister(fd)
                del left[fd]
                last = time.monotonic() - begin
    print(json.dumps({"ended": len(connections) - len(left), "last": last, "came": len(came)}), flush=True)


idle = [(connect(), path) for path in paths for _ in range(count)]
tell(ask, idle)
uploads = [(begin_upload(path), path) for path in paths]
slow = [(begin_slow(path), path) for path in slow_paths]
print("ready", flush=True)
for line in sys.stdin:
    if line == "finish\n":
        tell(finish_upload, uploads)
        tell(lambda connection, path: answer(connection) and ask(connection, path), slow)
    elif line == "ask\n":
        tell(ask, idle + uploads + slow)
    elif line.startswith("ends "):
        wait_for_ends([c for c, _ in idle + uploads + slow], float(line.split()[1]))
