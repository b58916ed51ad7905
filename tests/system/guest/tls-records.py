# SPDX-License-Identifier: LGPL-2.1-or-later
"""Clients of TLS 1.3 whose records are not those that are expected, at port 443. tls-records.py NAME; prints how each ends."""

import sys

from tlslib import Alert, SSL_key_update, Tls

NAME = sys.argv[1]
REQUEST = f"GET / HTTP/1.1\r\nHost: {NAME}\r\n\r\n".encode()
CORRUPT = b"\x17\x03\x03\0\x40" + bytes(64)


def new_keys(client):
    SSL_key_update(client.ssl, 0)  # SSL_KEY_UPDATE_NOT_REQUESTED: it goes before the request
    client.send(REQUEST)


def corrupt(client):
    client.socket.sendall(CORRUPT)


def half_corrupt(client):
    """The rest of a request that began well."""
    client.send(REQUEST[:-2])
    client.socket.sendall(CORRUPT)


def end(client, attack):
    try:
        attack(client)
        got = client.receive()
    except Alert as error:
        return str(error).split(":")[-1]
    except ConnectionError as error:
        return "nothing" if str(error).startswith("2:") else "closed"  # SSL_ERROR_WANT_READ: the time is over
    return "answered" if got.startswith(b"HTTP/1.1 200") else got.split(b"\r\n")[0].decode() or "closed"


for what, attack in ("new keys", new_keys), ("a corrupt record", corrupt), ("a corrupt end", half_corrupt):
    for when in "first", "behind an answer":
        client = Tls("1.3", NAME).connect()
        if when != "first":
            client.send(REQUEST)
            client.receive()
        print(f"{what} {when}: {end(client, attack)}", flush=True)
