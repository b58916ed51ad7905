# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a host tells load balancers, and how it is drained."""

import json

from cases_shards import add_shards
from fdpass import case, check
from machine import wait_for

AGENT = """python3 -c '
import socket, sys
with socket.create_connection(("127.0.0.1", 9470), 3) as s:
    s.settimeout(3)
    s.sendall(sys.argv[1].encode())
    print(b"".join(iter(lambda: s.recv(4096), b"")).decode(), end="")' """


def ask(m, query="", port=80):
    """The status and the body of a health check."""
    answer = m.output(f"curl -s -m 3 -w '%{{http_code}}' 'http://127.0.0.1:{port}/fdpass/health{query}'")
    return int(answer[-3:]), answer[:-3]


def agent(m, line=""):
    return m.output(f"{AGENT} '{line}'")


@case
def health(m):
    """Health checks by HTTP, through the broker and beside it, and the agent; a worker that is back is found without a client."""
    m.worker("app", "serve app", route="Host=app.test\n")
    m.run("systemctl enable --now fdpass-health.socket fdpass-health@8081.socket fdpass-agent.socket")
    m.reload()
    for port in 80, 8081:
        check(ask(m, port=port) == (200, "ready\n"), f"{ask(m, port=port)}")
        check(ask(m, "?route=test-app.socket", port) == (200, "ready\ntest-app.socket: ready 100%\n"), "the route")
        check(ask(m, "?route=test%2Dapp.socket&route=x.socket", port)[0] == 503, "a route that does not exist")
        for wrong in "?what=1", "?drain=200x", "?route=", "?route=%zz", "?route=" + "x" * 300:
            check(ask(m, wrong, port)[0] == 400, wrong)
    check(m.output("curl -s -m 3 -o /dev/null -w '%{http_code}' -X OPTIONS http://127.0.0.1:8081/fdpass/health") == "405", "OPTIONS")
    check(m.output("curl -s -m 3 -I -w '%{http_code}' http://127.0.0.1:8081/fdpass/health").endswith("200"), "HEAD")
    check(agent(m) == "ready up 100%" == agent(m, "test-app.socket\n"), agent(m))
    check(agent(m, "x.socket").startswith("ready down #x.socket: unknown"), agent(m, "x.socket"))

    m.run("systemctl stop test-app.socket test-app.service")
    m.output("curl -s -m 5 -H 'Host: app.test' http://127.0.0.1/")
    wait_for(lambda: ask(m, "?route=test-app.socket")[0] == 503, 3, "the worker to be down")
    check("gone" in ask(m, "?route=test-app.socket")[1] and ask(m)[0] == 200, "one worker takes the host out")
    check(agent(m, "test-app.socket\n").startswith("ready down #test-app.socket: gone"), agent(m, "test-app.socket\n"))
    m.run("systemctl start test-app.socket")
    wait_for(lambda: ask(m, "?route=test-app.socket")[0] == 200, 3, "the worker to be back without a client")
    check(m.property("test-app.service", "ActiveState") == "active", "nobody connected to it")

    m.run("systemctl kill -s STOP --kill-whom=main fdpass.service")
    check(ask(m, port=8081)[0] == 503 and agent(m).startswith("ready down #"), "a broker that hangs is well")
    m.run("systemctl kill -s CONT --kill-whom=main fdpass.service")
    wait_for(lambda: ask(m, port=8081)[0] == 200, 3, "the broker to go on")


# Asks by HTTP and in the agent's grammar for 1.5 s. Prints how many answers there were, when the last good one came, and the longest
# time of a question, in seconds.
ASK_ON = """python3 -c '
import socket, time
begin, last, slowest, n = time.monotonic(), 0, 0, 0
while time.monotonic() < begin + 1.5:
    for port, question in (8081, b"GET /fdpass/health HTTP/1.1\\r\\n\\r\\n"), (9470, b"\\n"):
        at = time.monotonic()
        try:
            with socket.create_connection(("127.0.0.1", port), 3) as s:
                s.sendall(question)
                text = b"".join(iter(lambda: s.recv(4096), b""))
        except OSError:
            text = b""
        now = time.monotonic()
        n, slowest = n + 1, max(slowest, now - at)
        if b" 200 " in text or b"ready up" in text:
            last = now - begin
    time.sleep(0.01)
print(n, last, slowest)' """


@case
def health_of_none(m):
    """A broker that hangs, or is stopped with its socket, is never up for longer than an answer is kept. Each answer comes within 1 s."""
    m.run("systemctl enable --now fdpass-health@8081.socket fdpass-agent.socket")
    check(ask(m, port=8081)[0] == 200 and agent(m) == "ready up 100%", "at first")
    for command, back in (("systemctl kill -s STOP --kill-whom=main fdpass.service", "systemctl kill -s CONT --kill-whom=main fdpass.service"),
                          ("systemctl stop fdpass.socket fdpass.service", "systemctl start fdpass.socket"),
                          ("systemctl stop fdpass.socket", "systemctl start fdpass.socket")):
        n, last, slowest = map(float, m.output(f"{command}; {ASK_ON}").split())
        check(n > 2 and last < 0.6 and slowest < 1, f"{command}: {n} answers, good until {last:.2f} s, slowest {slowest:.2f} s")
        m.run(back)
        wait_for(lambda: ask(m, port=8081)[0] == 200 and agent(m) == "ready up 100%", 5, f"the end of it: {back}")


