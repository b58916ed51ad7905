# SPDX-License-Identifier: LGPL-2.1-or-later
"""Ways by which a descriptor comes to the broker that it does not want, or a socket that others hold as well.

Each is a generator that runs in a process of its own (harness.Steps): what it prepares before its one yield is there
when the broker is stopped for a moment; behind the yield it strikes, and gives its own copies away. So the broker's
copy is the last one, and its close(2) the one that waits."""

import contextlib
import socket

import descriptors
from harness import (ANSWER_ERROR, ANSWER_REFUSED, ANSWER_TAKEN, PLAIN_MESSAGE, ROUTE_REQUEST, connect_unix, keep_answer,
                     next_on, receive_client, tcp_pair)

kept = descriptors.kept


class Target:
    """What an attack needs to know: the broker, the worker that is the attacker's, and what is to be sent."""

    def __init__(self, broker, kind, options, hold=None):
        self.broker, self.kind, self.options, self.hold = broker, kind, options, hold

    def make(self):
        return descriptors.KINDS[self.kind](self.hold, self.options)

    def client(self, worker):
        """A client of the worker NAME (Host=NAME): both its sockets and the connection to the worker."""
        client = self.broker.ask(worker)
        conn, _, sock = self.broker.workers[worker].take()
        kept.append(client)
        return conn, sock


def send_descriptors(conn, data, things):
    """Sends them, and closes the copies here. Where they can't be sent they stay open: closing would wait."""
    try:
        socket.send_fds(conn, [data], [thing.fileno() for thing in things])
    except OSError as error:
        kept.extend(things)
        if not isinstance(error, (PermissionError, BrokenPipeError, ConnectionResetError)):
            raise
        return  # SO_PASSRIGHTS, or the broker has closed the connection
    for thing in things:
        thing.close()


# Ways in: each gets the target and yields once.


def control(target):
    """One byte to the control socket, before the broker accepts the connection."""
    things = target.make()
    yield
    conn = connect_unix(target.broker.control)
    send_descriptors(conn, b"\0", things)
    kept.append(conn)


def control_handshake(target):
    """The control socket, in the middle of D-Bus' authentication."""
    conn = connect_unix(target.broker.control)
    things = target.make()
    with contextlib.suppress(OSError):
        conn.sendall(b"\0AUTH EXTERNAL\r\n")
        conn.recv(1000)
    yield
    send_descriptors(conn, b"NEGOTIATE_UNIX_FD\r\nBEG", things)
    kept.append(conn)


def control_closed(target):
    """The same, and the connection is closed with it."""
    conn = connect_unix(target.broker.control)
    things = target.make()
    yield
    send_descriptors(conn, b"\0", things)
    conn.close()


def answer(worker, data=ANSWER_TAKEN):
    def way(target):
        """A worker's answer on its client's connection."""
        conn, sock = target.client(worker)
        things = target.make()
        yield
        sock.close()
        send_descriptors(conn, data, things)
        conn.close()
    return way


def answer_persistent(target):
    """An answer on a persistent connection, about its second client."""
    conn, sock = target.client("persistent")
    conn.sendall(keep_answer(ANSWER_TAKEN, 0, 1, 8))
    sock.close()
    client, second = next_on(target.broker, target.broker.workers["persistent"], "persistent", conn)
    kept.append(client)
    things = target.make()
    yield
    second.close()
    send_descriptors(conn, keep_answer(ANSWER_TAKEN, 1, 1, 9), things)
    kept.append(conn)


def hand_back(target):
    """A message to the return socket."""
    conn = connect_unix(target.broker.return_path, socket.SOCK_SEQPACKET)
    things = target.make()
    yield
    send_descriptors(conn, PLAIN_MESSAGE, things)
    kept.append(conn)


def hand_back_twice(target):
    """The second of two messages to the return socket, and the connection is closed."""
    conn = connect_unix(target.broker.return_path, socket.SOCK_SEQPACKET)
    things = target.make()
    yield
    socket.send_fds(conn, [b"no message"], [things[0].fileno()])
    send_descriptors(conn, PLAIN_MESSAGE, things)
    conn.close()


def stream(target):
    """The one byte of the stream form."""
    conn = connect_unix(target.broker.return_web_path)
    things = target.make()
    yield
    send_descriptors(conn, b"\0", things)
    kept.append(conn)


def stream_second(target):
    """A second byte of the stream form, which the broker does not read: it closes the connection behind the first."""
    conn = connect_unix(target.broker.return_web_path)
    things = target.make()
    mine, theirs = tcp_pair()
    kept.append(mine)
    yield
    socket.send_fds(conn, [b"\0"], [theirs.fileno()])
    theirs.close()
    send_descriptors(conn, b"\0", things)
    conn.close()


def public_refused(target):
    """The bytes of a client of a public AF_UNIX listener, which is refused."""
    conn = connect_unix(target.broker.public_unix_path)
    things = target.make()
    yield
    send_descriptors(conn, b"GET / HTTP/1.1\r\nHost: nowhere\r\n\r\n", things)
    kept.append(conn)


