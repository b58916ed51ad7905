# SPDX-License-Identifier: LGPL-2.1-or-later
"""Behind a load balancer that says by the PROXY protocol who the client is; routes that change; fdpassctl."""

import re
import socket
import time

from cases_routes import HTTP, OTHERS, SPEAKER, TEST, add, ask, get, make_keys, status_of, told, worker_of
from cases_slow import cpu
from fdpass import GUEST, UNITS, alone, case, check, shared
from machine import wait_for

HAPROXY = """
defaults
    mode tcp
    timeout connect 5s
    timeout client 20s
    timeout server 20s
listen version1
    bind 127.0.0.1:9001
    server fdpass 127.0.0.1:8443 send-proxy check check-send-proxy inter 50ms
listen version2
    bind 127.0.0.1:9002
    server fdpass 127.0.0.1:8443 send-proxy-v2 proxy-v2-options crc32c,unique-id check check-send-proxy inter 50ms
listen unix
    bind 127.0.0.1:9003
    server fdpass unix@/run/fdpass-front.sock send-proxy-v2
"""

# A public socket for a load balancer on the same host.
FRONT = """[Socket]
ListenStream=/run/fdpass-front.sock
SocketMode=0600
FileDescriptorName=front
Service=fdpass.service
[X-FDPass]
ProxyProtocol=require
TrustedProxies=unix
[Install]
WantedBy=fdpass.service
"""

SIGNATURE = "\r\n\r\n\0\r\nQUIT\n"


def version1(source):
    return f"PROXY TCP4 {source} 192.0.2.1 4711 443\r\n"


def version2(source):
    addresses = socket.inet_aton(source) + socket.inet_aton("192.0.2.1") + b"\x12\x67\x01\xbb"
    return SIGNATURE + "\x21\x11\0\x0c" + addresses.decode("latin-1")


