# SPDX-License-Identifier: LGPL-2.1-or-later
"""The processes of tests/fuzz/chaos: hostile workers, hand-backs and clients, and good ones beside them."""

import collections
import contextlib
import json
import os
import signal
import socket
import time
import traceback

import descriptors
import harness
from harness import (ANSWER_ERROR, ANSWER_REFUSED, ANSWER_TAKEN, PLAIN_MESSAGE, RESPONSE, ROUTE_REQUEST, connect_unix, keep_answer,
                     receive_client, reset_on_close, tcp_pair)

STREAM, SEQPACKET = socket.SOCK_STREAM, socket.SOCK_SEQPACKET
ROUTES = {
    "stream": (STREAM, ""), "stream-ack": (STREAM, "Receipt=ack\n"), "seqpacket": (SEQPACKET, ""),
    "ack": (SEQPACKET, "Receipt=ack\n"), "persistent": (SEQPACKET, "Balance=round-robin\n"),
}
KINDS = [kind for kind in descriptors.KINDS if kind not in ("a FUSE file", "a locked socket")]
GOOD_SECONDS = 5  # for one client of the good route, also while the broker is restarted
KEPT_MAX = 30
PATIENCE = 0.05  # seconds


class Peer:
    """What the roles have in common."""

    def __init__(self, name, broker, rng, path, hold):
        self.name, self.broker, self.rng, self.path, self.hold = name, broker, rng, path, hold
        self.counted = collections.Counter()
        self.ending = False

    def count(self, what):
        self.counted[what] += 1

    def save(self):
        with open(self.path, "a") as file:
            file.write(json.dumps(self.counted) + "\n")

    def keep(self, *things):
        """Keeps them open for a while."""
        descriptors.kept.extend(things)
        del descriptors.kept[:-KEPT_MAX]

    def things(self):
        return descriptors.KINDS[self.rng.choice(KINDS)](None, [self.rng.choice(list(descriptors.OPTIONS))])

    def pairs(self):
        mine, theirs = tcp_pair()
        self.keep(mine)
        return theirs


def close_quietly(things):
    """Closes without waiting: a lingering socket that could not be sent is this process' alone."""
    for thing in things:
        if isinstance(thing, socket.socket) and thing.family == socket.AF_INET:
            thing.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, bytes(8))
        thing.close()


def send_with(peer, conn, data):
    things = peer.things()
    try:
        socket.send_fds(conn, [data], [thing.fileno() for thing in things])
    except OSError:
        close_quietly(things)
        raise
    for thing in things:
        thing.close()


# What a hostile worker does with one client. Each gets the peer, the connection, and the client's socket.


def serve(peer, conn, sock):
    conn.close()
    sock.settimeout(PATIENCE)
    sock.recv(4096)
    sock.sendall(RESPONSE)


def answer_with_descriptors(peer, conn, sock):
    send_with(peer, conn, peer.rng.choice([ANSWER_TAKEN, ANSWER_REFUSED, keep_answer(ANSWER_TAKEN, 0, 1, 50)]))


def refuse(peer, conn, sock):
    sock.close()
    conn.sendall(ANSWER_REFUSED)


def refuse_with_error(peer, conn, sock):
    sock.close()
    conn.sendall(ANSWER_ERROR)


def refuse_and_use(peer, conn, sock):
    conn.sendall(ANSWER_REFUSED)
    conn.close()
    sock.settimeout(PATIENCE)
    sock.recv(10)
    sock.sendall(b"x")


def set_and_refuse(peer, conn, sock):
    for name in peer.rng.sample(list(descriptors.OPTIONS), 3):
        descriptors.set_option(sock, name)
    sock.close()
    conn.sendall(peer.rng.choice([ANSWER_REFUSED, ANSWER_ERROR, b""]))


def reconnect_and_refuse(peer, conn, sock):
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(1)
        harness.libc.connect(sock.fileno(), b"\0" * 16, 16)
        if sock.family == socket.AF_INET and peer.rng.random() < 0.7:
            sock.connect(server.getsockname())
    sock.close()
    conn.sendall(ANSWER_REFUSED)


def fill_and_take(peer, conn, sock):
    descriptors.fill(sock)
    descriptors.set_option(sock, "SO_LINGER")
    conn.sendall(ANSWER_TAKEN)
    conn.close()


def garbage(peer, conn, sock):
    conn.settimeout(PATIENCE)
    for _ in range(peer.rng.randrange(1, 20)):
        conn.sendall(peer.rng.randbytes(peer.rng.randrange(1, 40)))


def reset(peer, conn, sock):
    reset_on_close(sock)
    sock.close()


def take_and_hold_on(peer, conn, sock):
    conn.sendall(ANSWER_TAKEN)
    peer.keep(conn, sock)


