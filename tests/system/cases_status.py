# SPDX-License-Identifier: LGPL-2.1-or-later
"""What `fdpassctl status` tells about units: a broker that does not run, ports that are not open, changes, stuck workers."""

import json
import time

from fdpass import UNITS, case, check
from machine import wait_for

HOLDER = "python3 -c 'import socket, time; s = socket.create_server((\"\", 8443)); print(flush=True); time.sleep(60)'"


def ctl(m, command):
    return m.run(f"fdpassctl {command}", check=False)


def status(m, *texts, code=2):
    done = ctl(m, "status")
    check(done.returncode == code, f"{done.returncode}, not {code}: {done.stdout}{done.stderr}")
    for text in texts:
        check(text in " ".join(done.stdout.split()), f"no \"{text}\": {done.stdout}")
    return done.stdout


@case
def status_stopped(m):
    """A broker that does not run is not started by looking at it: exit status 3, and the states of its sockets."""
    looks = "status", "list-routes", "list-workers", "graph", "metrics", "top -b -n 1", "log-level", "monitor -n 1", "test --running --host=a"
    for look in looks:
        check(ctl(m, look).returncode == 3, f"{look}: {ctl(m, look)}")
    check(m.property("fdpass.service", "ActiveState") == "inactive", "looking has started it")
    status(m, "not running", "fdpass.socket active (listening)", "The first client starts it.", code=3)
    check(json.loads(ctl(m, "-j status").stdout)["Broker"]["State"] == "stopped", "JSON")
    m.run("systemctl stop fdpass.socket")
    status(m, "no public socket is open", code=3)
    m.run("systemctl start fdpass.socket; systemctl start fdpass.service; fdpassctl status")


@case
def status_socket(m):
    """A public port that systemd could not open although `systemctl restart` returned 0, with the reason."""
    holder = m.popen(HOLDER)
    m.children.append(holder)
    holder.stdout.readline()
    m.run("systemctl enable fdpass@8443.socket; systemctl restart fdpass.service")
    status(m, "fdpass@8443.socket is not open: Failed to", "Address already in use", "systemctl status fdpass@8443.socket")
    m.run("pkill -f create_serve[r]; systemctl restart fdpass.service; fdpassctl status")
    m.run("systemctl enable fdpass@8444.socket")
    status(m, "fdpass@8444.socket is enabled, but not started.")
    m.run("systemctl disable fdpass@8444.socket; fdpassctl status")


@case
def status_changes(m):
    """Units that were changed since the broker read them: edited, with a new drop-in, enabled, disabled; and what systemd has not read."""
    for name in "one", "two":
        m.worker(name, f"serve {name}", route=f"Path=/{name}\n", enable=False)
    m.run("systemctl enable --now test-one.socket; systemctl start fdpass.service; fdpassctl status")
    changes = {
        "edited": f"sed -i 's,Path=/one,Path=/uno,' {UNITS}/test-one.socket; systemctl daemon-reload",
        "drop-in": f"mkdir {UNITS}/test-one.socket.d; printf '[X-FDPass]\\nMaxQueued=7\\n' >{UNITS}/test-one.socket.d/x.conf; systemctl daemon-reload",
        "disabled": "systemctl disable test-one.socket",
        "enabled": "systemctl enable --now test-one.socket",
    }
    for what, command in changes.items():
        m.run(command)
        text = status(m, "Units changed since the broker read them: test-one.socket.")
        check("daemon-reload" not in text, f"{what}: {text}")
        m.run("fdpassctl reload; fdpassctl status")
    m.run(f"touch {UNITS}/test-two.socket; fdpassctl status")
    m.drop_in("fdpass.service", "[X-FDPass]\nMaxParked=7\n")
    m.run(f"echo >>{UNITS}/test-one.socket")
    status(m, "Units changed since the broker read them: fdpass.service, test-one.socket.", "Units changed since systemd read them: ")
    m.run("systemctl daemon-reload; fdpassctl reload; fdpassctl status")


@case
def status_stuck(m):
    """A worker that takes no client for 2 s, and why, by its service: its program can't be executed; it starts slowly."""
    m.worker("lost", "/usr/bin/none", route="Host=lost\n", service="RestartSec=10s")
    m.worker("slow", "/bin/true", route="Host=slow\n", service="ExecStartPre=/bin/sleep 30")
    m.start_broker()
    begin = time.monotonic()
    m.run("for name in lost slow; do curl -s -m 20 -H Host:$name http://127.0.0.1/ >/dev/null 2>&1 </dev/null & done")
    wait_for(lambda: "lost.sock does not take" in ctl(m, "status").stdout, 6, "a stuck worker")
    m.figure("stuck after", time.monotonic() - begin, "s", 1)
    status(m, "lost.sock does not take its clients: 1 waits in its backlog, for 2.", "test-lost.service: activating (auto-restart; exit-code 203: "
           "the program can't be executed)", "test-slow.service: activating (start-pre).")