def public_incomplete(target):
    """The bytes of such a client that goes away in the middle of its head."""
    conn = connect_unix(target.broker.public_unix_path)
    things = target.make()
    yield
    send_descriptors(conn, b"GET / HTTP/1.1\r\nHos", things)
    conn.close()


# The client's own socket, which its worker and the broker have in common.


def client_socket(worker, end):
    def way(target):
        """The worker fills its client's socket, sets options on it, closes its copy, and ends the handoff."""
        conn, sock = target.client(worker)
        descriptors.fill(sock)
        for name in ("SO_LINGER", *target.options):
            descriptors.set_option(sock, name)
        yield
        sock.close()
        end(conn)
    return way


def client_socket_unwritten(worker, end):
    def way(target):
        """The same, without a byte written or read."""
        conn, sock = target.client(worker)
        for name in ("SO_LINGER", *target.options):
            descriptors.set_option(sock, name)
        yield
        sock.close()
        end(conn)
    return way


def client_peeked(target):
    """The worker looks at its message with MSG_PEEK, uses that copy, and closes the connection with the message unread."""
    kept.append(target.broker.ask("stream"))
    conn = target.broker.workers["stream"].accept()
    _, sock = receive_client(conn, socket.MSG_PEEK)
    sock.recv(4096)
    descriptors.fill(sock)
    for name in ("SO_LINGER", *target.options):
        descriptors.set_option(sock, name)
    yield
    sock.close()
    conn.close()


def say(data):
    def end(conn):
        conn.sendall(data)
        conn.close()
    return end


def end_of_file(conn):
    conn.close()


def left_open(conn):
    kept.append(conn)


# The client's socket whose lock, or whose epoll's lock, is held.


def client_held(worker, end):
    def way(target):
        """The worker holds the lock when it ends the handoff."""
        conn, sock = target.client(worker)
        yield
        target.hold.take(sock)
        sock.close()
        end(conn)
    return way


def clients_held(target):
    """Each at a worker of its own, so that each lane of a helper meets one."""
    for i, hold in enumerate(target.hold):
        conn, sock = target.client(f"held{i}")
        hold.take(sock)
        sock.close()
        conn.sendall(ANSWER_REFUSED)
        conn.close()
    yield


def thousand(target):
    """A thousand clients of one worker, full and lingering; the broker's copies are the last ones."""
    for i in range(1000):
        client = target.broker.client(f"127.0.{1 + i // 200}.{1 + i % 200}")
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        client.sendall(ROUTE_REQUEST.format("stream").encode())
        kept.append(client)
        conn, _, sock = target.broker.workers["stream"].take()
        descriptors.fill(sock)
        for name in ("SO_LINGER", *target.options):
            descriptors.set_option(sock, name)
        sock.close()
        conn.close()
    yield


WAYS = {
    "a byte to the control socket": control,
    "the control socket's handshake": control_handshake,
    "a control connection that is closed": control_closed,
    "an answer (stream)": answer("stream"),
    "an answer (seqpacket)": answer("seqpacket"),
    "a refusal (seqpacket)": answer("seqpacket", ANSWER_REFUSED),
    "an unknown answer (ack)": answer("ack", b"\x7f"),
    "an answer (persistent)": answer_persistent,
    "the return socket": hand_back,
    "the return socket's second message": hand_back_twice,
    "the stream return socket": stream,
    "an unread message of the stream return socket": stream_second,
    "a refused request of a public AF_UNIX listener": public_refused,
    "half a head of a public AF_UNIX listener": public_incomplete,
    "a full client, taken (stream)": client_socket("stream", end_of_file),
    "a full client, taken (ack)": client_socket("ack", say(ANSWER_TAKEN)),
    "a full client, refused (seqpacket)": client_socket("seqpacket", say(ANSWER_REFUSED)),
    "a full client, error (stream)": client_socket("stream", say(ANSWER_ERROR)),
    "a full client, end without an answer (ack)": client_socket("ack", end_of_file),
    "a full client, the connection left open (stream)": client_socket("stream", left_open),
    "a full client, its message peeked at": client_peeked,
    "an untouched client, refused (stream)": client_socket_unwritten("stream", say(ANSWER_REFUSED)),
    "an untouched client, refused (seqpacket)": client_socket_unwritten("seqpacket", say(ANSWER_REFUSED)),
    "an untouched client, error (stream)": client_socket_unwritten("stream", say(ANSWER_ERROR)),
    "an untouched client, end without an answer (ack)": client_socket_unwritten("ack", end_of_file),
    "a held client, taken (stream)": client_held("stream", end_of_file),
    "a held client, refused (stream)": client_held("stream", say(ANSWER_REFUSED)),
    "a held client, error (seqpacket)": client_held("seqpacket", say(ANSWER_ERROR)),
    "a held client, end without an answer (ack)": client_held("ack", end_of_file),
    "many held clients, refused": clients_held,
    "a thousand full clients, taken": thousand,
}
