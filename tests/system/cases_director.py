# SPDX-License-Identifier: LGPL-2.1-or-later
"""keepalived with IPVS, by the recipe "One address for several hosts", in the guests of qemu.py, whose kernel has IPVS.

This machine is one of two hosts. Network namespaces are the other one, the director, and a client, on one segment.
"""

from fdpass import case, check, kernel
from machine import wait_for

RECIPE = "/usr/share/doc/fdpass/recipes/one-address-for-several-hosts/etc"
SHARED = "192.0.2.100"

SEGMENT = f"""
modprobe -a ip_vs ip_vs_rr veth bridge
ip link add segment type bridge
ip addr add 192.0.2.11/24 dev segment
ip link set segment up
ip addr add {SHARED}/32 dev lo
sysctl -q -p {RECIPE}/sysctl.d/fleet.conf
n=0
for name in other:12 director:1 client:50; do
        ns=${{name%:*}} n=$((n + 1))
        ip netns add $ns
        ip link add port$n type veth peer name eth0 netns $ns
        ip link set port$n master segment up
        ip -n $ns addr add 192.0.2.${{name#*:}}/24 dev eth0
        ip -n $ns link set lo up
        ip -n $ns link set eth0 up
done
ip netns exec other sysctl -q -p {RECIPE}/sysctl.d/fleet.conf
ip -n other addr add {SHARED}/32 dev lo
ip -n director addr add {SHARED}/32 dev eth0
"""

# The other host: health at 8082, and its name at 80.
OTHER = """
import http.server, threading
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"other\\n")
    def log_message(self, *args):
        pass
for port in 80, 8082:
    threading.Thread(target=http.server.ThreadingHTTPServer(("", port), Handler).serve_forever).start()
"""

# Two connections, one to each host, with half of a request each. The other half follows when the file is there.
KEPT = f"""
import os, socket, time
clients = [socket.create_connection(("{SHARED}", 80)) for _ in range(2)]
for client in clients:
    client.sendall(b"GET / HTTP/1.1\\r\\nHost: a.test\\r\\n")
print("open", flush=True)
while not os.path.exists("/run/test/go"):
    time.sleep(0.05)
for client in clients:
    client.sendall(b"Connection: close\\r\\n\\r\\n")
    print(client.makefile().read().splitlines()[-1].split(":")[0].split()[0], flush=True)
"""


def hosts(m):
    """Which hosts answer two clients that come one after the other."""
    asked = m.run(f"ip netns exec client curl -s -m 20 http://{SHARED}/ http://{SHARED}/ -H 'Connection: close'", check=False)
    return sorted(line.split(":")[0].split()[0] for line in asked.stdout.splitlines() if line)


def becomes(m, expected, seconds, what):
    wait_for(lambda: hosts(m) == expected and hosts(m) == expected, seconds * m.slowness, what, interval=0.2)


def kept_clients(m):
    kept = m.popen("ip netns exec client python3 /run/test/kept.py")
    m.children.append(kept)
    check(kept.stdout.readline() == "open\n", "no connections")
    return kept


@kernel
@case
def director(m):
    """A host that is drained, or whose broker hangs, gets no new client by the director; its connections go on."""
    m.worker("app", "serve app", route="Protocol=http\n")
    m.run("systemctl enable --now fdpass-health@8082.socket; systemctl disable --now fdpass-hello.socket")
    m.drop_in("fdpass.socket", "[X-FDPass]\nHeadTimeoutSec=10min\n")
    m.run("systemctl daemon-reload")
    m.start_broker()
    m.run(SEGMENT)
    m.write("/run/test/other.py", OTHER)
    m.write("/run/test/kept.py", KEPT)
    config = m.output(f"cat {RECIPE}/keepalived/ipvs.conf").replace("app.socket", "test-app.socket")
    begin, end = config.index("    real_server"), config.rindex("}")
    second = config[begin:end].replace("192.0.2.11", "192.0.2.12")
    m.write("/etc/keepalived/keepalived.config-opts", "")  # keepalived 2.3 ends without it, and the kernel's tree has no /etc
    m.write("/run/test/ipvs.conf", config[:end] + second + config[end:])
    m.run("systemd-run -q --unit=test-other ip netns exec other python3 /run/test/other.py; "
          "systemd-run -q --unit=test-director ip netns exec director keepalived -n -l -C -f /run/test/ipvs.conf")
    try:
        becomes(m, ["app", "other"], 10, "both hosts")
        pid = m.broker()
        for what, command, back in (("drained", "fdpassctl drain --host --reason=test", "fdpassctl undrain --host"),
                                    ("its broker hangs", f"kill -STOP {pid}", f"kill -CONT {pid}"),
                                    ("its worker is stopped", "systemctl stop test-app.socket test-app.service",
                                     "systemctl start test-app.socket")):
            kept = kept_clients(m) if what == "drained" else None
            m.run(command)
            becomes(m, ["other", "other"], 10, f"no client for a host that is: {what}")
            if kept:
                m.run("touch /run/test/go")
                answers = sorted(kept.communicate(timeout=20 * m.slowness)[0].split())
                check(answers == ["app", "other"], f"connections from before: {answers}")
            m.run(back)
            becomes(m, ["app", "other"], 10, f"clients again after: {what}")
    finally:
        m.run("rm -r /etc/keepalived; systemctl stop test-other test-director; for i in other director client; do ip netns del $i; done; "
              f"ip link del segment; ip addr del {SHARED}/32 dev lo", check=False)
