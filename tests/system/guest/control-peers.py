# SPDX-License-Identifier: LGPL-2.1-or-later
"""Peers of the control socket that mean no good. control-peers.py KIND; ends after some seconds, or when it is over."""

import os
import socket
import struct
import sys
import time

PATH = "/run/fdpass/control"
HANDSHAKE = b"\0AUTH EXTERNAL\r\nDATA\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n"
SECONDS = 4


def connect():
    peer = socket.socket(socket.AF_UNIX)
    peer.connect(PATH)  # waits where the backlog is full
    peer.settimeout(SECONDS)
    return peer


def message(member, signature="", body=b"", serial=1, announced=None):
    """A method call in D-Bus's own form."""
    def text(code, kind, value):
        data = value.encode()
        if kind == "g":
            field = bytes([code, 1, ord("g"), 0, len(data)]) + data + b"\0"
        else:
            field = bytes([code, 1, ord(kind), 0]) + struct.pack("<I", len(data)) + data + b"\0"
        return field + b"\0" * (-len(field) % 8)

    fields = text(1, "o", "/org/fdpass/Broker1") + text(2, "s", "org.fdpass.Broker1") + text(3, "s", member)
    if signature:
        fields += text(8, "g", signature)
    length = len(fields.rstrip(b"\0")) + 1  # the padding behind the last field does not count
    size = len(body) if announced is None else announced
    return b"l\1\0\1" + struct.pack("<III", size, serial, length) + fields + body


def sees_end(peer):
    """True where the broker closes the connection within the time."""
    try:
        while peer.recv(65536):
            pass
        return True
    except ConnectionError:
        return True
    except TimeoutError:
        return False


def until_the_end(action):
    end = time.monotonic() + SECONDS
    n = 0
    while time.monotonic() < end:
        try:
            action()
            n += 1
        except (OSError, TimeoutError):
            pass
    print(n, flush=True)


def garbage():
    """Random bytes, before and after the handshake."""
    def one():
        with connect() as peer:
            peer.sendall(os.urandom(4096))
        with connect() as peer:
            peer.sendall(HANDSHAKE + os.urandom(4096))

    until_the_end(one)


def half():
    """Beginnings of messages, byte by byte, and then nothing."""
    peers = [connect() for _ in range(20)]
    call = HANDSHAKE + message("ListRoutes", "u", b"\0\0\0\0")

    def one():
        for byte in call[:-1]:
            for peer in peers:
                try:
                    peer.send(bytes([byte]))
                except OSError:
                    pass
        time.sleep(0.1)
    until_the_end(one)


def descriptors():
    """Connections that say nothing, and others whose first bytes carry descriptors: each of them ends unread."""
    n = 0
    for fds in [], [0], [0] * 200, []:
        with connect() as peer:
            try:
                if fds:
                    socket.send_fds(peer, [HANDSHAKE], fds)
            except OSError:
                pass
            n += sees_end(peer)
    print(n, flush=True)
    sys.exit(n != 4)


def deaf():
    """Asks without end, and reads no answer."""
    with connect() as peer:
        peer.settimeout(SECONDS)
        n = 0
        try:
            peer.sendall(HANDSHAKE)
            while True:
                peer.sendall(message("ListRoutes", "u", b"\0\0\0\0", serial=n + 1))
                n += 1
        except OSError:
            pass
        print(n, flush=True)


def flood():
    """Asks without end, and reads; comes again when it had to make room for others."""
    call = message("ListRoutes", "u", b"\0\0\0\0")
    peers = []

    def one():
        if not peers:
            peers.append(connect())
            peers[0].sendall(HANDSHAKE)
        try:
            peers[0].sendall(call)
            if not peers[0].recv(65536):
                raise ConnectionError
        except OSError:
            peers.pop().close()
            raise

    until_the_end(one)


def invalid():
    """Messages whose inside is wrong, each with a right one behind it; what comes back is read for a moment."""
    call = message("ListRoutes", "u", b"\0\0\0\0")
    places = [i for i in range(0, len(call) - 4, 3)]
    counter = iter(range(1 << 30))

    def one():
        wrong = bytearray(call)
        wrong[places[next(counter) % len(places)]] ^= 0xff
        with connect() as peer:
            peer.settimeout(0.02)
            peer.sendall(HANDSHAKE + wrong + call)
            try:
                while peer.recv(65536):
                    pass
            except TimeoutError:
                pass  # sd-bus leaves a wrong message out without a word

    until_the_end(one)


def subscribe():
    """Subscribes, and reads no signal; it may have to make room for others."""
    with connect() as peer:
        try:
            peer.sendall(HANDSHAKE + message("Subscribe"))
            time.sleep(SECONDS)
        except ConnectionError:
            pass
        print(0, flush=True)


{f.__name__: f for f in (descriptors, garbage, half, deaf, flood, invalid, subscribe)}[sys.argv[1]]()
