# SPDX-License-Identifier: LGPL-2.1-or-later
"""The way of a client, from the public port to the worker."""

import re
import statistics
import time

from fdpass import GUEST, INSTALL, PROGRAMS, alone, case, check, shared
from machine import BUILD, wait_for


@case
def install(m):
    """After the administrator's commands no process runs; a client starts broker and worker."""
    m.run("systemctl disable --now fdpass.socket; systemctl stop fdpass.target fdpass-hello.socket; rm -rf /run/fdpass")
    m.run(INSTALL)
    check(not m.output(f"pgrep -f ^{PROGRAMS}", check=False), "something runs before the first client")
    for unit in "fdpass.service", "fdpass-hello.service", "fdpass-metrics.service":
        check(m.property(unit, "ActiveState") == "inactive", f"{unit} is not inactive")

    for host, address in ("127.0.0.1", r"127\.0\.0\.1:"), ("[::1]", r"\[?::1\]?:"):
        done = m.curl(host=host, options="-w '%{local_port}'")
        body, _, port = done.stdout.rpartition("\n")
        check(done.returncode == 0 and re.search(rf"{address}{port}\b", body),
              f"from {host}, port {port}: {done.stdout}{done.stderr}")
    for unit in "fdpass.service", "fdpass-hello.service":
        check(m.property(unit, "SubState") == "running", f"{unit} does not run")
    check(m.property("fdpass.service", "User") == "fdpass", "the broker has another user")
    check(m.status(m.broker(), "Uid") != 0, "the broker runs as root")


@alone
@shared
@case
def cold_start(m):
    """The time from connect to the first byte, with neither broker nor worker running."""
    times = []
    for _ in range(20):
        m.run("systemctl stop fdpass.service fdpass-hello.service")
        times.append(float(m.output(f"python3 {GUEST}/clients.py first")))
    m.figure("cold connect to first byte, median of 20", statistics.median(times), "ms", 1)
    m.figure("the longest", max(times), "ms", 1)
    check(statistics.median(times) < 500, f"{times} ms")


@case
def status(m):
    """READY= and STATUS= reach systemd, the watchdog is fed, a reload is seen to its end."""
    pid = m.start_broker()
    wait_for(lambda: "1 route" in m.property("fdpass.service", "StatusText"), 5, "a status with the number of routes")
    m.load(count=40)
    wait_for(lambda: re.search(r"\b40 clients", m.property("fdpass.service", "StatusText")), 5, "a status with 40 clients")
    check(m.property("fdpass.service", "WatchdogUSec") not in ("0", "infinity"), "there is no watchdog")
    watched = m.property("fdpass.service", "WatchdogTimestampMonotonic")
    check(int(watched) > 0, "the watchdog was never fed")

    m.run("systemctl reload fdpass.service")
    wait_for(lambda: m.property("fdpass.service", "SubState") == "running", 5, "the end of the reload")
    check(m.broker() == pid, "a reload started another broker")
    check(m.who() is not None, "no answer after a reload")


@case
def watchdog(m):
    """A broker that hangs is replaced by the watchdog."""
    m.drop_in("fdpass.service", "[Service]\nWatchdogSec=1s\n")
    m.run("systemctl daemon-reload")
    pid = m.start_broker()
    wait_for(lambda: m.property("fdpass.service", "WatchdogUSec") == "1s", 5, "the shorter watchdog")
    m.run(f"kill -STOP {pid}")
    wait_for(lambda: m.broker() not in (0, pid), 10, "another broker")
    check(m.who() is not None, "no answer from the new one")
    m.mark()  # the end by the watchdog was asked for


@case
def plain_worker(m):
    """A receiver written for mod_proxy_fdpass works as it is."""
    m.worker("plain", f"/usr/bin/python3 {GUEST}/plain.py")
    source = m.path(f"{GUEST}/plain.py").read_text().splitlines()
    check(len([line for line in source if line.strip() and not line.startswith("#")]) <= 15, "it is longer than 15 lines")
    done = m.curl(options="-w '%{local_port}'")
    body, _, port = done.stdout.rpartition("\n")
    check(body == f"plain worker, client ::ffff:127.0.0.1:{port}", f"{done.stdout}{done.stderr}")
    seen = m.load(count=2000)
    check(not seen["errors"], f"{seen}")


