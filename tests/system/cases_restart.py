# SPDX-License-Identifier: LGPL-2.1-or-later
"""The broker is restarted, and systemd too, under a steady load and with clients that stay."""

import random
import time

from fdpass import GUEST, SOURCE, alone, case, check
from machine import wait_for

BENCH = "/var/tmp/bench"
RATE = 5000
KEPT = 1000
HALVES = 200


class Crowd:
    """So many new clients a second, others that keep their connection and ask now and then, and half-sent heads."""

    def __init__(self, m, library=False):
        self.m = m
        m.run(f"([ -d {BENCH} ] || meson setup {BENCH} {SOURCE} -Dtests=false -Dbench=true) &&"
              f"ninja -C {BENCH} tests/bench/load tests/bench/sink", timeout=300)
        self.add_workers(library)
        m.start_broker()
        self.keepers = m.popen(f"python3 {GUEST}/keepers.py --kept={KEPT} --halves={HALVES} --rate=100")
        m.children.append(self.keepers)
        check(self.keepers.stdout.readline() == "connected\n", "the kept connections did not start")
        self.begin = time.monotonic()
        self.load = m.popen("sh -c 'echo $$ >/run/test/load; ulimit -n 20000;"
                            f"exec {BENCH}/tests/bench/load -c 8000 -r {RATE} -s 600 127.0.0.1:80'")
        m.children.append(self.load)
        wait_for(lambda: m.output("cat /run/test/load", check=False), 5, "the load")

    def add_workers(self, library):
        m = self.m
        program, socket = f"{BENCH}/tests/bench/sink", ""
        if library:  # nothing dies here, and nobody reads its log
            m.run(f"gcc -O1 -D_GNU_SOURCE -o /usr/local/bin/dying {GUEST}/dying.c $(pkg-config --cflags --libs libfdpass);"
                  "ln -s /dev/null /run/test/log; echo after-answer 0 kept >/run/test/cell")
            program, socket = "/usr/local/bin/dying /run/test", "ListenStream=\nListenSequentialPacket=/run/fdpass/sink.sock\n"
        # The load comes from one address, and all that came during a restart comes at once behind it.
        m.drop_in("fdpass.socket", "[X-FDPass]\nHeadTimeoutSec=60s\nMaxClientsPerSource=8000\n")
        m.worker("sink", program, enable=False, route="Path=/bench\nMaxQueued=8000\n", socket=socket)
        m.worker("half", "serve half", enable=False, route="Path=/half\n")
        m.worker("kept", f"/usr/bin/python3 {GUEST}/returning.py kept", enable=False, route="Path=/kept\n",
                 socket="ListenStream=\nListenSequentialPacket=/run/fdpass/kept.sock\n",
                 service="DynamicUser=yes\nSupplementaryGroups=fdpass\nPrivateNetwork=yes\n")
        m.run("systemctl enable --now test-sink.socket test-half.socket test-kept.socket")

    def end(self):
        """Everybody asks once more, and nobody may have had an error."""
        m = self.m
        m.run("kill -TERM $(cat /run/test/load)")
        out, err = self.load.communicate(timeout=30)
        seconds = time.monotonic() - self.begin
        m.children.remove(self.load)
        check(out, f"the load: {err}")
        seen = {key: float(value) for key, value in (word.split("=") for word in out.split())}
        failed = {key: int(seen[key]) for key in ("connect", "reset", "reply", "timeout")}
        ended = m.ask(self.keepers)["halves that ended"]
        kept = m.ask(self.keepers, "finish")
        m.figure("new clients a second: wanted, served", f"{RATE}, {seen['rate']:.0f} (for {seconds:.1f} s)")
        m.figure("new clients: served, failed", f"{seen['served']:.0f}, {sum(failed.values())}")
        m.figure("new clients: median, p99, the longest", f"{seen['p50'] / 1000:.1f} ms, {seen['p99'] / 1000:.1f} ms, "
                 f"{seen['max'] / 1000:.0f} ms")
        m.figure(f"{KEPT} kept connections: requests, failed, the longest",
                 f"{kept['asked'] - HALVES}, {sum(kept['errors'].values())}, {kept['longest'] * 1000:.0f} ms")
        m.figure("half-sent heads: waited through it, then served", f"{HALVES - ended}, {HALVES - ended}")
        check(not any(failed.values()), f"new clients failed: {failed}")
        check(not ended, f"{ended} half-sent heads were lost")
        check(not kept["errors"], f"{kept}")
        check(seen["served"] > RATE * seconds / 10, f"hardly anybody came: {seen['served']:.0f} in {seconds:.1f} s")


def repeat(m, command, n):
    """Runs it so many times, at no regular intervals, and returns how long each took."""
    moments = random.Random(n)
    times = []
    for _ in range(n):
        begin = time.monotonic()
        m.run(command)
        times.append(time.monotonic() - begin)
        time.sleep(moments.uniform(0, 0.4))  # the load goes on, and the next one comes at any moment of it
    m.figure(f"{command}: how often, the longest", f"{n}, {max(times) * 1000:.0f} ms")


@alone
@case
def restarts(m):
    """Restarts of the broker under 5,000 new clients a second, 1,000 kept connections and 200 half-sent heads: no error."""
    crowd = Crowd(m)
    pid = m.broker()
    repeat(m, "systemctl restart fdpass.service", 100 if m.long else 10)
    check(m.broker() != pid, "it is the same broker")
    crowd.end()


@alone
@case
def restarts_kept(m):
    """The same, where the new clients come to their worker on connections that it keeps."""
    crowd = Crowd(m, library=True)
    repeat(m, "systemctl restart fdpass.service", 100 if m.long else 5)
    crowd.end()


@alone
@case
def systemd_reloaded(m):
    """systemctl daemon-reload and daemon-reexec, under the same load: no error."""
    crowd = Crowd(m)
    pid = m.broker()
    for command in "systemctl daemon-reload", "systemctl daemon-reexec":
        repeat(m, command, 20 if m.long else 5)
    check(m.broker() == pid, "it is another broker")
    crowd.end()
