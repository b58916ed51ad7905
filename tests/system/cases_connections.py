# SPDX-License-Identifier: LGPL-2.1-or-later
"""After the handoff: what the kernel tells about connections, and what the broker makes of it."""

import collections
import json
import pathlib
import re
import subprocess
import sys
import time

from cases_shards import BROKERS, add_shards, start
from fdpass import GUEST, alone, case, check, shared
from machine import wait_for

SOURCE = pathlib.Path(__file__).resolve().parents[2]
sys.path += [str(SOURCE / "tests/system/guest"), str(SOURCE / "src/man")]
import ends  # noqa: E402
import pages  # noqa: E402

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
    table, wrong, errors = ends.compare(seen, lost, parts, ends.closed_in(m.output("cat /run/test/closed")))
    m.figures += table
    check(not wrong, f"{wrong.most_common(20)}")
    unseen = len(seen) - len(errors)
    check(may_be_unseen or unseen == 0, f"{unseen} ends were not seen")
    return lines, errors


@shared
@case
def connection_ends(m):
    """Six kinds of ends: each connection is logged once, with its bytes and duration, under the id of its handoff."""
    enable(m, "LogConnections=yes\nLogHandoffs=yes")
    lines, errors = compare(m, *seen_by(m, visit(m, count=10000 if m.long else 300)))
    taken = {entry["FDPASS_ID"]: entry["FDPASS_CLIENT"] for entry in m.journal(match="taken by")}
    check(all(taken[line["FDPASS_ID"]] == name for name, (line,) in lines.items()), "other ids")
    check(ends.quantiles(errors, 0.5)[0] < 0.02, "durations are wrong")


@shared
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
    seen, lost = seen_by(m, load, may_lose=True)
    compare(m, seen, lost, may_be_unseen=True)
    m.figure("clients that were lost", len(lost))
    before = lost + list(seen)  # the line of a lost one may be late

    m.mark()
    stay = visit(m, count=100, threads=100, seconds=2, kinds="server,client,unread")
    wait_for(lambda: int(m.output("cat /run/test/most")) >= 70, 10, "clients at the worker")
    m.run("systemctl kill -s KILL fdpass.service")
    wait_for(lambda: m.property("fdpass.service", "ActiveState") == "active", 5, "the next broker")
    seen, lost = seen_by(m, stay, may_lose=True)
    compare(m, seen, lost + before, may_be_unseen=True)


@case
def connections_limit(m):
    """MaxConnections=: the worker never has one more, and all are served."""
    enable(m, route=f"MaxConnections={LIMIT}\nBalance=least-connections\nMaxQueued=1000")
    count, threads = (2000, 500) if m.long else (200, 120)
    # Not "killed": such a process can't say that it ends before it does.
    seen, _ = seen_by(m, visit(m, count=count, threads=threads, seconds=0.4, kinds="server,client,reset,unread,flight"))
    most = int(m.output("cat /run/test/most"))
    check(len(seen) == count, f"{len(seen)} were served")
    check(most <= LIMIT, f"the worker had {most}")
    check(most > LIMIT * 0.8, f"the worker had {most} only")
    m.figure("clients, at once, most at the worker", f"{len(seen)}, {threads}, {most}")


@alone
@shared
@case
def connections_balanced(m):
    """Balance=least-connections: of three workers one is ten times slower, and none has more than 1.2 times its share."""
    enable(m)
    names, threads = ("one", "two", "slow"), 120
    m.run("systemctl disable --now test-ends.socket; mkdir " + " ".join(f"/run/test/{name}" for name in names))
    for name in names:
        m.worker(name, f"/usr/bin/python3 {GUEST}/ends.py worker {10 if name == 'slow' else 1}", route="Balance=least-connections",
                 service=f"Environment=ENDS_DIRECTORY=/run/test/{name}")
    count = 3000 if m.long else 600
    load = visit(m, count=count, threads=threads, seconds=0.1, kinds="server,client,reset")
    paths, shares = [f"/run/fdpass/{name}.sock" for name in names], []  # shares: of each worker, at each look

    def look():
        rows = [row for row in workers_of(m) if row["Worker"] in paths]
        live = [row["Connections"] for row in rows]
        taken = sum(row["Taken"] for row in rows)
        if sum(live) > threads * 0.8 and taken < count:  # neither the first ones nor the last ones, which the slow worker keeps
            shares.append([n * len(names) / sum(live) for n in live])
        return taken >= count

    wait_for(look, 100, "all clients")
    seen, _ = seen_by(m, load)
    taken = {name: next(row["Taken"] for row in workers_of(m) if row["Worker"] == f"/run/fdpass/{name}.sock") for name in names}
    check(shares, "no look found enough connections")
    means = [sum(share) / len(shares) for share in zip(*shares)]
    m.figure("share of each worker in the mean of so many looks, and at most; clients of each",
             f"{[f'{mean:.2f}' for mean in means]} in {len(shares)}, {max(map(max, shares)):.2f}; {taken}")
    check(max(means) <= 1.2, f"a worker had {max(means):.2f} times its share")
    check(sum(taken.values()) == len(seen), f"{taken}")
    check(taken["slow"] < min(taken["one"], taken["two"]), f"the slow worker had as many as the others: {taken}")


