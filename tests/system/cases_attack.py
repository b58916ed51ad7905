# SPDX-License-Identifier: LGPL-2.1-or-later
"""Attacks on the broker under its shipped units: others are served meanwhile, and a restart brings a new broker."""

import json
import time

from fdpass import GUEST, SOURCE, alone, case, check, shared
from machine import wait_for

ATTACKS = f"{SOURCE}/tests/unit/attacks"
P99, TIMES_BEFORE = 0.050, 5  # the limit: the larger one of this and of that many times what it was before
RESTART_SECONDS = 2
N_LANES = 8
N_LATE = 200
LATE_SECONDS, LATE_TOLERANCE = 2.0, 0.3  # QueueTimeoutSec=


def attacker(m, *arguments):
    """Starts one, which has then prepared its attack. Returns None, and says why, where the machine can't do it."""
    child = m.popen(f"python3 {GUEST}/attacker.py {' '.join(arguments)}")
    m.children.append(child)
    line = child.stdout.readline().strip()
    if line.startswith("skip"):
        m.figure("left out", line)
        return None
    check(line == "prepared", f"the attacker: {line} {child.stderr.read() if not line else ''}")
    return child


def tell(child):
    child.stdin.write("\n")
    child.stdin.flush()
    return child.stdout.readline().strip()


def strike(m, child):
    """The broker stands still while the attacker gives its copies away: the broker's copy is the last one then."""
    pid = m.broker()
    m.run(f"kill -STOP {pid}")
    word = tell(child)
    m.run(f"kill -CONT {pid}")
    m.figure("the attacker", word)
    check(word == "struck" or word.startswith("refused"), f"the attacker: {word}")


def probe(m, name, seconds=2):
    """Clients of another route, one after the other."""
    seen = json.loads(m.output(f"python3 {GUEST}/attacker.py probe {seconds} good"))
    m.figure(name, f"{seen['n']} clients, p99 {seen['p99'] * 1000:.1f} ms, longest {seen['longest'] * 1000:.0f} ms")
    check(not seen["errors"], f"{name}: {seen['errors']}")
    return seen["p99"]


def held_off(m, child, before_p99):
    """Others are served while the attack goes on, and by the next broker."""
    limit = max(P99, TIMES_BEFORE * before_p99)
    check(probe(m, "meanwhile") <= limit, "clients of another route wait")
    old = m.broker()
    begin = time.monotonic()
    m.run("systemctl restart fdpass.service", timeout=120)
    seconds = time.monotonic() - begin
    m.figure("restart", seconds, "s", 2)
    check(m.broker() != old, "it is the same broker")
    check(probe(m, "the next broker", 1) <= limit, "the next broker's clients wait")
    check(seconds < RESTART_SECONDS, f"the restart took {seconds:.1f} s")
    child.stdin.close()
    child.wait()
    m.children.remove(child)


def prepare(m, hidden):
    """Returns the 99th percentile of a good client before the attack."""
    if hidden:
        m.run(f"gcc -O1 -fPIC -shared -D_GNU_SOURCE -o /usr/local/lib/hide-passrights.so {ATTACKS}/hide-passrights.c")
        m.drop_in("fdpass.service", "[Service]\nEnvironment=LD_PRELOAD=/usr/local/lib/hide-passrights.so\n")
        m.run("systemctl daemon-reload")
    m.worker("good", "serve good", route="Host=good\n")
    m.start_broker()
    return probe(m, "before", 1)


def route_to(m, names):
    """Routes whose workers are no units, but processes of the attacker."""
    for name in names:
        m.unit(f"test-{name}.target", f"[Unit]\nDescription=Test\n[X-FDPass]\nHost={name}\nQueueTimeoutSec=1s\n"
               f"Worker=/run/test/{name}.sock\n[Install]\nWantedBy=fdpass.target\n")
    m.run("systemctl enable " + " ".join(f"test-{name}.target" for name in names))
    m.reload()


def control(m, hidden):
    before = prepare(m, hidden)
    child = attacker(m, "control")
    strike(m, child)
    held_off(m, child, before)


@alone
@shared
@case
def attack_control(m):
    """A lingering descriptor to the control socket, from nobody: others are served within 50 ms."""
    control(m, False)


@alone
@shared
@case
def attack_control_hidden(m):
    """The same on a kernel without SO_PASSRIGHTS, and with a control socket that is open to all."""
    m.drop_in("fdpass-control.socket", "[Socket]\nSocketMode=0666\n")
    m.run("systemctl daemon-reload; systemctl stop fdpass.service; systemctl restart fdpass-control.socket")
    control(m, True)


def hand_back(m, kind, hidden=True):
    if kind == "unread":
        m.run("systemctl enable --now fdpass-return@web.socket")
    before = prepare(m, hidden)
    child = attacker(m, "return", kind)
    strike(m, child)
    held_off(m, child, before)


@alone
@shared
@case
def attack_return_many(m):
    """241 descriptors to the return socket, of which the last one lingers: others are served within 50 ms."""
    hand_back(m, "many")


@alone
@shared
@case
def attack_return_nested(m):
    """A lingering socket in a socket to the return socket: others are served within 50 ms."""
    hand_back(m, "nested")


@alone
@shared
@case
def attack_return_unread(m):
    """A lingering socket in a message that the broker does not read: others are served within 50 ms."""
    hand_back(m, "unread")


@alone
@shared
@case
def attack_worker(m):
    """A lingering socket as a worker's answer, without SO_PASSRIGHTS: others are served within 50 ms."""
    route_to(m, ["evil"])
    before = prepare(m, True)
    child = attacker(m, "worker")
    strike(m, child)
    held_off(m, child, before)


@alone
@shared
@case
def attack_lanes(m):
    """Eight workers hold their clients' locks by FUSE files: others are served, and a restart takes less than 2 s."""
    route_to(m, [f"lane{i}" for i in range(N_LANES)])
    m.run(f"gcc -O1 -pthread -D_GNU_SOURCE -o /usr/local/bin/hold {ATTACKS}/hold*.c")
    before = prepare(m, False)
    child = attacker(m, "lanes", str(N_LANES))
    if not child:
        return
    word = tell(child)
    check(word == "struck", f"the attacker: {word or child.stderr.read()}")
    held_off(m, child, before)


@alone
@case
def worker_never_comes_up(m):
    """200 clients of a service whose program has no x bit: a 504 each in time, and the next ones are served."""
    program = "/usr/local/bin/late"
    m.write(program, f"#!/bin/sh\nexec python3 {GUEST}/worker.py serve late\n", 0o644)
    m.worker("late", program, route=f"Host=late\nQueueTimeoutSec={LATE_SECONDS:.0f}s\n")
    m.start_broker()
    seen = json.loads(m.output(f"python3 {GUEST}/attacker.py late {N_LATE} late"))
    m.figure("clients", json.dumps(seen["status"]))
    m.figure("answered", f"after {seen['first']:.2f} to {seen['last']:.2f} s")
    check(seen["status"] == {"HTTP/1.1 504": N_LATE} and seen["ended"] == N_LATE, f"{seen}")
    check(LATE_SECONDS - LATE_TOLERANCE <= seen["first"] and seen["last"] <= LATE_SECONDS + LATE_TOLERANCE, f"{seen}")
    m.path(program).chmod(0o755)
    wait_for(lambda: m.curl(options="--fail -H 'Host: late'").stdout.startswith("late"), 10, "a client that is served")