@case
def behind_haproxy(m):
    """HAProxy in front, PROXY protocol 1 and 2, over TCP and AF_UNIX: routes and Source= see the real client; nobody else
    is believed."""
    make_keys(m)
    m.unit("fdpass-front.socket", FRONT)
    m.run("systemctl enable fdpass-front.socket")
    m.write(f"{TEST}/haproxy.cfg", HAPROXY)
    workers = {"hosta": HTTP["hosta"], "tlsa": OTHERS["tlsa"],
               "five": ("http", "Host=a.example\nSource=127.0.0.5/32\n"), "net": ("http", "Source=10.0.0.0/8\n")}
    for port, how in (8443, "require"), (8444, "optional"):
        m.drop_in(f"fdpass@{port}.socket", f"[X-FDPass]\nProxyProtocol={how}\nTrustedProxies=127.0.0.1/32\n"
                  "HeadTimeoutSec=1s\nMaxClientsPerSource=5\n", name="proxy.conf")
    add(m, workers, ports=(8443, 8444))
    m.run(f"systemd-run --quiet --unit=test-haproxy haproxy -db -f {TEST}/haproxy.cfg")
    wait_for(lambda: m.output("ss -Htln 'sport >= 9001 and sport <= 9003' | wc -l") == "3", 10, "HAProxy")

    through = [(9001, "127.0.0.5", "five"), (9001, "127.0.0.6", "hosta"), (9002, "127.0.0.5", "five"),
               (9002, "127.0.0.6", "hosta"), (9003, "127.0.0.5", "five"), (9003, "127.0.0.6", "hosta")]
    seen = ask(m, [{"say": [get("a.example")], "port": port, "source": source} for port, source, _ in through])
    for v, (_, source, name) in zip(seen, through):
        check(worker_of(v["answer"])[0] == name, f"not {name}: {v}")
        check(told(m, f"--listener=8443 --host=a.example --source={source}") == name, f"fdpassctl test, {source}")
    bare = m.run("curl -sS -m 5 -o /dev/null -w %{http_code} --unix-socket /run/fdpass-front.sock http://a.example/", check=False)
    check(bare.stdout == "400", f"without a header: {bare.stdout}{bare.stderr}")
    for port in 9001, 9002:
        done = m.run(f"curl -sS -m 10 --resolve a.test:{port}:127.0.0.1 --cacert {TEST}/a.test.crt https://a.test:{port}/",
                     check=False)
        check(done.stdout.startswith("test-tlsa.socket"), f"TLS through {port}: {done.stdout}{done.stderr}")
    m.figure("clients through HAProxy, version 1 and 2, at the right worker", len(seen) + 2)

    page = get("a.example")
    direct = [
        # port, from, what it says, who gets it
        (8443, "127.0.0.1", [version1("10.1.2.3") + get("x.example")], "net"),
        (8443, "127.0.0.1", [version2("10.1.2.3") + get("x.example")], "net"),
        (8443, "127.0.0.1", list(version2("127.0.0.5") + page), "five"),
        (8443, "127.0.0.1", [version1("127.0.0.5"), page], "five"),
        (8443, "127.0.0.1", [SIGNATURE + "\x20\0\0\0" + page], "hosta"),  # LOCAL: the proxy itself
        (8444, "127.0.0.1", [version2("127.0.0.5") + page], "five"),
        (8444, "127.0.0.1", [page], "hosta"),
        (8444, "127.0.0.9", [page], "hosta"),
        (8443, "127.0.0.1", [page], None),
        (8443, "127.0.0.9", [page], None),
        (8443, "127.0.0.9", [version1("127.0.0.5") + page], None),
        (8443, "127.0.0.9", [version2("127.0.0.5") + page], None),
        (8444, "127.0.0.9", [version1("127.0.0.5") + page], None),
        (8444, "127.0.0.9", [version2("127.0.0.5") + page], None),
        (80, "127.0.0.1", [version1("127.0.0.5") + page], None),
        (80, "127.0.0.1", [version2("127.0.0.5") + page], None),
        (8443, "127.0.0.1", [version1("127.0.0.5") + version1("127.0.0.5") + page], None),
        (8443, "127.0.0.1", ["PROXY TCP4 127.0.0.5 nonsense\r\n" + page], None),
    ]
    seen = ask(m, [{"port": port, "source": source, "say": say, "pause": 0.002} for port, source, say, _ in direct])
    for v, (port, source, _, name) in zip(seen, direct):
        check(v["end"] == "closed" and worker_of(v["answer"])[0] == name, f"{port} from {source}: not {name}: {v}")
    m.figure("PROXY headers, believed and refused", len(seen))

    # Their number is counted by the client, not by the proxy; and who is refused behind a header hears of it.
    seen = ask(m, [{"port": 8443, "say": [version2("10.9.9.9") + page[:-2]]} for _ in range(12)] +
               [{"port": 8443, "say": [version2(f"10.9.8.{i}") + get("x.example")]} for i in range(12)])
    codes = [status_of(v["answer"]) for v in seen[:12]]
    check(sorted(codes) == [408] * 5 + [503] * 7, f"{codes}")
    check(all(worker_of(v["answer"])[0] == "net" for v in seen[12:]), f"{seen[12:]}")
    check(not m.journal(priority=4, match="(?i)error|fail"), "the journal has errors")


