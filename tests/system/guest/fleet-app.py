#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A worker that keeps its clients, and hands them back when it is stopped. Its answer is the text of /etc/app-version."""

import os
import selectors
import signal
import sys
import time

import fdpass

VERSION = open("/etc/app-version", "rb").read()
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n%%s\r\n%s" % (len(VERSION), VERSION)

select = selectors.DefaultSelector()
listener = fdpass.Listener()
select.register(listener, selectors.EVENT_READ)
served = set()  # they have had a response
stopping = False


def stop(*_):
    global stopping
    stopping = True


def serve(client):
    """One request. Returns whether the client is still here."""
    if client in served and not client.next():
        served.discard(client)
        return False
    served.add(client)
    head = b""
    while b"\r\n\r\n" not in head:
        head += client.socket.recv(4096)
    is_last = b"connection: close" in head.lower() or os.path.exists("/run/fdpass/draining")
    client.socket.sendall(ANSWER % (b"Connection: close\r\n" if is_last else b""))
    if is_last:
        served.discard(client)
        client.close()
    return not is_last


def turn(key):
    if key.fileobj is listener:
        client = listener.accept()
        select.register(client.socket, selectors.EVENT_READ, client)
        return
    select.unregister(key.fileobj)
    if serve(key.data):
        select.register(key.fileobj, selectors.EVENT_READ, key.data)


signal.signal(signal.SIGTERM, stop)
while not stopping:
    for key, _ in select.select(0.1):
        turn(key)

def park(client):
    """The broker may have no room for a moment: it takes some hundred clients at a time."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        try:
            return client.park()
        except BlockingIOError:
            time.sleep(0.005)


select.unregister(listener)
for key in list(select.get_map().values()):
    park(key.data)
sys.exit(0)
