# SPDX-License-Identifier: LGPL-2.1-or-later
"""The machine with a kernel of its own: Debian's, in a guest of qemu, because that kernel has TLS (CONFIG_TLS).

The root directory is the one of machine.py, and the guest sees it by 9p. fdpass is built there before the guest boots,
because qemu emulates the processor. Commands come by SSH. The host's changes below /etc are seen in the guest, and
others are not.
"""

import fcntl
import hashlib
import json
import lzma
import pathlib
import re
import shlex
import shutil
import socket
import subprocess

import machine
from machine import Failure, cache_directory, wait_for

GUESTS = {"ktls12": "bookworm", "ktls13": "trixie"}  # and the suite of machine.py that each is of

NEEDS = ["qemu-system-x86_64", "ssh", "ssh-keygen", "depmod", "gcc", "mmdebstrap"]
PACKAGES = ["linux-image-amd64", "kmod", "wget", "keepalived"]  # what the base tree has not
MODULES = ["virtio_pci", "9pnet_virtio", "9p"]  # without which there is no root directory
BOOT_TIMEOUT = 600  # the processor is emulated
UP = "The guest is up"

UNIT = f"""[Unit]
Description=Commands of the Host
After=systemd-tmpfiles-setup.service
[Service]
ExecStartPre=modprobe virtio_net
ExecStartPre=sh -c "until test -e /sys/class/net/eth0; do sleep 0.1; done"
ExecStartPre=sh -c "ip address add 10.0.2.15/24 dev eth0; ip link set eth0 up; mkdir -p /run/sshd"
ExecStart=/usr/sbin/sshd -D -e -o ListenAddress=10.0.2.15:22 -o MaxSessions=1000 -o UsePAM=no -o PermitRootLogin=yes
ExecStartPost=sh -c "echo {UP} >/dev/console"
[Install]
WantedBy=multi-user.target
"""


def missing():
    """The first program that the host lacks, or None."""
    return next((name for name in NEEDS if not shutil.which(name)), None)


