# SPDX-License-Identifier: LGPL-2.1-or-later
"""The sandboxes that are shipped, around a worker that was broken into: its client's socket leads nowhere else."""

import re

from fdpass import GUEST, PROGRAMS, UNITS, case, check
from machine import wait_for

EXAMPLES = "/usr/share/doc/fdpass/examples"
ESCAPE = "/usr/local/bin/escape"
PORT = 9999

# By connect(2) and the like, by files and namespaces with which a worker can hold its client's socket locked.
NETWORK = ["connect", "bind", "listen", "listen-alone", "fastopen", "closed", "io_uring"]
LOCKS = ["fuse", "userfaultfd", "userns"]

PRELOADED = ["apache2", "git-daemon", "gunicorn", "java", "nginx", "node", "sse", "tenant", "uvicorn", "websocket"]

SERVICE = """python3 -c '
import json, socket, sys, threading
listener = socket.create_server(("127.0.0.1", %d))
n = 0
def count():
    global n
    while True:
        listener.accept()[0].close()
        n += 1
threading.Thread(target=count, daemon=True).start()
print("ready", flush=True)
for line in sys.stdin:
    print(json.dumps(n), flush=True)
'""" % PORT


def prepare(m):
    """The program, and a service on the host's loopback that is not meant for any worker."""
    m.run(f"gcc -O1 -Wall -Werror -D_GNU_SOURCE -o {ESCAPE} {GUEST}/escape.c $(pkg-config --cflags --libs libfdpass)")
    m.run("[ -e /dev/fuse ] || touch /dev/fuse; chmod 666 /dev/fuse")  # as Debian has it
    child = m.popen(SERVICE)
    m.children.append(child)
    check(child.stdout.readline() == "ready\n", "the host's service did not start")
    return child


def stand_in(m, service, socket, program=f"{ESCAPE} {PORT}", more=""):
    """Puts the program in the place of the service's own, in its sandbox, with a route of its own."""
    m.drop_in(service, f"[Service]\nType=simple\nPIDFile=\nExecStart=\nExecStartPre=\nExecStop=\nExecStart={program}\n{more}",
              "zz-escape.conf")
    if socket:
        m.drop_in(socket, f"[X-FDPass]\nHost=\nPath=\nPrefix=\nProtocol=\nReceipt=kernel\nHost=box.test\n", "zz-escape.conf")


def begin(m, socket):
    m.run(f"systemctl enable --now {socket}")
    m.reload()


def end(m, service, socket):
    """The next one has the same route."""
    m.run(f"systemctl disable --now {socket}; systemctl kill -s KILL {service}; systemctl stop {service}; "
          f"rm -f {UNITS}/*.d/zz-escape.conf", check=False)
    m.reload()


def attempts(m, service, ways, port=80):
    """{way: what came of it}, each with a client of its own."""
    m.mark()
    m.run(f"for way in {' '.join(ways)}; do curl -s -m 10 -o /dev/null -H 'Host: box.test' http://127.0.0.1:{port}/?$way; done",
          check=False, timeout=120)

    def seen():
        found = dict(re.findall(r"escape: ([\w-]+): (\w+)", "\n".join(entry["MESSAGE"] for entry in m.journal(service))))
        return {way: found[way] for way in ways} if set(ways) <= set(found) else None

    return wait_for(seen, 10, f"all attempts in {service}")


def check_shut(m, service, ways, host, port=80):
    found = attempts(m, service, ways, port)
    check(set(found.values()) <= {"EPERM", "EACCES", "EISCONN", "ENOENT"}, f"{service}: {found}")
    check(m.ask(host) == 0, f"{service}: the host's service was reached")
    m.figure(service, " ".join(f"{way}={found[way]}" for way in ways))


def check_no_note(m):
    """The lint agrees that nothing is missing, for fdpass-hello too."""
    done = m.run("fdpassctl verify")
    # Examples of before are still there.
    said = [line for line in done.stderr.splitlines() if not re.search(r": note: \S+ is not enabled, ", line)]
    check("0 warnings" in done.stdout and not said, f"{done}")


def check_open(m, service, ways, host):
    """Each of @ways works, and so the tests can fail."""
    found = attempts(m, service, ways)
    check(all(found[way] == "open" for way in ways), f"{service}: {found}")
    m.figure(service, " ".join(f"{way}={found[way]}" for way in ways))


@case
def box_open(m):
    """PrivateNetwork=yes alone: a client's socket leads to the host's localhost, by each way that is closed elsewhere."""
    host = prepare(m)
    m.worker("open", f"{ESCAPE} {PORT}", route="Host=box.test\n", service="DynamicUser=yes\nPrivateNetwork=yes\n"
             "RestrictAddressFamilies=AF_UNIX\nSystemCallFilter=@system-service\nSystemCallErrorNumber=EPERM\n")
    note = m.run("fdpassctl verify").stderr
    check("note: test-open.service lacks PrivateDevices=yes, RestrictNamespaces=yes, SystemCallFilter=~connect bind listen;" in note
          and len(note.splitlines()) == 1, note)
    check_open(m, "test-open.service", ["connect", "bind", "listen", "fastopen", "fuse", "userns"], host)
    wait_for(lambda: m.ask(host) == 2, 10, "connect and fastopen at the host's service")