@case
def reload_under_load(m):
    """12 reloads under load: nobody is lost, new clients use the new routes, those under way keep theirs."""
    add(m, {name: ("http", "Host=flip.example\n") for name in ("one", "two")})
    m.worker("serve", "serve serve", route="Host=localhost\n", enable=False)
    m.worker("stop", "serve stop", route="Host=stop.example\nMaxPending=1\nQueueTimeoutSec=60s\n", enable=False)
    m.run("systemctl enable --now test-serve.socket test-stop.socket")
    m.reload()
    pid = m.broker()
    check(worker_of(ask(m, [{"say": [get("flip.example")]}])[0]["answer"])[0], "no worker")
    check(ask(m, [{"say": [get("stop.example")]}])[0]["answer"].endswith("\n"), "no worker")

    m.run("systemctl kill -s STOP test-stop.service")
    head = "GET / HTTP/1.1\\r\\nHost: stop.example\\r\\n\\r\\n"
    under_way = m.popen(f"python3 {GUEST}/visitors.py slow --count=5 --say='{head}'")
    m.children.append(under_way)
    under_way.stdout.readline()
    wait_for(lambda: m.descriptors(pid)[0] >= 5 + 5, 5, "five clients of the stopped worker")

    load = m.client("load", threads=2)
    for i in range(12):
        first, second = ("one", "two") if i % 2 else ("two", "one")
        m.drop_in(f"test-{first}.socket", "[X-FDPass]\nRoutePriority=1\n")
        m.drop_in(f"test-{second}.socket", "[X-FDPass]\nRoutePriority=0\n")
        if i == 6:
            m.path(f"{UNITS}/fdpass.target.wants/test-stop.socket").unlink()
        m.reload()
        got = worker_of(ask(m, [{"say": [get("flip.example")]}])[0]["answer"])[0]
        check(got == first, f"after reload {i}: {got}, not {first}")
    seen = m.end_load(load)
    check(m.broker() == pid, "it is another broker")
    check(not seen["errors"], f"{seen['errors']}")
    check(status_of(ask(m, [{"say": [get("stop.example")]}])[0]["answer"]) == 421, "the route of stop.example is still there")
    check(m.ask(under_way)["open"] == 5, f"those under way: {m.ask(under_way)}")
    m.run("systemctl kill -s CONT test-stop.service")
    wait_for(lambda: m.ask(under_way)["ends"].get("HTTP/1.1 200 OK") == 5, 5, "the answers to those under way")
    m.figure("reloads", 12)
    m.figure("clients meanwhile, lost", f"{seen['asked']}, {sum(seen['errors'].values())}")
    m.figure("p99, the longest", f"{seen['p99'] * 1000:.1f} ms, {seen['longest'] * 1000:.1f} ms")


@case
def listener_reload(m):
    """A shorter HeadTimeoutSec= counts for those who come after the reload, whoever waits since before it."""
    add(m, {"hosta": HTTP["hosta"]}, "[X-FDPass]\nHeadTimeoutSec=15s\n")
    patient = m.popen(f"python3 {GUEST}/visitors.py slow")
    m.children.append(patient)
    patient.stdout.readline()
    wait_for(lambda: m.descriptors(m.broker())[1] >= 1, 5, "the one in the broker")
    m.drop_in("fdpass.socket", "[X-FDPass]\nHeadTimeoutSec=500ms\n")
    m.reload()
    late = ask(m, [{"say": [get("a.example")[:-2]], "timeout": 3}])[0]
    check(m.ask(patient)["open"] == 1, "the one from before lost its time")
    check(status_of(late["answer"]) == 408 and 0.4 < late["first"] < 1, f"{late}")


@case
def wrong_set(m):
    """A reload with a wrong value changes nothing, and journal and verify name file and line."""
    add(m, {"hosta": HTTP["hosta"], "hostb": ("http", "Host=b.example\n")})
    pid = m.broker()
    m.drop_in("test-hosta.socket", "# a remark\n[X-FDPass]\nPath=chat\n", name="wrong.conf")
    m.drop_in("test-hostb.socket", "[X-FDPass]\nHost=\nHost=c.example\n")
    file = f"{UNITS}/test-hosta.socket.d/wrong.conf"
    m.run("systemctl daemon-reload; systemctl reload fdpass.service", check=False)
    line = wait_for(lambda: m.journal(match=r"Path="), 5, "a line about Path=")[0]
    check((line.get("CONFIG_FILE"), line.get("CONFIG_LINE")) == (file, "3"), f"{line}")
    m.figure("line", line["MESSAGE"])
    served = [worker_of(v["answer"])[0] or status_of(v["answer"])
              for v in ask(m, [{"say": [get(host)]} for host in ("a.example", "b.example", "c.example")])]
    check(served == ["hosta", "hostb", 421], f"{served}")
    check(m.broker() == pid, "it is another broker")
    done = m.run("fdpassctl verify", check=False)
    check(done.returncode == 1 and f"{file}:3: error: " in done.stderr, f"{done}")

    m.drop_in("test-hosta.socket", "[X-FDPass]\nPath=/chat\n", name="wrong.conf")
    m.reload()
    served = [worker_of(v["answer"])[0] or status_of(v["answer"])
              for v in ask(m, [{"say": [get(host)]} for host in ("a.example", "b.example", "c.example")])]
    check(served == [404, 421, "hostb"], f"{served}")
    check(m.run("fdpassctl verify").stdout == "2 routes, 0 errors, 0 warnings.\n", "verify")


