# SPDX-License-Identifier: LGPL-2.1-or-later
"""Descriptors whose close(2) waits, harmless ones, and what can be set on a socket."""

import contextlib
import ctypes
import fcntl
import os
import select
import signal
import socket
import struct

import harness

SO_PEEK_OFF, SO_ATTACH_FILTER, SO_LOCK_FILTER, SO_BUSY_POLL, SO_ZEROCOPY, SO_BUF_LOCK = 42, 26, 44, 46, 60, 72
SO_MAX_PACING_RATE, SO_TIMESTAMPING, SO_RXQ_OVFL, SO_INCOMING_CPU = 47, 37, 40, 49
TCP_THIN_LINEAR, TCP_TIMESTAMP, TCP_SAVE_SYN, TCP_INQ, TCP_TX_DELAY = 16, 24, 27, 36, 37
IP_RECVERR, IP_MTU_DISCOVER, IP_FREEBIND = 11, 10, 15
F_SETSIG = 10
LINGER_SECONDS = 3600

# Sockets that have to stay open until the process ends: the far ends, for one, which read nothing.
kept = []


def set_filter(sock):
    """A classic BPF program that drops all packets."""
    program = (ctypes.c_uint64 * 1)(int.from_bytes(struct.pack("=HBBI", 0x06, 0, 0, 0), "little"))
    sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("@HP", 1, ctypes.addressof(program)))


def set_locked_filter(sock):
    set_filter(sock)
    sock.setsockopt(socket.SOL_SOCKET, SO_LOCK_FILTER, 1)


