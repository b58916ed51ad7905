# SPDX-License-Identifier: LGPL-2.1-or-later
"""After the handoff: what the kernel tells about connections, and what the broker makes of it."""

import collections
import json

from fdpass import GUEST, case, check
from machine import wait_for

LIMIT = 50


def enable(m, settings="", route="", worker="worker", reports=""):
    """Enables the reports as the page says, with the worker of ends.py."""
    if reports:
        m.drop_in("fdpass-connections.socket", f"[Socket]\n{reports}\n")
    m.drop_in("fdpass.service", f"[Service]\nLogRateLimitIntervalSec=0\n[X-FDPass]\n{settings}\n")
    m.run("systemctl daemon-reload; systemctl enable fdpass-connections.socket; systemctl restart fdpass.service")
    m.worker("ends", f"/usr/bin/python3 {GUEST}/ends.py {worker}", route=route)


def visit(m, **options):
    """Has clients come, and returns what they saw."""
    arguments = " ".join(f"--{name}={value}" for name, value in options.items())
    child = m.popen(f"python3 {GUEST}/ends.py clients {arguments}")
    m.children.append(child)
    check(child.stdout.readline() == "started\n", "the clients did not start")
    return child


def seen_by(m, child, timeout=120):
    out, err = child.communicate(timeout=timeout)
    m.children.remove(child)
    seen = json.loads(out)
    check(not seen["wrong"], f"clients failed: {seen['wrong']} {err}")
    return seen["seen"]


def lines_of(m):
    """The lines about ends by client. The broker logs each connection once."""
    lines = collections.defaultdict(list)
    for entry in m.journal(match=r"ended at \S+: "):
        lines[entry["FDPASS_CLIENT"]].append(entry)
    return lines


def compare(m, seen, may_be_unseen=False):
    """Each connection has one line, with its bytes and its duration."""
    wait_for(lambda: len(lines_of(m)) >= len(seen), 10, f"{len(seen)} lines", interval=0.3)
    lines = lines_of(m)
    wrong, late, unseen = collections.Counter(), 0.0, 0
    for name, what in seen.items():
        if len(lines[name]) != 1:
            wrong[f"{what['kind']}: {len(lines[name])} lines"] += 1
            continue
        line = lines[name][0]
        if "FDPASS_DURATION_USEC" not in line:
            unseen += 1
            continue
        for key, side in ("FDPASS_BYTES_IN", "in"), ("FDPASS_BYTES_OUT", "out"):
            if int(line.get(key, -1)) != what[side]:
                wrong[f"{what['kind']}: {side} {int(line.get(key, -1)) - what[side]:+}"] += 1
        if what["kind"] != "flight":
            late = max(late, abs(int(line["FDPASS_DURATION_USEC"]) / 1e6 - (what["ended"] - what["begun"])))
    check(not wrong, f"{wrong.most_common(20)}")
    check(set(lines) == set(seen), f"{len(set(lines) - set(seen))} lines of no client")
    check(may_be_unseen or unseen == 0, f"{unseen} ends were not seen")
    m.figure("connections, ends not seen, largest error of a duration", f"{len(seen)}, {unseen}, {late * 1000:.1f} ms")
    return lines


@case
def connection_ends(m):
    """Six kinds of ends: each connection is logged once, with its bytes and duration, under the id of its handoff."""
    enable(m, "LogConnections=yes\nLogHandoffs=yes")
    lines = compare(m, seen_by(m, visit(m, count=20000 if m.long else 300)))
    taken = {entry["FDPASS_ID"]: entry["FDPASS_CLIENT"] for entry in m.journal(match="taken by")}
    check(all(taken[line["FDPASS_ID"]] == name for name, (line,) in lines.items()), "other ids")


@case
def connections_outlive_broker(m):
    """Restarts and a SIGKILL: what was live is found again or counted as unseen, and nothing is invented."""
    enable(m, "LogConnections=yes")
    load = visit(m, count=6000 if m.long else 200, threads=20, seconds=0.2)
    for _ in range(3):
        m.run("systemctl restart fdpass.service")
    seen = seen_by(m, load)
    compare(m, seen)

    m.mark()
    stay = visit(m, count=100, threads=100, seconds=2, kinds="server,client,unread")
    wait_for(lambda: int(m.output("cat /run/test/most")) >= 70, 10, "clients at the worker")
    m.run("systemctl kill -s KILL fdpass.service")
    wait_for(lambda: m.property("fdpass.service", "ActiveState") == "active", 5, "the next broker")
    compare(m, seen_by(m, stay), may_be_unseen=True)


@case
def connections_limit(m):
    """MaxConnections=: the worker never has one more, and all are served."""
    enable(m, route=f"MaxConnections={LIMIT}\nBalance=least-connections")
    seen = seen_by(m, visit(m, count=200, threads=120, seconds=0.4))
    most = int(m.output("cat /run/test/most"))
    check(len(seen) == 200, f"{len(seen)} were served")
    check(most <= LIMIT, f"the worker had {most}")
    check(most > LIMIT * 0.8, f"the worker had {most} only")
    m.figure("clients, most at once", f"{len(seen)}, {most}")


@case
def connections_lost(m):
    """Reports that the kernel had no room for: the log says so once, and the counts are right again."""
    enable(m, "LogConnections=yes", reports="ReceiveBuffer=4K")
    seen = seen_by(m, visit(m, count=20000 if m.long else 400, threads=100, seconds=0, kinds="server"))
    wait_for(lambda: m.journal(match="dropped reports"), 10, "a line about dropped reports")
    check(len(m.journal(match="dropped reports")) <= 2, "more than a line in 10 s")
    compare(m, seen, may_be_unseen=True)


@case
def connections_without_socket(m):
    """Without the socket its keys are errors, which name the commands; with them the same unit works."""
    m.drop_in("fdpass.service", "[X-FDPass]\nLogConnections=yes\n")
    m.worker("ends", f"/usr/bin/python3 {GUEST}/ends.py worker", route="MaxConnections=5")
    m.start_broker()
    lines = [entry["MESSAGE"] for entry in m.journal(priority=3)]
    check(len(lines) == 2, f"{lines}")
    check(all("systemctl enable fdpass-connections.socket" in line and ": " in line for line in lines), f"{lines}")
    check(m.who() is not None, "others are not served")
    m.run("systemctl enable fdpass-connections.socket; systemctl restart fdpass.service")
    seen = seen_by(m, visit(m, count=10))
    compare(m, seen)
    m.run("systemctl disable --now fdpass-connections.socket; systemctl restart fdpass.service")
    check(m.who() is not None, "nobody is served after it was turned off")
