# SPDX-License-Identifier: LGPL-2.1-or-later
"""Processes that attack a broker, and what the result of a case can be."""

import contextlib
import ctypes
import os
import pathlib
import signal
import socket
import time

NOBODY = 65534
PR_SET_PDEATHSIG = 1

libc = ctypes.CDLL(None, use_errno=True)


class Failure(AssertionError):
    """The broker did not do what it has to."""


class Slow(Failure):
    """It did, but not fast enough: other work on this machine may be the cause."""


class Skip(Exception):
    """This machine can't run the case; the text says why."""


def check(condition, what):
    if not condition:
        raise Failure(what)


def until(condition, seconds, what, interval=0.005):
    """Calls condition() until it returns something true, and returns that."""
    end = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > end:
            raise Failure(f"{what}: not within {seconds} s")
        time.sleep(interval)


def die_with_parent():
    """Ends this process with the one that started it. A change of the user takes that back."""
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def handle_own_signals(handler):
    """What O_ASYNC and F_SETSIG bring to the process that sets them."""
    for signo in signal.SIGIO, signal.SIGUSR2:
        signal.signal(signo, handler)


def become(uid, groups=()):
    if uid is not None and os.geteuid() == 0:
        os.setgroups(groups)
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)


def close_all(fds):
    for fd in fds:
        os.close(fd)


def state_of(pid):
    """The letter of proc(5), or None where there is no such process."""
    with contextlib.suppress(OSError):
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return None


class Process:
    """A forked process that runs function() as another user, and is killed with this one."""

    def __init__(self, function, uid=None, groups=()):
        self.pid = os.fork()
        if self.pid == 0:
            status = 1
            try:
                signal.alarm(0)
                become(uid, groups)
                die_with_parent()
                function()
                status = 0
            finally:
                os._exit(status)

    def kill(self, signo=signal.SIGKILL):
        if self.pid:
            os.kill(self.pid, signo)

    def ended(self, seconds):
        """Whether it ended within that time."""
        end = time.monotonic() + seconds
        while self.pid:
            pid, self.status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.pid = None
            elif time.monotonic() > end:
                return False
            else:
                time.sleep(0.005)
        return True

    def end(self, seconds=3):
        """Kills it. A process in state D may stay: what it waits for ends with another one."""
        self.kill()
        return self.ended(seconds)


class Steps(Process):
    """A process whose function is a generator: it stops at each yield, until step() lets it go on."""

    def __init__(self, generator, uid=NOBODY, groups=()):
        self.socket, theirs = socket.socketpair()
        mine = self.socket

        def run():
            mine.close()
            handle_own_signals(signal.SIG_IGN)
            try:
                for _ in generator:
                    theirs.sendall(b".")
                    if theirs.recv(1) != b".":
                        return
                theirs.sendall(b"!")
            except BaseException as error:
                theirs.sendall(f"{type(error).__name__}: {error}".encode())
            while True:
                signal.pause()

        super().__init__(run, uid, groups)
        theirs.close()
        self.begun = False

    def step(self, seconds=10):
        """Lets it run to its next yield. Returns False at its end."""
        if self.begun:
            self.socket.sendall(b".")
        self.begun = True
        self.socket.settimeout(seconds)
        try:
            word = self.socket.recv(4096)
        except TimeoutError:
            raise Failure("the attack itself stands still") from None
        if word.startswith(b"Skip: "):
            raise Skip(word[6:].decode())
        if word not in (b".", b"!"):
            raise Failure(f"the attack failed: {word.decode()}")
        return word == b"."
