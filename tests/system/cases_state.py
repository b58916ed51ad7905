# SPDX-License-Identifier: LGPL-2.1-or-later
"""A worker finds the client's socket as if it had accepted it itself."""

import json
import os

from fdpass import GUEST, case, check
from machine import wait_for

PLAIN_PORT = 8090
NO_SETTINGS = {
    "1/49",  # SO_INCOMING_CPU
    "0/52",  # IP_PROTOCOL: the local port
    "6/11",  # TCP_INFO, and
    "6/26",  # TCP_CC_INFO: how the connection is doing
}
REQUEST = "GET /state HTTP/1.1\r\nHost: localhost\r\n\r\n"

# Run inside: connects, says the request, returns the answer and who it was itself.
ASK = """
import json, socket, sys
kind, address = json.loads(sys.argv[1])
client = socket.socket(socket.AF_UNIX if kind == "unix" else socket.AF_INET6 if kind == "ipv6" else socket.AF_INET)
client.connect(address if kind == "unix" else tuple(address))
client.sendall(sys.argv[2].encode())
answer = b""
while data := client.recv(65536):
    answer += data
state = json.loads(answer)
state["me"] = "" if kind == "unix" else client.getsockname()[:2]
print(json.dumps(state))
"""


def ask(m, kind, address):
    m.write("/root/ask.py", ASK)
    return json.loads(m.output(f"python3 /root/ask.py '{json.dumps([kind, address])}' '{REQUEST}'"))


def plain_listener(m, listen):
    """A service that accepts from a socket unit with the same settings as the public one."""
    m.unit("test-accept.socket", f"[Socket]\nListenStream={listen}\nBindIPv6Only=both\nBacklog=4096\n"
           "DeferAcceptSec=1\n")
    m.unit("test-accept.service", f"[Service]\nExecStart=/usr/bin/python3 {GUEST}/worker.py state yes\n")
    m.run("systemctl daemon-reload; systemctl restart test-accept.socket")


def compare(m, kind, public, plain):
    handed = ask(m, kind, public)
    accepted = [ask(m, kind, plain) for _ in range(3)]

    # What differs between two accepted sockets says something about the connection, not about its settings.
    constant = [key for key, value in accepted[0]["options"].items()
                if key not in NO_SETTINGS and all(other["options"][key] == value for other in accepted)]
    left_over = {key: (handed["options"][key], accepted[0]["options"][key]) for key in constant
                 if handed["options"][key] != accepted[0]["options"][key]}
    check(not left_over, f"{kind}: options (level/name: at the worker, after accept): {left_over}")
    known = sum(isinstance(handed["options"][key], str) for key in constant)
    check(known > 40, f"only {known} options were read")

    for key in "flags", "owner", "signal", "family":
        check(handed[key] == accepted[0][key], f"{kind}: {key} is {handed[key]}, not {accepted[0][key]}")
    check(not handed["flags"] & os.O_NONBLOCK, f"{kind}: O_NONBLOCK is on")
    check(handed["unread"] == len(REQUEST) and handed["read"] == REQUEST, f"{kind}: {handed['unread']} unread bytes")
    m.figure(f"{kind}: options equal to those after accept(2)", known)
    return handed


def address_of(peer):
    return peer[0].removeprefix("::ffff:"), peer[1]


@case
def socket_state_ip(m):
    """The socket at the worker is as from accept(2): IPv4 and IPv6."""
    m.worker("state", "state no")
    plain_listener(m, PLAIN_PORT)
    for kind, host in ("ipv4", "127.0.0.1"), ("ipv6", "::1"):
        handed = compare(m, kind, (host, 80), (host, PLAIN_PORT))
        check(address_of(handed["peer"]) == tuple(handed["me"]), f"peer {handed['peer']}, client {handed['me']}")
        check(handed["local"][1] == 80, f"local {handed['local']}")


@case
def socket_state_unix(m):
    """The same for a public listener on an AF_UNIX path."""
    m.drop_in("fdpass.socket", "[Socket]\nListenStream=\nListenStream=/run/test/public.sock\n")
    m.run("systemctl daemon-reload; systemctl restart fdpass.socket")
    m.worker("state", "state no")
    plain_listener(m, "/run/test/accept.sock")
    handed = compare(m, "unix", "/run/test/public.sock", "/run/test/accept.sock")
    check(handed["family"] == "AF_UNIX" and handed["peer"] == "", f"{handed['family']}, {handed['peer']}")


@case
def socket_state_detour(m):
    """The same after it waited in the broker's queue, and after a first worker died without it."""
    m.worker("state", "/bin/sh -c 'exec /usr/bin/python3 %s/worker.py "
             "$(if [ -s /run/test/died ]; then echo state no; else echo die after-accept 0 /run/test/died 1; fi)'" % GUEST,
             route="MaxPending=1\n", service="RestartSec=1s")
    plain_listener(m, PLAIN_PORT)
    crowd = m.client("crowd", count=5)
    wait_for(lambda: m.output("cat /run/test/died", check=False), 5, "the end of the first worker")
    compare(m, "ipv4", ("127.0.0.1", 80), ("127.0.0.1", PLAIN_PORT))
    wait_for(lambda: m.ask(crowd)["state"].get("answered") == 5, 5, "the answers to those who came earlier")
