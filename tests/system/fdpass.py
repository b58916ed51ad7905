# SPDX-License-Identifier: LGPL-2.1-or-later
"""A machine with fdpass installed, and what the cases do with it."""

import contextlib
import json
import pathlib
import re
import shutil
import subprocess

from machine import BUILD, SOURCE, Failure, Machine, wait_for

INSTALL = ("systemd-sysusers; systemd-tmpfiles --create; journalctl --update-catalog; systemctl daemon-reload;"
           "systemctl enable --now fdpass.socket")
GUEST = SOURCE + "/tests/system/guest"
PROGRAMS = "/usr/libexec/fdpass/"
UNITS = "/etc/systemd/system"
WARNING = 4  # syslog(3)
LINT = "d32ec22afd47410887e49659b6bd0dc6"  # MESSAGE_UNIT_LINT
LEFT_CGROUPS = r'find /sys/fs/cgroup/system.slice -type d \( -name "fdpass*.service" -o -name "test-*.service" \)'

CASES = []


def case(function):
    """Makes a function a case: it gets the machine, and fails by an exception. Its first line of documentation
    says what it shows. Cases run in the order in which they are written."""
    CASES.append(function)
    function.alone = False
    function.shared = False
    function.kernel = False
    return function


def alone(function):
    """For a case whose figures need the processors: the other machine waits meanwhile."""
    function.alone = True
    return function


def shared(function):
    """For a case about the broker and the kernel, which the machines share: without --long the first that has time runs it."""
    function.shared = True
    return function


def kernel(function):
    """For a case that needs a kernel with TLS or IPVS: it runs in the guests of qemu.py only."""
    function.kernel = True
    return function


def check(condition, what):
    if not condition:
        raise Failure(what)


