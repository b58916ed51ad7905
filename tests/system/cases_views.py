# SPDX-License-Identifier: LGPL-2.1-or-later
"""What an administrator sees of connections after the handoff, and the limits of one address that count them."""

import json
import re

from fdpass import GUEST, case, check, shared
from machine import wait_for


def ctl(m, command):
    return m.run(f"fdpassctl {command}", check=False)


def rows(m, options=""):
    return json.loads(m.output(f"fdpassctl --json=short list-connections {options}"))


def hold(m, count, path, size=0):
    """Starts clients that stay. Returns the child, and how many of them a worker has."""
    child = m.popen(f"python3 {GUEST}/holders.py {count} {path} {size}")
    m.children.append(child)
    return child, int(child.stdout.readline())


def leave(child, count):
    for _ in range(count):
        child.stdin.write("\n")
        child.stdin.flush()
        child.stdout.readline()


def worker(m, name):
    listed = json.loads(m.output("fdpassctl --json=short list-workers"))
    return next(row for row in listed if row["Worker"] == f"/run/fdpass/{name}.sock")


@case
def views_of_connections(m):
    """list-connections and its filters, counts in each view, drain --wait. Without the socket there is nothing of it."""
    for name in "one", "two":
        m.worker(name, "hold", route=f"Path=/{name}\n")
    m.start_broker()
    check(re.search("Connections: not tracked", ctl(m, "status").stdout), ctl(m, "status").stdout)
    check("CONNECTIONS" not in ctl(m, "list-workers").stdout, ctl(m, "list-workers").stdout)
    for command in "list-connections", "drain --wait test-one.socket":
        done = ctl(m, command)
        check(done.returncode == 1 and "systemctl enable fdpass-connections.socket" in done.stderr, done.stderr)
    check(not worker(m, "one")["Drained"], "a worker is drained that can't be waited for")

    m.run("systemctl enable fdpass-connections.socket && systemctl restart fdpass.service")
    one, _ = hold(m, 3, "/one", 1000)
    two, _ = hold(m, 2, "/two")
    listed = rows(m)
    check(len(listed) == 5, f"{listed}")
    sent = {row["Route"]: row["BytesIn"] for row in listed}
    check(sent["test-one.socket"] == sent["test-two.socket"] + 1003, f"{sent}")  # "1000" is three digits longer than "0"
    check(all(row["BytesOut"] >= 5 and row["IdleUSec"] < 60e6 and row["RTTUSec"] > 0 for row in listed), f"{listed}")
    for options, count in (("--route=test-one.socket", 3), ("--worker=/run/fdpass/two.sock", 2), ("--worker=test-two.socket", 2),
                           ("--source=127.0.0.0/8", 5), ("--source=192.0.2.1", 0), ("--route=test-one.socket --source=127.0.0.1", 3)):
        check(len(rows(m, options)) == count, f"{options}: {rows(m, options)}")
    for options in "--route=no.socket", "--worker=/run/no", "--source=localhost", "--source=10.0.0.1/8", "more":
        done = ctl(m, f"list-connections {options}")
        check(done.returncode == 1 and done.stderr, f"{options}: {done.stdout}")

    check("5 live of" in ctl(m, "status").stdout, ctl(m, "status").stdout)
    check("3 connections" in ctl(m, "graph --interval=0").stdout, "the graph")
    check("; 5 connections" in ctl(m, "top -b -n1 -d100ms").stdout, "top")
    metrics = m.output("fdpassctl metrics")
    for line in ('fdpass_connections{route="test-one.socket",worker="/run/fdpass/one.sock"} 3',
                 'fdpass_worker_connections{worker="/run/fdpass/two.sock"} 2'):
        check(line in metrics, metrics)
    names = set(re.findall(r"\bfdpass_[a-z_]*connection[a-z_]*?(?=(?:_bucket)?[{,])",
                           m.path("/usr/share/fdpass/grafana-dashboard.json").read_text()))
    families = set(re.findall(r"^# TYPE (\S+)", m.output("fdpassctl metrics --format=prometheus"), re.M))
    check(len(names) == 3 and names <= families, f"the dashboard asks for {names - families}")

    wait = m.popen("fdpassctl drain --wait test-one.socket")
    m.children.append(wait)
    wait_for(lambda: "drained, 3 left" in ctl(m, "list-workers").stdout, 5, "the drained worker")
    leave(one, 2)
    wait_for(lambda: "drained, 1 left" in ctl(m, "list-workers").stdout, 5, "the last client of the worker")
    check(wait.poll() is None, "drain --wait has returned before the last client has left")
    leave(one, 1)
    check(wait.wait(5) == 0, "drain --wait has failed")
    check('fdpass_connections_ended_total{route="test-one.socket",worker="/run/fdpass/one.sock",end="seen"} 3'
          in m.output("fdpassctl metrics"), "the ends are not counted")
    wait = m.popen("fdpassctl drain --wait test-one.socket test-two.socket")
    m.children.append(wait)
    wait_for(lambda: worker(m, "two")["Drained"], 5, "the second worker")
    m.run("fdpassctl undrain test-two.socket")
    check(wait.wait(5) == 1, "a worker that is undrained is waited for")


@shared
@case
def limits_of_a_source(m):
    """MaxConnectionsPerSource= counts clients at workers, RateLimitPerSource= new ones. Both say whom they refuse, and why."""
    m.worker("one", "hold", route="Path=/one\n")
    m.drop_in("fdpass.socket", "[X-FDPass]\nMaxConnectionsPerSource=4\n")
    m.start_broker()
    line = m.journal(match="MaxConnectionsPerSource=")
    check(line and "systemctl enable fdpass-connections.socket" in line[0]["MESSAGE"], f"{line}")
    m.run("systemctl enable fdpass-connections.socket && systemctl restart fdpass.service")
    child, served = hold(m, 7, "/one")
    check(served == 4, f"{served} of seven clients were served")
    check("source-connections), 4 are allowed, the last one was 127.0.0.1" in ctl(m, "status").stdout, ctl(m, "status").stdout)
    leave(child, 7)
    wait_for(lambda: not rows(m), 5, "the end of all connections")
    _, served = hold(m, 5, "/one")
    check(served == 4, f"{served} of five clients were served")

    m.drop_in("fdpass.socket", "[X-FDPass]\nRateLimitPerSource=3/1h\n")
    m.run("fdpassctl reload")
    _, served = hold(m, 5, "/one")
    check(served == 3, f"{served} of five clients were served in an hour")
    check("source-rate), 3/3600s are allowed, the last one was 127.0.0.1" in ctl(m, "status").stdout, ctl(m, "status").stdout)
