# SPDX-License-Identifier: LGPL-2.1-or-later
"""After the handoff: what the kernel tells about connections, and what the broker makes of it."""

import collections
import json
import time

from fdpass import GUEST, case, check
from machine import wait_for

ENDED = "MESSAGE_CONNECTION_ENDED"
NO_SOCKET = "needs the kernel's reports"


def ids():
    """The MESSAGE_ID=s, from the header that all programs share."""


def enable(m, settings="", route="", worker="worker", reports=""):
    """Enables the reports as the page says, with the worker of ends.py on the port without DeferAccept's wait."""
    if reports:
        m.drop_in("fdpass-connections.socket", f"[Socket]\n{reports}\n")
    m.drop_in("fdpass.service", f"[X-FDPass]\n{settings}\n")
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
    for entry in m.journal(match="ended at"):
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
