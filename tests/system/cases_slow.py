# SPDX-License-Identifier: LGPL-2.1-or-later
"""Clients that are slow to say what they want, or never do, and the others meanwhile."""

import time

from fdpass import GUEST, alone, case, check, shared
from machine import wait_for

PARTIAL = 10_000


def slow(m, count, **options):
    """Starts clients that never finish their head."""
    arguments = " ".join(f"--{name}='{value}'" for name, value in options.items())
    child = m.popen(f"python3 {GUEST}/visitors.py slow --count={count} {arguments}")
    m.children.append(child)
    return child


def connected(child):
    check(child.stdout.readline() == "connected\n", "the slow clients did not start")


def refused(report):
    """How many had each kind of end, by the status code where there is one."""
    return {how.split()[1] if how.startswith("HTTP/1.1 ") else how: n for how, n in report["ends"].items()}


def cpu(m, pid):
    """Seconds of CPU, to the nanosecond: /proc/PID/stat counts in ticks of 10 ms."""
    return int(m.output(f"cat /proc/{pid}/schedstat").split()[0]) / 1e9


def routes(m, head_timeout, listener="", host="nobody.example"):
    """A listener on which heads are looked at, and a broker on it."""
    m.drop_in("fdpass.socket", f"[X-FDPass]\nHeadTimeoutSec={head_timeout}\n{listener}\n")
    m.worker("serve", "serve serve", route=f"Host={host}\n", enable=False)
    m.run("systemctl daemon-reload; systemctl enable --now test-serve.socket")
    pid = m.start_broker()
    check(m.who() is not None, "it does not serve")
    return pid


def slots(m, pid):
    """How many clients the broker has room for here: the limits of the machine may be lower than the unit's."""
    limit = next(line for line in m.output(f"cat /proc/{pid}/limits").splitlines() if line.startswith("Max open files"))
    return (int(limit.split()[3]) - 128) // 2


@alone
@shared
@case
def idle_partial_heads(m):
    """10,000 idle partial heads: next to no CPU, little memory, others are served as before; the oldest make room."""
    pid = routes(m, "60s", "MaxClientsPerSource=1000")
    room = slots(m, pid)
    before = m.load(count=1000, threads=2)
    idle, rss = cpu(m, pid), m.status(pid, "VmRSS")

    count = min(PARTIAL, room - 200)
    m.figure("room for clients at the machine's limit of descriptors", room)
    crowd = slow(m, count, sources=100)
    connected(crowd)
    wait_for(lambda: m.descriptors(pid)[0] > count, 20, "all of them in the broker")
    idle, begin = cpu(m, pid), time.monotonic()
    time.sleep(5)  # the time over which is counted, not a wait for something
    used = (cpu(m, pid) - idle) / (time.monotonic() - begin) * 100
    check(m.ask(crowd)["open"] == count, f"not all of them are idle: {m.ask(crowd)}")
    grown, total = m.status(pid, "VmRSS") - rss, m.status(pid, "VmRSS")
    m.figure("idle partial heads", count)
    m.figure("CPU of the broker meanwhile", used, "%", 3)
    m.figure("resident memory, growth", f"{total} KiB, {grown} KiB")
    check(used <= 1, f"{used} % CPU")
    check(total <= 40 * 1024, f"{total} KiB")

    during = m.load(count=2000, threads=2)
    m.figure("others: p99 before, meanwhile", f"{before['p99'] * 1000:.1f} ms, {during['p99'] * 1000:.1f} ms")
    check(not during["errors"], f"others: {during['errors']}")
    check(during["p99"] <= 0.02, f"p99 {during['p99'] * 1000:.1f} ms")

    # More than there is room for: the oldest go, with an answer, and those who speak are served all the same.
    if count < PARTIAL:
        surplus = PARTIAL - count
        more = slow(m, surplus, sources=10, network=2)
        connected(more)
        evicted = count + surplus - room
        wait_for(lambda: sum(m.ask(crowd)["ends"].values()) >= evicted, 10, "the oldest evicted")
        full = m.load(count=1000, threads=2)
        ends = refused(m.ask(crowd))
        m.figure("with 10,000: evicted, by answer", str(ends))
        m.figure("others meanwhile: p99", full["p99"] * 1000, "ms", 1)
        check(not full["errors"], f"others: {full['errors']}")
        check(full["p99"] <= 0.02, f"p99 {full['p99'] * 1000:.1f} ms")
        check(set(ends) == {"408"}, f"{ends}")
        check(m.ask(more)["open"] == surplus, f"new ones were evicted: {m.ask(more)}")
    check(m.broker() == pid, "it is another broker")


