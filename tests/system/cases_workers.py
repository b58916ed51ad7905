# SPDX-License-Identifier: LGPL-2.1-or-later
"""fdpass-proxy and fdpass-exec, by the units of units/examples, with their clients, programs and servers at fault."""

import json
import re

from fdpass import GUEST, PROGRAMS, UNITS, case, check
from machine import wait_for

EXAMPLES = "/usr/share/doc/fdpass/examples"
HOST = "-H 'Host: proxied.example.org'"


def install(m, example, sockets):
    """As the README of an administrator would have it: copy, enable, reload."""
    m.run(f"cp {EXAMPLES}/{example}/*.s* {UNITS}/; systemctl daemon-reload; systemctl enable --now {sockets}")
    m.reload()


def proxy(m, *options):
    """The example, with other options: what it waits for is shorter in a test."""
    install(m, "proxy", "app.socket")
    m.drop_in("app.service", f"[Service]\nExecStart=\nExecStart={PROGRAMS}fdpass-proxy --proxy-protocol=v1 {' '.join(options)} "
              "127.0.0.1:3000\n")
    m.run("systemctl daemon-reload")


def backend(m):
    child = m.popen(f"python3 {GUEST}/backend.py 3000")
    m.children.append(child)
    check(child.stdout.readline() == "ready\n", "the backend did not start")
    return child


def end_backend(m, child):
    m.run(f"pkill -KILL -f '{GUEST}/[b]ackend.py'")
    child.wait(10)


def pid_of(m, unit):
    return int(m.property(unit, "MainPID"))


def processes_of(m, unit):
    """All processes of the unit, dead ones too, which only their parent can take away."""
    pids = m.output(f"systemctl show -P ControlGroup {unit} | xargs -I@ cat /sys/fs/cgroup@/cgroup.procs "
                    f"/sys/fs/cgroup/systemd@/cgroup.procs 2>/dev/null || :")
    return sorted({int(pid) for pid in pids.split()})


KEEPING = """
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 65536
    def do_GET(self):
        body = f"site {self.path}\\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *arguments):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", 3000), Handler).serve_forever()
"""


@case
def proxy_http(m):
    """With --http, kept connections go between a server that can't take a socket and a worker at /api, request by request."""
    proxy(m)
    m.drop_in("app.service", f"[Service]\nExecStart=\nExecStart={PROGRAMS}fdpass-proxy --http 127.0.0.1:3000\nSupplementaryGroups=fdpass\n")
    m.drop_in("app.socket", "[X-FDPass]\nHost=\n")
    install(m, "python", "python-api.socket")
    m.write("/root/keeping.py", KEEPING)
    m.run("systemd-run --quiet --unit=test-keeping python3 /root/keeping.py")
    wait_for(lambda: m.run("ss -Htln 'sport = :3000' | grep -q .", check=False).returncode == 0, 10, "the backend's port")
    check(m.output(f"python3 {GUEST}/wander.py 5 60") == "300 0", "a request got to the wrong worker")
    check(not m.journal("app.service", 4), "the proxy complains")


@case
def proxy_whole(m):
    """A server that can't take a socket: the client's address, half-close, 100 MB, the end when idle, and again."""
    proxy(m, "--exit-idle-time=1s")
    backend(m)
    check(m.curl(options=HOST).stdout == "backend: 127.0.0.1\n", f"{m.curl(options=HOST)}")
    seen = m.output("""python3 -c '
import socket
c = socket.create_connection(("127.0.0.1", 80), 30)
c.sendall(b"GET /count HTTP/1.1\\r\\nHost: proxied.example.org\\r\\n\\r\\n")
for _ in range(100):
    c.sendall(bytes(1000000))
c.shutdown(socket.SHUT_WR)
answer = b""
while data := c.recv(4096):
    answer += data
print(answer.split(b"\\r\\n\\r\\n")[1].decode())
'""")
    check(int(seen) == 100_000_000, f"{seen} bytes arrived")
    wait_for(lambda: m.property("app.service", "ActiveState") == "inactive", 10, "its end")
    check(m.property("app.service", "Result") == "success", "it failed")
    check(m.curl(options=HOST).stdout == "backend: 127.0.0.1\n", "it is not started again")


