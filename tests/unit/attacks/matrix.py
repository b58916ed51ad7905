# SPDX-License-Identifier: LGPL-2.1-or-later
"""The variants: a kind of descriptor, a way in, what is set on the socket, and whether the kernel has SO_PASSRIGHTS.

While the attack goes on clients of another route are served as before; after it the broker is as before."""

import dataclasses
import os
import socket

import descriptors
import harness
import ways
from harness import Broker, Hold, Skip, Slow, Steps, check, latencies, percentile, until

BEFORE, DURING = 0.3, 1.0  # seconds of requests
LIMIT, TIMES_BEFORE = 0.050, 5  # of the 99th percentile
END_SECONDS = 2
HIDDEN, THERE = True, False


@dataclasses.dataclass
class Variant:
    kind: str
    way: str
    options: tuple = ()
    hidden: bool = HIDDEN
    nofile: int = None
    page: str = None  # for hold
    act: str = None
    holds: int = 1
    stop_meanwhile: bool = False
    reload_meanwhile: bool = False

    @property
    def name(self):
        parts = [self.page and f"{self.page} {self.act}", self.kind, f"by {self.way}", *self.options,
                 f"{self.holds} of them" if self.holds > 1 else "", f"LimitNOFILE={self.nofile}" if self.nofile else "",
                 "SO_PASSRIGHTS hidden" if self.hidden else "", "stop meanwhile" if self.stop_meanwhile else "",
                 "reload meanwhile" if self.reload_meanwhile else ""]
        return "attack: " + ", ".join(part for part in parts if part)


LINGER, IN_ONE, IN_THREE, CYCLE, EPOLL, FUSE, LOCKED, MANY, SIXTEEN, HARMLESS = descriptors.KINDS