def say_nothing(peer, conn, sock):
    peer.keep(conn, sock)


def die(peer, conn, sock):
    if peer.rng.random() < 0.3:
        peer.save()
        os.kill(os.getpid(), signal.SIGKILL)


def hold_lock(peer, conn, sock):
    if peer.hold:
        peer.hold.socket.settimeout(1)
        peer.hold.take(sock)
        sock.close()
        conn.sendall(ANSWER_REFUSED)


def become_persistent(peer, conn, sock):
    """Keeps the connection for some clients, and answers as it likes."""
    sock.close()
    limit = peer.rng.choice([1, 2, 16, 1000, 40000])
    conn.sendall(keep_answer(peer.rng.choice([ANSWER_TAKEN, ANSWER_REFUSED]), 0, 1, limit))
    conn.settimeout(PATIENCE)
    n = 1
    for _ in range(peer.rng.randrange(20)):
        message, fds, _, _ = socket.recv_fds(conn, 1 << 17, 16)
        harness.close_all(fds)
        if not message:
            return
        choice = peer.rng.random()
        if choice < 0.6:
            answer = keep_answer(peer.rng.choice([ANSWER_TAKEN, ANSWER_REFUSED, ANSWER_ERROR]), n, len(fds), n + 16)
        elif choice < 0.7:
            answer = keep_answer(ANSWER_TAKEN, peer.rng.randrange(1 << 16), peer.rng.randrange(1 << 16), peer.rng.randrange(1 << 16))
        elif choice < 0.8:
            answer = peer.rng.randbytes(8)
        elif choice < 0.9:
            send_with(peer, conn, keep_answer(ANSWER_TAKEN, n, len(fds), n + 16))
            continue
        else:
            return
        n = (n + len(fds)) % (1 << 16)
        conn.sendall(answer)


def hand_back_client(peer, conn, sock):
    conn.close()
    sock.settimeout(PATIENCE)
    sock.recv(4096)
    sock.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
    if peer.rng.random() < 0.3:
        descriptors.set_option(sock, peer.rng.choice(list(descriptors.OPTIONS)))
    with connect_unix(peer.broker.return_path, SEQPACKET) as back:
        socket.send_fds(back, [PLAIN_MESSAGE], [sock.fileno()])
        back.settimeout(1)
        back.recv(10)


DEEDS = [serve, serve, answer_with_descriptors, refuse, refuse_with_error, refuse_and_use, set_and_refuse, reconnect_and_refuse,
         fill_and_take, garbage, reset, take_and_hold_on, say_nothing, die, hold_lock, become_persistent, become_persistent,
         hand_back_client, hand_back_client]


def worker(peer):
    """Does one deed after the other, with each client that comes."""
    listener = peer.broker.workers[peer.name]
    if not listener.has_client(PATIENCE):
        return
    with listener.accept(1) as conn:
        flags = socket.MSG_PEEK if peer.rng.random() < 0.1 else 0
        deed = peer.rng.choice(DEEDS)
        if peer.rng.random() < 0.05:
            return  # the message unread
        _, sock = receive_client(conn, flags)
        try:
            deed(peer, conn, sock)
            peer.count("worker's deeds")
        finally:
            if sock.fileno() >= 0 and sock not in descriptors.kept:
                sock.close()


# Hand-backs


def one_good(peer):
    return PLAIN_MESSAGE, [peer.pairs()]


def two_sockets(peer):
    return PLAIN_MESSAGE, [peer.pairs(), peer.pairs()]


def no_descriptor(peer):
    return PLAIN_MESSAGE, []


def cut_message(peer):
    return PLAIN_MESSAGE[:peer.rng.randrange(1, len(PLAIN_MESSAGE))], [peer.pairs()]


def random_bytes(peer):
    return peer.rng.randbytes(peer.rng.randrange(1, 2000)), [peer.pairs()]


def one_byte(peer):
    return b"\0", [peer.pairs()]


def hostile(peer):
    return peer.rng.choice([PLAIN_MESSAGE, b"\0"]), peer.things()


MESSAGES = [one_good, two_sockets, no_descriptor, cut_message, random_bytes, one_byte, hostile, hostile]


def hand_back(peer):
    """One connection to a return socket, and some messages on it."""
    path, kind = peer.rng.choice([(peer.broker.return_path, SEQPACKET), (peer.broker.return_web_path, STREAM)])
    with connect_unix(path, kind) as conn:
        conn.settimeout(1)
        for _ in range(peer.rng.randrange(1, 4)):
            message, things = peer.rng.choice(MESSAGES)(peer)
            try:
                socket.send_fds(conn, [message], [thing.fileno() for thing in things])
                peer.count("messages to return sockets")
            except OSError:
                close_quietly(things)
                return
            for thing in things:
                thing.close()
        if peer.rng.random() < 0.3:
            conn.recv(100)


