# SPDX-License-Identifier: LGPL-2.1-or-later
"""The control interface, fdpassctl, and the metrics."""

import contextlib
import json
import re

from fdpass import GUEST, UNITS, case, check, shared
from machine import SOURCE, wait_for

PORT = 9469


KINDS = ("garbage", "half", "deaf", "flood", "invalid", "subscribe")
AS = "setpriv --reuid={0} --init-groups --regid=$(id -g {0}) "


def ctl(m, command, **kwargs):
    return m.run(f"fdpassctl {command}", check=False, **kwargs)


def listing(m, what):
    return json.loads(m.output(f"fdpassctl --json=short list-{what}"))


def route(m, unit):
    return next(row for row in listing(m, "routes") if row["Unit"] == unit)


@case
def control_shows(m):
    """Every verb that asks answers: for people within 80 columns, and as JSON; counters count."""
    m.worker("one", "serve one", route="Path=/one\nHeader=User-Agent: curl*\n")
    m.start_broker()
    check(route(m, "test-one.socket")["Match"] == "Path=/one Header=user-agent: curl*", "the route's match")
    check(m.run("curl -sS http://127.0.0.1/one").stdout.startswith("one:"), "no answer")
    m.curl()

    done = ctl(m, "status")
    check(done.returncode == 0 and "running" in done.stdout, done.stdout + done.stderr)
    wait_for(lambda: route(m, "test-one.socket")["Taken"] == 1, 5, "a client that is counted")
    check(sum(route(m, "test-one.socket")["HandoffTimes"]) == 1, "no time was counted")
    check(next(row for row in listing(m, "listeners") if row["Name"] == "public")["Accepted"] == 2, f"{listing(m, 'listeners')}")
    check({row["Worker"] for row in listing(m, "workers")} == {"/run/fdpass/one.sock", "/run/fdpass/hello.sock"},
          f"{listing(m, 'workers')}")
    check(listing(m, "clients") == [], "clients that nobody sent")

    check(set(json.loads(m.output("fdpassctl -j status"))) == {"Broker", "Certificates", "Listeners", "Routes", "Workers"}, "status -j")
    for command in "status", "list-listeners", "list-routes", "list-workers", "list-clients", "top -b -n 1 -d 200ms":
        done = m.run(f"COLUMNS=80 fdpassctl {command}")
        check(done.stdout and not done.stderr, f"{command}: {done.stdout}{done.stderr}")
        wide = [line for line in done.stdout.splitlines() if len(line) > 80]
        check(not wide, f"{command}: {wide}")
        check("\033" not in done.stdout, f"{command}: colours in a pipe")

    dot = m.output("fdpassctl graph --interval=0")
    check(dot.startswith("digraph") and '"route test-one.socket" -> "worker /run/fdpass/one.sock" [label="1"]' in dot, dot)
    done = ctl(m, "test --running --host=localhost --path=/one --header='User-Agent: curl'")
    check(done.returncode == 0 and "test-one.socket" in done.stdout, done.stdout)
    done = ctl(m, "test --running --protocol=http2")
    check("No route takes this client." in done.stdout, done.stdout + done.stderr)
    done = m.run("busctl --address=unix:path=/run/fdpass/control introspect org.fdpass.Broker1 /org/fdpass/Broker1")
    check(".ListRoutes" in done.stdout, done.stdout)


