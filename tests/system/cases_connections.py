# SPDX-License-Identifier: LGPL-2.1-or-later
"""After the handoff: what the kernel tells about connections, and what the broker makes of it."""

import collections
import json
import pathlib
import sys

from fdpass import GUEST, case, check
from machine import wait_for

sys.path.append(str(pathlib.Path(__file__).parent / "guest"))
import ends  # noqa: E402

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


def seen_by(m, child, timeout=120, may_lose=False):
    """What the clients saw, by name, and the names of those that were lost."""
    out, err = child.communicate(timeout=timeout)
    m.children.remove(child)
    seen = json.loads(out)
    check(may_lose or not seen["wrong"], f"clients failed: {seen['wrong']} {err}")
    return seen["seen"], seen["lost"]


def lines_of(m):
    """The lines about ends by client. The broker logs each connection once."""
    lines = collections.defaultdict(list)
    for entry in m.journal(match=r"ended at \S+: "):
        lines[entry["FDPASS_CLIENT"]].append(entry)
    return lines


def compare(m, seen, lost=(), may_be_unseen=False):
    """Each connection has one line, with its bytes and its duration. Returns the lines, and how many ends were not seen."""
    wait_for(lambda: len(lines_of(m)) >= len(seen), 10, f"{len(seen)} lines", interval=0.3)
    lines = lines_of(m)
    parts = {name: [(int(entry["FDPASS_DURATION_USEC"]) / 1e6 if "FDPASS_DURATION_USEC" in entry else None,
                     *(int(entry[key]) if key in entry else None for key in ("FDPASS_BYTES_IN", "FDPASS_BYTES_OUT")))
                    for entry in entries] for name, entries in lines.items()}
    table, wrong, errors = ends.compare(seen, lost, parts)
    m.figures += table + ([f"{len(lost)} clients were lost"] if lost else [])
    check(not wrong, f"{wrong.most_common(20)}")
    unseen = len(seen) - len(errors)
    check(may_be_unseen or unseen == 0, f"{unseen} ends were not seen")
    return lines, errors


@case
def connection_ends(m):
    """Six kinds of ends: each connection is logged once, with its bytes and duration, under the id of its handoff."""
    enable(m, "LogConnections=yes\nLogHandoffs=yes")
    lines, errors = compare(m, *seen_by(m, visit(m, count=10000 if m.long else 300)))
    taken = {entry["FDPASS_ID"]: entry["FDPASS_CLIENT"] for entry in m.journal(match="taken by")}
    check(all(taken[line["FDPASS_ID"]] == name for name, (line,) in lines.items()), "other ids")
    check(ends.quantiles(errors, 0.5)[0] < 0.02, "durations are wrong")


@case
def connections_outlive_broker(m):
    """Restarts and a SIGKILL: what was live is found again or counted as unseen, and nothing is invented."""
    enable(m, "LogConnections=yes")
    count = 10000 if m.long else 250
    load = visit(m, count=count, threads=20, seconds=0.2)
    for i in range(4):
        if m.long:
            wait_for(lambda: len(lines_of(m)) > count * (i + 1) / 6, 60, "the next part of the load", interval=1)
        m.run("systemctl restart fdpass.service" if i < 3 else "systemctl kill -s KILL fdpass.service")
    compare(m, *seen_by(m, load, may_lose=True), may_be_unseen=True)

    m.mark()
    stay = visit(m, count=100, threads=100, seconds=2, kinds="server,client,unread")
    wait_for(lambda: int(m.output("cat /run/test/most")) >= 70, 10, "clients at the worker")
    m.run("systemctl kill -s KILL fdpass.service")
    wait_for(lambda: m.property("fdpass.service", "ActiveState") == "active", 5, "the next broker")
    compare(m, *seen_by(m, stay, may_lose=True), may_be_unseen=True)


@case
def connections_limit(m):
    """MaxConnections=: the worker never has one more, and all are served."""
    enable(m, route=f"MaxConnections={LIMIT}\nBalance=least-connections")
    count, threads = (2000, 500) if m.long else (200, 120)
    seen, _ = seen_by(m, visit(m, count=count, threads=threads, seconds=0.4))
    most = int(m.output("cat /run/test/most"))
    check(len(seen) == count, f"{len(seen)} were served")
    check(most <= LIMIT, f"the worker had {most}")
    check(most > LIMIT * 0.8, f"the worker had {most} only")
    m.figure("clients, most at once", f"{len(seen)}, {most}")


@case
def connections_lost(m):
    """Reports that the kernel had no room for: the log says so once, and the counts are right again."""
    enable(m, "LogConnections=yes", reports="ReceiveBuffer=4K")
    seen, _ = seen_by(m, visit(m, count=20000 if m.long else 400, threads=100, seconds=0, kinds="server"))
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
    compare(m, *seen_by(m, visit(m, count=10)))
    m.run("systemctl disable --now fdpass-connections.socket; systemctl restart fdpass.service")
    check(m.who() is not None, "nobody is served after it was turned off")
