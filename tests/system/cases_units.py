# SPDX-License-Identifier: LGPL-2.1-or-later
"""The units are the configuration: what an administrator writes there takes effect, or is answered for."""

import json
import re
import time

from fdpass import GUEST, LINT, UNITS, case, check
from machine import wait_for


@case
def port_by_drop_in(m):
    """ListenStream=8081 in a drop-in of fdpass.socket, and back, with the documented command."""
    m.start_broker()
    m.drop_in("fdpass.socket", "[Socket]\nListenStream=8081\n")
    m.run("systemctl daemon-reload; systemctl restart fdpass.socket")
    for port in 80, 8081:
        check(m.who(port), f"nobody answers on {port}")

    m.drop_in("fdpass.socket", "[Socket]\nListenStream=\nListenStream=8082\n")
    m.run("systemctl daemon-reload; systemctl restart fdpass.socket")
    check(m.who(8082), "nobody answers on 8082")
    for port in 80, 8081:
        check(m.curl(port).returncode == 7, f"{port} is still open")  # CURLE_COULDNT_CONNECT


@case
def stopped_port(m):
    """After systemctl stop fdpass.socket the port is closed, although clients were left for the next broker."""
    m.worker("host", "serve host", route="Host=host.example\n")
    m.start_broker()
    halves = m.popen(f"python3 {GUEST}/visitors.py slow --count=20 --say='GET / HTTP/1.1\\r\\nHost: '")
    m.children.append(halves)
    halves.stdout.readline()
    wait_for(lambda: len(json.loads(m.output("fdpassctl --json=short list-clients"))) == 20, 5, "20 clients in the broker")
    m.run("systemctl stop fdpass.socket")
    for unit in "fdpass.service", "fdpass.socket", "fdpass-return.socket", "fdpass-control.socket":
        check(m.property(unit, "ActiveState") == "inactive", f"{unit} is not inactive")
    check(m.curl().returncode == 7, "the port is open")  # CURLE_COULDNT_CONNECT
    check(m.ask(halves)["open"] == 0, "clients are left")
    m.run("systemctl start fdpass.socket")
    check(m.who() is not None, "no answer after a start")


@case
def another_port(m):
    """fdpass@8443.socket while the broker runs and clients come: none of them is lost."""
    m.start_broker()
    load = m.client("load", threads=8)
    m.run("systemctl enable fdpass@8443.socket && systemctl restart fdpass.service")
    check(m.who(8443), "nobody answers on 8443")
    seen = m.end_load(load)
    m.figure("clients of port 80 meanwhile", seen["asked"])
    m.figure("their errors", sum(seen["errors"].values()))
    m.figure("the longest wait", seen["longest"] * 1000, "ms", 0)
    check(not seen["errors"], f"{seen['errors']}")

    load = m.client("load", threads=8)
    m.run("systemctl disable --now fdpass@8443.socket")
    wait_for(lambda: m.curl(8443).returncode == 7, 5, "a closed port")
    seen = m.end_load(load)
    m.figure("errors while it is taken away again", sum(seen["errors"].values()))
    check(not seen["errors"], f"{seen['errors']}")
    check(m.who(), "nobody answers on 80")


@case
def port_in_use(m):
    """A second port that somebody else has leaves the first one as it was."""
    m.start_broker()
    other = m.popen("python3 -c 'import socket; s = socket.create_server((\"\", 8443)); print(flush=True); input()'")
    m.children.append(other)
    other.stdout.readline()
    m.run("systemctl enable fdpass@8443.socket && systemctl restart fdpass.service")
    check(m.property("fdpass@8443.socket", "ActiveState") == "failed", "it did not fail")
    check(m.who(), "nobody answers on 80")