@case
def control_drain(m):
    """A drained worker gets no client, the other of its pool gets all; alone, its clients wait; a reload changes nothing."""
    for name in "one", "two":
        m.worker(name, f"serve {name}", route="Path=/\nBalance=round-robin\n")
    m.start_broker()
    check({m.who() for _ in range(8)} == {"one", "two"}, "only one of them serves")

    m.run("fdpassctl drain test-one.socket")
    check({m.who() for _ in range(8)} == {"two"}, "a drained worker has a client")
    m.run("fdpassctl reload")
    check({m.who() for _ in range(8)} == {"two"}, "after a reload it is not drained any more")
    done = ctl(m, "status")
    check(done.returncode == 2 and "one.sock is drained" in done.stdout, done.stdout)

    m.run("fdpassctl drain /run/fdpass/two.sock")
    child = m.client("crowd", count=3)
    wait_for(lambda: route(m, "test-one.socket")["Queued"] == 3, 5, "three clients in the queue")
    check([row["State"] for row in listing(m, "clients")] == ["queued"] * 3, f"{listing(m, 'clients')}")
    m.run("fdpassctl undrain /run/fdpass/two.sock")
    wait_for(lambda: m.ask(child)["state"].get("answered") == 3, 5, "the answers to those who waited")

    for restart in "systemctl restart fdpass.service", "systemctl kill -s KILL --kill-whom=main fdpass.service":
        m.run(restart)
        check({m.who() for _ in range(8)} == {"two"}, f"{restart}: the drained worker has a client")
    check(m.journal(match="one.sock is drained. It stays so"), "no word at the stop")
    check(m.journal(match="one.sock is still drained"), "no word at the start")
    m.run("fdpassctl undrain test-one.socket; systemctl restart fdpass.service")
    check({m.who() for _ in range(8)} == {"one", "two"}, "undrained before the restart, and drained after it")
    done = ctl(m, "drain nobody.socket")
    check(done.returncode == 1 and "nobody.socket" in done.stderr, done.stderr)
    done = ctl(m, "drain test-one.socket nobody.socket test-two")
    check(done.returncode == 1 and "mean test-two.socket?" in done.stderr, done.stderr)
    check(not any(row["Drained"] for row in listing(m, "workers")), "one is drained, though another's name is wrong")


@case
def control_reload(m):
    """`fdpassctl reload` waits, and says with file and line what is wrong; status does as well."""
    m.start_broker()
    check(ctl(m, "reload").stdout == "Reloaded: 1 route.\n", "no word about the reload")
    m.drop_in("fdpass-hello.socket", "[X-FDPass]\n\nMaxPending=-1\n")
    done = ctl(m, "reload")
    where = f"{UNITS}/fdpass-hello.socket.d/test.conf:3:"
    check(done.returncode == 1 and where in done.stderr, f"{done.returncode} {done.stderr}")
    done = ctl(m, "status")
    check(done.returncode == 2 and where in done.stdout, done.stdout)
    check(re.search(r"reload failed \S.* ago", done.stdout), done.stdout)
    told = json.loads(m.output("fdpassctl -j status; true"))["Broker"]
    check(told["LoadedUSec"] < told["ReloadUSec"], "the routes in effect are said to be those of the reload that failed")
    check(m.who(), "the old route is gone")
    m.run(f"rm -r {UNITS}/fdpass-hello.socket.d; fdpassctl reload; fdpassctl status")


@case
def control_gone(m):
    """status and list-workers say why a worker can't be reached."""
    m.worker("one", "serve one", route="Path=/one\nMaxQueued=0\n")
    m.start_broker()
    m.run("chmod 0 /run/fdpass/one.sock; curl -sS http://127.0.0.1/one")
    done = ctl(m, "status")
    check(done.returncode == 2 and "Permission denied" in done.stdout and "SocketUser=" in done.stdout, done.stdout)
    check(re.search(r"one\.sock +gone: Permission denied", ctl(m, "list-workers").stdout), ctl(m, "list-workers").stdout)
    check([row["State"] for row in listing(m, "workers") if "GoneError" in row] == ["gone"], f"{listing(m, 'workers')}")


@contextlib.contextmanager
def users(m, **options):
    """Users of the machine, by name; the value has the options of useradd."""
    for name, option in options.items():
        m.run(f"useradd -r {option} test-{name}")
    try:
        yield
    finally:
        for name in options:
            m.run(f"userdel test-{name}", check=False)


