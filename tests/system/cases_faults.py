# SPDX-License-Identifier: LGPL-2.1-or-later
"""Workers and brokers that die, hang, or get in each other's way."""

import collections
import json
import os
import time

from fdpass import GUEST, alone, case, check, shared
from machine import wait_for


def failed_units(m):
    return m.output("systemctl --failed --plain --no-legend")


def killed_workers(m, point):
    m.worker("die", f"die {point} 20 /run/test/count 50", service="RestartSec=10ms")
    load = m.client("load", threads=16)
    wait_for(lambda: m.output("stat -c %s /run/test/count", check=False) == "50", 60, "50 workers killed")
    seen = m.end_load(load)
    m.figure("workers killed", 50)
    m.figure("clients", seen["asked"])
    m.figure("lost", sum(seen["errors"].values()))
    m.figure("the longest wait", seen["longest"] * 1000, "ms", 0)
    check(not seen["errors"], f"{seen['errors']}")
    check(not failed_units(m), failed_units(m))
    return seen


@case
def worker_killed_before_accept(m):
    """50 workers killed while clients wait in their backlog: no client is lost."""
    killed_workers(m, "before-accept")


@case
def worker_killed_after_accept(m):
    """50 workers killed between accept and receive: the client goes to the next one, none is lost."""
    killed_workers(m, "after-accept")


@shared
@case
def worker_killed_anywhere(m):
    """100 workers killed from outside, under load: only clients that a worker had received are lost."""
    m.worker("record", "record /run/test/seen", service="RestartSec=10ms")
    load = m.client("load", threads=16)
    kill = m.popen("""sh -c '
        last=0; n=0
        while [ $n -lt 100 ]; do
            pid=$(systemctl show -P MainPID test-record.service)
            size=$(stat -c %s /run/test/seen 2>/dev/null || echo 0)
            # Each worker has received somebody before it is killed.
            if [ "$pid" != 0 ] && [ "$pid" != "$last" ] && [ "$size" != "$before" ]; then
                kill -KILL "$pid"; last=$pid; before=$size; n=$((n + 1))
            fi
        done'""")
    m.children.append(kill)
    kill.wait(60)
    wait_for(lambda: m.who() == "record", 5, "a worker again")
    seen = m.end_load(load)

    begun = received = 0
    ports = set()
    for line in m.output("cat /run/test/seen").splitlines():
        if line == "begin":
            begun += 1
        else:
            received += 1
            ports.add(int(line.rpartition(":")[2]) if ":" in line else None)
    unknown = [port for port in seen["lost"] if port not in ports]
    m.figure("workers killed", 100)
    m.figure("clients", seen["asked"])
    m.figure("lost, all of them in a worker that had received them", len(seen["lost"]))
    m.figure("the longest wait", seen["longest"] * 1000, "ms", 0)
    # A worker may die after the receive and before it has written that down: at most once for each "begin" alone.
    check(len(unknown) <= begun - received, f"{len(unknown)} clients were lost that no worker had received")
    check(len(seen["lost"]) <= 100, f"{len(seen['lost'])} clients lost by 100 workers that serve one at a time")
    check(not failed_units(m), failed_units(m))


@case
def worker_exits_at_once(m):
    """A worker that exits at once, often: no unit fails, its clients wait and are served in the end."""
    n = 1000 if m.long else 400
    # Most ends are no failures, and the socket starts it again at once; after the others Restart= does, by a timer
    # that may be 250 ms late.
    m.write("/usr/local/bin/exit-at-once", "#!/bin/sh\necho >>/run/test/starts\nexit $(($$ % 25 == 0))\n", 0o755)
    m.worker("exit", "/usr/local/bin/exit-at-once", route="QueueTimeoutSec=2min\n", service="RestartSec=1ms")
    m.run("touch /run/test/starts")
    pid = m.start_broker()
    begin = time.monotonic()
    waiting = m.client("crowd", count=20)
    wait_for(lambda: int(m.output("wc -l </run/test/starts")) >= n, 60, f"{n} starts", interval=0.2)
    seconds = time.monotonic() - begin
    check(not failed_units(m), failed_units(m))
    for unit in "fdpass.socket", "test-exit.socket":
        check(m.property(unit, "ActiveState") == "active", f"{unit} is {m.property(unit, 'ActiveState')}")
    check(m.ask(waiting)["state"].get("open") == 20, f"{m.ask(waiting)}")
    check(m.broker() == pid, "it is another broker")

    m.drop_in("test-exit.service", f"[Service]\nExecStart=\nExecStart=/usr/bin/python3 {GUEST}/worker.py serve exit\n")
    m.run("systemctl daemon-reload")
    wait_for(lambda: m.ask(waiting)["state"].get("answered") == 20, 10, "the answers to those who waited")
    m.figure("starts", n)
    m.figure("a second", n / seconds, "", 0)
    m.figure("clients that waited through it and were served", 20)


