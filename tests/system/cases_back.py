# SPDX-License-Identifier: LGPL-2.1-or-later
"""Clients that come back from workers, and those that outlive the broker."""

import collections
import json
import re

from cases_preload import examples
from fdpass import GUEST, PROGRAMS, case, check
from machine import wait_for


def returning(m, name, path, idle=""):
    m.worker(name, f"/usr/bin/python3 {GUEST}/returning.py {name} {idle}", route=f"Path={path}\n",
             socket=f"ListenStream=\nListenSequentialPacket=/run/fdpass/{name}.sock\n",
             service="DynamicUser=yes\nSupplementaryGroups=fdpass\nPrivateNetwork=yes\n")


@case
def kept_alive(m):
    """1,000 requests on one connection go to two workers in turn, by path; each is stopped meanwhile."""
    returning(m, "one", "/one", 0.05)
    returning(m, "two", "/two", 0.05)
    urls = " ".join(f"http://127.0.0.1/{'one' if i % 2 else 'two'}" for i in range(1000))
    m.write("/root/urls", "\n".join(f"url = {url}" for url in urls.split()))
    answers = m.output("curl -sS -m 60 -K /root/urls").split()
    names, ports = answers[::2], set(answers[1::2])
    check(names == ["two", "one"] * 500, f"{collections.Counter(names)}")
    check(len(ports) == 1, f"{len(ports)} connections")
    m.figure("requests on one connection", len(names))

    wait_for(lambda: m.property("test-one.service", "ActiveState") == "inactive", 5, "the worker to end")
    check(m.output("curl -sS -m 5 http://127.0.0.1/one").startswith("one "), "it is not started again")


@case
def wandering(m):
    """Kept connections go between a worker in C at / and the example of one in Python at /api, request by request."""
    m.run(f"gcc -O1 -Wall -Werror -D_GNU_SOURCE -pthread -o /usr/local/bin/site {GUEST}/site.c $(pkg-config --cflags --libs libfdpass)")
    m.worker("site", "/usr/local/bin/site", route="Protocol=http\n",
             socket="ListenStream=\nListenSequentialPacket=/run/fdpass/site.sock\n",
             service="DynamicUser=yes\nSupplementaryGroups=fdpass\nPrivateNetwork=yes\n")
    m.run("cp /usr/share/doc/fdpass/examples/python/*.s* /etc/systemd/system/; systemctl daemon-reload; systemctl enable --now python-api.socket")
    m.drop_in("fdpass.service", "[X-FDPass]\nLogHandoffs=yes\n")
    m.reload()
    for n in 1, 10:
        check(m.output(f"python3 {GUEST}/wander.py {n} 100") == f"{n * 100} 0", "a request got to the wrong worker")
    m.figure("requests that wander on 11 connections, wrong", "1100, 0")
    check(not m.journal("test-site.service", match="next:"), "a client could not be handed back")
    workers = json.loads(m.output("fdpassctl --json=short list-workers"))
    n_new = sum(w["Taken"] - w["Rerouted"] for w in workers)
    check(n_new == 11 and sum(w["Rerouted"] for w in workers) > 200, f"11 connections, and {workers}")
    check([e for e in m.journal() if e.get("FDPASS_REROUTED") == "yes" and ": rerouted, taken by" in e["MESSAGE"]], "no entry says so")


@case
def parked(m):
    """Parked clients outlive ten restarts of the broker, and are served after it."""
    returning(m, "one", "/one")
    client = m.popen("""python3 -c '
import socket, sys
clients = [socket.create_connection(("127.0.0.1", 80)) for _ in range(500)]
def ask(c):
    c.settimeout(10)
    c.sendall(b"GET /one HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n")
    answer = b""
    while not answer.endswith(b"\\n") or b"\\r\\n\\r\\n" not in answer:
        data = c.recv(4096)
        if not data:
            return 0
        answer += data
    return 1
while line := sys.stdin.readline():
    print(sum(map(ask, clients)), flush=True)
'""")
    m.children.append(client)
    check(m.ask(client) == 500, "not all were served")
    for _ in range(10):
        m.run("systemctl restart fdpass.service")
    check(m.ask(client) == 500, "not all were served after the restarts")
    m.figure("clients parked through ten restarts, lost", "500, 0")
    m.figure("memory of the broker with them", m.status(m.broker(), "VmRSS") / 1024, "MiB", 1)