# Clients


def whole(peer, client, host):
    client.sendall(ROUTE_REQUEST.format(host).encode())
    client.recv(4096)


def keep_alive(peer, client, host):
    for _ in range(peer.rng.randrange(1, 5)):
        client.sendall(ROUTE_REQUEST.format(host).encode())
        if not client.recv(4096):
            return


def half_head(peer, client, host):
    request = ROUTE_REQUEST.format(host).encode()
    client.sendall(request[:peer.rng.randrange(len(request))])


def silent(peer, client, host):
    pass


def reset_client(peer, client, host):
    client.sendall(ROUTE_REQUEST.format(host).encode())
    reset_on_close(client)
    client.close()


def leave_open(peer, client, host):
    client.sendall(ROUTE_REQUEST.format(host).encode())
    peer.keep(client.dup())


def random_client(peer, client, host):
    client.sendall(peer.rng.randbytes(peer.rng.randrange(1, 500)))


CLIENTS = [whole, whole, keep_alive, half_head, silent, reset_client, leave_open, random_client]


def clients(peer):
    """Some clients of the hostile workers, from several addresses."""
    host = peer.rng.choice([*ROUTES, "extra", "nowhere"])
    with peer.broker.client(f"127.0.1.{peer.rng.randrange(1, 9)}", timeout=2) as client:
        client.settimeout(0.3)
        peer.rng.choice(CLIENTS)(peer, client, host)
        peer.count("hostile clients")
    if peer.rng.random() < 0.2:
        with connect_unix(peer.broker.public_unix_path) as client, contextlib.suppress(OSError):
            send_with(peer, client, ROUTE_REQUEST.format(host).encode())
    if peer.rng.random() < 0.1:
        with connect_unix(peer.broker.control) as client, contextlib.suppress(OSError):
            send_with(peer, client, b"\0AUTH EXTERNAL\r\n")


def good_clients(peer):
    """One client of the good route after the other: each has to be served."""
    begin = time.monotonic()
    try:
        with peer.broker.ask("good", source="127.0.0.5", timeout=GOOD_SECONDS) as client:
            data = harness.read_all(client)
        what = None if data == RESPONSE else repr(data[:60])
    except (OSError, harness.Failure) as error:
        what = f"{type(error).__name__}: {error}"
    if what:
        peer.count("good clients lost")
        peer.count(f"lost ({what}) after {time.monotonic() - begin:.1f} s")
    else:
        peer.count("good clients")
    time.sleep(0.002)  # the other processes want the processors as well


def good_worker(peer):
    """Serves the good route. It goes on after SIGTERM until no client comes."""
    listener = peer.broker.workers["good"]
    if not listener.has_client(PATIENCE):
        return
    conn, _, sock = listener.take()
    with conn, sock:
        conn.close()
        sock.recv(4096)
        sock.sendall(RESPONSE)


ROLES = {"worker": worker, "hand_back": hand_back, "clients": clients, "good_clients": good_clients, "good_worker": good_worker}


def interrupt_own_closes():
    """A signal ends the wait of a close(2) that lingers. The last copy of a socket may be this process' own."""
    signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, PATIENCE, PATIENCE)


def again_and_again(peer, role):
    """Until SIGTERM. What fails is what was meant to, but for the good ones, which look at it themselves."""
    interrupt_own_closes()
    while not peer.ending:
        with contextlib.suppress(OSError, harness.Failure, ValueError):
            ROLES[role](peer)
    end = time.monotonic() + 1
    while role == "good_worker" and time.monotonic() < end:
        with contextlib.suppress(OSError, harness.Failure):
            ROLES[role](peer)


def in_child(peer, role):
    """Workers die: each life of one is a process."""
    while not peer.ending:
        pid = os.fork()
        if pid == 0:
            try:
                harness.die_with_parent()
                again_and_again(peer, role)
                peer.save()
            except Exception:
                traceback.print_exc()
                peer.count("mistakes of the test")
                peer.save()
            os._exit(0)
        peer.child = pid
        os.waitpid(pid, 0)
        peer.child = None
        peer.rng.random()


def run(role, name, broker, rng, path, hold):
    """The generator for harness.Steps."""
    peer = Peer(name, broker, rng, path, hold)
    peer.child = None

    def on_term(signo, frame):
        peer.ending = True
        if peer.child:
            os.kill(peer.child, signal.SIGTERM)

    signal.signal(signal.SIGTERM, on_term)
    yield
    if role == "worker":
        in_child(peer, role)
    else:
        again_and_again(peer, role)
        peer.save()
    os._exit(0)