@case
def broker_killed(m):
    """20 brokers killed: the port answers again within 1 s; those in workers and in backlogs notice nothing."""
    m.run("systemctl enable fdpass@8443.socket fdpass@8444.socket; systemctl start fdpass@8443.socket fdpass@8444.socket")
    m.worker("hold", "hold", route="Listener=8443\n")
    # A worker that takes one and never gives the receipt: the others wait inside of the broker.
    m.worker("stuck", "idle", route="Listener=8444\nMaxPending=1\nQueueTimeoutSec=60s\n")
    m.start_broker()
    held = m.client("echo", port=8443, count=50)
    times = []
    inside_ended = 0
    for _ in range(20):
        pid = m.start_broker()
        inside = m.client("crowd", port=8444, count=5)
        wait_for(lambda: m.descriptors(pid)[0] >= 5 + 5, 5, "five clients inside")
        m.run(f"kill -STOP {pid}")
        backlog = m.client("crowd", count=10)  # nobody accepts them now
        begin = time.monotonic()
        m.run(f"kill -KILL {pid}")
        check(m.who(), "nobody answers")
        times.append(time.monotonic() - begin)
        wait_for(lambda: m.ask(backlog)["state"].get("answered") == 10, 5, "the answers to those in the backlog")
        # The first one is in the worker's backlog. The others end with the broker's helper, which dies a moment later.
        wait_for(lambda: m.ask(inside)["state"].get("open", 0) <= 1, 2, "the end of those inside")
        inside_ended += 5 - m.ask(inside)["state"].get("open", 0)
        check(m.ask(held) == 50, "a client in a worker noticed")
        for child in inside, backlog:
            child.stdin.close()
            child.wait()
            m.children.remove(child)
    m.figure("brokers killed", 20)
    m.figure("from the kill to the next client's answer, the longest", max(times) * 1000, "ms", 0)
    m.figure("clients in the port's backlog, all served", 200)
    m.figure("clients in workers, all unharmed", 50)
    m.figure("clients inside of the broker that ended", inside_ended)
    check(max(times) < 1, f"{times}")
    check(not failed_units(m), failed_units(m))


@case
def broker_restarted(m):
    """systemctl restart under load, 10 times: no client is lost."""
    m.start_broker()
    load = m.client("load", threads=16)
    for _ in range(10):
        m.run("systemctl restart fdpass.service")
        check(m.who(), "nobody answers")
    seen = m.end_load(load)
    m.figure("clients", seen["asked"])
    m.figure("lost", sum(seen["errors"].values()))
    m.figure("the longest wait", seen["longest"] * 1000, "ms", 0)
    check(not seen["errors"], f"{seen['errors']}")


@case
def stop_finishes(m):
    """SIGTERM while clients wait in the broker: they are handed out before it ends."""
    m.run("systemctl enable --now fdpass@8443.socket")
    m.worker("slow", "serve slow", route="Listener=8443\nMaxPending=1\nQueueTimeoutSec=60s\n")
    check(m.who(8443) == "slow", "it does not serve")
    m.run("systemctl kill -s STOP test-slow.service")
    pid = m.start_broker()
    crowd = m.client("crowd", port=8443, count=5)
    wait_for(lambda: m.descriptors(pid)[0] >= 5 + 5, 5, "five clients inside")
    m.run("systemctl stop --no-block fdpass.service")
    wait_for(lambda: m.property("fdpass.service", "ActiveState") == "deactivating", 5, "a broker that stops")
    m.run("systemctl kill -s CONT test-slow.service")
    wait_for(lambda: m.ask(crowd)["state"].get("answered") == 5, 5, "the answers to all five")
    wait_for(lambda: m.property("fdpass.service", "ActiveState") == "inactive", 5, "its end")