@case
def control_access(m):
    """Root and members of fdpass-admin ask and steer; all others, the group fdpass too, are told in one sentence why not."""
    verbs = "list-routes", "metrics", "status", "reload", "drain fdpass-hello.socket", "undrain fdpass-hello.socket", "log-level info"
    with users(m, nobody="", worker="-G fdpass", member="-G fdpass-admin", group="-g fdpass-admin"):
        m.start_broker()
        check(m.output("stat -c '%U %G %a' /run/fdpass/control") == "root fdpass-admin 660", "the mode of the socket")
        for user, allowed in ("test-nobody", False), ("test-worker", False), ("test-member", True), ("test-group", True), ("root", True):
            for command in verbs:
                done = m.run(AS.format(user) + f"fdpassctl {command}", check=False)
                check((done.returncode == 0) == allowed, f"{user}: {command}: {done.returncode} {done.stderr}")
                said = "only by root and members of the group fdpass-admin: usermod -a -G fdpass-admin NAME\n"
                check(allowed or (done.stderr.endswith(said) and done.stderr.count("\n") == 1), done.stderr)
        for command in "verify", "cat", "test --host=a", "--help", "--version":
            m.run(AS.format("test-nobody") + f"fdpassctl {command}")


@case
def control_open_to_all(m):
    """A socket that everybody may connect to steers for root only: a peer is turned away without a byte read."""
    m.drop_in("fdpass-control.socket", "[Socket]\nSocketMode=0666\n")
    m.run("systemctl daemon-reload; systemctl restart fdpass-control.socket")
    check(m.output("stat -c %a /run/fdpass/control") == "666", "the mode of the socket")
    with users(m, nobody="", member="-G fdpass-admin"):
        pid = m.start_broker()
        m.run("fdpassctl list-routes")
        for user in "test-nobody", "test-member":
            done = m.run(AS.format(user) + "fdpassctl list-routes", check=False)
            check(done.returncode == 1 and "group fdpass-admin" in done.stderr, f"{user}: {done.returncode} {done.stderr}")
            # Connections with descriptors, and others without a byte.
            m.run(AS.format(user) + f"python3 {GUEST}/control-peers.py descriptors", timeout=30)
        check(m.broker() == pid and m.who(), "the broker is another one")


@case
def control_journal_text(m):
    """Names of files and values in units act on no terminal, neither by the journal nor by fdpassctl."""
    m.start_broker()
    m.mark()
    # ESC, a C1 control as UTF-8 and as a byte, and the end of a line, in the name of a drop-in and in a value.
    m.run(f"""cd {UNITS}; mkdir fdpass-hello.socket.d; printf '[X-FDPass]\\nRoutePriority=\\033[31m\\302\\233\\n' \
              >fdpass-hello.socket.d/"$(printf 'a\\033[31m\\302\\233\\233\\nfdpassd: Ready')".conf""")
    for command in "reload", "status", "verify":
        done = m.run(f"fdpassctl {command} 2>&1 | od -An -v -tx1 | tr -d ' \\n'", check=False)
        data = bytes.fromhex(done.stdout)
        check(b"Priority" in data and not re.search(rb"[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]", data) and data.decode(),
              f"{command}: {data}")
        check(b"\nfdpassd: Ready" not in data, f"{command}: {data}")
    lines = [json.loads(line) for line in m.output("journalctl -u fdpass -o json --all --since=-10s").splitlines()]
    lines = [line for line in lines if line.get("FDPASS_ROUTE") == "fdpass-hello.socket" and "CONFIG_FILE" in line]
    check(lines, "the journal has no line about the unit")
    for line in lines:
        for field in "MESSAGE", "CONFIG_FILE":
            check(isinstance(line[field], str) and not re.search("[\x00-\x1f\x7f-\x9f]", line[field]), f"{field}: {line[field]}")


@case
def control_log_level(m):
    """A lower level silences the broker; the level is shown."""
    m.start_broker()
    check(m.output("fdpassctl log-level") == "info", "another level at first")
    m.run("fdpassctl log-level err")
    m.mark()
    m.run("fdpassctl reload")
    check(m.output("fdpassctl log-level") == "err", "the level did not change")
    check(not m.journal(match="Reloaded"), "a line below the level")
    check(ctl(m, "log-level loud").returncode == 1, "there is no such level")