@case
def route_by_drop_in(m):
    """An [X-FDPass] drop-in of fdpass-hello.socket is in use after a reload, and gone after the next."""
    pid = m.start_broker()
    m.drop_in("fdpass-hello.socket", "[X-FDPass]\nListener=8443\n")
    m.reload()
    check(m.who() is None, "its route still takes the clients of port 80")
    m.run("systemctl enable fdpass@8443.socket && systemctl restart fdpass.service")
    check(m.who(8443), "its route does not take those of 8443")

    m.run(f"rm -r {UNITS}/fdpass-hello.socket.d")
    m.reload()
    check(m.who(), "the reload did not take the drop-in back")
    check(m.broker() != pid, "the broker was not restarted for the port")


@case
def worker_by_priority(m):
    """A worker comes before hello by being enabled, and goes by being disabled; the broker stays."""
    pid = m.start_broker()
    m.worker("new", "serve new")
    check(m.who() == "new", "hello is still there")
    m.run("systemctl disable --now test-new.socket test-new.service", check=False)
    m.reload()
    check(m.who() not in (None, "new"), "the worker is still there")
    check(m.broker() == pid, "it is another broker")


@case
def template_instances(m):
    """Instances of one template: each its own route and socket by %i, with a drop-in for one of them."""
    for port in 8443, 8444:
        m.run(f"systemctl enable fdpass@{port}.socket")
    m.run("systemctl restart fdpass.service")
    m.worker("who", "serve %i", route="Listener=%i\n", instance="8443")
    m.worker("who", "serve %i", route="Listener=%i\n", instance="8444")
    for port in 8443, 8444:
        check(m.who(port) == str(port), f"port {port}: {m.who(port)}")
    check(m.who(80) not in (None, "8443", "8444"), f"port 80: {m.who(80)}")

    m.drop_in("test-who@8444.socket", "[X-FDPass]\nListener=\nListener=public\n")
    m.reload()
    check(m.who(8443) == "8443" and m.who(80) == "8444", f"{m.who(8443)} on 8443, {m.who(80)} on 80")


@case
def masked_drop_in(m):
    """/dev/null masks a drop-in of the same name further down the load path."""
    m.write("/usr/lib/systemd/system/fdpass-hello.socket.d/50-vendor.conf", "[X-FDPass]\nListener=nobody\n")
    try:
        m.run("systemctl daemon-reload")
        m.start_broker()
        check(m.who() is None, "the vendor's drop-in has no effect")
        m.symlink("/dev/null", f"{UNITS}/fdpass-hello.socket.d/50-vendor.conf")
        m.reload()
        check(m.who() is not None, "the mask has no effect")
    finally:
        m.run("rm -r /usr/lib/systemd/system/fdpass-hello.socket.d")


@case
def log_handoffs(m):
    """LogHandoffs=yes for fdpass.service: a line with fields for every client."""
    m.drop_in("fdpass.service", "[X-FDPass]\nLogHandoffs=yes\n")
    m.run("systemctl daemon-reload")
    m.load(count=40)
    entries = wait_for(lambda: (e := [x for x in m.journal() if "FDPASS_CLIENT" in x]) and len(e) >= 40 and e, 5, "40 lines")
    check(len(entries) == 40, f"{len(entries)} lines for 40 clients")
    for entry in entries:
        check(entry["FDPASS_LISTENER"] == "public" and entry["FDPASS_ROUTE"] == "fdpass-hello.socket"
              and entry["FDPASS_WORKER"] == "/run/fdpass/hello.sock"
              and re.fullmatch(r"127\.0\.0\.1:\d+", entry["FDPASS_CLIENT"]), f"{entry}")


# Wrong units: one clear line, and the broker goes on.


