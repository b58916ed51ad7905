# SPDX-License-Identifier: LGPL-2.1-or-later
"""Routes: the right worker from the first bytes, a clear answer where there is none, and what fdpassctl says of it."""

import json
import re
import ssl

from fdpass import GUEST, case, check
from machine import wait_for

TEST = "/etc/test"  # certificates and keys of the cases

SPEAKER = f"/usr/bin/python3 {GUEST}/speakers.py "


def add(m, workers, listener="", ports=()):
    """Adds workers, {name: (command, route)}, to a broker that says something about its public listener, with the
    commands of an administrator. The hello worker, which would take all that is left, goes."""
    for name, (command, route) in workers.items():
        m.worker(name, SPEAKER + command, route=route, enable=False)
    for socket in ["fdpass.socket", *(f"fdpass@{port}.socket" for port in ports)]:
        m.drop_in(socket, listener)
    names = " ".join(f"test-{name}.socket" for name in workers)
    more = " ".join(f"fdpass@{port}.socket" for port in ports)
    m.run("systemctl disable --now fdpass-hello.socket fdpass-hello.service; systemctl stop fdpass.service;"
          "systemctl daemon-reload; systemctl restart fdpass.socket")
    m.run(f"systemctl enable --now {names} {more}")
    return m.start_broker()


def ask(m, visitors):
    """What these clients see, all at once. Each is a dictionary, see visitors.py."""
    return json.loads(m.output(f"python3 {GUEST}/visitors.py ask", input=json.dumps(visitors)))


def get(host, path="/", method="GET", fields=""):
    return f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n"


def hello(name, *protocols):
    """A real ClientHello."""
    context = ssl.create_default_context()
    if protocols:
        context.set_alpn_protocols(protocols)
    out = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), out, server_hostname=name)
    try:
        client.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return out.read().decode("latin-1")


def worker_of(answer):
    """Which worker answered, and which client it saw."""
    seen = re.search(r"test-([a-z0-9@.-]+?)\.socket: (?:::ffff:)?([0-9.]+):(\d+)", answer)
    return seen.groups() if seen else (None, None, None)


def told(m, options, **kwargs):
    """The route that `fdpassctl test` names, without test- and .socket; None where there is none."""
    done = m.run(f"fdpassctl test {options}", check=False, **kwargs)
    found = re.search(r"^→ test-(\S+)\.socket +takes it$", done.stdout, re.M)
    check((done.returncode == 0) == bool(found), f"{options}: status {done.returncode}, {done.stdout}{done.stderr}")
    return found[1] if found else None


def told_of_bytes(m, visitors, listener="public"):
    """The same for the very bytes of each of these visitors."""
    script = []
    for i, v in enumerate(visitors):
        m.path(f"{TEST}/{i}.bytes").write_bytes("".join(v["say"]).encode("latin-1"))
        script.append(f"fdpassctl test --bytes={TEST}/{i}.bytes --source={v.get('source', '127.0.0.1')} "
                      f"--listener={listener} 2>&1; echo =$?")
    parts = re.split(r"^=(\d+)\n", m.run("; ".join(script)).stdout, flags=re.M)
    routes = [re.search(r"^→ test-(\S+)\.socket", text, re.M) for text in parts[0:-1:2]]
    check(len(routes) == len(visitors), f"{parts}")
    check([status == "0" for status in parts[1::2]] == [r is not None for r in routes], f"{parts}")
    return [r[1] if r else None for r in routes]


def make_keys(m):
    """Certificates for the TLS workers, a host key and a user's key for sshd, where there are none yet."""
    m.run(f"mkdir -p {TEST} /run/sshd; cd {TEST}; "
          "for name in a.test b.test; do [ -e $name.crt ] || openssl req -x509 -newkey ec -pkeyopt "
          "ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=$name -addext subjectAltName=DNS:$name "
          "-keyout $name.key -out $name.crt 2>/dev/null; done; "
          "for name in host user; do [ -e $name ] || ssh-keygen -q -t ed25519 -N '' -f $name; done")
    m.write(f"{TEST}/sshd_config", f"HostKey {TEST}/host\nAuthorizedKeysFile {TEST}/user.pub\nUsePAM no\n"
            "StrictModes no\nPermitRootLogin yes\nPasswordAuthentication no\n")