@case
def control_monitor(m):
    """monitor shows handoffs as they happen, and a worker's end."""
    m.start_broker()
    child = m.popen("fdpassctl monitor --json=short -n 4")
    m.children.append(child)
    wait_for(lambda: m.output("busctl --address=unix:path=/run/fdpass/control get-property org.fdpass.Broker1 "
                              "/org/fdpass/Broker1 org.fdpass.Broker1 Subscribers") == "t 1", 5, "the subscription")
    for _ in range(2):
        m.curl()
    m.run("fdpassctl drain fdpass-hello.socket; fdpassctl undrain fdpass-hello.socket")
    out, err = child.communicate(timeout=10)
    m.children.remove(child)
    kinds = [json.loads(line)["Event"] for line in out.splitlines()]
    check(sorted(kinds) == ["drained", "taken", "taken", "undrained"], out + err)
    check('"Route":"fdpass-hello.socket"' in out, out)


@shared
@case
def control_hostile(m):
    """Control peers that mean no good stop no client and take no memory; root is answered all the while."""
    with users(m, member="-G fdpass-admin"):
        pid = m.start_broker()
        before = m.status(pid, "VmRSS")
        m.curl()
        load = m.client("load", threads=4)
        children = [m.popen(AS.format("test-member") + f"python3 {GUEST}/control-peers.py {kind}") for kind in KINDS]
        longest = 0.0
        while any(child.poll() is None for child in children):
            done = m.run("date +%s.%N; fdpassctl list-routes --json=short >/dev/null; date +%s.%N", timeout=20)
            begin, end = map(float, done.stdout.split())
            longest = max(longest, end - begin)
        said = [child.communicate() for child in children]
        check(not any(err for _, err in said), f"{said}")
        seen = m.end_load(load)
        check(not seen["errors"], f"{seen['errors']}")
        counts = dict(zip(KINDS, (int(out) for out, _ in said)))
        check(counts["flood"] > 10 and counts["invalid"] > 10, f"{counts}")
        m.figure("what they did", json.dumps(counts))
        m.figure("handoffs meanwhile", seen["answered"])
        m.figure("the longest wait of a client", seen["longest"] * 1000, "ms", 0)
        m.figure("the longest wait of fdpassctl", longest * 1000, "ms", 0)
        m.figure("memory that they cost", m.status(pid, "VmRSS") - before, "KiB")
        check(longest < 5, "root had to wait")
        check(m.status(pid, "VmRSS") - before < 16384, "they cost memory")
        check(m.broker() == pid, "the broker is another one")


@case
def control_deaf_at_the_end(m):
    """Control peers that say nothing, or read nothing, do not hold up a restart."""
    pid = m.start_broker()
    child = m.popen("""python3 -c '
import socket
peers = [socket.socket(socket.AF_UNIX) for _ in range(4)]
for i, peer in enumerate(peers):
    peer.connect("/run/fdpass/control")
    peer.sendall([b"", b"\\0", b"\\0AUTH ANONYMOUS\\r\\n", b"\\0AUTH ANONYMOUS\\r\\nBEGIN\\r\\n"][i])
print("connected", flush=True)
input()'""")
    m.children.append(child)
    check(child.stdout.readline() == "connected\n", "no peers")
    m.curl()
    done = m.run("date +%s.%N; systemctl restart fdpass.service; date +%s.%N", timeout=60)
    begin, end = map(float, done.stdout.split())
    m.figure("a restart meanwhile", (end - begin) * 1000, "ms", 0)
    check(end - begin < 5, f"the restart took {end - begin:.1f} s")
    check(m.broker() != pid, "the broker is the same one")