@case
def missing_socket(m):
    """A worker whose socket is not there: one line says which; others are served."""
    m.run("systemctl enable fdpass@8443.socket")
    m.worker("lost", "serve lost", route="Listener=8443\nQueueTimeoutSec=500ms\n", enable=False)
    m.run("systemctl enable test-lost.socket; systemctl start fdpass@8443.socket")
    m.start_broker()
    load = m.client("load", port=8443, count=40)
    check(m.who(), "clients of hello are not served")
    line = m.one_line("test-lost.socket.*/run/fdpass/lost.sock")
    check(line["FDPASS_ROUTE"] == "test-lost.socket" and line["FDPASS_WORKER"] == "/run/fdpass/lost.sock", f"{line}")
    seen = m.end_load(load, stop=False)
    check(sum(seen["errors"].values()) == 40, f"{seen['errors']}")
    m.figure("its clients' longest wait", seen["longest"] * 1000, "ms", 0)

    # Once it is there, it is used without another word to the broker.
    m.run("systemctl start test-lost.socket")
    wait_for(lambda: m.who(8443) == "lost", 5, "the worker's answer")


@case
def wrong_mode(m):
    """A worker's socket that the broker may not connect to: one line says which."""
    m.start_broker()
    m.worker("closed", "serve closed", socket="SocketUser=root", route="QueueTimeoutSec=500ms\n")
    seen = m.load(count=40)
    m.one_line("test-closed.socket.*/run/fdpass/closed.sock.*ermission denied", besides="in vain")  # that is about clients
    check(sum(seen["errors"].values()) == 40, f"{seen['errors']}")

    m.run("systemctl disable --now test-closed.socket")
    m.reload()
    check(m.who(), "the broker does not go on")


@case
def syntax_error(m):
    """Wrong lines in a unit: each is named with file and line; other units' routes stand."""
    m.worker("wrong", "serve wrong", enable=False)
    m.unit("test-wrong.socket", "[Socket]\nListenStream=/run/fdpass/wrong.sock\n\n[X-FDPass]\nRoutePriority=high\n\n"
           "[Install]\nWantedBy=fdpass.target\n")
    m.run("systemctl daemon-reload; systemctl enable test-wrong.socket")
    m.start_broker()
    line = m.one_line("high")
    check(f"{UNITS}/test-wrong.socket:5" in line["MESSAGE"], line["MESSAGE"])
    check(m.who(), "hello's route does not stand")

    m.run("systemctl stop fdpass.service")
    m.mark()
    m.unit("test-wrong.socket", "[Socket]\nListenStream=/run/fdpass/wrong.sock\n[X-FDPass]\nthis is no assignment\n")
    m.run("systemctl daemon-reload")
    m.start_broker()
    m.one_line("test-wrong.socket:4")

    m.run("systemctl stop fdpass.service")
    m.mark()
    m.unit("test-wrong.socket", "[Socket]\nListenStream=/run/fdpass/wrong.sock\n[X-FDPass]\nRoutePriorty=5\n")
    m.run("systemctl daemon-reload")
    m.start_broker()
    line = m.one_line("RoutePriorty")
    check(f"{UNITS}/test-wrong.socket:4" in line["MESSAGE"] and "RoutePriority=?" in line["MESSAGE"], f"{line}")
    check(line["PRIORITY"] == "3", f"a route without the key would be another one: {line}")


@case
def lacking_lines(m):
    """Lines that a unit lacks are in the log at a load, once, and verify tells of them, of the program, and of the socket's file."""
    m.start_broker()
    m.unit("test-bare.socket", "[Socket]\nListenStream=/run/fdpass/bare.sock\nSocketUser=fdpass\nSocketMode=0600\n"
           "[X-FDPass]\nHost=bare.test\n[Install]\nWantedBy=fdpass.target\n")
    m.unit("test-bare.service", "[Service]\nExecStart=/usr/bin/gone\n")
    m.run("systemctl enable --now test-bare.socket")
    for _ in range(2):
        m.reload()
        lines = [entry["MESSAGE"] for entry in m.journal() if entry.get("MESSAGE_ID") == LINT]
        check(len(lines) == 2 and f"{UNITS}/test-bare.socket:2: TriggerLimitIntervalSec=0 is missing" in lines[0]
              and f"{UNITS}/test-bare.service: StartLimitIntervalSec=0 is missing" in lines[1], f"{lines}")

    def says(*texts):
        told = m.run("fdpassctl verify").stderr
        check(all(text in told for text in texts), told)

    says("TriggerLimitIntervalSec=0 is missing", "StartLimitIntervalSec=0 is missing", "no program /usr/bin/gone")
    m.run("chown www-data:www-data /run/fdpass/bare.sock; chmod 660 /run/fdpass/bare.sock")
    says("may not write to /run/fdpass/bare.sock (of www-data:www-data, mode 0660)")
    m.run("systemctl stop test-bare.socket")
    says("no process listens on it", "systemctl start test-bare.socket")
    m.run("systemctl start test-bare.socket; systemctl disable test-bare.socket")
    says("test-bare.socket is started and not enabled", "systemctl enable --now test-bare.socket")


