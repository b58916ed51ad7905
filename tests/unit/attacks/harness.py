# SPDX-License-Identifier: LGPL-2.1-or-later
"""A broker with its own listeners, units and workers, as systemd would start it, and processes that attack it."""

import array
import collections
import contextlib
import dataclasses
import os
import pathlib
import resource
import select
import shutil
import signal
import socket
import struct
import tempfile
import time

from processes import (NOBODY, Failure, Process, Skip, Slow, Steps, become, check, close_all,  # the cases take some of these from here
                       die_with_parent, handle_own_signals, libc, state_of, until)

ROUTE_REQUEST = "GET / HTTP/1.1\r\nHost: {}\r\n\r\n"
RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"
FIRST_INHERITED = 3  # SD_LISTEN_FDS_START
ANSWER_TAKEN, ANSWER_REFUSED, ANSWER_ERROR, ANSWER_KEPT = b"\x01", b"\x02", b"\x03", 0x10
# A message without facts: the PROXY header of an UNSPEC address with the version TLV.
PLAIN_MESSAGE = b"\r\n\r\n\0\r\nQUIT\n\x21\x00\x00\x04\xe0\x00\x01\x01"
TLV_KEEP = 0xE7


@dataclasses.dataclass
class Programs:
    """What meson built. harness.programs is set once, by the program that runs the cases."""
    fdpassd: str
    fdpassctl: str = ""
    hold: str = ""
    hide_passrights: str = ""


programs = Programs("")