class Installed(Machine):
    def __init__(self, *args):
        super().__init__(*args)
        self.long = False  # cases may take minutes
        self.figures = []
        self.children = []
        self.cursor = None

    def figure(self, name, value, unit="", digits=0):
        text = f"{value:.{digits}f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else value
        self.figures.append(f"{name} = {text} {unit}".strip())

    def build_command(self, options=""):
        """As the README tells an administrator, except that a warning is an error."""
        # Without dpkg-dev meson does not know where Debian keeps its libraries.
        return (f"meson setup {BUILD} {SOURCE} -Dtests=false -Dwerror=true -Dlibdir=lib/$(gcc -print-multiarch) {options} && "
                f"meson install -C {BUILD}")

    def build(self, options=""):
        self.run(self.build_command(options), timeout=300)

    def install(self, options=""):
        self.build(options)
        self.run(INSTALL)
        shutil.copytree(self.path(UNITS), self.mount / "units", symlinks=True)

    def reset(self):
        """Brings the machine into the state right after install(), whatever a case did to it."""
        self.end_children()
        # Examples have names of their own.
        self.run(f"cd {UNITS}/fdpass.target.wants && set -- *.socket && systemctl stop $*; "
                 "systemctl kill -s KILL $(printf '%s\\n' $* | sed 's/socket$/service/')", check=False)
        self.run("pkill -CONT systemd-journal; systemctl kill -s KILL 'test-*.service' 'fdpass*.service';"
                 "systemctl stop 'test-*' 'fdpass*'; rm -rf /run/fdpass/* /run/test", check=False)
        # cgroup.kill counts up in its cgroup. Linux 6.18 compares that with the count of the parent's own cgroup, and kills each
        # process that systemd 257 starts into a cgroup that outlived it: the cgroups have to go, not only their processes.
        # systemd does not try again where a process was still on its way out (EBUSY).
        self.run(f"timeout 5 sh -c 'while {LEFT_CGROUPS} | xargs -r rmdir 2>/dev/null; {LEFT_CGROUPS} | grep -q .; "
                 "do sleep 0.02; done'", check=False)
        shutil.rmtree(self.path(UNITS))
        shutil.copytree(self.mount / "units", self.path(UNITS), symlinks=True)
        self.run("mkdir /run/test; systemctl daemon-reload; systemctl reset-failed; "
                 "systemctl start fdpass.target fdpass.socket fdpass-hello.socket")
        self.figures.clear()
        self.mark()

    def end_children(self):
        # nsenter's child in the machine outlives nsenter. (The brackets: no process that says this is meant.)
        self.run(f"pkill -KILL -f '{GUEST[:-1]}[{GUEST[-1]}]/'", check=False)
        for child in self.children:
            with contextlib.suppress(BrokenPipeError):  # it has ended, and left text unread
                child.stdin.close()
            child.kill()
            child.wait()
        self.children.clear()

    def stop(self):
        if self.leader:
            self.end_children()
        super().stop()

    # Units

    def unit(self, name, text):
        self.write(f"{UNITS}/{name}", text)

    def drop_in(self, unit, text, name="test.conf"):
        self.unit(f"{unit}.d/{name}", text)

    def worker(self, name, command, route="", socket="", service="", enable=True, instance=""):
        """Adds the worker test-NAME, whose program is worker.py COMMAND, with the documented commands."""
        at = "@" if instance else ""
        file = "%i" if instance else name
        self.unit(f"test-{name}{at}.socket", f"[Socket]\nListenStream=/run/fdpass/{file}.sock\nSocketUser=fdpass\n"
                  f"SocketMode=0600\nBacklog=4096\nTriggerLimitIntervalSec=0\n{socket}\n[X-FDPass]\n{route}\n"
                  "[Install]\nWantedBy=fdpass.target\n")
        program = command if command.startswith("/") else f"/usr/bin/python3 {GUEST}/worker.py {command}"
        self.unit(f"test-{name}{at}.service", "[Unit]\nStartLimitIntervalSec=0\n[Service]\nRestart=on-failure\n"
                  f"RestartSec=100ms\nExecStart={program}\n{service}\n")
        if enable:
            self.run(f"systemctl enable --now test-{name}{at}{instance}.socket")
            self.reload()

    def reload(self):
        """Has the broker, where it runs, read the units again. Returns when it has."""
        running = self.property("fdpass.service", "ActiveState") == "active"
        before = len(self.journal(match="eloaded"))
        done = self.run("systemctl daemon-reload; systemctl try-reload-or-restart fdpass.service", check=False)
        if running and self.systemd < 253:  # without Type=notify-reload the command does not wait
            wait_for(lambda: len(self.journal(match="eloaded")) > before, 5, "the broker's word about the reload")
        return done

    def property(self, unit, name):
        return self.output(f"systemctl show -P {name} {unit}")

    def start_broker(self):
        """Starts the broker as a client would, and returns its pid inside of the machine."""
        self.run("systemctl start fdpass.service")
        return self.broker()

    def broker(self):
        return int(self.property("fdpass.service", "MainPID"))

    # Its journal

    def mark(self):
        """What is in the journal from here on is the case's."""
        self.run("journalctl --sync")
        self.cursor = self.output("journalctl -q -n 0 --show-cursor").removeprefix("-- cursor: ")

    def journal_all(self, unit):
        text = self.output(f"journalctl -q -o json --after-cursor='{self.cursor}' -u {unit}")
        return [json.loads(line) for line in text.splitlines()]

    def journal(self, unit="fdpass.service", priority=7, match=""):
        """The entries that the unit's own processes wrote since mark(), of this priority or a graver one."""
        return [entry for entry in self.journal_all(unit)
                if entry.get("_SYSTEMD_UNIT") == unit and int(entry["PRIORITY"]) <= priority
                and re.search(match, entry["MESSAGE"])]

    def one_line(self, match, besides=None, priority=WARNING, deadline=5):
        """Waits for the broker's line, and makes sure that it is the only one that is so grave. What matches
        besides is not counted, and neither is what the broker says of units at a load. Returns the line."""
        wait_for(lambda: self.journal(match=match), deadline, f"a line with /{match}/ in the journal")
        lines = [entry for entry in self.journal(priority=priority) if entry.get("MESSAGE_ID") != LINT
                 and not (besides and re.search(besides, entry["MESSAGE"]))]
        texts = "\n  ".join(entry["MESSAGE"] for entry in lines)
        check(len(lines) == 1, f"{len(lines)} lines instead of one:\n  {texts}")
        self.figure("line", lines[0]["MESSAGE"])
        return lines[0]

    # Its processes

    def status(self, pid, key):
        """A number from /proc/PID/status."""
        text = self.output(f"cat /proc/{pid}/status")
        return int(re.search(rf"^{key}:\s+(\d+)", text, re.M)[1])

    def descriptors(self, pid):
        """How many descriptors are open, and how many are registered with an epoll."""
        text = self.run(f"ls /proc/{pid}/fd | wc -l; cat /proc/{pid}/fdinfo/* | grep -c ^tfd:", check=False).stdout
        opened, registered = text.split()
        return int(opened), int(registered)

    def cpu(self, pid):
        """Seconds of CPU that it used."""
        fields = self.output(f"cat /proc/{pid}/stat").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / 100

    # Its clients

    def client(self, kind, wait_for_line=True, **options):
        """Starts clients.py KIND. Where these say when they have begun, returns after that."""
        arguments = " ".join(f"--{name}={value}" for name, value in options.items())
        child = self.popen(f"python3 {GUEST}/clients.py {kind} {arguments}")
        self.children.append(child)
        if wait_for_line and not child.stdout.readline():
            raise Failure(f"clients.py {kind}: {child.communicate()[1]}")
        return child

    def ask(self, child, line="?"):
        child.stdin.write(line + "\n")
        child.stdin.flush()
        return json.loads(child.stdout.readline())

    def load(self, **options):
        """Runs load to its end and returns what it saw."""
        return self.end_load(self.client("load", **options), stop=False)

    def end_load(self, child, stop=True):
        if stop:
            # It runs in the machine's PID namespace, where nsenter's child has another id than here.
            self.run(f"pkill -TERM -o -f '{GUEST}/clients.py load'")
        out, err = child.communicate(timeout=120)
        self.children.remove(child)
        try:
            return json.loads(out)
        except ValueError:
            raise Failure(f"clients.py load: {out}{err}") from None

    def curl(self, port=80, host="127.0.0.1", options=""):
        return self.run(f"curl -sS -m 10 {options} http://{host}:{port}/", check=False)

    def who(self, port=80, host="127.0.0.1"):
        """The first word of the answer, or None where there is none."""
        done = self.curl(port, host, "--fail")
        return done.stdout.split(":")[0].strip() if done.returncode == 0 else None

    # When a case fails

    def crashes(self):
        """Ends of the broker since mark() that nobody asked for."""
        return [entry["MESSAGE"] for entry in self.journal_all("fdpass.service -u 'fdpass-shard@*.service'")
                if re.search(r"exited, code=(dumped|exited, status=[1-9])|status=(6|11|31)/|Watchdog timeout", entry["MESSAGE"])]

    def diagnosis(self):
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.run("systemctl status -n 0 'fdpass*' 'test-*' | head -n 60; "
                            f"journalctl -q -o short-monotonic --after-cursor='{self.cursor}' | tail -n 60",
                            check=False).stdout
        return "(the machine does not answer)"