@case
def box_preloaded(m):
    """Every example of a server with the preload: no way out, whichever families it has bound."""
    host = prepare(m)
    for name in PRELOADED:
        at, instance = ("@", "@x") if name == "tenant" else ("", "")
        m.run(f"cd {EXAMPLES}/{name}; cp -r *.socket *.service* {UNITS}; mkdir -p /srv/tenants/x")
        stand_in(m, f"{name}{at}.service", f"{name}{at}.socket")
        begin(m, f"{name}{instance}.socket")
        check_no_note(m)
        check_shut(m, f"{name}{instance}.service", NETWORK + LOCKS, host)
        end(m, f"{name}{instance}.service", f"{name}{instance}.socket")


@case
def box_connect_again(m):
    """A server that calls AF_UNIX services: connect(2) by the line that the example tells of, and Landlock for TCP."""
    host = prepare(m)
    m.run(f"cd {EXAMPLES}/nginx; cp -r *.socket *.service* {UNITS}; sed -i 's/^#SystemCallFilter/SystemCallFilter/' "
          f"{UNITS}/nginx.service.d/50-fdpass.conf")
    stand_in(m, "nginx.service", "nginx.socket")
    begin(m, "nginx.socket")
    check_no_note(m)
    check_shut(m, "nginx.service", NETWORK + LOCKS, host)
    check(attempts(m, "nginx.service", ["unix"])["unix"] == "open", "AF_UNIX is forbidden")


@case
def box_sshd(m):
    """The example of sshd, whose sessions have more of the file system, but no network either."""
    host = prepare(m)
    m.run(f"cd {EXAMPLES}/sshd; cp -r *.socket *.service* {UNITS}")
    stand_in(m, "fdpass-sshd.service", "fdpass-sshd.socket")
    begin(m, "fdpass-sshd.socket")
    check_shut(m, "fdpass-sshd.service", NETWORK + ["userfaultfd", "userns"], host)


@case
def box_workers(m):
    """fdpass-hello, the receivers, and the programs of fdpass-exec: no way out."""
    host = prepare(m)
    stand_in(m, "fdpass-hello.service", "fdpass-hello.socket")
    begin(m, "fdpass-hello.socket")
    check_shut(m, "fdpass-hello.service", NETWORK + LOCKS, host)
    end(m, "fdpass-hello.service", "fdpass-hello.socket")

    run = f"{PROGRAMS}fdpass-exec {ESCAPE} {PORT}"
    for directory, name, instance, program in (("receivers", "receiver@", "receiver@x", f"{ESCAPE} {PORT}"),
                                               ("git-inetd", "git-inetd", "git-inetd", run),
                                               ("script", "hello-script", "hello-script", run)):
        m.run(f"cp {EXAMPLES}/{directory}/*.s* {UNITS}")
        stand_in(m, f"{name}.service", f"{name}.socket", program)
        begin(m, f"{instance}.socket")
        check_no_note(m)
        check_shut(m, f"{instance}.service", NETWORK + LOCKS, host)
        end(m, f"{instance}.service", f"{instance}.socket")


@case
def box_connecting(m):
    """The exporter and the proxy, which have to connect: neither listens, and nothing locks."""
    host = prepare(m)
    m.run(f"cp {EXAMPLES}/proxy/*.s* {UNITS}")
    stand_in(m, "app.service", "app.socket")
    begin(m, "app.socket")
    check_shut(m, "app.service", ["bind", "listen", "listen-alone", "io_uring"] + LOCKS, host)
    end(m, "app.service", "app.socket")

    stand_in(m, "fdpass-metrics.service", None)
    m.run("systemctl daemon-reload; systemctl start fdpass-metrics.socket")
    check_shut(m, "fdpass-metrics.service", ["bind", "listen", "listen-alone", "io_uring"] + LOCKS, host, 9469)
    m.run("systemctl stop fdpass-metrics.socket fdpass-metrics.service")


@case
def box_confined(m):
    """Where the unit leaves connect(2): Landlock by libfdpass, fdpass-exec and the preload; what AF_UNIX needs stays."""
    host = prepare(m)
    sandbox = ("DynamicUser=yes\nPrivateNetwork=yes\nNoNewPrivileges=yes\nRestrictAddressFamilies=AF_UNIX\n"
               "SystemCallFilter=@system-service landlock_create_ruleset landlock_restrict_self\nSystemCallErrorNumber=EPERM\n")
    preload = m.output(f"cat {EXAMPLES}/tenant/tenant@.service.d/10-fdpass-preload.conf")
    closed = ["connect", "bind", "fastopen", "closed", "io_uring"]
    run = f"{PROGRAMS}fdpass-exec"
    for name, program, service, shut in (
            ("library", f"{ESCAPE} confine {PORT}", "", closed + ["listen"]),
            ("exec", f"{run} {ESCAPE} {PORT}", "", closed + ["listen"]),
            ("preload", f"{ESCAPE} {PORT}", f"{preload}\nEnvironment=FDPASS_LISTEN=80\n", closed)):
        m.worker(name, program, route="Host=box.test\n", service=f"{sandbox}{service}")
        check_shut(m, f"test-{name}.service", shut, host)
        check(attempts(m, f"test-{name}.service", ["unix"])["unix"] == "open", f"{name}: AF_UNIX is forbidden too")
        end(m, f"test-{name}.service", f"test-{name}.socket")

    # What turns it off.
    for name, program, service in (
            ("exec-off", f"{run} --confine=no {ESCAPE} {PORT}", ""),
            ("preload-off", f"{ESCAPE} {PORT}", f"{preload}\nEnvironment=FDPASS_LISTEN=80 FDPASS_CONFINE=no\n")):
        m.worker(name, program, route="Host=box.test\n", service=f"{sandbox}{service}")
        check_open(m, f"test-{name}.service", ["connect", "listen"], host)
        end(m, f"test-{name}.service", f"test-{name}.socket")