@case
def clients_that_reset(m):
    """Clients that reset while they are accepted: nobody else notices, no unit fails."""
    m.worker("serve", "serve serve")
    pid = m.start_broker()
    before = m.descriptors(pid)
    load = m.client("load", threads=4)
    m.run(f"python3 {GUEST}/clients.py reset --count=5000")
    seen = m.end_load(load)
    m.figure("resets", 5000)
    m.figure("other clients meanwhile", seen["asked"])
    check(not seen["errors"], f"{seen['errors']}")
    check(m.broker() == pid, "it is another broker")
    check(not failed_units(m), failed_units(m))
    wait_for(lambda: m.descriptors(pid) == before, 5, f"{before} descriptors and registrations again")


@alone
@shared
@case
def stopped_worker(m):
    """10,000 clients on a worker that is stopped: bounded queue, surplus closed in time, others served as before."""
    pending, queue, deadline = 500, 1000, 3
    m.run("systemctl enable fdpass@8443.socket; systemctl start fdpass@8443.socket")
    m.worker("stop", "serve stop",
             route=f"Listener=8443\nMaxPending={pending}\nMaxQueued={queue}\nQueueTimeoutSec={deadline}s\n")
    check(m.who(8443) == "stop", "it does not serve")
    pid = m.start_broker()
    before = m.load(count=4000, processes=1, threads=4)
    m.run("systemctl kill -s STOP test-stop.service")

    crowds = [m.client("crowd", wait_for_line=False, port=8443, count=5000, sources=100) for _ in range(2)]
    others = m.client("load", threads=4)
    opened = 0
    for child in crowds:
        child.stdout.readline()
    waiting = pending + queue
    begin = time.monotonic()
    most = 0
    while True:
        opened = m.descriptors(pid)[0]
        most = max(most, opened)
        states = [m.ask(child) for child in crowds]
        left = sum(s["state"].get("open", 0) for s in states)
        if left == 0:  # those in the worker's backlog are ended in time as well
            break
        check(time.monotonic() - begin < deadline + 5, f"{left} clients are still open")
    during = m.end_load(others)
    last = max(s["last_end"] or 0 for s in states)
    ends = {}
    for s in states:
        for how, n in s["state"].items():
            ends[how] = ends.get(how, 0) + n
    m.figure("clients of the stopped worker, by their end", str(ends))
    m.figure("the last one closed after", last, "s", 2)
    m.figure("the broker's open descriptors at most", most)
    m.figure("others: p99 before, meanwhile", f"{before['p99'] * 1000:.1f} ms, {during['p99'] * 1000:.1f} ms")
    m.figure("others: served meanwhile, errors", f"{during['asked']}, {sum(during['errors'].values())}")
    check(not during["errors"], f"others: {during['errors']}")
    check(last < deadline + 1, f"a client was closed after {last:.2f} s")
    check(most < 2 * waiting + 2000, f"the broker held {most} descriptors")  # two a client, and those being refused
    check(not m.journal(match="ETOOMANYREFS|[Tt]oo many references"), "ETOOMANYREFS")

    # It finds sockets at their end, and the next clients are served.
    m.run("systemctl kill -s CONT test-stop.service")
    check(m.who(8443) == "stop", "it does not serve again")


