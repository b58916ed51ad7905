# SPDX-License-Identifier: LGPL-2.1-or-later
"""More brokers on one port: they share it and the workers, and nothing else."""

import json
import re

from cases_restart import Crowd, repeat
from fdpass import GUEST, alone, case, check, shared
from machine import wait_for

SHARD = "fdpass-shard@1"
BROKERS = "fdpass", SHARD


def share_port(m):
    """What fdpass(7) says has to be done once. The broker does not run after it."""
    m.drop_in("fdpass.socket", "[Socket]\nReusePort=yes\n", name="reuse-port.conf")
    m.run("systemctl daemon-reload; systemctl restart fdpass.socket")


def add_shards(m, *names):
    share_port(m)
    m.run("systemctl enable --now " + " ".join(f"{name}.socket" for name in names or [SHARD]))


def start(m, *names):
    m.run("systemctl start " + " ".join(f"{name}.service" for name in names))
    return [pid(m, name) for name in names]


def pid(m, name):
    return int(m.property(f"{name}.service", "MainPID"))


def accepted(m, name):
    """How many clients the broker took from the public port."""
    control = "control" if name == "fdpass" else f"shard-{name.partition('@')[2]}/control"
    listeners = json.loads(m.output(f"fdpassctl --control=/run/fdpass/{control} --json=short list-listeners"))
    return next(listener["Accepted"] for listener in listeners if listener["Name"] == "public")


def backlogs(m):
    """How many clients wait in all the port's backlogs together."""
    return sum(int(line.split()[1]) for line in m.output("ss -ltnH 'sport = :80'").splitlines())


def check_nothing_is_shared(m, pids):
    """No socket or pipe is open in two of them, and none has memory that it shares but with its own helper."""
    seen = {}
    memory = {}
    for one in pids:
        # Those of clients come and go while ls looks.
        files = set(re.findall(r"(?:socket|pipe):\[\d+\]", m.run(f"ls -l /proc/{one}/fd", check=False).stdout))
        check(len(files) >= 3, f"process {one} has {files}")  # a listener, the return socket, the control socket
        for other, theirs in seen.items():
            check(not files & theirs, f"processes {one} and {other} share {files & theirs}")
        seen[one] = files
        maps = m.output(f"cat /proc/{one}/maps")
        shared = set(re.findall(r"^\S+ .w.s \S+ (\S+ \S+)", maps, re.M))  # device and inode
        check("fdpassd" in maps and len(shared) == 1, f"process {one} has {maps}")
        for other, theirs in memory.items():
            check(not shared & theirs, f"processes {one} and {other} share {shared & theirs}")
        memory[one] = shared
    m.figure("sockets and pipes of each, shared by two", f"{', '.join(str(len(files)) for files in seen.values())}, 0")


@alone
@case
def shards(m):
    """A second broker comes under the load of `restarts`, then each is restarted: both take clients, and no error."""
    share_port(m)
    crowd = Crowd(m)
    m.run(f"systemctl enable --now {SHARD}.socket")
    before = [accepted(m, name) for name in BROKERS]
    wait_for(lambda: sum(accepted(m, name) for name in BROKERS) - sum(before) > 10_000, 30, "10,000 clients")
    counts = [accepted(m, name) - n for name, n in zip(BROKERS, before)]
    m.figure("clients of each", " and ".join(f"{n:,}" for n in counts))
    check(min(counts) > 0.4 * sum(counts), f"the kernel does not spread them: {counts}")
    check_nothing_is_shared(m, [pid(m, name) for name in BROKERS])

    for name in BROKERS:
        before = [pid(m, broker) for broker in BROKERS]
        repeat(m, f"systemctl restart {name}.service", 50 if m.long else 5)
        same = [broker for broker, old in zip(BROKERS, before) if pid(m, broker) == old]
        check(same == [broker for broker in BROKERS if broker != name], f"with {name} restarted, the same are {same}")
    crowd.end()


@alone
@shared
@case
def shard_killed(m):
    """kill -9 of one broker: the other goes on, and the clients in the backlog of the dead one wait for the next."""
    m.drop_in("fdpass-shard@.service", "[Service]\nRestartSec=2s\n")  # time to look
    add_shards(m)
    main, shard = start(m, *BROKERS)
    load = m.client("load", threads=8)
    wait_for(lambda: all(accepted(m, name) > 100 for name in BROKERS), 10, "clients on both")
    m.run(f"kill -KILL {shard}")

    crowd = m.client("crowd", count=200)
    wait_for(lambda: m.property(f"{SHARD}.service", "SubState") == "auto-restart", 5, "the end of the shard")
    answered = wait_for(lambda: m.ask(crowd)["state"].get("answered"), 5, "an answer by the other")
    check(pid(m, SHARD) == 0, "it was back too soon to see anything")
    check(answered < 200, "nobody waits")
    wait_for(lambda: m.ask(crowd)["state"].get("answered") == 200, 10, "all 200 answers")
    state = m.ask(crowd)
    seen = m.end_load(load)
    check(pid(m, SHARD) not in (0, shard) and pid(m, "fdpass") == main, "not only the shard was replaced")
    m.figure("of 200 clients after that, answered by the other meanwhile, lost", f"{answered}, 0")
    m.figure("their longest wait", state["last_end"], "s", 1)
    m.figure("8 clients that ask all the time: asked, lost", f"{seen['asked']}, {sum(seen['errors'].values())}")
    check(sum(seen["errors"].values()) <= 8, f"{seen['errors']}")  # who was in it at that moment