@alone
@shared
@case
def thousand_tenants(m):
    """A thousand instances of one template, each with a Host= of its own."""
    count = 1000
    m.worker("tenant", SPEAKER + "http", route="Host=t%i.example.org\n", instance="@", enable=False,
             socket="Service=test-tenants.service\n")
    m.unit("test-tenants.service", "[Unit]\nStartLimitIntervalSec=0\n[Service]\n"
           f"LimitNOFILE=8192\nExecStart={SPEAKER}http\n")
    pid = m.start_broker()
    small = m.load(count=1000, threads=2)
    begin = time.monotonic()
    m.run(f"systemctl enable --now $(seq -f test-tenant@%g.socket {count})", timeout=120)
    m.figure("enable and start 1,000 sockets", time.monotonic() - begin, "s", 1)

    used, begin = cpu(m, pid), time.monotonic()
    m.run("systemctl reload fdpass.service")
    wait_for(lambda: m.journal(match="eloaded"), 10, "the end of the reload")
    m.figure("a reload of 1,001 routes: the command with its word in the journal", time.monotonic() - begin, "s", 2)
    m.figure("the same: CPU of the broker", (cpu(m, pid) - used) * 1000, "ms", 0)
    check(cpu(m, pid) - used < 1, "it takes too long")

    seen = ask(m, [{"say": [get(f"t{i}.example.org")], "source": f"127.0.0.{1 + i % 50}"} for i in range(1, count + 1)])
    wrong = [v for i, v in enumerate(seen, 1) if worker_of(v["answer"])[0] != f"tenant@{i}"]
    check(not wrong, f"{len(wrong)} at the wrong worker: {wrong[:2]}")
    big = m.load(count=1000, threads=2)
    m.figure("tenants at their worker", count)
    m.figure("clients of the hello worker, p99 with 1 route and with 1,001",
             f"{small['p99'] * 1000:.1f} ms, {big['p99'] * 1000:.1f} ms")
    check(not big["errors"], f"{big['errors']}")
    check(told(m, "--host=t77.example.org") == "tenant@77", "fdpassctl test")
    begin = time.monotonic()
    check(m.run("fdpassctl verify").stdout == f"{count + 1} routes, 0 errors, 0 warnings.\n", "verify")
    m.figure("fdpassctl verify of 1,001 routes", time.monotonic() - begin, "s", 2)

    m.run("systemctl disable test-tenant@500.socket")
    m.reload()
    seen = ask(m, [{"say": [get(f"t{i}.example.org")]} for i in (499, 500)])
    # The hello worker takes what has no tenant.
    check("tenant@499.socket" in seen[0]["answer"] and "Hello" in seen[1]["answer"], f"{seen}")


def in_force(text):
    """{(key, value): file} of what `fdpassctl cat` prints."""
    lines = re.findall(r"^(\w+)=(.*?) *# (\S+?)(?::(\d+))?$", text, re.M)
    return {(key, value): (file.removeprefix(UNITS), int(line or 0)) for key, value, file, line in lines}


