# SPDX-License-Identifier: LGPL-2.1-or-later
"""An address that both machines of a fleet have, without a proxy: by ECMP in a router."""

import subprocess

from machine import Failure, wait_for

ON_BOTH = "10.99.0.1"    # on lo of both hosts, as for IPVS by "direct routing"
PORT = 8080
ROUTER, CLIENT = "10.77.0.1", "10.77.0.51"  # addresses of clients


def prepare(fleet):
    """A second public port without PROXY headers, and health on a port of its own."""
    for host in fleet.hosts:
        host.run(f"systemctl enable --now fdpass-hello.socket fdpass-health@8081.socket; "
                 f"systemctl is-active -q fdpass@{PORT}.socket || {{ systemctl enable fdpass@{PORT}.socket; systemctl restart fdpass.service; }}")
        wait_for(lambda: host.run(f"systemctl is-active fdpass@{PORT}.socket", check=False).returncode == 0, 5, f"port {PORT}")


def ask(fleet, address, name, source=None):
    """The answer of port 8080 of @address to a request for the host @name, or ''."""
    done = subprocess.run(["ip", "netns", "exec", fleet.namespace, "curl", "-s", "-m", "3", "-H", f"Host: {name}",
                           *(["--interface", source] if source else []), f"http://{address}:{PORT}/"], stdout=subprocess.PIPE, text=True)
    return done.stdout


def n_accepted(host):
    line = host.output(f"fdpassctl metrics | grep 'fdpass_accepts_total{{listener=\"{PORT}\"'")
    return int(float(line.split()[-1]))


def ecmp(fleet):
    """The address is on lo of both. The router takes one of two routes for each connection. Clients come with their own addresses."""
    for host in fleet.hosts:
        host.run(f"ip addr replace {ON_BOTH}/32 dev lo; sysctl -qw net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2")
    fleet.inside("sysctl", "-qw", "net.ipv4.fib_multipath_hash_policy=1").wait()
    fleet.ip("route", "replace", ON_BOTH, *(word for i in range(len(fleet.hosts)) for word in ("nexthop", "via", fleet.address(i))))
    fleet.ip("addr", "replace", f"{CLIENT}/24", "dev", "br0")
    before = [n_accepted(host) for host in fleet.hosts]
    for source in ROUTER, CLIENT:
        for _ in range(16):
            answer = ask(fleet, ON_BOTH, "other.test", source)
            if f"Hello, {source}:" not in answer:
                raise Failure(f"{source} is answered {answer!r}")
    served = [n_accepted(host) - n for host, n in zip(fleet.hosts, before)]
    if min(served) == 0:
        raise Failure(f"one host has no client: {served}")
    return f"{served[0]} and {served[1]} clients for the hosts, with their own addresses"


def ecmp_restart(fleet):
    """Restarts of broker and worker lose no client of either host."""
    ecmp(fleet)
    for host in fleet.hosts:
        host.run("systemctl restart fdpass.service; systemctl restart app.service")
    return ""