@case
def proxy_backend_faults(m):
    """A server that is away: an answer from the broker at once, two lines in the journal, and nothing left over."""
    proxy(m)
    child = backend(m)
    check(m.curl(options=HOST).stdout == "backend: 127.0.0.1\n", "no answer at the beginning")
    pid = pid_of(m, "app.service")
    fds = wait_for(lambda: m.descriptors(pid)[0], 5, "its descriptors")

    end_backend(m, child)
    for _ in range(20):
        code = m.curl(options=f"{HOST} -o /dev/null -w '%{{http_code}}'").stdout
        check(code == "503", f"{code} without a backend")
    backend(m)
    wait_for(lambda: m.curl(options=HOST).stdout == "backend: 127.0.0.1\n", 5, "the backend to be used again")

    lines = [line["MESSAGE"] for line in m.journal("app.service", match="Backend")]
    check(len(lines) == 2 and "refused" in lines[0] and "again" in lines[1], f"{lines}")
    for line in lines:
        m.figure("line", line)
    check(pid_of(m, "app.service") == pid, "it is another process")
    # The broker may have opened up to 8 connections meanwhile, to find further processes. 20 clients were served.
    wait_for(lambda: m.descriptors(pid)[0] <= fds + 8, 5, f"about {fds} descriptors again")


@case
def proxy_late_backend(m):
    """With --retry-time= clients wait for a server that starts slowly."""
    proxy(m, "--retry-time=20s")
    client = m.popen(f"curl -sS -m 20 {HOST} http://127.0.0.1/")
    wait_for(lambda: m.journal("app.service", match="can't be reached"), 10, "a word about it")
    backend(m)
    check(client.communicate(timeout=20)[0] == "backend: 127.0.0.1\n", "the client did not wait")


@case
def proxy_limit(m):
    """Beyond --connections-max= clients wait in the socket's queue, and come to their turn."""
    proxy(m, "--connections-max=2")
    backend(m)
    client = m.popen("""python3 -c '
import json, select, socket, sys
def open_one():
    c = socket.create_connection(("127.0.0.1", 80), 20)
    c.sendall(b"GET /count HTTP/1.1\\r\\nHost: proxied.example.org\\r\\n\\r\\n")
    return c
clients = [open_one() for _ in range(5)]
print(json.dumps(len(clients)), flush=True)
sys.stdin.readline()
answers = 0
for c in clients:
    c.shutdown(socket.SHUT_WR)
    while data := c.recv(4096):
        answers += data.endswith(b"0\\n")
print(json.dumps(answers), flush=True)
'""")
    m.children.append(client)
    check(json.loads(client.stdout.readline()) == 5, "no clients")
    wait_for(lambda: m.journal("app.service", match="the next clients wait"), 10, "the limit")
    check(m.ask(client) == 5, "not all were served")


@case
def exec_programs(m):
    """A shell script for each client: 300 of them, 16 at a time, and nothing is left of any."""
    install(m, "script", "hello-script.socket")
    answer = m.output("curl -sS -m 10 http://127.0.0.1/hello-script")
    check(answer == "Hello, 127.0.0.1 at 127.0.0.1!", answer)
    wait_for(lambda: m.journal("hello-script.service", match="GET /hello-script for 127.0.0.1"), 5, "its standard error in the journal")
    pid = pid_of(m, "hello-script.service")
    done = m.output("seq 300 | xargs -P 40 -I@ curl -sS -m 30 -o /dev/null -w '%{http_code}\\n' http://127.0.0.1/hello-script "
                    "| sort | uniq -c")
    check(re.fullmatch(r"300 200", done), done)
    wait_for(lambda: processes_of(m, "hello-script.service") in ([pid], []), 5, "the end of all programs")
    check("Z" not in m.output("ps -e -o stat=").split(), "a zombie")


@case
def exec_faults(m):
    """A program that can't be run: the broker answers, a line says why; when it is there, it runs. Clients that vanish."""
    install(m, "script", "hello-script.socket")
    m.drop_in("hello-script.service", f"[Service]\nExecStart=\nExecStart={PROGRAMS}fdpass-exec /usr/local/bin/program\n")
    m.run("rm -f /usr/local/bin/program; systemctl daemon-reload")
    for state in "missing", "not executable":
        code = m.output("curl -sS -m 10 -o /dev/null -w '%{http_code}' http://127.0.0.1/hello-script")
        check(code == "503", f"{code} with a program that is {state}")
        m.run(f"cp {EXAMPLES}/programs/script/hello-script /usr/local/bin/program; chmod 644 /usr/local/bin/program")
    line = wait_for(lambda: m.journal("hello-script.service", match="/usr/local/bin/program"), 5, "a line")[0]["MESSAGE"]
    m.figure("line", line)

    m.run("chmod 755 /usr/local/bin/program")
    check(m.output("curl -sS -m 10 http://127.0.0.1/hello-script").startswith("Hello"), "it is not run when it is there")

    pid = pid_of(m, "hello-script.service")
    fds = m.descriptors(pid)[0]
    m.run("""python3 -c '
import socket, struct
for _ in range(300):
    c = socket.create_connection(("127.0.0.1", 80))
    c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    c.sendall(b"GET /hello-script HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n")
    c.close()
'""")
    check(m.output("curl -sS -m 10 http://127.0.0.1/hello-script").startswith("Hello"), "it is not served any more")
    wait_for(lambda: processes_of(m, "hello-script.service") in ([pid], []), 10, "the end of all programs")
    wait_for(lambda: m.descriptors(pid)[0] <= fds, 5, f"{fds} descriptors again")
    check("Z" not in m.output("ps -e -o stat=").split(), "a zombie")