@case
def shards_reloaded(m):
    """systemctl reload fdpass.service reloads all brokers, and a shard can be reloaded by itself."""
    add_shards(m)
    pids = start(m, *BROKERS)
    m.worker("late", "serve late", route="Host=late.example\n", enable=False)
    m.run("systemctl daemon-reload; systemctl enable --now test-late.socket; systemctl try-reload-or-restart fdpass.service")
    for name in BROKERS:
        wait_for(lambda: m.journal(f"{name}.service", match="Reloaded: 2 routes"), 5, f"the new route in {name}")
    answers = m.output("for i in $(seq 40); do curl -sS -m 10 -H 'Host: late.example' http://127.0.0.1/; echo; done").split("\n")
    check(sum(answer.startswith("late") for answer in answers) == 40, f"{answers}")
    check(all(accepted(m, name) for name in BROKERS), "all 40 came to one broker")

    # Its own route tells this reload from those before: systemd 252 may pass one on twice, as the job and as RELOADING=1.
    m.worker("later", "serve later", route="Host=later.example\n", enable=False)
    m.run("systemctl daemon-reload; systemctl enable --now test-later.socket; systemctl reload 'fdpass-shard@*.service'")
    wait_for(lambda: m.journal(f"{SHARD}.service", match="Reloaded: 3 routes"), 5, "the newer route in the shard")
    check(not m.journal(match="3 routes"), "the other was reloaded as well")
    check([pid(m, name) for name in BROKERS] == pids, "a reload started another process")


@case
def shard_port_restarted(m):
    """Restarting a shard's socket unit resets who is in its backlog; with tcp_migrate_req they go to another broker."""
    add_shards(m)
    for migrate in 0, 1:
        m.run(f"sysctl -qw net.ipv4.tcp_migrate_req={migrate}")
        try:
            _, shard = start(m, *BROKERS)
            m.run(f"kill -STOP {shard}")
            crowd = m.client("crowd", count=200)
            wait_for(lambda: m.ask(crowd)["state"].get("answered", 0) + backlogs(m) == 200, 5, "answers to all others")
            waiting = backlogs(m)
            m.run(f"systemctl restart {SHARD}.socket")
            wait_for(lambda: m.ask(crowd)["state"]["open"] == 0, 10, "an end of all")
            answered = m.ask(crowd)["state"].get("answered", 0)
            m.figure(f"tcp_migrate_req={migrate}: clients in the backlog, lost", f"{waiting}, {200 - answered}")
            check(0 < waiting < 200, "the kernel does not spread them")
            check(answered == 200 if migrate else 200 - waiting <= answered < 200, f"{m.ask(crowd)}")
        finally:
            m.run("sysctl -qw net.ipv4.tcp_migrate_req=0")


@case
def shards_stopped(m):
    """A shard can be taken away, and stopping fdpass.socket closes the port in all brokers; with it they come back."""
    names = "fdpass", SHARD, "fdpass-shard@2"
    m.worker("host", "serve host", route="Host=host.example\n")
    add_shards(m, *names[1:])
    start(m, *names)
    # Such clients stay in the brokers, and are left by them in their return sockets.
    halves = m.popen(f"python3 {GUEST}/visitors.py slow --count=60 --say='GET / HTTP/1.1\\r\\nHost: '")
    m.children.append(halves)
    halves.stdout.readline()
    wait_for(lambda: sum(accepted(m, name) for name in names) == 60, 5, "60 clients in the brokers")

    m.run(f"systemctl disable --now {SHARD}.socket")
    wait_for(lambda: m.ask(halves)["open"] < 60, 5, "an end of the shard's clients")
    check(is_active(m, *names) == [True, False, True], f"active: {is_active(m, *names)}")
    check(m.who() is not None, "no answer from the others")

    m.run("systemctl stop fdpass.socket")
    check(not any(is_active(m, *names)), f"active: {is_active(m, *names)}")
    check(m.curl().returncode == 7, "the port is open")  # CURLE_COULDNT_CONNECT
    check(m.ask(halves)["open"] == 0, "clients are left")

    m.run("systemctl start fdpass.socket")
    wait_for(lambda: m.property(f"{names[2]}.socket", "SubState") == "listening", 5, "the other shard's port")
    check(is_active(m, f"{SHARD}") == [False], "the shard that was taken away is back")
    check(m.who() is not None, "no answer after all that")


def is_active(m, *names):
    """Is anything of each of these brokers there: service, port, return and control socket?"""
    kinds = "", "-return", "-control"
    return [any(m.property(unit, "ActiveState") != "inactive" for unit in
                [f"{name}.service", *(f"{name.replace('@', kind + '@') if '@' in name else name + kind}.socket" for kind in kinds)])
            for name in names]


@case
def shard_without_a_share(m):
    """Where fdpass.socket does not share its port, a shard is refused it, at a common start as well. Once it does, it is not."""
    m.start_broker()
    done = m.run(f"systemctl enable --now {SHARD}.socket", check=False)
    check(done.returncode != 0, "it got the port")
    check([entry for entry in m.journal_all(f"{SHARD}.socket") if "Address already in use" in entry["MESSAGE"]], "it is not said why")
    check(m.who() is not None, "no answer")

    m.run("systemctl stop fdpass.socket; systemctl start fdpass.socket")  # which wants the shard's
    check(m.property("fdpass.socket", "ActiveState") == "active", "the shard has taken the port")
    check(m.property(f"{SHARD}.socket", "ActiveState") == "failed", "it got the port")
    share_port(m)
    wait_for(lambda: m.property(f"{SHARD}.socket", "ActiveState") == "active", 5, "the shard's port")