class Hold:
    """A process that holds locks by pages on which a fault waits: hold.c."""

    def __init__(self, page, act, directory):
        if os.geteuid() != 0:
            raise Skip("not root")
        if not os.access(programs.hold, os.X_OK):
            raise Skip("no program hold")
        self.socket, theirs = socket.socketpair()
        mount_point = tempfile.mkdtemp(dir=directory)
        log = os.open(f"{directory}/hold.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

        def run():
            os.dup2(log, 2)
            os.set_inheritable(theirs.fileno(), True)
            os.execv(programs.hold, ["hold", str(theirs.fileno()), mount_point, page, act])

        self.process = Process(run)
        theirs.close()
        os.close(log)
        self.socket.settimeout(20)
        if self.socket.recv(1) != b"r":
            text = pathlib.Path(f"{directory}/hold.log").read_text().strip()
            self.process.ended(5)
            if os.waitstatus_to_exitcode(self.process.status) == 77:
                raise Skip(text)
            raise Failure(text)

    def file(self):
        """The FUSE file. Each close(2) of it waits, also that at the end of the calling process."""
        self.socket.sendall(b"f")
        _, fds, _, _ = socket.recv_fds(self.socket, 1, 1)
        return fds[0]

    def take(self, sock):
        """Has it hold the lock of this socket, or of an epoll in which it is."""
        socket.send_fds(self.socket, [b"x"], [sock.fileno()])
        check(self.socket.recv(1) == b"h", "hold could not hold the lock")

    def end(self):
        self.socket.close()
        self.process.kill()
        return self.process.ended(5)


def allow_descriptors():
    """As many as this process may have."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def listen_unix(path, kind=socket.SOCK_STREAM, backlog=4096, mode=0o666):
    s = socket.socket(socket.AF_UNIX, kind)
    s.bind(str(path))
    os.chmod(path, mode)
    s.listen(backlog)
    return s


def connect_unix(path, kind=socket.SOCK_STREAM):
    s = socket.socket(socket.AF_UNIX, kind)
    s.settimeout(5)
    s.connect(str(path))
    return s


class Worker:
    """A worker's listening socket, served by hand."""

    def __init__(self, path, kind=socket.SOCK_STREAM, backlog=4096):
        self.path, self.kind = path, kind
        self.socket = listen_unix(path, kind, backlog)

    def fileno(self):
        return self.socket.fileno()

    def accept(self, seconds=3):
        """One connection, with what it carries unread."""
        self.socket.settimeout(seconds)
        try:
            conn, _ = self.socket.accept()
        except TimeoutError:
            raise Failure(f"no client came to {pathlib.Path(self.path).name} within {seconds} s") from None
        conn.settimeout(seconds)
        return conn

    def take(self, seconds=3, flags=0):
        """One client: its connection, the message, and the client's socket."""
        conn = self.accept(seconds)
        return (conn, *receive_client(conn, flags))

    def has_client(self, seconds=0):
        return bool(select.select([self.socket], [], [], seconds)[0])

    def drain(self):
        """Takes and closes all that wait."""
        while self.has_client():
            conn = self.accept()
            with contextlib.suppress(OSError), conn:
                _, fds, _, _ = socket.recv_fds(conn, 1 << 17, 16)
                close_all(fds)


def receive_client(conn, flags=0):
    # socket.recv_fds() of Python 3.11 ignores its flags.
    message, control, _, _ = conn.recvmsg(1 << 17, socket.CMSG_SPACE(4 * 4), flags)
    fds = array.array("i", b"".join(data for level, kind, data in control if kind == socket.SCM_RIGHTS))
    check(len(fds) == 1, f"a message with {len(fds)} descriptors and {len(message)} bytes")
    return message, socket.socket(fileno=fds[0])


def keep_answer(answer, first, n, limit):
    """What a worker says on a persistent connection."""
    return struct.pack(">BBHHH", ANSWER_KEPT, answer[0], first, n, limit)


def next_on(broker, worker, host, conn):
    """A further client of the worker that comes on its persistent connection: both its sockets.

    The first ones may come on connections of their own, until the broker has read the worker's answer."""
    for _ in range(50):
        client = broker.ask(host)
        if conn in select.select([conn, worker], [], [], 3)[0]:
            return client, receive_client(conn)[1]
        other, _, sock = worker.take()
        with client, sock, other:
            other.sendall(ANSWER_TAKEN)
    raise Failure("no client comes on the persistent connection")


def reset_on_close(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class Notified:
    """What the broker tells its service manager (sd_notify(3))."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(path)
        os.chmod(path, 0o666)
        self.path = path

    def discard(self):
        """Reads what is there: a full queue would stop the sender."""
        self.socket.settimeout(0)
        with contextlib.suppress(BlockingIOError):
            while self.socket.recv(65536):
                pass

    def wait_for(self, word, seconds):
        end = time.monotonic() + seconds
        while True:
            self.socket.settimeout(max(0.001, end - time.monotonic()))
            try:
                text = self.socket.recv(65536).decode()
            except TimeoutError:
                raise Failure(f"the broker did not say {word} within {seconds} s") from None
            if word in text.splitlines():
                return


class Broker:
    """fdpassd with the listeners public (TCP), control, return and return-web, and those that are given.

    units are the texts of unit files by name; @DIR@ stands for the broker's directory. Each but fdpass.socket,
    fdpass.service and those in not_wanted is enabled for fdpass.target. Use it as a context manager."""

    def __init__(self, units, uid=None, groups=(), nofile=None, hide_passrights=False, family=socket.AF_INET):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="fdpass-attack-"))
        self.directory.chmod(0o755)
        self.root = self.directory / "root"
        self.uid, self.groups, self.nofile, self.hide_passrights = uid, groups, nofile, hide_passrights
        self.workers = {}
        self.listeners = {}
        self.process = self.pid = None
        (self.root / "etc/systemd/system/fdpass.target.wants").mkdir(parents=True)
        for name, text in units.items():
            self.unit(name, text)

        public = socket.socket(family)
        public.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        public.bind(("127.0.0.1" if family == socket.AF_INET else "::1", 0))
        public.listen(4096)
        self.address = public.getsockname()[:2]
        self.add("public", public)
        self.control = self.add_unix("control", backlog=128)
        self.return_path = self.add_unix("return", socket.SOCK_SEQPACKET)
        self.return_web_path = self.add_unix("return-web")
        self.notified = Notified(f"{self.directory}/notify")
        self.log = open(self.directory / "log", "w+b")

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        if error:
            with contextlib.suppress(OSError):
                error.add_note("\n".join(self.text().splitlines()[-8:]))
                error.add_note(f"broker: state {state_of(self.pid)}, {self.waits_in()}")
        if self.process:
            self.process.end()
        self.notified.socket.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    # What it gets from systemd

    def add(self, name, sock):
        self.listeners[name] = sock

    def add_unix(self, name, kind=socket.SOCK_STREAM, backlog=4096, mode=0o666):
        path = f"{self.directory}/{name}.sock"
        sock = listen_unix(path, kind, backlog, mode)
        if self.uid is not None:
            os.chown(path, self.uid, self.uid)
        self.add(name, sock)
        return path

    def unit(self, name, text):
        units = self.root / "etc/systemd/system"
        (units / name).write_text(text.replace("@DIR@", str(self.directory)))
        link = units / "fdpass.target.wants" / name
        if name not in ("fdpass.socket", "fdpass.service") and not link.is_symlink():
            link.symlink_to(f"../{name}")

    def worker(self, name, route="", kind=socket.SOCK_STREAM, backlog=4096, listens=True):
        """Adds the route NAME.socket, and the worker's socket itself."""
        key = "ListenStream" if kind == socket.SOCK_STREAM else "ListenSequentialPacket"
        self.unit(f"{name}.socket", f"[Socket]\n{key}=@DIR@/{name}.sock\n[X-FDPass]\n{route}\n")
        if listens:
            self.workers[name] = Worker(self.directory / f"{name}.sock", kind, backlog)
            return self.workers[name]
        return None

    # Its life

    def environment(self):
        env = dict(os.environ, LISTEN_FDS=str(len(self.listeners)), LISTEN_FDNAMES=":".join(self.listeners),
                   LISTEN_PID=str(os.getpid()), NOTIFY_SOCKET=self.notified.path)
        if self.hide_passrights:
            env["LD_PRELOAD"] = programs.hide_passrights
            env["ASAN_OPTIONS"] = f"verify_asan_link_order=0:{env.get('ASAN_OPTIONS', '')}"
        return env

    def _execute(self):
        handle_own_signals(signal.SIG_DFL)
        os.dup2(self.log.fileno(), 2)
        # First out of the way: the descriptors may be among the numbers that they are to have.
        copies = [os.dup2(s.fileno(), 500 + i, inheritable=True) for i, s in enumerate(self.listeners.values())]
        for fd, copy in enumerate(copies, FIRST_INHERITED):
            os.dup2(copy, fd, inheritable=True)
        os.closerange(FIRST_INHERITED + len(copies), 1024)
        if self.nofile:
            resource.setrlimit(resource.RLIMIT_NOFILE, (self.nofile, self.nofile))
        os.execve(programs.fdpassd, ["fdpassd", f"--root={self.root}"], self.environment())

    def start(self):
        self.notified.discard()
        self.process = Process(self._execute, self.uid, self.groups)
        self.pid = self.process.pid
        try:
            self.notified.wait_for("READY=1", 15)
        except Failure as error:
            raise Failure(f"{error}: {self.text()}") from None
        return self

    def reload(self, seconds=5):
        os.kill(self.pid, signal.SIGHUP)
        self.notified.wait_for("READY=1", seconds)

    def stop(self, seconds=2):
        """Ends it as systemd does, and looks at how it ended."""
        os.kill(self.pid, signal.SIGTERM)
        check(self.process.ended(seconds), f"it did not end within {seconds} s of SIGTERM")
        status = os.waitstatus_to_exitcode(self.process.status)
        text = self.text()
        check(status == 0 and "Sanitizer" not in text and "runtime error" not in text, f"it ended with {status}: {text}")
        self.process = None

    def pause(self):
        os.kill(self.pid, signal.SIGSTOP)
        until(lambda: state_of(self.pid) in ("T", "Z", None), 5, "a broker that stands still")

    def resume(self):
        os.kill(self.pid, signal.SIGCONT)

    # How it is

    def text(self):
        return (self.directory / "log").read_text(errors="replace")

    def waits_in(self):
        with contextlib.suppress(OSError):
            return pathlib.Path(f"/proc/{self.pid}/wchan").read_text()
        return "?"

    def stack(self):
        """Where it waits in the kernel."""
        with contextlib.suppress(OSError):
            return pathlib.Path(f"/proc/{self.pid}/stack").read_text()
        return self.waits_in()

    def threads(self):
        """All threads of the broker and of what it started, in a line each: which, its state, and where it waits."""
        lines = []
        for pid in [self.pid, *pathlib.Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]:
            for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
                with contextlib.suppress(OSError):
                    state = (task / "stat").read_text().rpartition(")")[2].split()[0]
                    lines.append(f"{pid} {(task / 'comm').read_text().strip()} {state} {(task / 'wchan').read_text()}")
        return lines

    def sockets(self):
        """How many descriptors of each kind it has; sockets by their protocol and state."""
        kinds = {}
        for line in pathlib.Path("/proc/net/unix").read_text().splitlines()[1:]:
            words = line.split()
            kinds[words[6]] = f"unix {words[4]} {words[5]}"
        for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]:
            words = line.split()
            kinds[words[9]] = f"tcp {words[3]}"
        found = collections.Counter()
        for fd in pathlib.Path(f"/proc/{self.pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                name = os.readlink(fd)
                found[kinds.get(name[8:-1], "socket") if name.startswith("socket:") else name.partition(":")[0]] += 1
        return found

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def list_descriptors(self):
        """What each descriptor is."""
        directory = f"/proc/{self.pid}/fd"
        with contextlib.suppress(OSError):
            return {int(fd): os.readlink(f"{directory}/{fd}") for fd in sorted(os.listdir(directory), key=int)}
        return {}

    def holds(self, sock):
        """Whether it has a descriptor of this socket, which this process has as well."""
        name = f"socket:[{os.fstat(sock.fileno()).st_ino}]"
        directory = f"/proc/{self.pid}/fd"
        for fd in os.listdir(directory):
            with contextlib.suppress(OSError):
                if os.readlink(f"{directory}/{fd}") == name:
                    return True
        return False

    def memory(self):
        """Resident bytes."""
        return int(pathlib.Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * resource.getpagesize()

    # Its clients

    def client(self, source=None, timeout=5):
        s = socket.socket(socket.AF_INET6 if ":" in self.address[0] else socket.AF_INET)
        s.settimeout(timeout)
        if source:
            s.bind((source, 0))
        s.connect(self.address)
        return s

    def ask(self, host, **options):
        """A client that has sent a request."""
        client = self.client(**options)
        client.sendall(ROUTE_REQUEST.format(host).encode())
        return client

    def serve(self, name, timeout=3):
        """One client of the route NAME (Host=NAME) from connect to the end. Returns how long that took."""
        begin = time.monotonic()
        with self.ask(name, timeout=timeout) as client:
            conn, _, sock = self.workers[name].take(timeout)
            with sock:
                conn.close()
                check(sock.recv(4096).startswith(b"GET "), "the worker read no request")
                sock.sendall(RESPONSE)
            check(read_all(client) == RESPONSE, "not the worker's response")
        return time.monotonic() - begin


def read_all(sock):
    """All that comes up to the end, which a reset is too."""
    data = b""
    try:
        while chunk := sock.recv(65536):
            data += chunk
    except ConnectionResetError:
        pass
    except TimeoutError:
        raise Failure(f"no end of the connection; until now came {data[:100]!r}") from None
    return data


def tcp_pair(family=socket.AF_INET):
    """A connection over the loopback: the end that connected, and the other one."""
    with socket.socket(family) as listener:
        listener.bind(("127.0.0.1" if family == socket.AF_INET else "::1", 0))
        listener.listen(1)
        mine = socket.socket(family)
        mine.connect(listener.getsockname())
        theirs, _ = listener.accept()
    return mine, theirs


# How long clients wait

INTERVAL = 0.004  # between two requests: the prober leaves the processors to the broker
GIVEN_UP = 2.0


def latencies(broker, name, seconds):
    """Serves one client of the route after the other for that time. Ends early where one is not served."""
    times = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            times.append(broker.serve(name, GIVEN_UP))
        except (Failure, OSError):
            times.append(GIVEN_UP)
            broker.workers[name].drain()
            break
        time.sleep(INTERVAL)
    return times


def percentile(times, part=0.99):
    return sorted(times)[min(len(times) - 1, int(len(times) * part))]