@case
def exec_stop(m):
    """A stop with KillMode=mixed: a program goes on with its client, and the next client starts the service again."""
    install(m, "script", "hello-script.socket")
    m.drop_in("hello-script.service", f"[Service]\nExecStart=\nExecStart={PROGRAMS}fdpass-exec sh -c 'while read -r x && [ $${{#x}} -gt 1 ]; do :; done; "
              "echo started >&2; while [ ! -e /run/test/go ]; do sleep 0.1; done; echo HTTP/1.0 200 done; echo; echo done'\n")
    m.run("rm -f /run/test/go; systemctl daemon-reload")
    client = m.popen("curl -sS -m 20 http://127.0.0.1/hello-script")
    wait_for(lambda: m.journal("hello-script.service", match="started"), 10, "the program")
    stop = m.popen("systemctl stop hello-script.service")
    wait_for(lambda: m.property("hello-script.service", "ActiveState") == "deactivating", 10, "the stop")
    m.run("touch /run/test/go")
    out, err = client.communicate(timeout=20)
    check(out == "done\n", f"{out}{err}")
    stop.wait(10)
    check(m.property("hello-script.service", "Result") == "success", "it was killed")
    check(m.output("curl -sS -m 10 http://127.0.0.1/hello-script") == "done", "it is not started again")


@case
def exec_ssh(m):
    """sshd -i with Accept=yes: a login, an instance for each, and a program that is missing."""
    m.run("ssh-keygen -A; mkdir -p /root/.ssh; rm -f /root/.ssh/key*; ssh-keygen -q -N '' -t ed25519 -f /root/.ssh/key; "
          "cp /root/.ssh/key.pub /root/.ssh/authorized_keys; chmod 700 /root /root/.ssh; chmod 600 /root/.ssh/authorized_keys")
    install(m, "sshd-inetd", "ssh-inetd.socket")
    ssh = ("ssh -i /root/.ssh/key -p 80 -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR "
           "-o BatchMode=yes -o ConnectTimeout=20 root@127.0.0.1")
    said = m.output(f"{ssh} 'echo $SSH_CLIENT'", timeout=60)
    check(re.fullmatch(r"127\.0\.0\.1 \d+ 80", said), said)
    wait_for(lambda: "ssh-inetd@" not in m.output("systemctl list-units --all 'ssh-inetd@*' --no-legend"), 20, "the instance's end")

    m.drop_in("ssh-inetd@.service", f"[Service]\nExecStart=\nExecStart=-{PROGRAMS}fdpass-exec /nonexistent\n")
    m.run("systemctl daemon-reload")
    m.run(ssh, check=False)
    wait_for(lambda: "Failed to run /nonexistent: No such file or directory." in
             m.output(f"journalctl -q -o cat --after-cursor='{m.cursor}' -t fdpass-exec"), 10, "a word about the program")
    check(m.property("ssh-inetd.socket", "ActiveState") == "active", "the socket is gone")


@case
def tenant(m):
    """A tenant's directory: its worker is served, but no link in it leads the broker elsewhere."""
    m.run("rm -rf /srv/tenant; install -d -o nobody -g nogroup /srv/tenant")
    m.worker("tenant", "serve tenant", route="Host=127.0.0.1\nLintSandbox=no\n", socket="ListenStream=\nListenStream=/srv/tenant/s.sock\n")
    m.worker("admin", "serve admin", route="InternalName=admin\nLintSandbox=no\n")
    said = m.run("fdpassctl verify", check=False).stderr
    check("Others than root can write to /srv/tenant/, and decide which socket is there;" in said and "admin" not in said, said)

    check(m.who() == "tenant", "the worker of the tenant is not served")
    check(m.who() == "tenant", "it is served once only")
    m.run("setpriv --reuid=nobody --regid=nogroup --clear-groups ln -sf ../../run/fdpass/admin.sock /srv/tenant/s.sock")
    answer = m.curl(options="-w '%{http_code}' -o /dev/null")
    check(answer.stdout == "503", f"{answer.stdout}{answer.stderr}")
    m.one_line("a part of its path is a symbolic link, and the broker follows none", besides="refused")