def kernel_tree(suite, log):
    """Returns a tree with Debian's kernel, its modules, and programs that the base tree lacks. Made once."""
    cache = cache_directory()
    with open(cache / f"kernel-{suite}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        key = hashlib.sha256(json.dumps(PACKAGES).encode()).hexdigest()[:12]
        tree, new = cache / f"kernel-{suite}-{key}", cache / f"kernel-{suite}.new"
        if tree.is_dir():
            return tree
        shutil.rmtree(new, ignore_errors=True)
        log(f"unpacking the kernel of {suite} in {cache} (once)")
        made = subprocess.run(["mmdebstrap", "--variant=extract", "--include=" + ",".join(PACKAGES),
                               "--dpkgopt=path-exclude=/usr/share/*", suite, str(new)],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if made.returncode != 0:
            raise Failure(f"mmdebstrap {suite} failed:\n{made.stderr[-3000:]}")
        merge_usr(new)
        subprocess.run(["depmod", "-b", new / "usr", version(new)], check=True)
        new.rename(tree)
        return tree


def merge_usr(tree):
    """Leaves what has to be found: programs, libraries and modules below /usr, as in the base tree, and the kernel."""
    for name in "bin", "sbin", "lib", "lib64":
        if (tree / name).is_dir() and not (tree / name).is_symlink():
            shutil.copytree(tree / name, tree / "usr" / name, symlinks=True, dirs_exist_ok=True)
    for path in tree.iterdir():
        if path.is_symlink() or path.is_file():
            path.unlink()
        elif path.name not in ("usr", "boot"):
            shutil.rmtree(path)
    shutil.rmtree(tree / "usr/share", ignore_errors=True)
    if not (tree / "usr/lib/lib").exists():
        (tree / "usr/lib/lib").symlink_to(".")  # where depmod -b looks below


def version(tree):
    return next((tree / "usr/lib/modules").iterdir()).name


class Archive:
    """An initial RAM disk (cpio, "newc")."""

    def __init__(self):
        self.bytes = bytearray()
        self.n = 0

    def add(self, name, mode, content=b"", device=(0, 0)):
        self.n += 1
        fields = [self.n, mode, 0, 0, 1, 0, len(content), 0, 0, *device, len(name) + 1, 0]
        self.put(b"070701" + b"".join(b"%08x" % field for field in fields) + name.encode() + b"\0")
        self.put(content)

    def put(self, content):
        self.bytes += content + bytes(-len(content) % 4)


def module_files(tree):
    """The modules of MODULES with those that they need, in the order in which they load."""
    directory = tree / "usr/lib/modules" / version(tree)
    needs = {}
    for line in (directory / "modules.dep").read_text().splitlines():
        name, _, rest = line.partition(":")
        needs[name] = rest.split()
    files = []
    for module in MODULES:
        for file in needs:  # those in the kernel itself are not among them
            if re.fullmatch(rf"{module}\.ko(\.xz)?", pathlib.Path(file).name):
                files += [name for name in [*reversed(needs[file]), file] if name not in files]
    return [directory / name for name in files]


def initrd(tree, init):
    archive = Archive()
    archive.add("dev", 0o040755)
    archive.add("root", 0o040755)
    archive.add("dev/console", 0o020600, device=(5, 1))
    archive.add("init", 0o100755, init.read_bytes())
    for n, file in enumerate(module_files(tree)):
        content = file.read_bytes()
        archive.add(f"{n:02}.ko", 0o100644, lzma.decompress(content) if file.suffix == ".xz" else content)
    archive.add("TRAILER!!!", 0)
    return bytes(archive.bytes)


def share(tag, path):
    return ["-fsdev", f"local,id={tag},path={path},security_model=passthrough,multidevs=remap",
            "-device", f"virtio-9p-pci,fsdev={tag},mount_tag={tag}"]


class Guest:
    """Put before a Machine, it boots it with a kernel of its own."""

    slowness = 5

    def lower(self):
        self.tree = kernel_tree(self.suite, self.log)
        return f"{super().lower()}:{self.tree}"

    def _prepare(self):
        super()._prepare()
        self.write("/etc/systemd/system/guest.service", UNIT)
        self.symlink("/etc/systemd/system/guest.service", "/etc/systemd/system/multi-user.target.wants/guest.service")
        self.write("/etc/fstab", "")
        self.symlink("/dev/null", "/etc/systemd/system/serial-getty@.service")  # no udev, so it would wait for its device
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.mount / "key"], check=True)
        self.path("/root/.ssh").mkdir(mode=0o700, exist_ok=True)
        self.write("/root/.ssh/authorized_keys", (self.mount / "key.pub").read_text(), 0o600)
        self._build()

    def _build(self):
        """The processor of the host is much faster than the guest's."""
        for name in "proc", "dev":
            subprocess.run(["mount", "--rbind", f"/{name}", self.path(f"/{name}")], check=True)
        built = subprocess.run(["chroot", self.root, "sh", "-c", self.build_command()], capture_output=True, text=True)
        for name in "proc", "dev":
            subprocess.run(["umount", "--lazy", "--recursive", self.path(f"/{name}")], check=True)
        if built.returncode != 0:
            raise Failure(f"the build failed:\n{(built.stdout + built.stderr)[-3000:]}")

    def build(self, options=""):
        pass  # _build() has done it

    def _boot(self):
        init, disk = self.mount / "init", self.mount / "initrd"
        subprocess.run(["gcc", "-static", "-O1", "-o", init,
                        pathlib.Path(__file__).with_name("guest") / "init.c"], check=True)
        disk.write_bytes(initrd(self.tree, init))
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.console = open(self.mount / "console", "w+")
        self.nspawn = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max",
             "-smp", "2", "-m", "2G", "-display", "none", "-monitor", "none", "-serial", "stdio", "-no-reboot",
             "-kernel", next((self.tree / "boot").glob("vmlinuz-*")), "-initrd", disk,
             "-append", "console=ttyS0 quiet panic=-1 net.ifnames=0 mitigations=off",
             *share("root", self.root), *share("etc", self.path("/etc")),
             "-netdev", f"user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:{self.port}-10.0.2.15:22",
             "-device", "virtio-net-pci,netdev=net"],
            stdin=subprocess.DEVNULL, stdout=self.console, stderr=subprocess.STDOUT)
        try:
            wait_for(self._is_up, BOOT_TIMEOUT, "the end of the boot", interval=0.5)
        except Failure as error:
            raise Failure(f"{error}\n{self.console_text()[-3000:]}") from None
        # All commands go through one connection, because a handshake of SSH takes seconds here.
        wait_for(lambda: subprocess.run(self._ssh("-M", "-N", "-f"), timeout=60).returncode == 0, 60, "the guest's SSH")
        self.leader = self.nspawn.pid

    def _is_up(self):
        if self.nspawn.poll() is not None:
            raise Failure(f"qemu ended with {self.nspawn.returncode}")
        return UP in self.console_text()

    def _ssh(self, *options):
        return ["ssh", "-F", "none", "-q", "-p", str(self.port), "-i", str(self.mount / "key"), "-S", str(self.mount / "ssh"),
                "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", *options, "root@127.0.0.1"]

    def _power_off(self):
        self.nspawn.terminate()  # nothing of the guest is kept

    def enter(self, *argv):
        return [*self._ssh(), shlex.join(["env", "-i", *machine.ENVIRONMENT, *argv])]

    def write(self, name, text, mode=0o644):
        if self.leader and not name.startswith("/etc/"):
            self.run(f"mkdir -p $(dirname {name}); cat >{name}; chmod {mode:o} {name}", input=text)
        else:
            super().write(name, text, mode)