SSH = (f"ssh -F none -i {TEST}/user -p 80 -b 127.0.0.7 -o BatchMode=yes -o StrictHostKeyChecking=no "
       "-o UserKnownHostsFile=/dev/null -o LogLevel=ERROR root@127.0.0.1 ")

HTTP = {
    "hosta": ("http", "Host=a.example\n"),
    "chat": ("http", "Host=a.example\nPath=/chat\n"),
    "room": ("http", "Host=a.example\nPath=/chat/room\n"),
    "post": ("http", "Host=a.example\nMethod=POST PUT\n"),
    "socket": ("http", "Host=a.example\nHeader=Upgrade: websocket\n"),
    "source": ("http", "Host=a.example\nSource=127.0.0.77/32\n"),
    "wild": ("http", "Host=*.example\n"),
    "deep": ("http", "Host=*.deep.example\n"),
    "pool1": ("http", "Host=pool.example\n"),
    "pool2": ("http", "Host=pool.example\n"),
}

OTHERS = {
    "tlsa": (f"tls {TEST}/a.test http/1.1", "Host=a.test\nProtocol=tls\n"),
    "tlsb": (f"tls {TEST}/b.test", "Host=b.test\n"),
    "h2": (f"tls {TEST}/a.test h2", "Host=a.test\nProtocol=tls\nALPN=h2\n"),
    "ssh": (f"ssh -f {TEST}/sshd_config", "Protocol=ssh\n"),
    "silent": ("greet", "Protocol=silent\n"),
    "raw": ("raw", "Prefix=HELO\\s \\x00\\x05 GET\\s/old SSH-1.5\n"),
    "clear2": ("raw", "Protocol=http2\n"),
}