VARIANTS = [
    # Local users without any right.
    Variant(LINGER, "a byte to the control socket", ("TCP_CORK",)),
    Variant(LINGER, "a byte to the control socket", ("TCP_NODELAY",), hidden=THERE),
    Variant(IN_ONE, "a byte to the control socket", ("SO_OOBINLINE",)),
    Variant(MANY, "the control socket's handshake", ("SO_RCVBUF",)),
    Variant(CYCLE, "the control socket's handshake", ("IP_TOS",)),
    Variant(EPOLL, "a control connection that is closed", ("SO_KEEPALIVE",)),
    Variant(SIXTEEN, "a control connection that is closed", ("O_NONBLOCK",)),
    Variant(LINGER, "a byte to the control socket", ("SO_SNDBUF",), nofile=200),
    Variant(HARMLESS, "a byte to the control socket"),
    Variant(FUSE, "a byte to the control socket", page="fuse", act="file"),
    Variant(LINGER, "a refused request of a public AF_UNIX listener", ("TCP_USER_TIMEOUT",)),
    Variant(IN_THREE, "a refused request of a public AF_UNIX listener", ("SO_PRIORITY",), hidden=THERE),
    Variant(MANY, "half a head of a public AF_UNIX listener", ("TCP_MAXSEG",)),
    Variant(FUSE, "a refused request of a public AF_UNIX listener", page="fuse", act="file"),
    # Workers, by their answers.
    Variant(LINGER, "an answer (stream)", ("SO_PEEK_OFF",)),
    Variant(LINGER, "an answer (stream)", ("SO_RCVTIMEO",), hidden=THERE),
    Variant(IN_ONE, "an answer (seqpacket)", ("SO_RCVLOWAT",)),
    Variant(MANY, "an answer (seqpacket)", ("O_ASYNC",)),
    Variant(IN_THREE, "a refusal (seqpacket)", ("SO_SNDTIMEO",)),
    Variant(CYCLE, "an unknown answer (ack)", ("SO_TIMESTAMPING",)),
    Variant(LINGER, "an answer (persistent)", ("TCP_CORK", "SO_KEEPALIVE")),
    Variant(MANY, "an answer (persistent)", ("TCP_QUICKACK",)),
    Variant(EPOLL, "an answer (stream)", ("SO_BUSY_POLL",)),
    Variant(HARMLESS, "an answer (persistent)"),
    Variant(LINGER, "an answer (stream)", ("TCP_CONGESTION",), stop_meanwhile=True),
    # Those that may hand clients back.
    Variant(LINGER, "the return socket", ("SO_ATTACH_FILTER",), hidden=THERE),
    Variant(MANY, "the return socket", ("TCP_WINDOW_CLAMP",), hidden=THERE),
    Variant(MANY, "the return socket", ("SO_RCVLOWAT",), hidden=THERE, nofile=160),
    Variant(IN_ONE, "the return socket", ("SO_MAX_PACING_RATE",), hidden=THERE),
    Variant(IN_THREE, "the return socket", ("IP_TTL",), hidden=THERE),
    Variant(CYCLE, "the return socket", ("TCP_NOTSENT_LOWAT",), hidden=THERE),
    Variant(EPOLL, "the return socket", ("SO_LOCK_FILTER",), hidden=THERE),
    Variant(SIXTEEN, "the return socket's second message", ("TCP_TX_DELAY",), hidden=THERE),
    Variant(FUSE, "the return socket", hidden=THERE, page="fuse", act="file"),
    Variant(LOCKED, "the return socket", hidden=THERE, page="fuse", act="send"),
    Variant(HARMLESS, "the return socket", hidden=THERE),
    Variant(LINGER, "the stream return socket", ("SO_DONTROUTE",), hidden=THERE),
    Variant(MANY, "the stream return socket", ("TCP_LINGER2",), hidden=THERE),
    Variant(LINGER, "an unread message of the stream return socket", ("SO_ZEROCOPY",), hidden=THERE),
    Variant(IN_ONE, "an unread message of the stream return socket", ("IP_RECVERR",)),
    Variant(FUSE, "the stream return socket", hidden=THERE, page="fuse", act="file"),
    Variant(SIXTEEN, "the return socket", ("TCP_SYNCNT",), hidden=THERE, stop_meanwhile=True),
    # The client's own socket.
    Variant("", "a full client, taken (stream)", ("SO_ATTACH_FILTER",), hidden=THERE),
    Variant("", "a full client, taken (ack)", ("TCP_CORK",)),
    Variant("", "a full client, refused (seqpacket)", ("SO_PEEK_OFF",), hidden=THERE),
    Variant("", "a full client, error (stream)", ("O_NONBLOCK",)),
    Variant("", "a full client, end without an answer (ack)", ("SO_RCVLOWAT",), hidden=THERE),
    Variant("", "a full client, the connection left open (stream)", ("SO_SNDTIMEO",), hidden=THERE),
    Variant("", "a full client, its message peeked at", ("TCP_USER_TIMEOUT",)),
    Variant("", "an untouched client, refused (stream)", ("O_ASYNC",), hidden=THERE),
    Variant("", "an untouched client, refused (seqpacket)", ("SO_LOCK_FILTER",), hidden=THERE),
    Variant("", "an untouched client, error (stream)", ("TCP_CORK",), hidden=THERE),
    Variant("", "an untouched client, end without an answer (ack)", ("SO_PEEK_OFF",), hidden=THERE),
    Variant("", "a full client, taken (stream)", ("TCP_MAXSEG",), stop_meanwhile=True),
    Variant("", "a thousand full clients, taken", hidden=THERE, nofile=8192, reload_meanwhile=True, stop_meanwhile=True),
    # Locks.
    Variant("", "a held client, refused (stream)", page="fuse", act="send", hidden=THERE),
    Variant("", "a held client, refused (stream)", page="userfaultfd", act="send", hidden=THERE),
    Variant("", "a held client, refused (stream)", page="memfd", act="send", hidden=THERE),
    Variant("", "a held client, error (seqpacket)", page="fuse", act="send"),
    Variant("", "a held client, end without an answer (ack)", page="fuse", act="send"),
    Variant("", "a held client, taken (stream)", page="fuse", act="send", hidden=THERE),
    Variant("", "a held client, taken (stream)", page="fuse", act="epoll", hidden=THERE),
    Variant("", "a held client, taken (stream)", page="userfaultfd", act="epoll"),
    Variant("", "a held client, refused (stream)", page="fuse", act="send", stop_meanwhile=True),
    Variant("", "a held client, taken (stream)", page="fuse", act="epoll", stop_meanwhile=True),
    Variant("", "many held clients, refused", page="fuse", act="send", holds=8, hidden=THERE, reload_meanwhile=True),
    Variant("", "many held clients, refused", page="fuse", act="send", holds=8, hidden=THERE, stop_meanwhile=True),
]

