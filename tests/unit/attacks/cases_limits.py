# SPDX-License-Identifier: LGPL-2.1-or-later
"""Limits that hold for hostile clients and workers, and what a worker must not be able to bring about."""

import contextlib
import os
import pathlib
import select
import socket
import subprocess
import time

import harness
from cases_socket import answer_request, hand_back, read_response
from harness import (ANSWER_TAKEN, ROUTE_REQUEST, Broker, Failure, Process, Skip, Worker, check, keep_answer,
                     next_on, until)

STREAM, SEQPACKET = socket.SOCK_STREAM, socket.SOCK_SEQPACKET
DEATHS_MAX = 3
TENANT = 1000


# A client at which workers die


def new(broker, worker):
    """The client, and at how many deaths it was."""
    return broker.ask("poison"), 0


def on_persistent(broker, worker):
    """The first death is that of a worker with a persistent connection."""
    with broker.ask("poison"):
        conn, _, sock = worker.take()
        conn.sendall(keep_answer(ANSWER_TAKEN, 0, 1, 100))
        sock.close()
    client, sock = next_on(broker, worker, "poison", conn)
    sock.close()
    conn.close()
    return client, 1


def receive_and_die(worker):
    conn, _, sock = worker.take()
    sock.close()
    conn.close()


def poison(names, begin):
    def run():
        """The client is given up after three deaths, and gets an answer."""
        with Broker({}) as broker:
            workers = [broker.worker(name, "Host=poison\nReceipt=ack\n", SEQPACKET) for name in names]
            broker.start()
            client, n_deaths = begin(broker, workers[0])
            client.setblocking(False)
            answer, end = None, time.monotonic() + 8
            while answer is None and time.monotonic() < end and n_deaths <= DEATHS_MAX:
                for worker in workers:
                    if worker.has_client(0.02):
                        n_deaths += 1
                        receive_and_die(worker)
                with contextlib.suppress(BlockingIOError):
                    answer = client.recv(1000)
            check(n_deaths <= DEATHS_MAX, f"more than {DEATHS_MAX} workers died at one client")
            check(answer and answer.startswith(b"HTTP/1.1 5"), f"after {n_deaths} deaths its answer is {answer!r}")
            for worker in workers:
                worker.drain()
            broker.stop()
            return f"{n_deaths} deaths, then {answer[:20].decode()}"
    return run


# Silent clients