@case
def hello_keeps(m):
    """fdpass-hello that may hand clients back keeps connections: requests of its own stay, and others go to their worker."""
    returning(m, "one", "/one")
    m.worker("keeps", f"{PROGRAMS}fdpass-hello", route="Path=/keeps\n",
             socket="ListenStream=\nListenSequentialPacket=/run/fdpass/keeps.sock\n",
             service="DynamicUser=yes\nSupplementaryGroups=fdpass\nPrivateNetwork=yes\n")
    url = "http://127.0.0.1"
    seen = m.output(f"curl -sS -m 10 -w '%{{http_code}} %{{num_connects}}\\n' {url}/keeps/1 {url}/keeps/2 {url}/one {url}/keeps/3").splitlines()
    codes = [line for line in seen if re.fullmatch(r"[0-9]+ [0-9]", line)]
    check(codes == ["404 1", "404 0", "200 0", "404 0"], f"{seen}")
    check([word for word in ("/keeps/1.", "/keeps/2.", "one ", "/keeps/3.") if word not in " ".join(seen)] == [], f"{seen}")


KEEPER = """
import http.client, json, sys
clients = [http.client.HTTPConnection("127.0.0.1", 80, timeout=10) for _ in range(10)]
for client in clients:
    client.connect()
    client.auto_open = 0  # a closed connection is an error
while line := sys.stdin.readline():
    seen = {"right": 0, "wrong": [], "closed": 0}
    for i in range(8):
        for client in clients:
            try:
                client.request("GET", "/u" if i % 2 else "/", headers={"Host": "kept.test"})
                answer = client.getresponse()
                worker = answer.headers.get("X-Worker")
                answer.read()
                if worker == ("uvicorn" if i % 2 else "node"):
                    seen["right"] += 1
                else:
                    seen["wrong"].append(worker)
            except (OSError, http.client.HTTPException):
                seen["closed"] += 1
    print(json.dumps(seen), flush=True)
"""


@case
def wandering_through_restarts(m):
    """Kept clients of servers without a group go between them after a restart and a SIGKILL of the broker, and none is closed."""
    for name, program, path in (("node", f"/usr/bin/node {GUEST}/kept.js", "/"),
                                ("uvicorn", f"/usr/bin/uvicorn --fd=3 --app-dir={GUEST} kept:asgi", "/u")):
        m.drop_in(f"{name}.socket", f"[X-FDPass]\nHost=\nPath=\nHost=kept.test\nPath={path}\n")
        m.drop_in(f"{name}.service", f"[Service]\nExecStart=\nExecStart={program}\nEnvironment=WORKER={name}\nProtectHome=no\n")
    with examples(m, node=None, uvicorn=None):
        m.write("/root/keeper.py", KEEPER)
        client = m.popen("python3 /root/keeper.py")
        m.children.append(client)
        for what in "true", "systemctl restart fdpass.service", "systemctl kill -s KILL --kill-whom=main fdpass.service":
            m.run(what)
            for path in "/", "/u":  # a new client brings a connection to hand back on
                m.run(f"curl -sS -m 10 --retry 5 --retry-connrefused -H 'Host: kept.test' http://127.0.0.1{path}")
            seen = m.ask(client)
            check(seen == {"right": 80, "wrong": [], "closed": 0}, f"{what}: {seen}")
    m.mark()  # the end by SIGKILL was asked for


@case
def restarted_with_heads(m):
    """Twenty restarts under load, with 200 half-sent heads: nobody is lost, and the halves are still waited for."""
    m.worker("serve", "serve serve", route="Host=127.0.0.1\n")
    m.drop_in("fdpass.socket", "[X-FDPass]\nHeadTimeoutSec=60s\n")
    m.reload()
    m.start_broker()
    halves = m.popen(f"python3 {GUEST}/visitors.py slow --count=200 --say='GET / HTTP/1.1\\r\\nHost: 127.0.0.1\\r\\n'")
    m.children.append(halves)
    halves.stdout.readline()
    load = m.client("load", threads=4)
    for _ in range(20):
        m.run("systemctl restart fdpass.service")
    seen = m.end_load(load)
    m.figure("restarts; clients meanwhile, lost", f"20; {seen['asked']}, {sum(seen['errors'].values())}")
    m.figure("p99, the longest", f"{seen['p99'] * 1000:.1f} ms, {seen['longest'] * 1000:.1f} ms")
    check(not seen["errors"], f"{seen['errors']}")
    state = m.ask(halves)
    check(state["open"] == 200, f"the half-sent heads: {json.dumps(state)}")