@alone
@shared
@case
def many_handoffs(m):
    """Many handoffs leave no descriptor, no epoll registration and no memory behind: 40,000, with --long 100,000."""
    n = 100_000 if m.long else 40_000
    m.load(count=50, threads=25)
    pid = m.start_broker()
    before = wait_for(lambda: settled(m, pid), 10, "a broker without a client")
    rss = m.status(pid, "VmRSS")

    seen = m.load(count=n, processes=2, threads=25)
    check(seen["asked"] == n and not seen["errors"], f"{seen['asked']} asked, {seen['errors']}")
    wait_for(lambda: m.descriptors(pid) == before, 10, f"{before} descriptors and registrations again")
    check(m.broker() == pid, "it is another process")
    grown = m.status(pid, "VmRSS") - rss
    check(grown < 512, f"it has grown by {grown} KiB")
    m.figure("handoffs", seen["asked"])
    m.figure("rate with these clients (Python) and the hello worker on the same processors", seen["rate"], "/s")
    m.figure("open descriptors, epoll registrations before and after", "%d, %d" % before)
    m.figure("resident memory before, growth", f"{rss} KiB, {grown} KiB")


def settled(m, pid):
    """The numbers of descriptors and registrations where they stay the same for a moment; None where not."""
    first = m.descriptors(pid)
    time.sleep(0.1)
    return first if m.descriptors(pid) == first else None


@case
def ghost_events(m):
    """What goes on between a worker and its clients wakes the broker no more."""
    m.worker("hold", "hold")
    clients = m.client("echo", count=100)
    pid = m.start_broker()
    opened, registered = wait_for(lambda: settled(m, pid), 10, "a broker at rest")
    m.ask(clients)
    before = m.status(pid, "voluntary_ctxt_switches"), m.cpu(pid)
    for _ in range(200):
        check(m.ask(clients) == 100, "a client lost its worker")
    wakeups = m.status(pid, "voluntary_ctxt_switches") - before[0]
    m.figure("messages between clients and worker", 200 * 100)
    m.figure("wakeups of the broker meanwhile", wakeups)
    m.figure("CPU of the broker meanwhile", m.cpu(pid) - before[1], "s", 2)
    check(wakeups < 20, f"{wakeups} wakeups")
    check(m.descriptors(pid) == (opened, registered), "its descriptors changed")


@case
def idle_broker(m):
    """At rest the broker sleeps."""
    m.load(count=100)
    pid = m.start_broker()
    wait_for(lambda: settled(m, pid), 10, "a broker at rest")
    wait_for(lambda: "100 clients" in m.property("fdpass.service", "StatusText"), 5, "its last word to systemd")
    before = m.status(pid, "voluntary_ctxt_switches")
    time.sleep(2)  # the time over which is counted, not a wait for something
    wakeups = m.status(pid, "voluntary_ctxt_switches") - before
    m.figure("wakeups in 2 s", wakeups)
    m.figure("resident memory", m.status(pid, "VmRSS"), "KiB")
    check(wakeups <= 2, f"{wakeups} wakeups in 2 s")


@case
def verify(m):
    """systemd-analyze verify finds nothing to say about the units."""
    units = m.output(f"find {BUILD}/units -maxdepth 1 -name 'fdpass*.socket' -o -name 'fdpass*.service' "
                     "-o -name 'fdpass*.target' | xargs -n 1 basename | sed 's/@\\./@8443./'").split()
    check(len(units) >= 6, f"these are too few: {units}")
    for unit in units:
        done = m.run(f"systemd-analyze verify --man=no {unit}", check=False)
        check(done.returncode == 0 and not done.stdout + done.stderr, f"{unit}: {done.stdout}{done.stderr}")
    m.figure("units", len(units))


@case
def exposure(m):
    """systemd-analyze security gives every service 0.3 or better, and the TLS stage, which makes TCP connections, 0.5."""
    services = m.output(f"find {BUILD}/units -name 'fdpass*.service' | xargs -n 1 basename").split()
    services.remove("fdpass-tls-renew.service")  # systemctl, for a moment: it takes bytes from nobody
    for service in services:
        # The threshold counts in tenths.
        threshold = 5 if service.startswith("fdpass-tls") else 3
        done = m.run(f"systemd-analyze security --no-pager --threshold={threshold} {service}", check=False)
        level = re.search(r"Overall exposure level for \S+: (\S+)", done.stdout)
        check(level, done.stdout + done.stderr)
        m.figure(service, level[1])
        check(done.returncode == 0, f"{service}: {level[1]}")
