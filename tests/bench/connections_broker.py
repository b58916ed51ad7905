# SPDX-License-Identifier: LGPL-2.1-or-later
"""A broker with a worker and the kernel's reports, started as systemd would. No root is needed."""

import array
import collections
import os
import pathlib
import re
import socket
import sys

ENDS = pathlib.Path(__file__).resolve().parent.parent / "system/guest/ends.py"
sys.path.append(str(ENDS.parent))

LINE = re.compile(r"fdpassd: (\S+) on public: ended at \S+: (?:([\d.]+) s(?:, (\d+) bytes in, (\d+) bytes out)?|(its end was not seen))")


class Systemd:
    """Passes the sockets, and keeps what the broker gives it. @settings are of fdpass.service, @route of the worker's unit.
    @reports and @control: whether it has these sockets."""

    def __init__(self, fdpassd, directory, settings="", route="", reports=True, room=8 << 20, control=False):
        self.fdpassd, self.directory, self.stored, self.errors = fdpassd, directory, {}, open(directory / "log", "wb")
        self.public = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.worker = socket.socket(socket.AF_UNIX)
        self.worker.bind(str(directory / "ends.sock"))
        self.worker.listen(4096)
        self.back = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.back.bind(str(directory / "return.sock"))
        self.back.listen(4096)
        self.reports = None
        if reports:
            self.reports = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 4)
            self.reports.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
            self.reports.bind((0, 0b101))
        self.control = None
        if control:
            self.control = socket.socket(socket.AF_UNIX)
            self.control.bind(str(directory / "control"))
            self.control.listen(64)
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(str(directory / "notify"))
        units = directory / "root/etc/systemd/system"
        (units / "fdpass.target.wants").mkdir(parents=True)
        (units / "ends.socket").write_text(f"[Socket]\nListenStream={directory}/ends.sock\n[X-FDPass]\nMaxPending=64\n{route}\n")
        (units / "fdpass.service").write_text(f"[X-FDPass]\n{settings}\n")
        (units / "fdpass.target.wants/ends.socket").symlink_to(units / "ends.socket")

    def start(self):
        fds = [(self.public.fileno(), "public"), (self.back.fileno(), "return"),
               *([(self.reports.fileno(), "connections")] if self.reports else []),
               *([(self.control.fileno(), "control")] if self.control else []), *((fd, name) for name, fd in self.stored.items())]

        def pass_on():
            copies = [os.dup(fd) for fd, _ in fds]
            copies = [os.dup2(fd, 200 + i) for i, fd in enumerate(copies)]
            for i, fd in enumerate(copies):
                os.dup2(fd, 3 + i, inheritable=True)
            os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(fds)), LISTEN_FDNAMES=":".join(name for _, name in fds),
                              NOTIFY_SOCKET=str(self.directory / "notify"))
            os.execv(self.fdpassd, [self.fdpassd, f"--root={self.directory}/root"])

        self.pid = os.fork()
        if self.pid == 0:
            os.dup2(self.errors.fileno(), 2)
            pass_on()
        while "READY=1" not in self.take():
            pass

    def take(self):
        """Takes one notification, and keeps its descriptors."""
        message, control, _, _ = self.notify.recvmsg(4096, 4096)
        fields = dict(line.split("=", 1) for line in message.decode().splitlines() if "=" in line)
        if "FDSTOREREMOVE" in fields and fields.get("FDNAME") in self.stored:
            os.close(self.stored.pop(fields["FDNAME"]))
        for _, _, data in control:
            self.stored[fields.get("FDNAME", "x")] = array.array("i", data)[0]
        return message.decode()

    def stop(self, signo):
        os.kill(self.pid, signo)
        os.waitpid(self.pid, 0)
        self.notify.setblocking(False)
        try:
            while True:
                self.take()
        except BlockingIOError:
            self.notify.setblocking(True)

    def close(self):
        for sock in self.public, self.worker, self.back, self.reports, self.control, self.notify:
            if sock:
                sock.close()
        for fd in self.stored.values():
            os.close(fd)
        self.errors.close()

    def cpu(self):
        """Time of the broker on a processor, in seconds."""
        return int(pathlib.Path(f"/proc/{self.pid}/schedstat").read_text(encoding="ascii").split()[0]) / 1e9

    def port(self):
        return self.public.getsockname()[1]

    def lines(self):
        found = collections.defaultdict(list)
        for match in LINE.finditer((self.directory / "log").read_text()):
            seconds, *sizes, _ = match.groups()[1:]
            found[match[1]].append((seconds and float(seconds), *(n and int(n) for n in sizes)))
        return found