@case
def in_flight_limit(m):
    """A stopped worker whose backlog could take all that the kernel lets one user have in flight."""
    m.drop_in("fdpass.service", "[Service]\nLimitNOFILE=1024\n")
    m.run("systemctl daemon-reload; systemctl enable fdpass@8443.socket; systemctl start fdpass@8443.socket")
    m.worker("stop", "serve stop", route="Listener=8443\nMaxPending=4096\nMaxQueued=100\nQueueTimeoutSec=1s\n")
    check(m.who(8443) == "stop", "it does not serve")
    pid = m.start_broker()
    m.run("systemctl kill -s STOP test-stop.service")
    m.client("crowd", port=8443, count=3000, sources=100)
    seen = m.load(count=40, timeout=3)
    m.figure("others: served, errors", f"{seen['asked']}, {sum(seen['errors'].values())}")
    m.figure("the longest wait", seen["longest"] * 1000, "ms", 0)
    check(not seen["errors"], f"others: {seen['errors']}")
    check(seen["longest"] < 3, f"others waited for {seen['longest']} s")
    cpu = m.cpu(pid)
    time.sleep(1)  # the time over which is counted, not a wait for something
    m.figure("CPU of the broker in 1 s", m.cpu(pid) - cpu, "s", 2)
    check(m.cpu(pid) - cpu < 0.5, "the broker spins")
    check(m.broker() == pid, "it is another broker")


@case
def high_water(m):
    """MaxClients= reached: accept pauses with one line, costs nothing, and goes on; every client gets an answer."""
    m.drop_in("fdpass.service", "[X-FDPass]\nMaxClients=50\n")
    m.run("systemctl daemon-reload; systemctl enable fdpass@8443.socket; systemctl start fdpass@8443.socket")
    ports = 80, 8443  # one pool alone may not take all of the room
    for port, listener in zip(ports, ("public", "8443")):
        m.worker(f"stop{port}", f"serve stop{port}",
                 route=f"Listener={listener}\nMaxPending=1\nMaxQueued=1000\nQueueTimeoutSec=60s\n")
        check(m.who(port) == f"stop{port}", "it does not serve")
    pid = m.start_broker()
    m.run("systemctl kill -s STOP 'test-stop*.service'")
    crowds = [m.client("crowd", port=port, count=100, sources=100) for port in ports]
    m.one_line("no more are accepted", besides="refused")
    cpu = m.cpu(pid)
    time.sleep(1)  # the time over which is counted, not a wait for something
    m.figure("CPU of the broker in 1 s", m.cpu(pid) - cpu, "s", 2)
    check(m.cpu(pid) - cpu < 0.1, "the broker spins")
    check(m.descriptors(pid)[0] < 150, f"{m.descriptors(pid)[0]} descriptors")

    m.run("systemctl kill -s CONT 'test-stop*.service'")
    wait_for(lambda: not any(m.ask(child)["state"].get("open") for child in crowds), 10, "an answer to everybody")
    for child in crowds:
        state = m.ask(child)["state"]
        m.figure("clients, by their end", str(state))
        check(state.get("answered", 0) >= 20 and set(state) <= {"open", "answered", "refused"}, f"{state}")
    m.one_line("accepted again", priority=5, besides="refused|no more are")


def paced(m, seconds, rate, host="localhost", source="127.0.21.1"):
    """So many clients a second, each from the moment it is due; returns what they saw, latencies in µs."""
    m.run(f"[ -e /root/paced ] || gcc -O2 -D_GNU_SOURCE -o /root/paced {GUEST}/paced.c")
    out = m.output(f"timeout -s TERM {seconds} /root/paced {source} 127.0.0.1 80 {host} {rate}; :", timeout=seconds + 60)
    *failed, report = out.splitlines()
    return json.loads(report) | {"kinds": collections.Counter(line.split()[1] for line in failed)}


def unharmed(before, during):
    check(during["p50"] < 3 * before["p50"] + 20_000, f"p50 {before['p50']}, {during['p50']} µs")
    check(during["p99"] < 3 * before["p99"] + 500_000, f"p99 {before['p99']}, {during['p99']} µs")


