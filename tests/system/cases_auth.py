# SPDX-License-Identifier: LGPL-2.1-or-later
"""One worker checks who the client is, and hands it to another one, by the name of its route."""

import json
import time

from fdpass import GUEST, case, check
from machine import wait_for

REQUEST = "POST /private HTTP/1.1\r\nHost: auth.example\r\nContent-Length: 4\r\n{}\r\n"
COOKIE = "Cookie: pass=alice\r\n"


def auth(m, route="stream"):
    """The worker that checks, built like anybody's program with libfdpass."""
    m.run(f"gcc -O1 -Wall -Werror -D_GNU_SOURCE -o /usr/local/bin/auth {GUEST}/auth.c $(pkg-config --cflags --libs libfdpass)")
    m.worker("auth", f"/usr/local/bin/auth {route}", route="Host=auth.example\n",
             socket="ListenStream=\nListenSequentialPacket=/run/fdpass/auth.sock\n",
             service="DynamicUser=yes\nSupplementaryGroups=fdpass\nPrivateNetwork=yes\n")


def stream(m, name, moment="", route=""):
    """A worker that only gets clients by the name."""
    m.worker(name, f"/usr/bin/python3 {GUEST}/stream.py {name} {moment}", route=f"InternalName=stream\n{route}",
             socket=f"ListenStream=\nListenSequentialPacket=/run/fdpass/{name}.sock\n")


def visitor(cookie=COOKIE, **options):
    return {"source": "127.3.0.1", "say": [REQUEST.format(cookie), "body"], "timeout": 20} | options


def start(m, visitors):
    child = m.popen(f"python3 {GUEST}/visitors.py ask")
    m.children.append(child)
    child.stdin.write(json.dumps(visitors))
    child.stdin.close()
    return child


def finish(m, child):
    out = child.stdout.read()
    m.children.remove(child)
    child.wait()
    return json.loads(out)


def ask(m, *visitors):
    return finish(m, start(m, list(visitors)))


def told(v):
    """What the second worker told the client."""
    check(v["answer"].startswith("HTTP/1.1 200 "), f"{v}")
    return json.loads(v["answer"].partition("\r\n\r\n")[2])


def check_whole(v):
    """All of the client reached the second worker: what the first one read, what it said, what was left."""
    facts = told(v)
    check(facts["consumed"] == v["say"][0] and facts["body"] == "body", f"{facts}")
    check(facts["data"] == "user=alice", f"{facts}")
    check(facts["peer"][0].removeprefix("::ffff:") == v["source"] and facts["peer"][1] == v["local"], f"{facts}")
    check((facts["authority"], facts["listener"], facts["protocol"]) == ("auth.example", "public", "http"), f"{facts}")
    check("name" not in facts, f"{facts}")
    return facts


def status(v):
    return v["answer"].partition("\r\n")[0]


@case
def auth_and_stream(m):
    """The first worker checks a cookie and hands the client on with its head and with data, or answers 403 itself."""
    auth(m)
    stream(m, "stream")
    facts = check_whole(ask(m, visitor())[0])
    check(facts["route"] == "test-stream.socket" and facts["worker"] == "stream", f"{facts}")
    check(facts["id"], "it has no id")
    check(status(ask(m, visitor(cookie=""))[0]) == "HTTP/1.1 403 Forbidden", "it passed without a cookie")
    # Nobody gets there by asking for it.
    seen = ask(m, visitor(say=["GET /private HTTP/1.1\r\nHost: stream\r\n\r\n"]))[0]
    check("stream.socket" not in seen["answer"], f"{seen}")

    crowd = ask(m, *(visitor(cookie=COOKIE if i % 4 else "", source=f"127.3.1.{1 + i}") for i in range(200)))
    passed = [check_whole(v) for i, v in enumerate(crowd) if i % 4]
    refused = [v for i, v in enumerate(crowd) if not i % 4 and " 403 " in status(v)]
    m.figure("clients handed on with head, data and body; answered by the first worker", f"{len(passed)}, {len(refused)}")
    check(len(refused) == 50, f"{len(refused)}")


@case
def auth_without_stream(m):
    """The name that no route has, and the worker that is gone: the client is told, and served again once it is back."""
    auth(m)
    m.figure("a name that no route has", status(ask(m, visitor())[0]))
    check(m.figures[-1].endswith(" 404 Not Found"), m.figures[-1])

    stream(m, "stream")
    check_whole(ask(m, visitor())[0])
    m.run("systemctl stop test-stream.socket test-stream.service")
    seen = ask(m, visitor())[0]
    m.figure("the second worker is gone", f"{status(seen)}, after {seen['seconds']:.2f} s")
    check(" 503 " in status(seen) and seen["seconds"] < 3, f"{seen}")

    m.run("systemctl start test-stream.socket")
    begin = time.monotonic()
    wait_for(lambda: " 200 " in status(ask(m, visitor())[0]), 3, "the second worker in use again")
    m.figure("and back: in use after", time.monotonic() - begin, "s", 2)
    check_whole(ask(m, visitor())[0])

    # A worker without its process is started for the client.
    m.run("systemctl kill -s KILL test-stream.service")
    check_whole(ask(m, visitor())[0])


@case
def auth_second_chance(m):
    """A second worker that dies before it begins, or refuses: the next one has the client, as the first has left it."""
    auth(m)
    for name, moment in ("one", "dies"), ("two", "refuses"):
        stream(m, name, moment, "Receipt=ack\nBalance=round-robin\n")
    workers = {check_whole(v)["worker"] for v in ask(m, *(visitor(source=f"127.3.2.{1 + i}") for i in range(20)))}
    check(workers == {"one", "two"}, f"{workers}")
    for name in "one", "two":
        check(m.output(f"ls /run/test/{name}.first"), f"{name} has not failed")
    m.figure("clients handed on to one that died and one that refused, lost", "20, 0")


@case
def auth_over_restart(m):
    """Clients on their way to a second worker that hangs outlive the broker, with all that they have."""
    auth(m)
    stream(m, "stream", route="MaxPending=1\n")
    check_whole(ask(m, visitor())[0])
    m.run("systemctl kill -s STOP test-stream.service")
    pid = m.broker()
    child = start(m, [visitor(source=f"127.3.3.{1 + i}") for i in range(20)])
    wait_for(lambda: m.descriptors(pid)[0] >= 20 + 5, 5, "the clients in the broker")
    m.run("systemctl restart fdpass.service")
    check(m.broker() != pid, "it is the same broker")
    m.run("systemctl kill -s CONT test-stream.service")
    for v in finish(m, child):
        check_whole(v)
    m.figure("clients on their way through a restart of the broker, lost", "20, 0")