@case
def ctl_cat(m):
    """fdpassctl cat: each value with the file that it came from, through drop-ins, templates and resets."""
    m.worker("cat", SPEAKER + "http", route="Host=a.example\nHost=b.example\nPath=/x\nMaxQueued=5\n", instance="@",
             enable=False)
    m.drop_in("test-cat@.socket", "[X-FDPass]\nPath=/%i\n", name="10-template.conf")
    m.drop_in("test-cat@z.socket", "[X-FDPass]\nHost=\n\nHost=%i.example\nMaxQueued=7\n", name="20-instance.conf")
    m.run("mkdir -p /run/systemd/system/test-cat@z.socket.d; cd /run/systemd/system/test-cat@z.socket.d; "
          "printf '[X-FDPass]\\nMaxPending=9\\n' >30-run.conf; printf '[X-FDPass]\\nMaxQueued=1\\n' >05-run.conf")
    try:
        m.run("systemctl enable test-cat@z.socket")
        text = m.run("fdpassctl cat test-cat@z.socket").stdout
        seen = in_force(text)
        lines = m.path(f"{UNITS}/test-cat@.socket").read_text().splitlines()
        for key, value, file, line in (
                ("Host", "z.example", "/test-cat@z.socket.d/20-instance.conf", 4),
                ("Path", "/x", "/test-cat@.socket", lines.index("Path=/x") + 1),
                ("Path", "/z", "/test-cat@.socket.d/10-template.conf", 2),
                ("MaxQueued", "7", "/test-cat@z.socket.d/20-instance.conf", 5),
                ("MaxPending", "9", "/run/systemd/system/test-cat@z.socket.d/30-run.conf", 2),
                ("ListenStream", "/run/fdpass/z.sock", "/test-cat@.socket",
                 lines.index("ListenStream=/run/fdpass/%i.sock") + 1),
                ("QueueTimeoutSec", "30s", "default", 0)):
            check(seen.get((key, value)) == (file, line),
                  f"{key}={value} is from {seen.get((key, value))}, not {file}:{line}\n{text}")
        check(("Host", "a.example") not in seen and ("MaxQueued", "5") not in seen, f"what was reset is shown:\n{text}")
        every = m.run("fdpassctl cat").stdout
        check(text in every and "# fdpass.service\n" in every and "# fdpass-hello.socket\n" in every, every)
        check(m.run("fdpassctl cat nobody.socket", check=False).returncode == 1, "cat of what is not there")
    finally:
        m.run("rm -r /run/systemd/system/test-cat@z.socket.d")


@case
def ctl_cat_listener(m):
    """fdpassctl cat of a public port's unit."""
    m.drop_in("fdpass.socket", "[X-FDPass]\nHeadTimeoutSec=3s\n")
    listener = in_force(m.run("fdpassctl cat fdpass.socket").stdout)
    check(listener.get(("HeadTimeoutSec", "3s")) == ("/fdpass.socket.d/test.conf", 2), f"{listener}")


@case
def ctl_test(m):
    """fdpassctl test says of each other route why it lost."""
    routes = {"host": "Host=a.example", "path": "Host=a.example\nPath=/chat", "wild": "Host=*.example",
              "low": "Host=a.example\nPath=/chat\nRoutePriority=-1", "port": "Listener=8443",
              "same": "Host=a.example\nPath=/chat"}
    for name, route in routes.items():
        m.worker(name, SPEAKER + "http", route=route, enable=False)
    m.run("systemctl enable " + " ".join(f"test-{name}.socket" for name in routes))
    text = m.run("fdpassctl test --host=a.example --path=/chat/1").stdout
    said = dict(re.findall(r"^(?:→|  |) *(?:test-)?(\S+)\.socket +(.*)$", text, re.M))
    for name, why in (("path", "takes it"), ("same", "takes it, in one pool"), ("host", "Path= is shorter"),
                      ("wild", "Host= is less specific"), ("low", "RoutePriority= is lower"), ("port", "Listener= does not match"),
                      ("fdpass-hello", "RoutePriority= is lower")):
        check(why in said.get(name, ""), f"{name} is not told to lose by \"{why}\":\n{text}")
    hello = m.run("fdpassctl test --listener=9 --host=a.test --source=2001:db8::1")
    check("→ fdpass-hello.socket" in hello.stdout, hello.stdout)
    none = m.run("fdpassctl test --listener=9 --sni=a.test", check=False)
    check(none.returncode == 1 and "No route takes this client." in none.stdout, none.stdout)


