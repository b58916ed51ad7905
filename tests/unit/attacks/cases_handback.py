# SPDX-License-Identifier: LGPL-2.1-or-later
"""Sockets that are handed back: what is none of a client is refused, and a parked client is as it was."""

import select
import socket
import struct

import descriptors
import harness
from cases_socket import answer_request, disconnect, hand_back, read_response, reconnect
from harness import ANSWER_ERROR, ANSWER_TAKEN, ROUTE_REQUEST, Broker, check, connect_unix, read_all, until

SEQPACKET = socket.SOCK_SEQPACKET
MSG_ZEROCOPY = 0x4000000
SOF_TX_SOFTWARE, SOF_SOFTWARE = 0x02, 0x10


# Parked clients


def peek_off():
    """SO_PEEK_OFF on a client that is handed back: the broker routes by the bytes that the next worker reads."""
    with Broker({}) as broker:
        for name in "back", "other":
            broker.worker(name, f"Host={name}\n")
        broker.start()
        client = broker.ask("back")
        conn, _, sock = broker.workers["back"].take()
        conn.close()
        answer_request(sock)
        read_response(client)
        request = ROUTE_REQUEST.format("back").encode()
        sock.setsockopt(socket.SOL_SOCKET, descriptors.SO_PEEK_OFF, len(request))
        if hand_back(broker, sock) != ANSWER_TAKEN:
            return "it is not taken back"
        sock.close()
        client.sendall(request + ROUTE_REQUEST.format("other").encode())
        worker = until(lambda: next((w for w in broker.workers.values() if w.has_client()), None), 3, "the next request")
        _, _, sock = worker.take()
        check(worker is broker.workers["back"], f"routed to the other worker, which reads {sock.recv(30)!r}")
        return "routed by the bytes that the worker reads"


def error_queue(fill_queue):
    def run():
        """An entry in the error queue of a client that is handed back is no end of it."""
        with Broker({}) as broker:
            worker = broker.worker("back", "Host=back\n")
            broker.start()
            client = broker.ask("back")
            for _ in range(2):
                conn, _, sock = worker.take()
                conn.close()
                check(sock.recv(4096).startswith(b"GET "), "no request")
                fill_queue(sock)
                read_response(client)
                check(hand_back(broker, sock) == ANSWER_TAKEN, "it is not taken back")
                sock.close()
                client.sendall(ROUTE_REQUEST.format("back").encode())
            worker.take()
            broker.stop()
    return run


def has_error_queue(sock):
    """Whether poll(2) tells of an entry."""
    poll = select.poll()
    poll.register(sock, 0)
    return any(events & select.POLLERR for _, events in poll.poll(0))


def by_zerocopy(sock):
    sock.setsockopt(socket.SOL_SOCKET, descriptors.SO_ZEROCOPY, 1)
    sock.send(b"HTTP/1.1 204 No Content\r\n\r\n", MSG_ZEROCOPY)
    until(lambda: has_error_queue(sock), 2, "an entry in the error queue")
    sock.setsockopt(socket.SOL_SOCKET, descriptors.SO_ZEROCOPY, 0)


def by_timestamp(sock):
    sock.setsockopt(socket.SOL_SOCKET, descriptors.SO_TIMESTAMPING, SOF_TX_SOFTWARE | SOF_SOFTWARE)
    sock.send(b"HTTP/1.1 204 No Content\r\n\r\n")
    until(lambda: has_error_queue(sock), 2, "an entry in the error queue")
    sock.setsockopt(socket.SOL_SOCKET, descriptors.SO_TIMESTAMPING, 0)


# What is no client


def unconnected():
    return socket.socket()


def connecting():
    """A connection that is not there yet: nothing answers, because the listener's backlog is full."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    socks = [socket.socket() for _ in range(4)]
    for sock in socks:
        sock.setblocking(False)
        sock.connect_ex(listener.getsockname())
    descriptors.kept.extend([listener, *socks])
    return socks[-1]


def was_reset():
    mine, theirs = harness.tcp_pair()
    harness.reset_on_close(mine)
    mine.close()
    until(lambda: theirs.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1) == b"\x07", 2, "the reset")
    return theirs


def listening():
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    sock.listen(1)
    return sock


def datagrams():
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.connect(("127.0.0.1", 9))
    return sock


def was_disconnected():
    mine, theirs = harness.tcp_pair()
    descriptors.kept.append(mine)
    disconnect(theirs)
    return theirs


def of_unix():
    mine, theirs = socket.socketpair()
    descriptors.kept.append(mine)
    return theirs


NO_CLIENTS = {
    "an unconnected socket": unconnected, "a connection that is not there yet": connecting, "a socket that was reset": was_reset,
    "a disconnected socket": was_disconnected, "a listening socket": listening, "a UDP socket": datagrams,
    "an AF_UNIX socket": of_unix,
}


def refused_hand_back(make):
    def run():
        """It is answered with ERROR, and comes to no worker."""
        with Broker({}) as broker:
            worker = broker.worker("any", "Protocol=any\n")
            broker.start()
            n_before = broker.descriptors()
            sock = make()
            answer = hand_back(broker, sock)
            sock.close()
            check(answer == ANSWER_ERROR, f"the answer is {answer!r}")
            check(not worker.has_client(0.2), "a worker got it")
            until(lambda: broker.descriptors() <= n_before, 3, "descriptors as before")
            broker.stop()
    return run


def refused_stream(make):
    def run():
        """The stream form has no answer: no worker gets it, and it is closed."""
        with Broker({}) as broker:
            worker = broker.worker("any", "Listener=return-web\n")
            broker.start()
            n_before = broker.descriptors()
            sock = make()
            conn = connect_unix(broker.return_web_path)
            socket.send_fds(conn, [b"\0"], [sock.fileno()])
            read_all(conn)
            check(not worker.has_client(0.3), "a worker got it")
            until(lambda: broker.descriptors() <= n_before, 3, "descriptors as before")
            broker.stop()
    return run


CASES = {
    "parked: SO_PEEK_OFF does not change the route": peek_off,
    "parked: a MSG_ZEROCOPY notification is no end": error_queue(by_zerocopy),
    "parked: a timestamp in the error queue is no end": error_queue(by_timestamp),
    **{f"handed back: {name} is refused": refused_hand_back(make) for name, make in NO_CLIENTS.items()},
    **{f"handed back by a stream: {name} is refused": refused_stream(make) for name, make in NO_CLIENTS.items()},
}