@case
def no_route(m):
    """No route at all: one line, clients are closed, and the first worker that is enabled gets the next."""
    m.run("systemctl disable --now fdpass-hello.socket")
    m.start_broker()
    seen = m.load(count=40)
    check(sum(seen["errors"].values()) == 40, f"{seen['errors']}")
    check(seen["longest"] < 5, "they waited for it")
    lines = m.journal(priority=4)
    check(1 <= len(lines) <= 2 and any(re.search("[Nn]o route", line["MESSAGE"]) for line in lines),
          "\n".join(line["MESSAGE"] for line in lines))
    for line in lines:
        m.figure("line", line["MESSAGE"])
    m.worker("first", "serve first")
    check(m.who() == "first", "the new worker is not used")


@case
def wrong_reload(m):
    """A reload with an error: one line with file and line, the old routes stay, the broker goes on."""
    m.drop_in("fdpass.service", "[X-FDPass]\nAutoReload=no\n")  # it would log the error, too
    pid = m.start_broker()
    before = m.who()
    m.worker("late", "serve late", enable=False)
    m.run("systemctl enable --now test-late.socket")
    m.drop_in("fdpass-hello.socket", "[X-FDPass]\n\nMaxPending=-1\n")
    m.mark()
    done = m.reload()
    lines = wait_for(lambda: m.journal(match=f"{UNITS}/fdpass-hello.socket.d/test.conf:3"), 5, "a line with file and line")
    check(len(lines) == 1, f"{lines}")
    m.figure("line", lines[0]["MESSAGE"])
    graver = m.journal(priority=4)
    check(len(graver) <= 2, "\n".join(line["MESSAGE"] for line in graver))
    m.figure("exit status of systemctl reload", done.returncode)
    check(m.who() == before, "the old routes are gone")
    check(m.broker() == pid and m.property("fdpass.service", "SubState") == "running", "the broker is gone")

    m.run(f"rm -r {UNITS}/fdpass-hello.socket.d")
    m.reload()
    check(m.who() == "late", "the next reload, without the error, has no effect")


TENANT = ("[Socket]\nListenStream=/run/fdpass/%i.sock\nSocketUser=fdpass\nSocketMode=0600\nTriggerLimitIntervalSec=0\n"
          "[X-FDPass]\nHost=%i.example\nProtocol=http\n[Install]\nWantedBy=fdpass.target\n")


def status_of(m, host):
    return m.output(f"curl -s -m 5 -o /dev/null -w '%{{http_code}}' -H 'Host: {host}' http://127.0.0.1/")