@case
def connections_lost(m):
    """Reports that the kernel had no room for: the log says so once, and the counts are right again in 10 s."""
    count = 15000 if m.long else 400
    enable(m, reports="ReceiveBuffer=4K")
    m.worker("ends", f"/usr/bin/python3 {GUEST}/ends.py keep", service="LimitNOFILE=20000")
    stay = m.popen(f"prlimit --nofile=20000 python3 {GUEST}/ends.py hold --count={count}")
    m.children.append(stay)
    check(stay.stdout.readline() == "started\n", "the clients did not come")
    wait_for(lambda: connections_of(m) == count, 30, f"{count} connections", interval=0.1)
    # All end at once, while the broker reads nothing.
    m.run("systemctl kill -s STOP --kill-whom=main fdpass.service; systemctl kill -s KILL test-ends.service")
    wait_for(lambda: not m.output("ss -Htn state connected exclude time-wait '( sport = :80 )'"), 10, "the ends")
    m.run("systemctl kill -s CONT --kill-whom=main fdpass.service")
    begin = time.monotonic()
    wait_for(lambda: connections_of(m) == 0, 10, "the right number of connections", interval=0.1)
    span = time.monotonic() - begin
    lines = m.journal(match="dropped reports")
    ended = {end: int(n) for end, n in re.findall(r'^fdpass_connections_ended_total\{.*test-ends.*end="(\w+)"\} (\d+)',
                                                  m.output("fdpassctl metrics"), re.M)}
    m.figure("ends at once, counted by kind, time until the count was right", f"{count}, {ended}, {span:.1f} s")
    check(len(lines) == 1, f"{len(lines)} lines about dropped reports")
    check(sum(ended.values()) == count and ended["unseen"] > 0, f"{ended}")


def workers_of(m):
    return json.loads(m.output("fdpassctl --json=short list-workers"))


def connections_of(m):
    return next(row["Connections"] for row in workers_of(m) if row["Worker"] == "/run/fdpass/ends.sock")


@case
def connections_of_shards(m):
    """Two brokers at one port get the same reports, and each counts the connections of its own clients."""
    enable(m)
    add_shards(m, "fdpass-shard@1", "fdpass-shard-connections@1")
    start(m, *BROKERS)
    seen, _ = seen_by(m, visit(m, count=100))
    ended = {}

    def all_have_ended():
        for name, control in ("fdpass", "control"), ("shard", "shard-1/control"):
            metrics = m.output(f"fdpassctl --control=/run/fdpass/{control} metrics")
            ended[name] = sum(map(int, re.findall(r'^fdpass_connections_ended_total\{.*test-ends.*\} (\d+)', metrics, re.M)))
        return sum(ended.values()) >= len(seen)

    wait_for(all_have_ended, 5, "the ends of all connections", interval=0.1)
    m.figure("ends of each broker", f"{ended}")
    check(sum(ended.values()) == len(seen) and min(ended.values()) > 10, f"{ended}")


@case
def access_log(m):
    """The access log of fdpass(7): what its line of jq(1) makes of the journal."""
    commands, recipe = (block.text for block in pages.sections(SOURCE / "src/man/fdpass.7.scd")["ACCESS LOG"])
    m.worker("ends", f"/usr/bin/python3 {GUEST}/ends.py worker")
    m.run("set -e\n" + commands)
    seen, _ = seen_by(m, visit(m, count=10, kinds="server,client,unread"))
    wait_for(lambda: len(lines_of(m)) == 10, 5, "the entries")
    journalctl, jq = recipe.split(" |\n")
    done = subprocess.run(jq, shell=True, input=m.output(journalctl), capture_output=True, text=True)
    check(done.returncode == 0 and not done.stderr, done.stderr)
    lines = [line.split("\t") for line in done.stdout.splitlines() if "\ttest-ends.socket\t" in line]
    found = {line[1]: line for line in lines if line[1] in seen}
    check(len(found) == 10, done.stdout)
    for name, (begin, _, _, seconds, n_in, n_out) in found.items():
        check(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", begin), begin)
        check((int(n_in), int(n_out)) == (seen[name]["in"], seen[name]["out"]), f"{name}: {seconds} {n_in} {n_out}")


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
