# SPDX-License-Identifier: LGPL-2.1-or-later
"""Workers that die at each moment of a handoff, and what becomes of the clients."""

import collections
import json

from fdpass import GUEST, case, check, shared

MOMENTS = ["before-accept", "after-accept", "after-recvmsg", "after-answer", "after-reading", "in-mid-write"]
CLIENTS = 200
CHANCE = 300  # in 1/1000: of each time that a client comes to a worker
WORKERS = 3
MASK = (1 << 64) - 1


def mix(x):
    """As in dying.c: which handoffs end in a death is settled beforehand."""
    x = (x + 0x9E3779B97F4A7C15) & MASK
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 & MASK
    x = (x ^ x >> 27) * 0x94D049BB133111EB & MASK
    return x ^ x >> 31


def visitors():
    """Each comes from an address of its own, by which the workers' log knows it; some will say no more."""
    for i in range(CLIENTS):
        source = f"127.1.{i // 100}.{1 + i % 100}"
        yield {"source": source, "timeout": 30, "shutdown": i % 3 == 0,
               "say": [f"GET /client/{source} HTTP/1.1\r\nHost: death.example\r\n\r\n"]}


class Log:
    """What the workers wrote down."""

    def __init__(self, text):
        self.came = self.died = 0
        self.held = collections.defaultdict(dict)  # client: process: what it did with it, in this order
        for line in text.splitlines():
            pid, event, client = line.split()
            self.came += event == "comes"
            self.died += event == "dies"
            if client != "-":
                self.held[client.removeprefix("::ffff:")].setdefault(pid, []).append(event)


def touched(events):
    return "read" in events or "wrote" in events


def end_of(visitor):
    """How it was for the client."""
    whole = visitor["answer"].endswith(f"\r\n\r\n/client/{visitor['source']}\n")
    if visitor["end"] == "closed" and whole and visitor["answer"].startswith("HTTP/1.1 200 "):
        return "served"
    # OSError: it was reset before it could say that it will say no more (ENOTCONN).
    check(visitor["end"] in ("closed", "ConnectionResetError", "OSError"), f"{visitor}")
    if visitor["answer"].startswith("HTTP/1.1 503 "):
        return "given up"
    check("HTTP/1.1 " not in visitor["answer"] or visitor["answer"].startswith("HTTP/1.1 200 "), f"refused: {visitor}")
    return "lost"


def judge(visitor, holders, by_ack):
    """What became of one client, and that it was right. holders: what each worker did with it, one after the other."""
    what = f"{visitor['source']} ({visitor['end']}, {visitor['answer']!r}): {holders}"
    for events in holders[:-1]:
        check("dies" in events and not touched(events), f"given to a second worker after a byte moved: {what}")
        check(by_ack and "taken" not in events, f"given to a second worker after the receipt: {what}")

    last = holders[-1] if holders else []
    if end_of(visitor) == "given up":
        # Workers have died three times with it: one of these may have been on a connection with others, before it was read.
        check(by_ack and len(holders) >= 2 and all("dies" in events and not touched(events) for events in holders), f"given up: {what}")
        return "given up after three deaths"
    if end_of(visitor) == "served":
        check("done" in last, f"served by nobody: {what}")
        return "served by a second worker" if len(holders) > 1 else "served"

    check("dies" in last, f"lost by nobody who died: {what}")
    if touched(last):
        return "lost, touched"
    check("taken" in last or not by_ack, f"lost before the receipt, untouched: {what}")
    return "lost, untouched, after the receipt"


def cell(m, moment, receipt):
    by_ack = receipt != "kernel"
    m.run("systemctl stop 'test-dying*.service'; systemctl reset-failed 'test-dying*.service'; rm -f /run/test/log /run/test/count;"
          f"echo {moment} {CHANCE} {receipt} >/run/test/cell", check=False)
    seen = json.loads(m.output(f"python3 {GUEST}/visitors.py ask", input=json.dumps(list(visitors()))))
    log = Log(m.output("cat /run/test/log"))
    ends = collections.Counter(judge(v, list(log.held[v["source"]].values()), by_ack) for v in seen)

    # It was as planned: a client came to a worker so often, and so many of these times ended in a death.
    check(log.died == sum(mix(n) % 1000 < CHANCE for n in range(log.came)), f"{log.died} deaths in {log.came} times")
    check(set(log.held) == {v["source"] for v in seen}, "the workers saw other clients")
    lost = sum(n for end, n in ends.items() if end.startswith("lost"))
    kept = moment in ("before-accept", "after-accept") or (by_ack and moment == "after-recvmsg")
    check(lost == (0 if kept else log.died), f"{moment}: {lost} lost by {log.died} deaths")
    check(log.died >= CLIENTS * CHANCE / 1000 / 2, f"only {log.died} deaths")
    m.figure(f"{moment:13} workers killed", f"{log.died}; " + ", ".join(f"{end} {n}" for end, n in sorted(ends.items()))
             + f"; the longest {max(v['seconds'] for v in seen):.2f} s")
    return ends


def matrix(m, form, receipt, moments=MOMENTS):
    m.run(f"gcc -O1 -D_GNU_SOURCE -o /usr/local/bin/dying {GUEST}/dying.c $(pkg-config --cflags --libs libfdpass)")
    kind = "kernel" if receipt == "kernel" else "ack"
    for i in range(WORKERS):
        m.worker(f"dying{i}", "/usr/local/bin/dying /run/test", route=f"Host=death.example\nPath=/client\nReceipt={kind}\n",
                 socket=f"ListenStream=\n{form}=/run/fdpass/dying{i}.sock\n", service="Restart=no\n")
    for moment in moments:
        cell(m, moment, receipt)


@shared
@case
def deaths_stream(m):
    """Workers die at six moments, one-byte form: no client is lost before the worker has received it, none is given twice."""
    matrix(m, "ListenStream", "kernel")


@shared
@case
def deaths_seqpacket(m):
    """The same with ListenSequentialPacket= and the kernel's receipt."""
    matrix(m, "ListenSequentialPacket", "kernel")


@shared
@case
def deaths_ack(m):
    """The same with Receipt=ack: no client is lost as long as nobody has read from it or written to it."""
    matrix(m, "ListenSequentialPacket", "ack")


@shared
@case
def deaths_persistent(m):
    """The same on persistent connections of libfdpass, where other clients are on their way to the worker that dies."""
    matrix(m, "ListenSequentialPacket", "persistent", [moment for moment in MOMENTS if moment != "after-accept"])