def silent_behind_proxy(header, segments):
    def run():
        """The client says nothing behind the PROXY header: it is silent after SilentTimeoutSec=."""
        units = {"fdpass.socket": "[Socket]\nFileDescriptorName=public\n[X-FDPass]\nProxyProtocol=require\nHeadTimeoutSec=5s\n"
                                  "TrustedProxies=127.0.0.0/8\nSilentTimeoutSec=300ms\n"}
        with Broker(units) as broker:
            worker = broker.worker("silent", "Protocol=silent\n")
            broker.start()
            until(lambda: is_asleep(broker), 5, "a broker that has started")
            n_before = broker.descriptors()
            client = broker.client()
            for i in range(segments):
                client.sendall(header[len(header) * i // segments:len(header) * (i + 1) // segments])
                until(lambda: broker.descriptors() > n_before and is_asleep(broker), 2, "the segment read")
            begin = time.monotonic()
            worker.take(3)
            seconds = time.monotonic() - begin
            check(seconds < 1, f"it came after {seconds:.2f} s instead of 0.3 s")
            client.close()
            broker.stop()
            return f"taken {seconds:.2f} s after the header's end"
    return run


def is_asleep(broker):
    """Whether it has nothing to do, for a moment."""
    for _ in range(5):
        if harness.state_of(broker.pid) != "S":
            return False
        time.sleep(0.002)
    return True


PROXY_V1 = b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n"
PROXY_V2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\2\1\xc0\0\2\2\0\1\0\2"


# Parked clients


def park(broker, source):
    """One request of a client, which its worker hands back. Returns the client, or None where it is refused or not taken."""
    worker = broker.workers["park"]
    client = broker.ask("park", source=source)
    until(lambda: worker.has_client() or is_readable(client), 3, "the client at its worker")
    if not worker.has_client():
        client.close()
        return None
    conn, _, sock = worker.take()
    with sock:
        conn.close()
        answer_request(sock)
        read_response(client)
        if hand_back(broker, sock) == ANSWER_TAKEN:
            return client
    client.close()
    return None


def is_readable(client):
    """Whether an answer or the end has come."""
    return bool(select.select([client], [], [], 0)[0])


def is_open(client):
    try:
        return not is_readable(client) or client.recv(1, socket.MSG_PEEK) != b""
    except OSError:
        return False


def few_stay_open(clients, limit):
    """Waits until no more than the limit are open, and returns how many."""
    with contextlib.suppress(Failure):
        until(lambda: sum(map(is_open, clients)) <= limit, 2, "")
    n = sum(map(is_open, clients))
    check(n <= limit, f"{n} clients of one source are parked instead of {limit}")
    return n


def second_request(broker, client):
    """Whether a parked client is still served."""
    with contextlib.suppress(OSError, Failure):
        client.sendall(ROUTE_REQUEST.format("park").encode())
        conn, _, sock = broker.workers["park"].take(1)
        with sock:
            conn.close()
            answer_request(sock)
            read_response(client)
            return True
    return False


def parked(per_source, max_parked, n_greedy):
    def run():
        """One source has many parked clients: those of others are parked, and stay so."""
        units = {"fdpass.service": f"[X-FDPass]\nMaxParked={max_parked}\nParkTimeoutSec=60\n",
                 "fdpass.socket": f"[Socket]\nFileDescriptorName=public\n[X-FDPass]\nMaxClientsPerSource={per_source}\n"}
        with Broker(units) as broker:
            broker.worker("park", "Host=park\n")
            broker.start()
            early = park(broker, "127.0.0.8")
            greedy = [client for client in (park(broker, "127.0.0.66") for _ in range(n_greedy)) if client]
            late = park(broker, "127.0.0.7")
            check(late, "a client of another source is not taken back")
            check(second_request(broker, late), "the second request of another source is not served")
            check(second_request(broker, early), "a client of another source that was parked before had to go")
            n_open = few_stay_open(greedy, per_source or max_parked)
            broker.stop()
            return f"{n_open} of {n_greedy} clients of the greedy source stayed"
    return run


def unparked_at_once():
    """Clients that a worker had, and that come back all at once: the share of their source holds for them as well."""
    units = {"fdpass.service": "[X-FDPass]\nMaxParked=40\nParkTimeoutSec=60\n",
             "fdpass.socket": "[Socket]\nFileDescriptorName=public\n[X-FDPass]\nMaxClientsPerSource=5\n"}
    with Broker(units) as broker:
        worker = broker.worker("park", "Host=park\n")
        broker.start()
        held = []
        for _ in range(40):
            client = broker.ask("park", source="127.0.0.66")
            conn, _, sock = worker.take()
            conn.close()
            held.append((client, sock))
        for client, sock in held:
            answer_request(sock)
            read_response(client)
            hand_back(broker, sock)
            sock.close()
        late = park(broker, "127.0.0.7")
        check(late and second_request(broker, late), "a client of another source is not served twice")
        few_stay_open([client for client, _ in held], 5)
        broker.stop()


# Rights


def group_does_not_steer():
    """A member of the broker's own group, which may hand clients back, steers nothing."""
    if os.geteuid() != 0:
        raise Skip("not root")
    if not harness.programs.fdpassctl:
        raise Skip("no fdpassctl")
    with Broker({}, uid=harness.NOBODY) as broker:
        broker.worker("bank", "Host=bank\n")
        broker.start()
        for verb in ["drain", "bank.socket"], ["log-level", "emerg"], ["reload"]:
            out = broker.directory / "out"
            out.touch()
            out.chmod(0o666)

            def steer(verb=verb, out=out):
                with open(out, "w") as file:
                    done = subprocess.run([harness.programs.fdpassctl, f"--control={broker.control}", *verb],
                                          stdout=file, stderr=file)
                    os._exit(42 if done.returncode == 0 else 0)

            process = Process(steer, TENANT, [harness.NOBODY])
            check(process.ended(5), "fdpassctl does not end")
            check(os.waitstatus_to_exitcode(process.status) != 42, f"it may {' '.join(verb)}: {out.read_text()}")
        check(broker.serve("bank") < 3, "the worker gets no clients any more")
        broker.stop()


# Paths


def tenant_directory(broker):
    directory = broker.directory / "tenant"
    directory.mkdir()
    os.chown(directory, TENANT, TENANT)
    return directory


def as_tenant(function):
    process = Process(function, TENANT)
    check(process.ended(5) and process.status == 0, "the tenant's process failed")


def other_workers_socket(path, link):
    def run():
        """A tenant puts a link in place of its socket: clients do not come out at a worker that its route does not name."""
        if os.geteuid() != 0:
            raise Skip("not root")
        with Broker({}, uid=harness.NOBODY) as broker:
            directory = tenant_directory(broker)
            broker.unit("tenant.target", f"[Unit]\n[X-FDPass]\nHost=tenant\nQueueTimeoutSec=1s\nWorker=@DIR@/tenant/{path}\n")
            private = broker.directory / "private"
            private.mkdir()
            admin = Worker(private / "chat.sock")
            os.chown(admin.path, harness.NOBODY, harness.NOBODY)
            os.chmod(admin.path, 0o600)
            as_tenant(lambda: os.symlink(link, directory / path.split("/")[0]))
            broker.start()
            with broker.ask("tenant") as client:
                until(lambda: admin.has_client() or is_readable(client), 5, "an answer to the client")
                check(not admin.has_client(), "the client came out at the other worker")
            broker.stop()
    return run


def own_socket(make):
    def run():
        """A route that leads back to the broker itself: the client is refused, and does not turn."""
        if os.geteuid() != 0:
            raise Skip("not root")
        with Broker({}, uid=harness.NOBODY) as broker:
            directory = tenant_directory(broker)
            route = "QueueTimeoutSec=1s\nWorker=@DIR@/tenant/chat.sock\n"
            broker.unit("tenant.target", f"[Unit]\n[X-FDPass]\nHost=tenant\n{route}")
            broker.unit("web.target", f"[Unit]\n[X-FDPass]\nListener=return-web\n{route}")
            make(broker.return_web_path, directory / "chat.sock")
            broker.start()
            before = cpu(broker.pid)
            client = broker.ask("tenant")
            with contextlib.suppress(Failure):
                until(lambda: is_readable(client), 2, "")
            used = cpu(broker.pid) - before
            check(used < 0.5, f"one client took {used:.2f} s of CPU")
            client.settimeout(1)
            check(client.recv(100).startswith(b"HTTP/1.1 5"), "it is not refused")
            broker.stop()
    return run


def cpu(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


CASES = {
    "a client at which workers die is given up: Receipt=ack": poison(["a"], new),
    "a client at which workers die is given up: two workers": poison(["a", "b"], new),
    "a client at which workers die is given up: persistent": poison(["a"], on_persistent),
    "silent behind a PROXY header: v1 in one segment": silent_behind_proxy(PROXY_V1, 1),
    "silent behind a PROXY header: v1 in two segments": silent_behind_proxy(PROXY_V1, 2),
    "silent behind a PROXY header: v2 in three segments": silent_behind_proxy(PROXY_V2, 3),
    "parked: MaxClientsPerSource= holds": parked(5, 40, 45),
    "parked: the fullest source makes room for others": parked(0, 12, 20),
    "parked: MaxClientsPerSource= holds for clients that come back at once": unparked_at_once,
    "rights: the group that hands back does not steer": group_does_not_steer,
    "paths: a link in place of a worker's socket": other_workers_socket("chat.sock", "../private/chat.sock"),
    "paths: a link in place of a directory": other_workers_socket("sub/chat.sock", "../private"),
    "paths: a link to the broker's own socket": own_socket(lambda own, path: os.symlink(own, path)),
    "paths: a hard link to the broker's own socket": own_socket(os.link),
}