def set_async(sock):
    fcntl.fcntl(sock, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(sock, fcntl.F_SETFL, fcntl.fcntl(sock, fcntl.F_GETFL) | os.O_ASYNC)


def set_signal(sock):
    fcntl.fcntl(sock, F_SETSIG, signal.SIGUSR2)


def set_owner(sock):
    fcntl.fcntl(sock, fcntl.F_SETOWN, os.getpid())


def option(level, name, value):
    return lambda sock: sock.setsockopt(level, name, value)


SOL, TCP, IP = socket.SOL_SOCKET, socket.IPPROTO_TCP, socket.IPPROTO_IP
SECONDS = struct.pack("@ll", 7, 0)

# What a worker without any privilege can set on its client; each is a function of the socket.
OPTIONS = {
    "SO_LINGER": option(SOL, socket.SO_LINGER, struct.pack("ii", 1, LINGER_SECONDS)),
    "SO_LINGER 0": option(SOL, socket.SO_LINGER, struct.pack("ii", 1, 0)),
    "O_NONBLOCK": lambda sock: sock.setblocking(False),
    "SO_PEEK_OFF": option(SOL, SO_PEEK_OFF, 5),
    "SO_RCVLOWAT": option(SOL, socket.SO_RCVLOWAT, 4096),
    "O_ASYNC": set_async,
    "F_SETOWN": set_owner,
    "F_SETSIG": set_signal,
    "SO_ATTACH_FILTER": set_filter,
    "SO_LOCK_FILTER": set_locked_filter,
    "SO_RCVTIMEO": option(SOL, socket.SO_RCVTIMEO, SECONDS),
    "SO_SNDTIMEO": option(SOL, socket.SO_SNDTIMEO, SECONDS),
    "SO_KEEPALIVE": option(SOL, socket.SO_KEEPALIVE, 1),
    "SO_RCVBUF": option(SOL, socket.SO_RCVBUF, 4096),
    "SO_SNDBUF": option(SOL, socket.SO_SNDBUF, 4608),
    "SO_OOBINLINE": option(SOL, socket.SO_OOBINLINE, 1),
    "SO_BUSY_POLL": option(SOL, SO_BUSY_POLL, 0),
    "SO_PRIORITY": option(SOL, socket.SO_PRIORITY, 6),
    "SO_ZEROCOPY": option(SOL, SO_ZEROCOPY, 1),
    "SO_TIMESTAMPING": option(SOL, SO_TIMESTAMPING, 0x02 | 0x10 | 0x80),
    "SO_RXQ_OVFL": option(SOL, SO_RXQ_OVFL, 1),
    "SO_MAX_PACING_RATE": option(SOL, SO_MAX_PACING_RATE, 10_000),
    "SO_DONTROUTE": option(SOL, socket.SO_DONTROUTE, 1),
    "SO_BROADCAST": option(SOL, socket.SO_BROADCAST, 1),
    "TCP_CORK": option(TCP, socket.TCP_CORK, 1),
    "TCP_NODELAY": option(TCP, socket.TCP_NODELAY, 1),
    "TCP_QUICKACK": option(TCP, socket.TCP_QUICKACK, 0),
    "TCP_MAXSEG": option(TCP, socket.TCP_MAXSEG, 536),
    "TCP_USER_TIMEOUT": option(TCP, socket.TCP_USER_TIMEOUT, 1000),
    "TCP_KEEPIDLE": option(TCP, socket.TCP_KEEPIDLE, 11),
    "TCP_KEEPINTVL": option(TCP, socket.TCP_KEEPINTVL, 12),
    "TCP_KEEPCNT": option(TCP, socket.TCP_KEEPCNT, 3),
    "TCP_SYNCNT": option(TCP, socket.TCP_SYNCNT, 2),
    "TCP_LINGER2": option(TCP, socket.TCP_LINGER2, 1),
    "TCP_WINDOW_CLAMP": option(TCP, socket.TCP_WINDOW_CLAMP, 2000),
    "TCP_NOTSENT_LOWAT": option(TCP, socket.TCP_NOTSENT_LOWAT, 1),
    "TCP_CONGESTION": option(TCP, socket.TCP_CONGESTION, b"reno"),
    "TCP_THIN_LINEAR_TIMEOUTS": option(TCP, TCP_THIN_LINEAR, 1),
    "TCP_INQ": option(TCP, TCP_INQ, 1),
    "TCP_TX_DELAY": option(TCP, TCP_TX_DELAY, 1_000_000),
    "IP_TOS": option(IP, socket.IP_TOS, 0x10),
    "IP_TTL": option(IP, socket.IP_TTL, 1),
    "IP_RECVERR": option(IP, IP_RECVERR, 1),
    "IP_MTU_DISCOVER": option(IP, IP_MTU_DISCOVER, 0),
    "IP_FREEBIND": option(IP, IP_FREEBIND, 1),
}

# Some kernels reserve these for root, where the limit of the BPF compiler is used up.
FILTERS = "SO_ATTACH_FILTER", "SO_LOCK_FILTER"


def set_option(sock, name):
    """Sets one of OPTIONS. Returns False where the kernel does not let this process do it."""
    try:
        OPTIONS[name](sock)
        return True
    except OSError:
        return False


# What getsockopt(2) and fcntl(2) tell of a socket that was accepted just now. SO_INCOMING_CPU, TCP_QUICKACK and
# the like are left out: the kernel changes them by itself.
READABLE = {
    "SO_LINGER": (SOL, socket.SO_LINGER), "SO_PEEK_OFF": (SOL, SO_PEEK_OFF), "SO_RCVLOWAT": (SOL, socket.SO_RCVLOWAT),
    "SO_RCVTIMEO": (SOL, socket.SO_RCVTIMEO), "SO_SNDTIMEO": (SOL, socket.SO_SNDTIMEO),
    "SO_KEEPALIVE": (SOL, socket.SO_KEEPALIVE), "SO_OOBINLINE": (SOL, socket.SO_OOBINLINE),
    "SO_BUSY_POLL": (SOL, SO_BUSY_POLL), "SO_PRIORITY": (SOL, socket.SO_PRIORITY), "SO_MARK": (SOL, socket.SO_MARK),
    "SO_ZEROCOPY": (SOL, SO_ZEROCOPY), "SO_TIMESTAMPING": (SOL, SO_TIMESTAMPING), "SO_RXQ_OVFL": (SOL, SO_RXQ_OVFL),
    "SO_MAX_PACING_RATE": (SOL, SO_MAX_PACING_RATE), "SO_DONTROUTE": (SOL, socket.SO_DONTROUTE),
    "SO_BROADCAST": (SOL, socket.SO_BROADCAST), "SO_LOCK_FILTER": (SOL, SO_LOCK_FILTER),
    "SO_BUF_LOCK": (SOL, SO_BUF_LOCK), "SO_ERROR": (SOL, socket.SO_ERROR), "SO_ACCEPTCONN": (SOL, socket.SO_ACCEPTCONN),
    "SO_REUSEADDR": (SOL, socket.SO_REUSEADDR), "SO_PASSCRED": (SOL, socket.SO_PASSCRED),
    "TCP_CORK": (TCP, socket.TCP_CORK), "TCP_NODELAY": (TCP, socket.TCP_NODELAY), "TCP_MAXSEG": (TCP, socket.TCP_MAXSEG),
    "TCP_USER_TIMEOUT": (TCP, socket.TCP_USER_TIMEOUT), "TCP_KEEPIDLE": (TCP, socket.TCP_KEEPIDLE),
    "TCP_KEEPINTVL": (TCP, socket.TCP_KEEPINTVL), "TCP_KEEPCNT": (TCP, socket.TCP_KEEPCNT),
    "TCP_SYNCNT": (TCP, socket.TCP_SYNCNT), "TCP_LINGER2": (TCP, socket.TCP_LINGER2),
    "TCP_WINDOW_CLAMP": (TCP, socket.TCP_WINDOW_CLAMP), "TCP_NOTSENT_LOWAT": (TCP, socket.TCP_NOTSENT_LOWAT),
    "TCP_CONGESTION": (TCP, socket.TCP_CONGESTION), "TCP_THIN_LINEAR_TIMEOUTS": (TCP, TCP_THIN_LINEAR),
    "TCP_INQ": (TCP, TCP_INQ), "TCP_TX_DELAY": (TCP, TCP_TX_DELAY), "TCP_ULP": (TCP, 31),
    "IP_TOS": (IP, socket.IP_TOS), "IP_TTL": (IP, socket.IP_TTL), "IP_RECVERR": (IP, IP_RECVERR),
    "IP_MTU_DISCOVER": (IP, IP_MTU_DISCOVER), "IP_FREEBIND": (IP, IP_FREEBIND),
    "IP_RECVTOS": (IP, socket.IP_RECVTOS), "IP_OPTIONS": (IP, socket.IP_OPTIONS),
}


def read_options(sock):
    """All of READABLE that this kernel knows, the flags, and the owner of signals, by name."""
    result = {"F_GETFL": fcntl.fcntl(sock, fcntl.F_GETFL), "F_GETOWN": fcntl.fcntl(sock, fcntl.F_GETOWN),
              "F_GETSIG": fcntl.fcntl(sock, 11)}
    for name, (level, number) in READABLE.items():
        with contextlib.suppress(OSError):
            result[name] = sock.getsockopt(level, number, 64)
    # A filter can't be read back without CAP_NET_ADMIN, but its length can.
    with contextlib.suppress(OSError):
        length = ctypes.c_uint32(0)
        harness.libc.getsockopt(sock.fileno(), SOL, SO_ATTACH_FILTER, None, ctypes.byref(length))
        result["SO_GET_FILTER"] = length.value
    return result


def fill(sock):
    """Writes until there is no room: the other end reads nothing."""
    sock.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            sock.send(b"x" * 65536)
    sock.setblocking(True)


def lingering(options=()):
    """A TCP socket whose last close(2) waits for an hour."""
    sock, far = harness.tcp_pair()
    far.setsockopt(SOL, socket.SO_RCVBUF, 4096)
    fill(sock)
    for name in ("SO_LINGER", *options):
        set_option(sock, name)
    kept.append(far)
    return sock


# The kinds: each returns the descriptors that are to be sent, as objects with a fileno() that close() ends.


class Descriptor:
    """A descriptor that is no socket."""

    def __init__(self, fd):
        self.fd = fd

    def fileno(self):
        return self.fd

    def close(self):
        os.close(self.fd)


class Unclosed(Descriptor):
    """A descriptor that stays open until the process ends, because its close(2) waits here as well."""

    def close(self):
        pass


def a_lingering_socket(hold, options):
    return [lingering(options)]


def nested(depth):
    def make(hold, options):
        """An AF_UNIX socket in whose queue another one is in flight, and in the last of them a lingering socket."""
        inner = lingering(options)
        for _ in range(depth):
            sender, outer = socket.socketpair()
            socket.send_fds(sender, [b"\0"], [inner.fileno()])
            inner.close()
            sender.close()
            inner = outer
        return [inner]
    return make


def cycle(hold, options):
    """A socket in whose own queue it is itself, beside a lingering one: only the garbage collection ends it."""
    left, right = socket.socketpair()
    inner = lingering(options)
    socket.send_fds(left, [b"\0"], [right.fileno()])
    socket.send_fds(left, [b"\0"], [inner.fileno()])
    inner.close()
    left.close()
    return [right]


def an_epoll(hold, options):
    """An epoll that watches other sockets, a lingering one among them, which is sent as well."""
    epoll = select.epoll()
    inner = lingering(options)
    epoll.register(inner, select.EPOLLIN)
    for _ in range(50):
        pair = socket.socketpair()
        kept.extend(pair)
        epoll.register(pair[0], select.EPOLLIN)
    return [epoll, inner]


def many(hold, options):
    """More than a receiver usually has room for; the lingering one is the last."""
    null = os.open("/dev/null", os.O_RDWR)
    return [Descriptor(null)] + [Descriptor(os.dup(null)) for _ in range(239)] + [lingering(options)]


def many_lingering(hold, options):
    return [lingering(options) for _ in range(16)]


def fuse_file(hold, options):
    """Each close(2) of a descriptor of it waits, not only the last one."""
    return [Unclosed(hold.file())]


def locked(hold, options):
    """A TCP socket whose lock is held."""
    sock, far = harness.tcp_pair()
    kept.append(far)
    for name in options:
        set_option(sock, name)
    hold.take(sock)
    return [sock]


def harmless(hold, options):
    """A process, memory, and both ends of a pipe."""
    return [Descriptor(fd) for fd in (os.pidfd_open(os.getpid()), os.memfd_create("test"), *os.pipe())]


KINDS = {
    "a lingering socket": a_lingering_socket,
    "a lingering socket in a socket": nested(1),
    "a lingering socket in three sockets": nested(3),
    "a cycle of sockets with a lingering one": cycle,
    "an epoll with a lingering socket": an_epoll,
    "a FUSE file": fuse_file,
    "a locked socket": locked,
    "240 descriptors and a lingering socket": many,
    "16 lingering sockets": many_lingering,
    "harmless descriptors": harmless,
}
