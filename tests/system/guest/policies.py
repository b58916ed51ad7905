# SPDX-License-Identifier: LGPL-2.1-or-later
"""Tries every way around the demands of b.test, a host whose clients need a certificate, from a.test, which is public, with a
worker "rest" for all other hosts. policies.py KEYS few|all. Prints how often each answer came, and the wrong ones, as JSON.

For each name in the handshake, certificate, session and version, a connection is made for each host of a request, and two
requests are sent on it. The answer has to be that of the right worker, 421, or an alert."""

import collections
import itertools
import json
import re
import sys

from tlslib import Alert, Tls

PUBLIC, PRIVATE = "a.test", "b.test"
KEYS = sys.argv[1]
NAMES = [PUBLIC, PRIVATE, None, "other.test", PUBLIC.upper(), PRIVATE.upper(), PUBLIC + ".", PRIVATE + ".", "127.0.0.1"]
CERTIFICATES = [None, "alice", "mallory", "expired"]
HOSTS = [PUBLIC, PRIVATE, PRIVATE + ":443", PRIVATE.upper() + ".", f"http://{PRIVATE}/", f"https://{PUBLIC}/", None, "127.0.0.1",
         "other.test"]
FEW = [PUBLIC, PRIVATE, f"http://{PRIVATE}/", None]
seen = collections.Counter()
wrong = []


def plain(name):
    """As a name is compared."""
    return re.sub(r"^https?://|/$|:\d+$", "", name or "").lower().removesuffix(".")


def is_private(name):
    return plain(name) == PRIVATE


def request(host):
    if host is None:
        return b"GET / HTTP/1.0\r\n\r\n"
    target = host if "/" in host else "/"
    return f"GET {target} HTTP/1.1\r\nHost: {re.sub('^https?://|/$', '', host)}\r\n\r\n".encode()


def answer(client, host):
    """The worker's name, or the status, or "alert"."""
    try:
        client.send(request(host))
        head = b""
        while b"\r\n\r\n" not in head:
            data = client.receive()
            if not data:
                return "closed"
            head += data
    except Alert:
        return "alert"
    except ConnectionError as error:
        return f"{error}"
    status, _, rest = head.partition(b"\r\n")
    worker = re.search(rb"\r\nX-Worker: (\S+)", b"\r\n" + rest)
    return worker[1].decode() if worker else status.split()[1].decode()


def expected(name, host):
    """The answer that is right once the handshake is done. A request for no host is one for that of the handshake, and an
    address is no name of a handshake (RFC 6066 3)."""
    named = None if plain(name) == "127.0.0.1" else plain(name)
    host = named if host is None else plain(host)
    if host != (named or "127.0.0.1") and host:
        return "421"
    return {PUBLIC: "a", PRIVATE: "b"}.get(host, "rest")


def note(case, got, right):
    seen[got] += 1
    if got != right:
        wrong.append(f"{case}: {got}, not {right}")


def try_requests(client, case, name, host):
    """Two requests, the other one for the host that this client has not named."""
    got = answer(client, host)
    note(f"{case} {host}", got, expected(name, host))
    if got in ("a", "b", "rest") and host is not None:
        other = PUBLIC if is_private(name) else PRIVATE
        note(f"{case} {host}, then {other}", answer(client, other), expected(name, other))


def try_one(version, name, certificate, session, host, sessions):
    case = f"{version} SNI {name}, certificate {certificate}, session {session}:"
    may = not is_private(name) or certificate == "alice" or session == "private"
    with Tls(version, name, certificate and f"{KEYS}/{certificate}", sessions.get((version, session))) as client:
        try:
            client.connect()
        except Alert:
            note(f"{case} handshake", "alert", None if may else "alert")
            return
        if client.is_resumed() and (session == "private") != is_private(name):
            wrong.append(f"{case} a session of the other policy is resumed")
        if may:
            try_requests(client, case, name, host)
        else:
            note(f"{case} {host}", answer(client, host), "alert")


def get_session(version, name, certificate):
    with Tls(version, name, certificate and f"{KEYS}/{certificate}").connect() as client:
        assert answer(client, name) == name[0]
        return client.session()


def check_resumed(version, sessions):
    """Sessions are resumed at all where they may, so that the others show something."""
    for kind, name in ("public", PUBLIC), ("private", PRIVATE):
        with Tls(version, name, None, sessions[version, kind]).connect() as client:
            assert client.is_resumed(), f"{version}: the {kind} session is not resumed"
            note(f"{version} resumed", answer(client, name), name[0])


def main():
    sessions = {}
    for version in "1.2", "1.3":
        sessions[version, "public"] = get_session(version, PUBLIC, None)
        sessions[version, "private"] = get_session(version, PRIVATE, "alice")
        check_resumed(version, sessions)
        hosts = HOSTS if sys.argv[2] == "all" else FEW if version == "1.3" else [PRIVATE]
        for one in itertools.product(NAMES, CERTIFICATES, [None, "public", "private"], hosts):
            try_one(version, *one, sessions)
    print(json.dumps({"seen": seen, "wrong": wrong[:20], "n_wrong": len(wrong)}))


main()