@case
def ctl_verify(m):
    """fdpassctl verify: its exit status, --root=, and without a right or a broker."""
    root = "/var/tmp/other-root"
    m.run(f"systemctl stop fdpass.service; rm -rf {root}; mkdir -p {root}/etc/systemd/system/fdpass.target.wants")
    clean = m.run("setpriv --reuid=nobody --clear-groups fdpassctl verify")
    check((clean.stdout, clean.stderr) == ("1 route, 0 errors, 0 warnings.\n", ""), f"{clean}")

    web = ("[Socket]\nListenStream=/run/fdpass/web.sock\nSocketUser=fdpass\nSocketMode=0600\nTriggerLimitIntervalSec=0\n"
           "[X-FDPass]\n")
    m.write(f"{root}{UNITS}/web.service", "[Unit]\nStartLimitIntervalSec=0\n[Service]\nExecStart=/srv/%N\n")
    m.write(f"{root}{UNITS}/web.socket", web + "Host=web.example\n")
    m.symlink(f"{UNITS}/web.socket", f"{root}{UNITS}/fdpass.target.wants/web.socket")
    m.write(f"{root}{UNITS}/fdpass.socket", "[Socket]\nListenStream=80\nTriggerLimitIntervalSec=0\n[X-FDPass]\nHeadTimeout=9\n")
    for command in f"fdpassctl --root={root} verify", f"fdpassctl verify --root={root}":
        done = m.run(command)
        check(done.stdout == "1 route, 0 errors, 1 warning.\n", f"{done}")
        check(f"{UNITS}/fdpass.socket:5: warning: " in done.stderr and "HeadTimeoutSec=?" in done.stderr, done.stderr)
    done = m.run(f"fdpassctl --root={root} test --host=web.example")
    check(re.search(r"^→ web\.socket +takes it$", done.stdout, re.M), done.stdout)
    for options, status, out, err in (
            ("--host=web.example -q", 0, "", ""), ("--host=other.example -q", 1, "", ""),
            ("--host=web.example --listener=nosuch", 0, "takes it", "--listener=nosuch: warning: "),
            ("--host=web.example --header='Host: x'", 1, "would refuse this: the request has more than one Host field (http-two-hosts)", ""),
            ("--host=web.example --json=short", 0, '"Result":"route","Units":["web.socket"]', ""),
            ("--host=other.example --json=short", 1, '"Result":"refused","Reason":"no-such-host"', "")):
        done = m.run(f"fdpassctl --root={root} test {options} 2>&1 >/dev/null | grep -v HeadTimeout >&2; "
                     f"fdpassctl --root={root} test {options} 2>/dev/null", check=False)
        check(done.returncode == status and out in done.stdout and err in done.stderr, f"{options}: {done}")
        check((out or not done.stdout) and (err or not done.stderr), f"{options}: {done}")

    wrong = ("Host=ex ample..org", "Path=x", "Source=10.0.0.0/33", "Header=nonsense", "RoutePriority=high", "Protocol=gopher",
             "Prefix=\\xzz", "QueueTimeoutSec=soon", "Pfad=/chat", "TrustedProxies=10.0.0.1")
    m.run(f"rm {root}{UNITS}/fdpass.socket")
    for value in wrong:
        m.write(f"{root}{UNITS}/web.socket", f"{web}{value}\n")
        done = m.run(f"fdpassctl verify --root={root}", check=False)
        check(done.returncode == 1 and f"{UNITS}/web.socket:7: error: " in done.stderr, f"{value}: {done}")
        check(re.search(r"\b[1-9] errors?, 0 warnings\.\n", done.stdout), f"{value}: {done}")
    m.write(f"{root}{UNITS}/web.socket", web.replace("SocketUser=fdpass\n", ""))
    done = m.run(f"fdpassctl verify --root={root}")
    check(f"{UNITS}/web.socket:3: warning: " in done.stderr and "SocketUser=fdpass" in done.stderr, f"{done}")
    check(not m.run(f"fdpassctl verify -q --root={root}").stderr, "-q has warnings")
    m.figure("wrong values, each with file and line", len(wrong))
    m.drop_in("fdpass.socket", "[X-FDPass]\nProxyProtocol=require\n")
    check(m.run("fdpassctl verify", check=False).returncode == 1, "a wrong listener is right")
    for arguments in ("nonsense", "verify --nonsense", "verify x", f"verify --root={root}/none", "test x",
                      "test --source=x"):
        done = m.run(f"fdpassctl {arguments}", check=False)
        check(done.returncode == 1 and done.stderr and not done.stdout, f"fdpassctl {arguments}: {done}")
    check(m.run("fdpassctl --help").stdout and m.run("fdpassctl test --help").stdout, "no help")