# Who has to get what, and the same as options of fdpassctl test.
REQUESTS = [
    ("hosta", get("a.example"), "--host=a.example"),
    ("hosta", get("A.Example:80", "/chatter"), "--host=A.Example:80 --path=/chatter"),
    ("chat", get("a.example", "/chat"), "--host=a.example --path=/chat"),
    ("chat", get("a.example.", "/chat/x?y=/chat/room"), "--host=a.example. --path=/chat/x"),
    ("room", get("a.example", "/chat/room/1"), "--host=a.example --path=/chat/room/1"),
    ("hosta", get("a.example", "/shop;id=1//%7Ex"), "--host=a.example --path='/shop;id=1//%7Ex'"),
    ("chat", get("a.example", "/chat//a%2fb"), "--host=a.example --path=/chat//a%2fb"),
    (None, get("a.example", "/chat;x"), "--host=a.example --path='/chat;x'"),
    ("hosta", "GET http://a.example:81/t\xc3\xb6 HTTP/1.1\r\nHost: proxy.test:3128\r\n\r\n", None),
    ("post", get("a.example", "/", "PUT", "Content-Length: 0\r\n"), "--host=a.example --method=PUT"),
    ("socket", get("a.example", "/", "GET", "UPGRADE:  websocket\r\n"), "--host=a.example --header='upgrade: websocket'"),
    ("wild", get("b.example"), "--host=b.example"),
    ("deep", get("x.deep.example"), "--host=x.deep.example"),
    ("wild", get("deep.example"), "--host=deep.example"),
    ("raw", "HELO me\r\n", None),
    ("raw", "\x00\x05\x01", None),
    ("clear2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + "\x00\x00\x00\x04\x00\x00\x00\x00\x00", "--protocol=http2"),
    (None, get("nobody.test"), "--host=nobody.test"),
    (None, get("a.test"), "--host=a.test"),
    (None, "\x80HELO", "--protocol=unknown"),
    (None, hello("nobody.test"), "--sni=nobody.test"),
]


@case
def one_port_http(m):
    """One port, HTTP by host, path, method, field and source, a pool of two, raw prefixes; fdpassctl test agrees."""
    m.write(f"{TEST}/x", "")
    add(m, HTTP | {name: OTHERS[name] for name in ("raw", "clear2")})
    visitors = [{"say": [say], "source": f"127.0.0.{10 + i}"} for i, (_, say, _) in enumerate(REQUESTS)]
    visitors += [{"say": [get("a.example")], "source": "127.0.0.77"}]
    expected = [name for name, _, _ in REQUESTS] + ["source"]
    options = [o for _, _, o in REQUESTS] + ["--host=a.example --source=127.0.0.77"]
    seen = ask(m, visitors)
    by_bytes = told_of_bytes(m, visitors)
    for v, name, option, told_name in zip(seen, expected, options, by_bytes):
        worker, address, port = worker_of(v["answer"])
        check(worker == name, f"{v['say']}: {worker}, not {name}: {v}")
        check(not name or (address, int(port)) == (v["source"], v["local"]), f"the worker saw {address}:{port}: {v}")
        check(v["end"] == "closed", f"{v}")
        check(told_name == name, f"fdpassctl test --bytes says {told_name}, not {name}: {v['say']}")
        if option:
            check(told(m, option) == name, f"fdpassctl test {option} says {told(m, option)}, not {name}")
    m.figure("clients by host, path, method, field, source, prefix, at the right worker", len(seen))

    # A head in pieces, each byte of its own, is the same.
    slow = ask(m, [{"say": list(get("a.example", "/chat/room")), "pause": 0.002},
                   {"say": list("HELO me\r\n"), "pause": 0.002}])
    check([worker_of(v["answer"])[0] for v in slow] == ["room", "raw"], f"{slow}")

    members = [worker_of(v["answer"])[0] for v in ask(m, [{"say": [get("pool.example")]} for _ in range(40)])]
    m.figure("a pool's 40 clients", f"{members.count('pool1')} and {members.count('pool2')}")
    check(members.count("pool1") + members.count("pool2") == 40 and min(map(members.count, set(members))) >= 10,
          f"{members}")
    check(told(m, "--host=pool.example") in ("pool1", "pool2"), "fdpassctl does not see the pool")


@case
def malformed_prefix(m):
    """Bytes that no server takes for HTTP or SSH go to the worker that names them; fdpassctl test agrees."""
    m.write(f"{TEST}/x", "")
    add(m, {name: HTTP[name] for name in ("hosta",)} | {"raw": OTHERS["raw"]})
    visitors = [{"say": [say]} for say in ("GET /old\r\n", "GET /old HTTP/1.1\nHost: a.example\n\n", "SSH-1.5-old\r\n")]
    seen = [worker_of(v["answer"])[0] for v in ask(m, visitors)]
    check(seen == ["raw"] * 3, f"{seen}")
    by_bytes = told_of_bytes(m, visitors)
    check(by_bytes == seen, f"fdpassctl test --bytes says {by_bytes}")


@case
def one_port_others(m):
    """The same port with TLS workers by SNI and ALPN, sshd, and a service that speaks first; real clients."""
    make_keys(m)
    add(m, HTTP | OTHERS, "[Socket]\nDeferAcceptSec=0\n[X-FDPass]\nSilentTimeoutSec=100ms\n")

    for host, alpn, route, agreed in (("a.test", "--no-alpn", "tlsa", None), ("a.test", "--http1.1", "tlsa", "http/1.1"),
                                      ("b.test", "--http1.1", "tlsb", None)):
        done = m.run(f"curl -sS -m 10 {alpn} --interface 127.0.0.9 --resolve {host}:80:127.0.0.1 --cacert {TEST}/{host}.crt "
                     f"-w '%{{local_port}}' https://{host}:80/", check=False)
        body, _, port = done.stdout.rpartition("\n")
        check(body == f"test-{route}.socket: ::ffff:127.0.0.9:{port} {host} {agreed}", f"{alpn}: {done.stdout}{done.stderr}")
        check(told(m, f"--sni={host} --alpn=http/1.1") == route, f"fdpassctl test --sni={host}")
    done = m.run(f"printf 'GET / HTTP/1.1\\r\\n\\r\\n' | openssl s_client -connect 127.0.0.1:80 -servername a.test "
                 f"-CAfile {TEST}/a.test.crt -verify_return_error -alpn http/1.1,h2 -ign_eof -quiet", check=False)
    check(re.search(r"test-h2\.socket: \S+ a\.test h2", done.stdout), f"{done.stdout}{done.stderr}")
    check(told(m, "--sni=a.test --alpn=http/1.1 --alpn=h2") == "h2", "fdpassctl test --alpn=h2")
    hellos = [(hello("a.test"), "tlsa"), (hello("b.test", "http/1.1"), "tlsb"), (hello("a.test", "h2"), "h2"),
              ("SSH-2.0-OpenSSH_9.2p1 Debian\r\n", "ssh")]
    check(told_of_bytes(m, [{"say": [say]} for say, _ in hellos]) == [name for _, name in hellos], "fdpassctl test --bytes")

    done = m.run(SSH + "'echo $SSH_CONNECTION; cat' </etc/hostname", check=False)
    address, _, rest = done.stdout.partition(" ")
    check(re.fullmatch(r"\d+ (::ffff:)?127\.0\.0\.1 80\nmachine\n", rest) and address.endswith("127.0.0.7"),
          f"ssh: {done.stdout}{done.stderr}")
    check(told(m, "--protocol=ssh") == "ssh", "fdpassctl test --protocol=ssh")
    m.figure("ssh to an sshd -i saw", done.stdout.splitlines()[0])

    silent = ask(m, [{"say": []}])[0]
    check(worker_of(silent["answer"]) == ("silent", "127.0.0.1", str(silent["local"])), f"{silent}")
    check(told(m, "--protocol=silent") == "silent", "fdpassctl test --protocol=silent")
    m.figure("the greeting of a service that speaks first, SilentTimeoutSec=100ms, after", silent["first"] * 1000, "ms", 0)
    check(silent["first"] < 0.4, f"{silent}")
    check(worker_of(ask(m, [{"say": [get("a.example", "/chat")]}])[0]["answer"])[0] == "chat", "HTTP on the same port")

    # With the unit's own DeferAcceptSec=1 the kernel keeps it for that long before.
    m.drop_in("fdpass.socket", "[X-FDPass]\nSilentTimeoutSec=100ms\n")
    m.run("systemctl stop fdpass.service; systemctl daemon-reload; systemctl restart fdpass.socket")
    m.start_broker()
    silent = ask(m, [{"say": []}])[0]
    m.figure("the same with DeferAcceptSec=1", silent["first"] * 1000, "ms", 0)
    check(worker_of(silent["answer"])[0] == "silent" and silent["first"] < 4, f"{silent}")


@case
def own_ports(m):
    """A port that a route has to itself, and one with Inspect=no: no byte is read there, whatever routes for HTTP there are."""
    m.write(f"{TEST}/x", "")
    add(m, {"hosta": HTTP["hosta"], "http": ("http", "Protocol=http\n"), "git": ("raw", "Listener=9418\n"),
            "first": ("greet", "Listener=9419\nSource=127.0.0.0/8\n")}, "[Socket]\nDeferAcceptSec=0\n", ports=(9418, 9419))
    m.drop_in("fdpass@9419.socket", "[X-FDPass]\nInspect=no\n", name="unread.conf")
    m.reload()
    request = "003agit-upload-pack /x.git\0host=localhost\0"
    visitors = [{"say": [say], "port": 9418} for say in (request, "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n", "SSH-2.0-x\r\n", "G")]
    seen = ask(m, visitors + [{"say": [], "shutdown": True, "port": 9418}, {"say": [], "port": 9419}, {"say": [get("a.example")]}])
    workers = [worker_of(v["answer"])[0] for v in seen]
    check(workers == ["git"] * 5 + ["first", "hosta"], f"{workers}: {seen}")
    check(all(v["first"] < 0.5 for v in seen), f"clients are waited for: {seen}")
    m.figure("the greeting of a service that speaks first on a port of its own after", seen[5]["first"] * 1000, "ms", 0)

    check(told_of_bytes(m, visitors, 9418) == ["git"] * len(visitors), "fdpassctl test --bytes")
    for options in "--protocol=unknown", "--protocol=silent", "--host=a.example", "--sni=a.example":
        check(told(m, f"--listener=9418 {options}") == "git", f"fdpassctl test {options}")
        check(told(m, f"--listener=9419 --source=127.0.0.1 {options}") == "first", f"fdpassctl test {options} with Inspect=no")
    m.worker("lost", SPEAKER + "http", route="Listener=9419\nHost=lost.example\n")
    verified = m.run("fdpassctl verify", check=False).stderr
    check(re.search(r"test-lost.socket: warning: Listener=9419: .* says Inspect=no", verified), verified)
    check("test-hosta.socket: warning: Listener=" not in verified, verified)
    check("git" in m.output("fdpassctl test --running --listener=9418 --protocol=ssh"), "fdpassctl test --running")
    check(told(m, "--listener=9419 --host=a.example --source=192.0.2.1") is None, "Source= does not count with Inspect=no")


def status_of(answer):
    return int(answer.split()[1]) if answer.startswith("HTTP/1.1 ") else None


@case
def refusals(m):
    """Each refusal as the client sees it, in its own protocol, and never a reset; with and without DeferAcceptSec=."""
    make_keys(m)
    workers = {name: HTTP[name] for name in ("hosta", "chat")} | {"gone": ("http", "Host=gone.example\n"),
                                                                  "only": ("http", "Host=only.example\nPath=/only\n")}
    for defer in 1, 0:
        add(m, workers, f"[Socket]\nDeferAcceptSec={defer}\n[X-FDPass]\nHeadTimeoutSec=700ms\nMaxClientsPerSource=40\n")
        m.run("systemctl stop test-gone.socket")
        head = get("a.example")[:-2]
        wanted = [
            (400, [get("a.example", "/chat/../x")]),
            (400, [head + "Host: b.example\r\n\r\n"]),
            (400, ["GET / HTTP/1.1\nHost: a.example\n\n"]),
            (404, [get("only.example", "/other")]),
            (408, [head]),
            (408, ["G", "E", "T", " ", "/"]),
            (421, [get("nobody.example")]),
            (421, [get("nobody.example", "/", "POST", "Content-Length: 100000\r\n") + "x" * 100_000]),
            (431, [head + "X: " + "x" * 20_000 + "\r\n\r\n"]),
            (503, [get("gone.example")]),
        ]
        seen = ask(m, [{"say": say, "pause": 0.001} for _, say in wanted])
        for v, (status, say) in zip(seen, wanted):
            check(v["end"] == "closed" and status_of(v["answer"]) == status,
                  f"DeferAcceptSec={defer}: not {status}: {v}"[:600])
            check("\r\nConnection: close\r\n" in v["answer"], f"{v}")
            check(("\r\nRetry-After: " in v["answer"]) == (status == 503), f"{v}")
        m.figure(f"HTTP refusals, DeferAcceptSec={defer}", " ".join(str(status) for status, _ in wanted))
        late = max(v["first"] for v, (status, _) in zip(seen, wanted) if status == 408)
        check(0.2 < late < 1.2, f"408 after {late:.2f} s")

        def curl(arguments):
            done = m.run(f"curl -sS -m 10 -o /dev/null -w '%{{http_code}}' {arguments}", check=False)
            return done.returncode, done.stdout, done.stderr

        for status, arguments in ((400, "--path-as-is http://a.example/chat/../x"), (404, "http://only.example/"),
                                  (421, "http://nobody.example/"), (503, "http://gone.example/"),
                                  (421, f"-H Expect: -T {TEST}/sshd_config http://nobody.example/"),
                                  (431, f"-H \"X: $(head -c 17000 /dev/zero | tr '\\0' x)\" http://a.example/")):
            done = curl(f"--connect-to ::127.0.0.1:80 {arguments}")
            check(done[:2] == (0, str(status)), f"DeferAcceptSec={defer}: curl {arguments[-60:]}: {done}")

        tls = curl(f"--cacert {TEST}/a.test.crt --resolve nobody.test:80:127.0.0.1 https://nobody.test:80/")
        check(tls[0] == 35 and "unrecognized name" in tls[2], f"curl and TLS: {tls}")
        done = m.run("openssl s_client -connect 127.0.0.1:80 -servername nobody.test </dev/null", check=False)
        check("alert number 112" in done.stderr, f"openssl: {done.stdout}{done.stderr}")
        done = m.run(SSH + "true", check=False)
        check(done.returncode == 255 and "disconnect from 127.0.0.1 port 80:7: No service" in done.stderr,
              f"ssh: {done.stderr}")
        alerts = ask(m, [{"say": ["\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00"]}, {"say": [hello("gone.example")]},
                         {"say": ["\x80\x2e\x01\x00\x02"]}, {"say": ["\x00no protocol"]}])
        check(all(v["end"] == "closed" for v in alerts), f"DeferAcceptSec={defer}: {alerts}")
        check(alerts[0]["answer"] == "\x15\x03\x03\x00\x02\x02\x32", f"no decode_error: {alerts[0]}")
        check(alerts[1]["answer"] == "\x15\x03\x03\x00\x02\x02\x50", f"no internal_error: {alerts[1]}")
        if defer:
            m.figure("curl of an unknown TLS name", tls[2].strip())
            m.figure("ssh without a route", done.stderr.strip())


@case
def unfinished(m):
    """Clients who say too little, nothing, or half a head and a FIN: closed at the deadline or before, and not reset."""
    timeout = 0.7
    for defer in 1, 0:
        add(m, {"hosta": HTTP["hosta"]}, f"[Socket]\nDeferAcceptSec={defer}\n[X-FDPass]\nHeadTimeoutSec={timeout}\n")
        head = get("a.example")[:-2]
        seen = ask(m, [{"say": [say]} for say in ("\x16\x03", hello("a.example")[:100], "PIN", "SS", head)] + [{"say": []}] +
                   [{"say": [say], "shutdown": True} for say in ("\x16\x03", hello("a.example")[:100], "PIN", head)])
        problems = []
        for v in seen:
            latest = 0 if v.get("shutdown") else timeout if v["say"] else timeout + defer * 1.1
            if v["end"] != "closed" or v["seconds"] > latest + 0.5:
                problems.append(f"{v['say']}: {v['end']} after {v['seconds']:.2f} s, not closed within {latest} s")
        m.figure(f"unfinished, DeferAcceptSec={defer}", len(seen))
        check(not problems, f"DeferAcceptSec={defer}:\n  " + "\n  ".join(problems))


@case
def refused_at_the_door(m):
    """Clients who are refused for their number, before they have said a word, hear of it as well."""
    for defer in 1, 0:
        add(m, {"hosta": HTTP["hosta"]}, f"[Socket]\nDeferAcceptSec={defer}\n"
            "[X-FDPass]\nMaxClientsPerSource=5\nHeadTimeoutSec=20s\n")
        crowd = m.popen(f"python3 {GUEST}/visitors.py slow --count=5 --network=0")
        m.children.append(crowd)
        crowd.stdout.readline()
        wait_for(lambda: m.descriptors(m.broker())[1] >= 5, 5, "five in the broker")
        seen = ask(m, [{"say": [get("a.example")], "source": "127.0.0.1"} for _ in range(20)])
        codes = sorted({(status_of(v["answer"]), v["end"]) for v in seen}, key=str)
        m.figure(f"refused for their number, DeferAcceptSec={defer}", str(codes))
        check(codes == [(503, "closed")], f"DeferAcceptSec={defer}: {codes}")
        other = ask(m, [{"say": [get("a.example")], "source": "127.0.0.2"}])[0]
        check(worker_of(other["answer"])[0] == "hosta", f"another address: {other}")
        crowd.stdin.close()
        crowd.wait()
        m.children.remove(crowd)