@case
def health_crash_loop(m):
    """A worker that can't start is down within 3 s of the first client."""
    m.worker("app", "serve app", route="Host=app.test\n", service="ExecStart=\nExecStart=/bin/false\n")
    m.run("systemctl enable --now fdpass-agent.socket")
    m.reload()
    check(agent(m, "test-app.socket").startswith("ready up"), "it has had no client")
    m.children.append(m.popen("curl -s -m 20 -H 'Host: app.test' http://127.0.0.1/"))
    wait_for(lambda: agent(m, "test-app.socket").startswith("ready down #test-app.socket: stuck"), 3, "the worker to be down")
    check(m.run("fdpassctl health test-app.socket", check=False).returncode == 1, "fdpassctl health")


@case
def drain_host(m):
    """The host's drain: told by health, status, metrics and systemd, through a restart, and to all; nobody is refused."""
    add_shards(m)
    m.run("systemctl enable --now fdpass-health.socket fdpass-agent.socket; systemctl start fdpass.service fdpass-shard@1.service")
    m.run("fdpassctl drain --host --reason='a new kernel'")
    shard = "fdpassctl -q --control=/run/fdpass/shard-1/control health"
    check(m.run(shard, check=False).returncode == 2, "the shard is not told")
    check(ask(m) == (503, "draining: a new kernel\n") and ask(m, "?drain=404")[0] == 404 and ask(m, "?drain=200")[0] == 200, f"{ask(m)}")
    check(agent(m) == "drain up 100%", agent(m))
    status = m.run("fdpassctl status", check=False)
    check(status.returncode == 2 and "The host is drained: a new kernel." in status.stdout, status.stdout)
    check("fdpass_draining 1" in m.output("fdpassctl metrics"), "metrics")
    wait_for(lambda: "The host is drained;" in m.property("fdpass.service", "StatusText"), 5, "STATUS=")
    m.run("systemctl restart fdpass.service")
    check(m.run("fdpassctl -q health", check=False).returncode == 2, "a restart ends it")
    check(m.curl().stdout.startswith("Hello"), "a client is refused")
    check(len(m.journal(match="The host is drained: a new kernel")) == 2, "not one line for each process")

    m.run("fdpassctl undrain --host; fdpassctl undrain --host")
    check(ask(m)[0] == 200 and agent(m) == "ready up 100%", "undrain")
    m.run(shard)
    for wrong in "drain --host x", "drain --host --wait", "drain --reason=x", "undrain --host x", "drain --host --reason=\"$(printf 'a\\nb')\"":
        check(m.run(f"fdpassctl {wrong}", check=False).returncode == 1, wrong)
    check(m.run("setpriv --reuid=65534 --clear-groups fdpassctl drain --host", check=False).returncode == 1, "any user")
    check(ask(m)[0] == 200, "a wrong call has drained it")


@case
def wait(m):
    """`fdpassctl wait`: returns when no connection is left, or says how many there are and who has them."""
    check(m.run("fdpassctl wait --timeout=5s").returncode == 0, "nothing is there")
    client = m.popen("""python3 -c '
import socket, sys
s = socket.create_connection(("127.0.0.1", 80))
s.sendall(b"GET / HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n")
s.recv(9999)
print("connected", flush=True)
sys.stdin.readline()'""")
    m.children.append(client)
    client.stdout.readline()
    left = m.run("fdpassctl wait --timeout=300ms", check=False)
    check(left.returncode == 1 and left.stderr.startswith("1 connection is left: 1 in fdpass-hello.service"), f"{left}")
    rows = {row["Name"]: row.get("Open") for row in json.loads(m.output("fdpassctl --json=short list-listeners"))}
    check(rows["public"] == 1 and rows["return"] is None, f"list-listeners: {rows}")
    check(m.run("fdpassctl wait --idle=200ms --timeout=5s").returncode == 0, "it is idle")
    check(m.run("fdpassctl wait --listener=public --timeout=0", check=False).returncode == 1, "the listener")
    for wrong in "--listener=x", "--idle=x", "--timeout=-1", "--empty --idle=1s", "x":
        check(m.run(f"fdpassctl wait {wrong}", check=False).returncode == 1, wrong)
    client.stdin.write("\n")
    client.stdin.flush()
    check(m.run("fdpassctl wait --timeout=10s", check=False).returncode == 0, "it is still there")
