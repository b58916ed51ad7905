# SPDX-License-Identifier: LGPL-2.1-or-later
"""A Debian machine of its own, booted with systemd-nspawn, in which fdpass is built, installed and tested.

A base tree per suite is made once with mmdebstrap and kept below ${FDPASS_CACHE:-/var/tmp/fdpass-tests}. A
machine is an overlay of it: what a run writes lies in a tmpfs that ends with the mount namespace of the run
(the script `run` starts itself in a new one), so that nothing of it can stay behind.

The host need not run systemd itself. The machine has a network namespace with nothing but a loopback
interface, and a control group of its own.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import time

SUITES = {"bookworm": 252, "trixie": 257}  # and the version of systemd that they have

PACKAGES = [
    "systemd", "systemd-sysv",
    "gcc", "libc6-dev", "libssl-dev", "libsystemd-dev", "meson", "pkg-config", "systemd-dev?",
    "curl", "haproxy", "iproute2", "openssh-client", "openssh-server", "openssl", "procps", "python3",
    # What the examples run.
    "apache2", "default-jre-headless", "ecj", "git", "gunicorn", "nginx", "nodejs", "python3-websockets", "uvicorn",
]

MASKED = ["apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer", "fstrim.timer",
          "systemd-networkd-wait-online.service", "console-getty.service", "getty@.service"]

DISABLED = ["apache2.service", "nginx.service"]  # Debian enables what it installs

SOURCE = "/usr/src/fdpass"  # the checkout's copy inside of the machine
BUILD = "/var/tmp/build"
BOOT_TIMEOUT = 60
ENVIRONMENT = ["LANG=C.UTF-8", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "SYSTEMD_COLORS=0", "SYSTEMD_PAGER="]


class Failure(AssertionError):
    """A case did not see what it has to see."""


def wait_for(condition, deadline, what, interval=0.02):
    """Calls condition() until it returns something true, which is returned, for at most deadline seconds."""
    end = time.monotonic() + deadline
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > end:
            raise Failure(f"{what}: not within {deadline} s")
        time.sleep(interval)


def cache_directory():
    path = pathlib.Path(os.environ.get("FDPASS_CACHE") or "/var/tmp/fdpass-tests")
    path.mkdir(parents=True, exist_ok=True)
    return path


def packages(suite):
    # systemd.pc is in a package of its own since Debian 13.
    return [p.rstrip("?") for p in PACKAGES if not (p.endswith("?") and suite == "bookworm")]


def base_tree(suite, log):
    """Returns the suite's base tree, made anew where the recipe has changed."""
    recipe = json.dumps([suite, packages(suite)])
    key = hashlib.sha256(recipe.encode()).hexdigest()[:12]
    cache = cache_directory()
    tree = cache / f"{suite}-{key}"
    with open(cache / f"{suite}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if tree.is_dir():
            return tree
        new = cache / f"{suite}-new"
        shutil.rmtree(new, ignore_errors=True)
        log(f"making the base tree of {suite} in {cache} (once)")
        made = subprocess.run(["mmdebstrap", "--variant=apt", "--include=" + ",".join(packages(suite)),
                               "--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-exclude=/usr/share/man/*/*",
                               suite, str(new)], stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if made.returncode != 0:
            raise Failure(f"mmdebstrap {suite} failed:\n{made.stderr[-3000:]}")
        for old in cache.glob(f"{suite}-*"):
            if old != new:
                shutil.rmtree(old)
        new.rename(tree)
        return tree


class Machine:
    slowness = 1  # factor for the time limits of commands

    def __init__(self, suite, checkout, log=print):
        self.suite = suite
        self.systemd = SUITES[suite]
        self.checkout = pathlib.Path(checkout)
        self.log = log
        self.leader = None  # PID 1 of the machine, as the host sees it
        self.nspawn = None
        self.mount = None
        self.cgroup = None
        self.console = None

    # Life

    def start(self):
        lower = self.lower()
        self.mount = pathlib.Path(f"/var/tmp/fdpass-{self.suite}-{os.getpid()}")
        self.mount.mkdir(mode=0o700)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=0755", "fdpass-test", self.mount], check=True)
        for name in "upper", "work", "root":
            (self.mount / name).mkdir()
        subprocess.run(["mount", "-t", "overlay", "fdpass-test", "-o",
                        f"lowerdir={lower},upperdir={self.mount}/upper,workdir={self.mount}/work",
                        self.root], check=True)
        self._prepare()
        self._boot()

    def lower(self):
        """The trees below, as in the option lowerdir= of an overlay."""
        return str(base_tree(self.suite, self.log))

    @property
    def root(self):
        return self.mount / "root"

    def _prepare(self):
        shutil.copytree(self.checkout, str(self.root) + SOURCE, symlinks=True, ignore=self._not_copied)
        self.write("/etc/hostname", "machine\n")
        self.write("/etc/hosts", "127.0.0.1 localhost machine\n::1 localhost\n")
        self.write("/etc/machine-id", "")
        # The rate limit of journald would hide what a case looks for.
        self.write("/etc/systemd/journald.conf.d/test.conf",
                   "[Journal]\nStorage=volatile\nRateLimitIntervalSec=0\nRateLimitBurst=0\n")
        for unit in MASKED:
            self.symlink("/dev/null", f"/etc/systemd/system/{unit}")
        for unit in DISABLED:
            self.path(f"/etc/systemd/system/multi-user.target.wants/{unit}").unlink(missing_ok=True)

    def _not_copied(self, directory, names):
        if pathlib.Path(directory) != self.checkout:
            return ["__pycache__"]
        return [name for name in names if name == ".git" or name.startswith("build")]

    def _enter_cgroup(self):
        """Runs in the child: puts it into a control group of its own.

        nspawn makes its own below that one. Without that, two machines that are started from one place
        would share theirs, and each would count the other's processes as its own.
        """
        (self.cgroup / "cgroup.procs").write_text("0")

    def _boot(self):
        unified = pathlib.Path("/sys/fs/cgroup")
        if not (unified / "cgroup.controllers").exists():
            unified /= "unified"  # a host with both hierarchies
        own = next(line[3:] for line in pathlib.Path("/proc/self/cgroup").read_text().splitlines()
                   if line.startswith("0::"))
        self.cgroup = unified / own.lstrip("/") / self.mount.name
        self.cgroup.mkdir()
        self.console = open(self.mount / "console", "w+")
        # Should this process die, nspawn does too, and the machine with it.
        self.nspawn = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL",
             "systemd-nspawn", "--quiet", "-D", str(self.root), "-M", self.mount.name, "--register=no", "--keep-unit",
             # Services may confine themselves; nspawn 252 leaves this out of what a machine may do.
             "--system-call-filter=landlock_create_ruleset landlock_add_rule landlock_restrict_self",
             "--private-network", "--resolv-conf=off", "--timezone=off", "--link-journal=no", "--boot"],
            env={"PATH": os.environ["PATH"], "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
            stdin=subprocess.DEVNULL, stdout=self.console, stderr=subprocess.STDOUT, preexec_fn=self._enter_cgroup)
        self.leader = wait_for(self._find_leader, BOOT_TIMEOUT, "a machine with a PID 1")
        wait_for(lambda: self.run("systemctl is-system-running --wait", check=False).stdout.strip()
                 in ("running", "degraded"), BOOT_TIMEOUT, "the end of the boot")

    def _find_leader(self):
        if self.nspawn.poll() is not None:
            raise Failure(f"systemd-nspawn ended with {self.nspawn.returncode}:\n{self.console_text()}")
        with contextlib.suppress(OSError):
            children = pathlib.Path(f"/proc/{self.nspawn.pid}/task/{self.nspawn.pid}/children").read_text().split()
            for pid in children:
                status = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
                ids = next(line.split() for line in status if line.startswith("NSpid:"))
                if ids[-1] == "1" and status[0].split()[1] in ("systemd", "init"):
                    return int(pid)
        return None

    def console_text(self):
        return (self.mount / "console").read_text(errors="replace")

    def stop(self):
        if self.nspawn:
            if self.leader:
                with contextlib.suppress(ProcessLookupError):
                    self._power_off()
            try:
                self.nspawn.wait(15 if self.leader else 0)
            except subprocess.TimeoutExpired:
                self.log(f"{self.suite} does not power off, killing it")
                if self.leader:
                    os.kill(self.leader, signal.SIGKILL)
                self.nspawn.kill()
                self.nspawn.wait()
        if self.cgroup and self.cgroup.exists():
            wait_for(self._remove_cgroup, 10, "the end of the machine's processes")
        if self.mount:
            for where in self.root, self.mount:
                subprocess.run(["umount", "--lazy", where], stderr=subprocess.DEVNULL, check=False)
            self.mount.rmdir()

    def _power_off(self):
        os.kill(self.leader, signal.SIGRTMIN + 4)  # systemd(1)

    def _remove_cgroup(self):
        try:
            for directory, _, _ in os.walk(self.cgroup, topdown=False):
                os.rmdir(directory)
        except OSError:  # the last processes are still on their way out
            return False
        return True

    # What a case does with it

    def enter(self, *argv):
        return ["nsenter", "-t", str(self.leader), "-a", "--root", "--wd", "env", "-i", *ENVIRONMENT, *argv]

    def run(self, command, check=True, timeout=60, **kwargs):
        """Runs a shell command line inside; its output is text."""
        done = subprocess.run(self.enter("sh", "-c", command), timeout=timeout * self.slowness, text=True,
                              stdin=kwargs.pop("stdin", None if "input" in kwargs else subprocess.DEVNULL),
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, **kwargs)
        if check and done.returncode != 0:
            raise Failure(f"`{command}` ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done

    def output(self, command, **kwargs):
        return self.run(command, **kwargs).stdout.strip()

    def popen(self, command, **kwargs):
        """Starts a shell command line inside and returns the Popen object, with pipes for text."""
        return subprocess.Popen(self.enter("sh", "-c", "exec " + command), text=True, stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, **kwargs)

    def path(self, name):
        return pathlib.Path(str(self.root) + name)

    def write(self, name, text, mode=0o644):
        """Writes a file of the machine. Not for /run and /tmp, which it mounts over once it is booted."""
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)

    def symlink(self, target, name):
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.symlink_to(target)