@case
def enabled(m):
    """A unit that is enabled or disabled takes effect by itself, also beside a wrong one, and with AutoReload=no by a reload only."""
    m.unit("test-tenant@.socket", TENANT)
    m.unit("test-tenant@.service", f"[Service]\nExecStart=/usr/bin/python3 {GUEST}/worker.py serve %i\n")
    m.run("systemctl disable --now fdpass-hello.socket && systemctl daemon-reload")
    check(status_of(m, "a.example") == "404", "the first client starts the broker")

    m.run("systemctl enable --now test-tenant@a.socket")
    wait_for(lambda: status_of(m, "a.example") == "200", 5, "a tenant that was enabled")
    m.drop_in("test-tenant@bad.socket", "[X-FDPass]\nHots=x\n")
    m.run("systemctl enable --now test-tenant@bad.socket test-tenant@b.socket")
    wait_for(lambda: status_of(m, "b.example") == "200", 5, "a tenant beside a wrong one")
    check(status_of(m, "a.example") == "200" and status_of(m, "bad.example") == "421", "the others")
    before = len(m.journal(match="^Reloaded"))
    m.run("systemctl enable --now " + " ".join(f"test-tenant@t{i}.socket" for i in range(100)), timeout=60)
    wait_for(lambda: status_of(m, "t99.example") == "200", 5, "the last of 100 tenants")
    check(status_of(m, "t0.example") == "200", "the first of 100 tenants")
    check(len(m.journal(match="^Reloaded")) - before <= 5, "more than a few reloads")

    m.run("systemctl disable --now test-tenant@a.socket")
    wait_for(lambda: status_of(m, "a.example") == "421", 5, "a tenant that was disabled")
    check(len(m.journal(match='The key "Hots"')) == 1, "the error is logged once")

    m.drop_in("fdpass.service", "[X-FDPass]\nAutoReload=no\nLogHandoffs=yes\n")
    m.run("systemctl disable --now test-tenant@bad.socket; rm -r /etc/systemd/system/test-tenant@bad.socket.d")
    m.reload()
    m.run("systemctl enable --now test-tenant@late.socket")
    time.sleep(0.5)
    check(status_of(m, "late.example") == "421" and "test-tenant@late.socket" in m.run("fdpassctl status", check=False).stdout, "AutoReload=no")
    m.reload()
    check(status_of(m, "late.example") == "200", "a reload")
    wait_for(lambda: [e for e in m.journal() if (e.get("FDPASS_METHOD"), e.get("FDPASS_HOST"), e.get("FDPASS_PATH")) == ("GET", "late.example", "/")],
             5, "the request in the log")


@case
def enabled_under_load(m):
    """100 tenants by a loop, a directory of links that is removed and comes again: right within 1 s, few reloads, no client lost."""
    wants = f"{UNITS}/fdpass.target.wants"
    m.worker("stay", "serve stay", route="Host=localhost\n")
    m.symlink(f"{UNITS}/test-stay.socket", f"{UNITS}/fdpass.target.requires/test-stay.socket")
    m.unit("test-tenant@.socket", TENANT)
    m.unit("test-tenant@.service", f"[Service]\nExecStart=/usr/bin/python3 {GUEST}/worker.py serve %i\n")
    m.drop_in("test-tenant@bad.socket", "[X-FDPass]\nHots=x\n")
    names = " ".join(f"t{i}" for i in range(100))
    m.run(f"systemctl disable --now fdpass-hello.socket; systemctl daemon-reload; systemctl start $(printf 'test-tenant@%s.socket ' {names})", timeout=60)
    pid = m.start_broker()
    load = m.client("load", threads=2)
    begin = len(m.journal(match="^Reloaded"))

    m.run(f"for i in bad {names}; do systemctl -q --no-reload enable test-tenant@$i.socket; done", timeout=60)
    wait_for(lambda: status_of(m, "t99.example") == "200", 1, "the last of 100 tenants")
    check(status_of(m, "t0.example") == "200" and status_of(m, "bad.example") == "421", "the first one, and the wrong one")
    m.figure("reloads", len(m.journal(match="^Reloaded")) - begin)
    check(len(m.journal(match="^Reloaded")) - begin <= 10, "more than a few reloads")

    m.run(f"mv {wants} /run/test/wants")
    wait_for(lambda: status_of(m, "t50.example") == "421", 1, "the end of 100 routes")
    m.run(f"cp -a /run/test/wants {wants}")
    wait_for(lambda: status_of(m, "t50.example") == "200", 1, "the routes of the directory that is there again")
    seen = m.end_load(load)
    check(seen["asked"] > 100 and not seen["errors"] and m.broker() == pid, f"{seen}")