UNITS = {"fdpass.service": "[X-FDPass]\n"}


def make_broker(variant):
    broker = Broker(UNITS, nofile=variant.nofile, hide_passrights=variant.hidden)
    # Little fits into a client's socket then, so that filling one does not take long.
    broker.listeners["public"].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    broker.public_unix_path = broker.add_unix("local")
    broker.worker("good", "Host=good")
    broker.worker("stream", "Host=stream\nQueueTimeoutSec=1s")
    broker.worker("seqpacket", "Host=seqpacket\nQueueTimeoutSec=1s", socket.SOCK_SEQPACKET)
    broker.worker("persistent", "Host=persistent\nQueueTimeoutSec=1s", socket.SOCK_SEQPACKET)
    broker.worker("ack", "Host=ack\nReceipt=ack\nQueueTimeoutSec=1s", socket.SOCK_SEQPACKET)
    for i in range(variant.holds if variant.holds > 1 else 0):
        broker.worker(f"held{i}", f"Host=held{i}\nQueueTimeoutSec=1s")
    broker.unit("web.target", f"[Unit]\n[X-FDPass]\nListener=return-web\nWorker={broker.workers['stream'].path}\n")
    return broker


def make_holds(variant, broker):
    if not variant.page:
        return None
    if variant.holds == 1:
        return Hold(variant.page, variant.act, broker.directory)
    return [Hold(variant.page, variant.act, broker.directory) for _ in range(variant.holds)]


def end_holds(holds):
    for hold in holds if isinstance(holds, list) else [holds] if holds else []:
        check(hold.end(), "hold did not end")


def check_latency(before, during, part=0.99):
    """Returns a line with both."""
    p99, limit = percentile(during, part), max(LIMIT, TIMES_BEFORE * percentile(before, part))
    line = (f"p99 {percentile(before) * 1000:.1f} ms before, {p99 * 1000:.1f} ms meanwhile, "
            f"longest {max(during) * 1000:.1f} ms, {len(during)} clients")
    check(max(during) < harness.GIVEN_UP, f"other clients are not served: {line}")
    if p99 > limit:
        raise Slow(f"other clients wait: {line}")
    return line


def strike(broker, variant, holds):
    """Begins the attack. The broker stands still while the attacker gives its copies away."""
    target = ways.Target(broker, variant.kind, variant.options, holds)
    # A filter may need root, see descriptors.FILTERS.
    uid = None if set(variant.options) & set(descriptors.FILTERS) else harness.NOBODY
    attacker = Steps(ways.WAYS[variant.way](target), uid)
    attacker.step(20)
    broker.pause()
    attacker.step()
    broker.resume()
    return attacker


def has_as_many(broker, n_before):
    for worker in broker.workers.values():
        worker.drain()  # untouched clients come again
    return broker.descriptors() <= n_before


def check_after(broker, n_before):
    check(broker.serve("good") < harness.GIVEN_UP, "it serves no more")
    try:
        until(lambda: has_as_many(broker, n_before), 5, f"{n_before} descriptors as before")
    except harness.Failure as failure:
        raise harness.Failure(f"{failure}; it has {broker.list_descriptors()}") from None


def run(variant):
    """Runs one variant; returns a line with the figures."""
    if os.geteuid() != 0:
        raise Skip("not root")
    with make_broker(variant) as broker:
        # The holding processes are started first: they inherit no connection.
        holds = make_holds(variant, broker)
        broker.start()
        before = latencies(broker, "good", BEFORE)
        n_before = broker.descriptors()
        attacker = strike(broker, variant, holds)
        try:
            during = latencies(broker, "good", DURING)
            # A short wait is that of one client, which the 99th percentile does not show.
            line = check_latency(before, during, 1 if variant.page == "memfd" else 0.99)
            if variant.reload_meanwhile:
                broker.reload(2)
                check_latency(before, latencies(broker, "good", DURING / 2))
            if variant.stop_meanwhile:
                broker.stop(END_SECONDS)
        finally:
            attacker.kill()
            end_holds(holds)
        check(attacker.ended(5), "the attacker did not end")
        if not variant.stop_meanwhile:
            check_after(broker, n_before)
            broker.stop(END_SECONDS)
        return line