@alone
@shared
@case
def journal_stopped(m):
    """journald stopped while each handoff is logged: nobody waits for it, and what was dropped is told afterwards."""
    seconds = float(os.environ.get("FDPASS_TEST_JOURNAL_SECONDS", 4))  # 60 by hand
    m.drop_in("fdpass.service", "[X-FDPass]\nLogHandoffs=yes\n[Service]\nLogRateLimitIntervalSec=0\n")
    m.run("systemctl daemon-reload")
    m.start_broker()
    before = paced(m, seconds, 500)
    m.run("systemctl kill -s STOP systemd-journald.service")
    during = paced(m, seconds, 500)
    m.run("systemctl kill -s CONT systemd-journald.service")
    m.load(count=10)
    for name, seen in ("before", before), ("journald stopped", during):
        m.figure(f"{name}: served, p50, p99, p99.9, the longest in ms",
                 ", ".join([f"{seen['served']:,}"] + [f"{seen[k] / 1000:.1f}" for k in ("p50", "p99", "p999", "longest")]))
        check(not seen["failed"] and seen["served"] > 0, f"{name}: {seen}")
    # A broker that waited for journald would do so to the end; the rest is what a busy machine makes of it.
    unharmed(before, during)
    told = wait_for(lambda: m.journal(match="log messages were dropped"), 5, "the number of dropped messages")
    n = sum(int(entry["MESSAGE"].split()[0]) for entry in told)
    m.figure("messages dropped, as told", n)
    # The journal's queue takes some hundred messages before the first is dropped.
    check(0 < n <= during["served"], f"{n} dropped of {during['served']}")


@shared
@case
def hostile_worker(m):
    """A worker that answers garbage, nothing, very often, sends descriptors, lingers and dies: only its clients notice."""
    m.worker("serve", "serve serve", route="Host=localhost\n")
    m.worker("hostile", f"/usr/bin/python3 {GUEST}/hostile.py worker", route="Host=hostile.test\nQueueTimeoutSec=1s\n",
             service="RestartSec=10ms\n")
    pid = m.start_broker()
    before = paced(m, 2, 100)
    bad = m.popen("timeout -s TERM 5 /root/paced 127.0.24.1 127.0.0.1 80 hostile.test 50")
    m.children.append(bad)
    during = paced(m, 4, 100)
    m.run("systemctl stop test-hostile.socket test-hostile.service")
    m.figure("others before: p50, p99, the longest", f"{before['p50']}, {before['p99']}, {before['longest']} µs")
    m.figure("others meanwhile", f"{during['p50']}, {during['p99']}, {during['longest']} µs")
    check(not before["failed"] and not during["failed"], f"{before['kinds']}, {during['kinds']}")
    unharmed(before, during)
    check(m.broker() == pid, "it is another broker")
    bad.communicate(timeout=60)
    m.children.remove(bad)
    wait_for(lambda: m.descriptors(pid)[0] < 30, 35, "the end of its clients")


@shared
@case
def hostile_returns(m):
    """Everything that is no client, and a crowd that says nothing, on the return socket: nothing stays, nobody notices."""
    m.worker("serve", "serve serve", route="Host=localhost\n")
    pid = m.start_broker()
    check(m.who(host="localhost") == "serve", "it does not serve")
    wait_for(lambda: m.descriptors(pid)[0] < 30, 5, "a broker at rest")
    descriptors, rss = m.descriptors(pid), m.status(pid, "VmRSS")
    before = paced(m, 2, 100)
    silent = m.popen(f"python3 {GUEST}/hostile.py silent 1000 5")
    m.children.append(silent)
    silent.stdout.readline()
    bad = m.popen(f"python3 {GUEST}/hostile.py return 20000")
    m.children.append(bad)
    during = paced(m, 4, 100)
    m.figure("others before: p50, p99, the longest", f"{before['p50']}, {before['p99']}, {before['longest']} µs")
    m.figure("others meanwhile", f"{during['p50']}, {during['p99']}, {during['longest']} µs")
    check(not before["failed"] and not during["failed"], f"{before['kinds']}, {during['kinds']}")
    unharmed(before, during)
    bad.communicate(timeout=60)
    silent.kill()
    wait_for(lambda: m.descriptors(pid) == descriptors, 10, f"{descriptors} again")
    check(m.broker() == pid, "it is another broker")
    m.figure("messages, and silent peers; growth of memory", f"20,000, 1,000; {m.status(pid, 'VmRSS') - rss} KiB")
