# SPDX-License-Identifier: LGPL-2.1-or-later
"""Attacks on the broker of this machine, and clients that look whether it serves meanwhile.

attacker.py control: as nobody, a descriptor to the control socket. attacker.py return many|nested|unread: a member of the
group fdpass, one to a return socket. attacker.py worker: a worker of another user, one as its answer. attacker.py lanes
COUNT: so many workers, each of which holds its client's lock by a FUSE file. These say "prepared", wait for a line,
strike, say "struck" (or "refused", or "skip" and why), and stay until the end of their input.

attacker.py probe SECONDS HOST: clients of that route, one after the other. attacker.py late COUNT HOST: so many clients at
once, until each has ended. Both print what they saw."""

import collections
import grp
import json
import os
import socket
import sys
import time

sys.path.insert(0, "/usr/src/fdpass/tests/unit/attacks")

import cases_wait
import descriptors
import harness

RUN = "/run/fdpass/"
PUBLIC = "127.0.0.1", 80
kept = descriptors.kept


def say(word):
    print(word, flush=True)


def wait_for_line():
    return sys.stdin.readline()


def strike(conn, data, things, first=None, connect_to=None):
    """Sends the descriptors when it is told to, and gives its own copies away. The message with first goes before it."""
    say("prepared")
    wait_for_line()
    try:
        if connect_to:
            conn.connect(connect_to)
        if first:
            socket.send_fds(conn, [data], [first.fileno()])
        socket.send_fds(conn, [data], [thing.fileno() for thing in things])
        for thing in things:
            thing.close()
        say("struck")
    except OSError as error:
        kept.extend(things)  # the last copies: closing would wait here
        say(f"refused: {error}")


def stay():
    wait_for_line()
    os._exit(0)


def ask(host):
    client = socket.create_connection(PUBLIC, timeout=10)
    client.sendall(harness.ROUTE_REQUEST.format(host).encode())
    return client


def control():
    """The broker has not accepted the connection yet when the descriptor comes."""
    harness.become(harness.NOBODY)
    things = descriptors.a_lingering_socket(None, ())
    conn = socket.socket(socket.AF_UNIX)
    strike(conn, b"\0", things, connect_to=RUN + "control")
    kept.append(conn)
    stay()


def hand_back(kind):
    harness.become(harness.NOBODY, [grp.getgrnam("fdpass").gr_gid])
    if kind == "unread":
        conn = harness.connect_unix(RUN + "return-web.sock")
        mine, theirs = harness.tcp_pair()
        kept.append(mine)
        strike(conn, b"\0", descriptors.a_lingering_socket(None, ()), theirs)
        conn.close()
    else:
        conn = harness.connect_unix(RUN + "return.sock", socket.SOCK_SEQPACKET)
        make = descriptors.many if kind == "many" else descriptors.nested(1)
        strike(conn, harness.PLAIN_MESSAGE, make(None, ()))
        kept.append(conn)
    stay()


def worker():
    listener = harness.Worker("/run/test/evil.sock")
    harness.become(harness.NOBODY)
    kept.append(ask("evil"))
    conn, _, sock = listener.take(10)
    things = descriptors.a_lingering_socket(None, ())
    sock.close()
    strike(conn, harness.ANSWER_TAKEN, things)
    conn.close()
    stay()


def lanes(count):
    harness.programs = harness.Programs("", hold="/usr/local/bin/hold")
    workers = [harness.Worker(f"/run/test/lane{i}.sock") for i in range(int(count))]
    try:
        holds = [harness.Hold("fuse", "send", "/var/tmp") for _ in workers]
    except harness.Skip as skip:
        say(f"skip: {skip}")
        stay()
    say("prepared")
    wait_for_line()
    for i, (listener, hold) in enumerate(zip(workers, holds)):
        kept.append(ask(f"lane{i}"))
        conn, _, sock = listener.take(10)
        hold.take(sock)
        sock.close()
        conn.sendall(harness.ANSWER_REFUSED)
        conn.close()
    say("struck")
    wait_for_line()
    for hold in holds:
        hold.end()
    os._exit(0)


def probe(seconds, host):
    times, errors = [], collections.Counter()
    end = time.monotonic() + float(seconds)
    while time.monotonic() < end:
        begin = time.monotonic()
        try:
            with ask(host) as client:
                data = harness.read_all(client)
            if not data.startswith(b"HTTP/1.1 200"):
                errors[repr(data[:30])] += 1
        except (OSError, harness.Failure) as error:
            errors[repr(error)] += 1
        times.append(time.monotonic() - begin)
        time.sleep(harness.INTERVAL)
    print(json.dumps({"n": len(times), "p99": harness.percentile(times), "longest": max(times), "errors": errors}))


def late(count, host):
    clients = []
    for _ in range(int(count)):
        clients.append(cases_wait.Waiting(ask(host)))
    cases_wait.read_until_end(clients, 10)
    seconds = [client.seconds() or -1 for client in clients]
    print(json.dumps({"status": collections.Counter(client.data[:12].decode() for client in clients),
                      "first": min(seconds), "last": max(seconds), "ended": sum(bool(client.ended) for client in clients)}))


if __name__ == "__main__":
    {"control": control, "return": hand_back, "worker": worker, "lanes": lanes, "probe": probe, "late": late}[sys.argv[1]](
        *sys.argv[2:])