@alone
@shared
@case
def dripping_heads(m):
    """1,000 clients of one byte per 100 ms are all refused at the deadline, with 408."""
    deadline = 3
    pid = routes(m, f"{deadline}s")
    head = "GET / HTTP/1.1\\r\\nHost: localhost\\r\\nX-Slow: " + "a" * 100
    before = cpu(m, pid)
    crowd = slow(m, 1000, sources=10, say=head, every=0.1)
    connected(crowd)
    wait_for(lambda: not m.ask(crowd)["open"], deadline + 5, "the end of all of them", interval=0.2)
    report = m.ask(crowd)
    times = [t for pair in report["times"].values() for t in pair]
    m.figure("clients of one byte per 100 ms, by answer", str(refused(report)))
    m.figure(f"refused after (deadline {deadline} s)", f"{min(times):.2f} s to {max(times):.2f} s")
    m.figure("CPU of the broker for them", cpu(m, pid) - before, "s", 2)
    check(refused(report) == {"408": 1000}, f"{report}")
    check(deadline - 0.5 <= min(times) and max(times) <= deadline + 0.5, f"{times}")


def greedy(m, say, served):
    """One address opens 5,000 connections; returns what became of them, and what the others saw before, meanwhile
    and afterwards."""
    before = m.load(count=1000, threads=2)
    others = m.client("load", threads=2)
    crowd = slow(m, 5000, say=say)
    connected(crowd)
    wait_for(lambda: m.ask(crowd)["open"] <= served, 20, f"at most {served} of its clients in the broker")
    during = m.end_load(others)
    report = m.ask(crowd)
    after = m.load(count=1000, threads=2)
    m.figure("connections of one address: open, refused", f"{report['open']}, {refused(report)}")
    m.figure("others: p99 before, while they came, with those that stay",
             ", ".join(f"{seen['p99'] * 1000:.1f} ms" for seen in (before, during, after)))
    m.figure("others: served while they came, the longest wait", f"{during['asked']}, {during['longest'] * 1000:.0f} ms")
    check(not during["errors"] and not after["errors"], f"others: {during['errors']}, {after['errors']}")
    check(after["p99"] <= 0.02, f"p99 {after['p99'] * 1000:.1f} ms")
    # The clients of this case need both processors while they connect.
    check(during["p99"] <= 0.15, f"p99 {during['p99'] * 1000:.1f} ms while they came")
    return report


@alone
@shared
@case
def greedy_source(m):
    """One address that opens 5,000 connections has its share, and the others are served as before."""
    pid = routes(m, "60s")
    share = min(slots(m, pid) // 8, 512)
    report = greedy(m, "GET / HTTP/1.1\\r\\n", share)
    check(report["open"] == share, f"{report}")
    check(refused(report) == {"503": 5000 - share}, f"{refused(report)}")


@alone
@shared
@case
def greedy_silent_source(m):
    """The same where it says nothing on them, and the kernel keeps them back for DeferAcceptSec=1."""
    pid = routes(m, "60s", host="localhost 127.0.0.1")
    report = greedy(m, "", min(slots(m, pid) // 8, 512))
    check(set(refused(report)) == {"closed"}, f"{report}")
    check(m.broker() == pid, "it is another broker")
