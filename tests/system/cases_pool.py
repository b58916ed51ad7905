# SPDX-License-Identifier: LGPL-2.1-or-later
"""Three workers of a pool: one that is killed and that goes away, one that hangs, one that is slow."""

import collections
import json
import time

from fdpass import GUEST, case, check, shared
from machine import wait_for

RATE = 150
SOURCES = 30
WINDOW = 8
PHASE = 1.2  # seconds
SETTLE = 0.3  # clients who came so early in a phase are not counted in it
AGAIN = 1.0  # seconds in which a worker that is back has to be used


class Pool:
    """Its workers are one, two, and three, the slow one. What the clients saw is looked at by when they came."""

    def __init__(self, m, balance, slow, weights=(1, 1, 1)):
        self.m = m
        self.phases = {}
        for name, weight, seconds in zip(("one", "two", "three"), weights, (0, 0, slow)):
            m.worker(name, f"steady {name} {seconds}", service="RestartSec=1s\n", route="Host=pool.example\n"
                     f"Balance={balance}\nWeight={weight}\nMaxPending={WINDOW}\n")
        m.start_broker()
        m.load(count=3)  # whoever starts now is not slow later
        self.clients = m.popen(f"python3 {GUEST}/steady.py --rate={RATE} --sources={SOURCES}")
        m.children.append(self.clients)
        check(self.clients.stdout.readline() == "started\n", "the clients did not start")

    def phase(self, name):
        begin = time.monotonic()
        time.sleep(PHASE)  # the time over which is counted, not a wait for something
        self.phases[name] = (begin + SETTLE, time.monotonic())

    def kill_one(self):
        """Between two clients: what it has received is its own, and would be lost with it."""
        before = self.m.property("test-one.service", "MainPID")
        self.m.run("touch /run/test/one.kill")
        wait_for(lambda: self.m.property("test-one.service", "MainPID") != before, 5, "its death")

    def restarted_one(self):
        """Waits for it, and returns when it was started again."""
        wait_for(lambda: self.m.property("test-one.service", "SubState") == "running", 5, "its return")
        return int(self.m.property("test-one.service", "ExecMainStartTimestampMonotonic")) / 1e6

    def remove_one(self):
        """Its socket goes first, so that systemd has nothing to start it for."""
        self.m.run("systemctl stop test-one.socket")
        self.kill_one()
        self.m.run("systemctl stop test-one.service; systemctl reset-failed test-one.service", check=False)

    def play(self):
        m = self.m
        self.phase("all")
        self.kill_one()
        killed = self.restarted_one()
        self.phase("one was killed, and is back")
        self.remove_one()
        self.phase("one is gone")
        m.run("systemctl kill -s STOP test-two.service")
        self.phase("one is gone, two hangs")
        back = time.monotonic()
        m.run("systemctl start test-one.socket")
        self.phase("two hangs")
        m.run("systemctl kill -s CONT test-two.service")
        self.phase("all again")
        self.clients.stdin.write("finish\n")
        self.clients.stdin.flush()
        self.seen = sorted(json.loads(self.clients.stdout.readline()))

        errors = collections.Counter(what for _, _, what, _ in self.seen if what.startswith("error"))
        m.figure("clients, errors, the longest wait",
                 f"{len(self.seen)}, {sum(errors.values())}, {max(s for _, _, _, s in self.seen):.2f} s")
        check(not errors, f"{errors}")
        self.used_again("after its death", killed)
        self.used_again("after its return", back)

    def used_again(self, what, since):
        times = [begin + seconds - since for begin, _, name, seconds in self.seen if name == "one" and begin >= since]
        check(times, f"it was never used {what}")
        self.m.figure(f"one has answered the first who came {what}, after", min(times), "s", 2)
        check(min(times) <= AGAIN, f"it was not used for {min(times):.2f} s {what}")

    def came(self, phase):
        begin, end = self.phases[phase]
        return [one for one in self.seen if begin <= one[0] < end]

    def shares(self, phase):
        counts = collections.Counter(name for _, _, name, _ in self.came(phase))
        self.m.figure(f"{phase}: one, two, three", ", ".join(str(counts[name]) for name in ("one", "two", "three")))
        return [counts[name] for name in ("one", "two", "three")]


def is_near(counts, weights, tolerance):
    """Each has its share, by these weights, to within so many clients."""
    total = sum(counts)
    return all(abs(n - total * weight / sum(weights)) <= tolerance for n, weight in zip(counts, weights))


@shared
@case
def pool_round_robin(m):
    """Balance=round-robin: shares by weight among those that are there; one killed, one stopped, one slow: no error."""
    pool = Pool(m, "round-robin", slow=0.004, weights=(1, 2, 1))
    pool.play()
    for phase, weights in (("all", (1, 2, 1)), ("one is gone", (0, 2, 1)), ("all again", (1, 2, 1))):
        counts = pool.shares(phase)
        check(is_near(counts, weights, 8), f"{phase}: {counts}")
    one, two, three = pool.shares("one is gone, two hangs")
    check(one == 0 and two <= WINDOW and three >= RATE * (PHASE - SETTLE) / 3, f"{one}, {two}, {three}")
    one, two, three = pool.shares("two hangs")
    check(is_near((one, three), (1, 1), 8) and two <= WINDOW, f"{one}, {two}, {three}")


@shared
@case
def pool_least_pending(m):
    """Balance=least-pending: the slow one gets what it can do, the one that hangs next to nothing; no error."""
    slow = 0.04
    pool = Pool(m, "least-pending", slow)
    pool.play()
    for phase in "all", "all again":
        one, two, three = pool.shares(phase)
        check(is_near((one, two), (1, 1), RATE * PHASE / 8), f"{phase}: {one}, {two}, {three}")
        check(three <= (PHASE - SETTLE) / slow + WINDOW, f"{phase}: {one}, {two}, {three}")
    one, two, three = pool.shares("one is gone")
    check(one == 0 and two > three, f"{one}, {two}, {three}")
    one, two, three = pool.shares("two hangs")
    check(two <= 2 * WINDOW and one > three, f"{one}, {two}, {three}")


@shared
@case
def pool_source_hash(m):
    """Balance=source-hash: an address stays with its worker; only those of the one that fails move, and come back."""
    pool = Pool(m, "source-hash", slow=0.004)
    pool.play()

    def homes(phase):
        found = collections.defaultdict(set)
        for _, source, name, _ in pool.came(phase):
            found[source].add(name)
        return found

    home = homes("all")
    check(len(home) == SOURCES and all(len(names) == 1 for names in home.values()), f"{home}")
    pool.shares("all")
    moved = {source for source, names in homes("one is gone").items() if names != home[source]}
    check(moved == {source for source, names in home.items() if names == {"one"}}, f"moved: {moved}")
    m.figure("addresses: all, those of one, moved while it was gone", f"{SOURCES}, {len(moved)}, {len(moved)}")
    for phase in "one is gone, two hangs", "two hangs":
        stay = [source for source in home if home[source] == {"three"}]
        check(all(homes(phase)[source] <= {"three"} for source in stay), f"{phase}: {homes(phase)}")
    check(homes("all again") == home, f"{home}, and later {homes('all again')}")