@case
def control_metrics(m):
    """The exporter answers scrapers in both forms, and others not; its counters are the broker's."""
    m.start_broker()
    m.run("systemctl start fdpass-metrics.socket")
    for _ in range(3):
        m.curl()
    url = f"http://127.0.0.1:{PORT}/metrics"
    sample = 'fdpass_handoffs_total{route="fdpass-hello.socket",worker="/run/fdpass/hello.sock",result="taken"} 3'
    wait_for(lambda: sample in m.output("fdpassctl metrics"), 5, "the three handoffs")
    text = m.output(f"curl -sS {url}")
    check(sample in text and "# EOF" not in text and "# TYPE fdpass_handoffs_total counter" in text, text)
    text = m.output(f"curl -sS -H 'Accept: application/openmetrics-text; version=1.0.0' {url}")
    check(sample in text and text.endswith("# EOF") and "# TYPE fdpass_handoffs counter" in text, text)
    dashboard = m.path("/usr/share/fdpass/grafana-dashboard.json").read_text()
    names = {re.sub("_bucket$", "", name) for name in re.findall(r"\bfdpass_[a-z_]+(?=[{,])", dashboard)}
    families = set(re.findall(r"^# TYPE (\S+)", m.output("fdpassctl metrics --format=prometheus"), re.M))
    names = {name for name in names if "connection" not in name}  # those need fdpass-connections.socket
    check(len(names) > 10 and names <= families, f"the dashboard asks for {names - families}")
    for options, status in (("/", 404), ("/metrics -X POST", 405), ("/metrics -H 'Host:'", 400), ("/metrics -I", 200)):
        check(m.output(f"curl -sS -o /dev/null -w '%{{http_code}}' http://127.0.0.1:{PORT}{options}") == str(status), options)
    # A web page may have its name lead here (DNS rebinding).
    for host, status in (("attacker.example", 421), ("127.0.0.1.attacker.example:9469", 421), ("localhost.attacker.example", 421),
                         ("127.0.0.1:9469", 200), ("[::1]:9469", 200), ("localhost", 200), ("LOCALHOST.:9469", 200),
                         (m.output("hostname"), 200)):
        check(m.output(f"curl -sS -o /dev/null -w '%{{http_code}}' -H 'Host: {host}' {url}") == str(status), host)
    check(m.output(f"curl -sS -o /dev/null -w '%{{http_code}}' --http1.0 -H 'Host:' {url}") == "200", "HTTP/1.0 without a host")
    m.run(f"curl -sS -m 5 --fail {url}")
    check(m.property("fdpass-metrics.service", "NRestarts") == "0", "the exporter was restarted")


@case
def control_metrics_name(m):
    """An exporter answers to a name that --host= adds."""
    m.start_broker()
    m.drop_in("fdpass-metrics.service", "[Service]\nExecStart=\nExecStart=/usr/bin/fdpassctl metrics --serve --host=Metrics.example\n")
    m.run("systemctl daemon-reload; systemctl start fdpass-metrics.socket")
    for host, status in ("metrics.example:9469", 200), ("other.example", 421):
        check(m.output(f"curl -sS -o /dev/null -w '%{{http_code}}' -H 'Host: {host}' http://127.0.0.1:{PORT}/metrics") == str(status), host)


@case
def preset_enables_nothing(m):
    """systemctl preset of each unit that is installed enables nothing, and disables nothing but what was enabled."""
    directory = m.output("pkg-config --variable=systemdsystemunitdir systemd")
    units = m.output(f"cd {directory}; ls -d fdpass*.socket fdpass*.service fdpass*.target").split()
    units = [unit.replace("@.", "@443.") for unit in units]
    check({"fdpass.socket", "fdpass-metrics.socket", "fdpass-hello.socket", "fdpass@443.socket"} <= set(units), f"{units}")
    links = f"cd {UNITS}; find . -type l -name '*fdpass*' | sort"
    for preset in "fdpass.socket", "fdpass-hello.socket", "fdpass-metrics.socket":
        m.run(f"systemctl enable {preset}")
    check(m.output(links), "nothing was enabled")
    m.run("systemctl disable " + " ".join(unit for unit in units if not unit.endswith("@443.service")), check=False)
    check(not m.output(links), f"before: {m.output(links)}")
    for unit in units:
        m.run(f"systemctl preset {unit}", check=False)
        check(not m.output(links), f"systemctl preset {unit}: {m.output(links)}")
    m.run("systemctl preset-all --preset-mode=enable-only", check=False)
    check(not m.output(links), f"systemctl preset-all: {m.output(links)}")
    # Debian's own policy would enable each of them.
    m.run("rm $(pkg-config --variable=systemdsystempresetdir systemd)/90-fdpass.preset; systemctl preset fdpass.socket")
    enabled = m.output(links)
    m.run(f"cp {SOURCE}/units/90-fdpass.preset $(pkg-config --variable=systemdsystempresetdir systemd)/")
    check("fdpass.socket" in enabled, "the policy of the machine enables nothing at all: this shows nothing")
