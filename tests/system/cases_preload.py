# SPDX-License-Identifier: LGPL-2.1-or-later
"""The examples: servers from Debian's packages that know nothing of fdpass, without any network of their own."""

import contextlib
import re
import time

from cases_recipes import SOURCE as TREE, pages, type_commands
from cases_routes import ask
from fdpass import GUEST, UNITS, case, check
from machine import wait_for

EXAMPLES = "/usr/share/doc/fdpass/examples"
WWW = "/var/www/html"
SOURCE = "127.0.0.77"  # the client's address, to be seen in the logs


@contextlib.contextmanager
def examples(m, **hosts):
    """Installs examples as an administrator does, each with another Host= where one is given."""
    services = []
    for name, host in hosts.items():
        directory = f"{EXAMPLES}/{name.replace('_', '-')}"
        m.run(f"cp -R {directory}/. {UNITS}")  # as the page says
        socket = m.output(f"cd {directory}; echo *.socket")
        if host:
            m.drop_in(socket, f"[X-FDPass]\nHost=\nPath=\nHost={host}\n")
        services.append(socket.removesuffix(".socket"))
    try:
        m.run("systemctl enable --now " + " ".join(f"{s}.socket" for s in services if "@" not in s) + " fdpass.socket")
        m.reload()
        m.run("fdpassctl verify")
        for service in services:
            if "@" not in service:
                done = m.run(f"systemd-analyze verify --man=no {service}.service {service}.socket", check=False)
                check(done.returncode == 0 and UNITS not in done.stderr, f"systemd-analyze verify: {done.stderr}")
                check(m.property(f"{service}.service", "ActiveState") == "inactive", f"{service} runs before a client came")
        yield
    finally:
        units = " ".join(f"'{s.replace('@', '@*')}.service' '{s.replace('@', '@*')}.socket'" for s in services)
        m.run(f"systemctl kill -s KILL {units}; systemctl stop {units}; systemctl reset-failed", check=False)


def get(m, host, path="/", options="", address="127.0.0.1"):
    done = m.run(f"curl -sS --fail -m 20 --interface {SOURCE if '.' in address else address} -H 'Host: {host}' {options} "
                 f"'http://{address if '.' in address else '[' + address + ']'}{path}'", check=False)
    check(done.returncode == 0, f"{host}{path} from {address}: {done.stdout}{done.stderr}")
    return done.stdout


def check_no_network(m, service):
    """Its processes see no interface but a loopback one that is down, and may not even have a socket of IP."""
    pid = int(m.property(service, "MainPID"))
    links = m.output(f"nsenter -n -t {pid} ip -br link").splitlines()
    check(len(links) == 1 and links[0].split()[0] == "lo", f"{service} has {links}")
    check(m.output(f"readlink /proc/{pid}/ns/net") != m.output("readlink /proc/1/ns/net"), f"{service} has the network")
    check(m.property(service, "PrivateNetwork") == "yes", f"{service} says nothing of it")
    exposure = re.search(r"exposure level for \S+: ([0-9.]+)", m.output(f"systemd-analyze security --no-pager {service}"))
    m.figure(f"exposure of {service}", exposure[1])
    check(float(exposure[1]) < 5, "systemd-analyze security calls that medium at least")
    return pid


def in_log(m, service, pattern, file=None):
    """The line of its access log, in a file or the journal."""
    def find():
        text = (m.output(f"cat {file}", check=False) if file
                else "\n".join(entry["MESSAGE"] for entry in m.journal(service)))
        return re.search(pattern, text)
    return wait_for(find, 10, f"/{pattern}/ in the log of {service}")[0]


def crowd(m, host, count=200):
    """So many clients, 16 at a time."""
    begin = time.monotonic()
    done = m.run(f"curl -sS --fail -m 50 -Z --parallel-max 16 --parallel-immediate -o /dev/null -H 'Host: {host}' "
                 f"-H 'Connection: close' -w '%{{num_connects}}\\n' 'http://127.0.0.1/?[1-{count}]'", check=False)
    check(done.returncode == 0 and done.stdout.split() == ["1"] * count,
          f"{host}: {done.stdout[-200:]}{done.stderr[-500:]}")
    return time.monotonic() - begin


def both_families(m, host, log, count=20, in4=r"127\.0\.0\.1"):
    """Clients over IPv4 and IPv6 in turn, each for itself: the server has each, and its address in the log."""
    codes = m.output(f"for n in $(seq {count}); do for v in 4 6; do curl -sS -$v -m 20 -o /dev/null "
                     f"-w '%{{http_code}}\\n' -H 'Host: {host}' http://localhost/page.html?v$v-$n; done; done",
                     check=False, timeout=120).split()
    check(codes == ["200"] * 2 * count, f"answers to IPv4 and IPv6 in turn: {codes}")
    for n in range(1, count + 1):
        for version, address in (4, in4), (6, "::1"):
            in_log(m, None, rf"(?m)^{address} .*GET /page.html\?v{version}-{n} .*200.*$", log)


def web_server(m, name, service, more=lambda: None):
    """Debian's server with its own configuration: pages, 100 MB, the right log, a crowd, a reload and a restart."""
    log = f"/var/log/{name}/access.log"
    m.run(f"head -c 100M /dev/urandom >{WWW}/big; sha256sum <{WWW}/big >/var/tmp/big.sum; "
          f"echo '<p>the page' >{WWW}/page.html; rm -f /var/log/{name}/*")
    with examples(m, **{name: "web.test"}):
        check(get(m, "web.test", "/page.html") == "<p>the page\n", "another page")
        check_no_network(m, service)
        more()
        get(m, "web.test", "/page.html")
        m.figure("line of the log", in_log(m, service, rf"(?m)^{re.escape(SOURCE)} .*GET /page.html.*200.*$", log))
        both_families(m, "web.test", log)

        begin = time.monotonic()
        m.run("curl -sS --fail -m 50 -H 'Host: web.test' http://127.0.0.1/big | sha256sum | cmp - /var/tmp/big.sum")
        m.figure("100 MB", 100 / (time.monotonic() - begin), "MB/s", 0)
        m.figure("200 clients, 16 at a time", crowd(m, "web.test"), "s", 1)
        for verb in "reload", "restart":
            m.run(f"systemctl {verb} {service}")
            check(get(m, "web.test", "/page.html") == "<p>the page\n", f"after a {verb}")
        check(not m.journal(service, 4, "fdpass-preload"), "the preload complains")


@case
def preload_nginx(m):
    """Debian's nginx as it is, with two worker processes; a listener goes, and comes again, on a reload."""
    site, log = "/etc/nginx/sites-available/default", "/var/log/nginx/access.log"

    def workers(before=()):
        def find():
            pid = m.property("nginx.service", "MainPID")
            pids = m.output(f"pgrep -P {pid} -f 'nginx: worker process'", check=False).split()
            return len(pids) == 2 and not set(pids) & set(before) and pids
        return wait_for(find, 20, "two workers")

    def two_workers():
        before = workers()
        m.run(f"sed -i.all '/^[[:space:]]*listen 80 /d' {site}; ! cmp -s {site} {site}.all; systemctl reload nginx.service")
        before = workers(before)
        both_families(m, "web.test", log, 3, in4=r"::ffff:127\.0\.0\.1")
        m.run(f"mv {site}.all {site}; systemctl reload nginx.service; : >{log}")
        workers(before)

    m.run("sed -i 's/^worker_processes .*/worker_processes 2;/' /etc/nginx/nginx.conf")
    web_server(m, "nginx", "nginx.service", two_workers)


@case
def preload_nginx_tls(m):
    """nginx with a key, by the example: HTTPS and the redirect from HTTP; each port refuses the other's protocol."""
    certificate, site = "/etc/ssl/certs/www.example.org.pem", "/etc/nginx/sites-enabled/www.example.org"
    m.run("openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=www.example.org -addext subjectAltName=DNS:www.example.org "
          f"-keyout /etc/ssl/private/www.example.org.key -out {certificate}; echo '<p>the page' >{WWW}/page.html; "
          "rm -f /var/log/nginx/*; systemctl disable --now fdpass-hello.socket")
    to = f"curl -sS -m 20 --interface {SOURCE} --cacert {certificate} --connect-to ::127.0.0.1: "
    try:
        blocks = pages.sections(TREE / "src/man/fdpass-preload.8.scd")["nginx with HTTPS"]
        type_commands(m, blocks[-1].text)
        m.run("fdpassctl verify")
        for _ in range(3):  # systemd passes both sockets in an order of its own
            m.run("systemctl daemon-reexec; systemctl stop nginx.service")
            check(m.output(f"{to} https://www.example.org/page.html") == "<p>the page", "another page")
            seen = m.output(f"{to} -o /dev/null -w '%{{http_code}} %{{redirect_url}}' http://www.example.org/page.html")
            check(seen == "301 https://www.example.org/page.html", f"the redirect: {seen}")
        in_log(m, None, rf"(?m)^{re.escape(SOURCE)} .*GET /page.html.*200.*$", "/var/log/nginx/access.log")
        check_no_network(m, "nginx.service")

        seen = m.run(f"{to} -o /dev/null -w '%{{http_code}}' http://www.example.org:443/", check=False)
        check(seen.stdout in ("404", "421"), f"HTTP at 443: {seen}")
        seen = m.run(f"{to} https://www.example.org:80/", check=False)
        check("unrecognized name" in seen.stderr, f"TLS at 80: {seen}")
        check(not m.journal("nginx.service", 4, "fdpass-preload"), "the preload complains")
    finally:
        m.run(f"systemctl stop nginx.socket nginx-tls.socket nginx.service; rm -f {site}", check=False)


@case
def preload_apache(m):
    """Debian's Apache as it is."""
    web_server(m, "apache2", "apache2.service")


@case
def preload_python(m):
    """gunicorn with two workers, and uvicorn."""
    with examples(m, gunicorn="gunicorn.test", uvicorn="uvicorn.test"):
        for name in "gunicorn", "uvicorn":
            check(get(m, f"{name}.test") == f"Hello, {SOURCE}!\n", f"{name}: another answer")
            pid = check_no_network(m, f"{name}.service")
            m.figure("line of the log", in_log(m, f"{name}.service", rf"(?m)^.*{re.escape(SOURCE)}.*GET /.*200.*$"))
            get(m, f"{name}.test", address="::1")
            in_log(m, f"{name}.service", r"::1.*GET /")
            m.figure(f"{name}: 200 clients, 16 at a time", crowd(m, f"{name}.test"), "s", 1)
            if name == "gunicorn":
                wait_for(lambda: m.output(f"pgrep -c -P {pid}", check=False) == "2", 5, "two workers")
            check(not m.journal(f"{name}.service", 4, "fdpass-preload"), "the preload complains")


@case
def preload_proxied(m):
    """Behind a load balancer that speaks the PROXY protocol: the log has its word for the client."""
    m.run("rm -f /var/log/nginx/*")
    m.drop_in("fdpass.socket", "[X-FDPass]\nProxyProtocol=optional\nTrustedProxies=127.0.0.0/8\n")
    for name in "nginx", "gunicorn":
        m.drop_in(f"{name}.socket", f"[Socket]\nListenStream=\nListenSequentialPacket=/run/fdpass/{name}.sock\n",
                  name="form.conf")
    m.run(f"echo '<p>the page' >{WWW}/page.html")
    with examples(m, nginx="nginx.test", gunicorn="gunicorn.test"):
        for name, path, log in ("nginx", "/page.html", "/var/log/nginx/access.log"), ("gunicorn", "/", None):
            for client, head in (("192.0.2.7", "PROXY TCP4 192.0.2.7 198.51.100.1 1234 80\r\n"),
                                 ("2001:db8::7", "PROXY TCP6 2001:db8::7 2001:db8::1 1234 80\r\n"), ("127.0.0.1", "")):
                said = f"{head}GET {path} HTTP/1.1\r\nHost: {name}.test\r\nConnection: close\r\n\r\n"
                seen = ask(m, [{"say": [said]}])[0]
                check("200 OK" in seen["answer"], f"{name}, {client}: {seen}")
                in_log(m, f"{name}.service", rf"(?m)^{client} .*GET {path}", log)


@case
def preload_node(m):
    """Node's http."""
    with examples(m, node="node.test"):
        check(get(m, "node.test") == f"Hello, {SOURCE}!\n", "another answer")
        check_no_network(m, "node.service")
        m.figure("line of the log", in_log(m, "node.service", rf"{re.escape(SOURCE)} GET /"))
        m.figure("200 clients, 16 at a time", crowd(m, "node.test"), "s", 1)
        check(not m.journal("node.service", 4, "fdpass-preload"), "the preload complains")


@case
def preload_java(m):
    """Java's HttpServer."""
    # Debian 13's ecj doesn't find its own class.
    m.run("mkdir -p /var/lib/java; cd /usr/share/java; "
          "java -cp eclipse-jdt-core.jar:eclipse-jdt-core-compiler-batch.jar org.eclipse.jdt.internal.compiler.batch.Main "
          f"-proc:none -17 -d /var/lib/java {EXAMPLES}/programs/java/Hello.java", timeout=120)
    with examples(m, java="java.test"):
        m.drop_in("java.service", "[Service]\nExecStart=\n"
                  "ExecStart=/usr/bin/java -XX:-UsePerfData -cp /var/lib/java Hello\n")
        m.run("systemctl daemon-reload")
        check(get(m, "java.test") == f"Hello, {SOURCE}!\n", "another answer")
        check_no_network(m, "java.service")
        m.figure("line of the log", in_log(m, "java.service", rf"{re.escape(SOURCE)} GET /"))
        m.figure("200 clients, 16 at a time", crowd(m, "java.test"), "s", 1)
        check(not m.journal("java.service", 4, "fdpass-preload"), "the preload complains")


@case
def preload_sshd(m):
    """A login over ssh, behind the port that serves HTTP, into a session without any network."""
    m.run("rm -rf /root/.ssh; ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519; "
          "cp /root/.ssh/id_ed25519.pub /root/.ssh/authorized_keys")
    ssh = f"ssh -p 80 -b {SOURCE} -o StrictHostKeyChecking=no -o BatchMode=yes -o LogLevel=ERROR root@127.0.0.1"
    with examples(m, sshd=None):
        done = m.run(f"{ssh} 'echo $SSH_CONNECTION; ip -br link; env | grep -e LD_ -e FDPASS -e LISTEN_'", check=False)
        seen = done.stdout.splitlines()
        check(len(seen) == 2 and not done.stderr, f"{done}")
        check(seen[0].startswith(f"{SOURCE} "), f"{seen[0]}")
        check(seen[1].startswith("lo "), f"the session has {seen[1:]}")
        check_no_network(m, "fdpass-sshd.service")
        m.figure("line of the log", in_log(m, "fdpass-sshd.service",
                                           rf"Accepted publickey for root from {re.escape(SOURCE)} port \d+"))
        m.run("systemctl reload fdpass-sshd.service")
        check(m.run(f"{ssh} echo again", check=False).stdout == "again\n", "after a reload")
        m.run(f"head -c 10M /dev/urandom >/var/tmp/some; {ssh} 'cat >/root/copy' </var/tmp/some; cmp /var/tmp/some /root/copy")
        check("Hello" in get(m, "other.test"), "HTTP on the same port")

        check(m.run(f"{ssh} 'touch /etc/by-ssh'", check=False).returncode != 0, "a session writes /etc")
        text = m.output(f"cat {UNITS}/fdpass-sshd.service")
        m.run("\n".join(re.findall(r"(?m)^#  +(.*)$", text)))  # the commands for ordinary sessions
        seen = m.output(f"{ssh} 'touch /etc/by-ssh; rm /etc/by-ssh; readlink /proc/self/ns/net'")
        check(seen == m.output("readlink /proc/1/ns/net"), f"the session has the network {seen}")


@case
def preload_git(m):
    """A clone from git daemon, behind the same port."""
    m.run("rm -rf /srv/git /var/tmp/git; mkdir -p /srv/git /var/tmp/git; cd /var/tmp/git; git init -q demo; cd demo; "
          "head -c 3M /dev/urandom >blob; git add blob; git -c user.name=n -c user.email=e commit -qm one; "
          "git clone -q --bare . /srv/git/demo.git")
    with examples(m, git_daemon=None):
        m.run("cd /var/tmp/git; timeout 30 git clone -q git://127.0.0.1:80/demo.git copy; cmp demo/blob copy/blob")
        check_no_network(m, "git-daemon.service")
        m.figure("line of the log", in_log(m, "git-daemon.service", r"Connection from 127\.0\.0\.1:\d+"))
        in_log(m, "git-daemon.service", r"Request upload-pack for '/demo.git'")
        for _ in range(5):
            check("HEAD" in m.output("timeout 30 git ls-remote git://127.0.0.1:80/demo.git"), "no HEAD")
        check("Hello" in get(m, "other.test"), "HTTP on the same port")


@case
def preload_streams(m):
    """Conversations that last: a WebSocket, and server-sent events."""
    with examples(m, websocket="ws.test", sse="sse.test"):
        done = m.run(f"python3 {GUEST}/websocket.py ws://ws.test/chat {SOURCE}", check=False)
        check(done.stdout == "1001 messages\n", f"{done}")
        check_no_network(m, "websocket.service")
        m.figure("line of the log", in_log(m, "websocket.service", rf"client {re.escape(SOURCE)}"))

        done = m.run(f"curl -sSN -m 2.5 --interface {SOURCE} -H 'Host: sse.test' http://127.0.0.1/events", check=False)
        check(done.returncode == 28 and done.stdout.count("event: time\ndata: ") in (2, 3), f"{done}")
        check_no_network(m, "sse.service")
        m.figure("line of the log", in_log(m, "sse.service", rf"client {re.escape(SOURCE)}"))


@case
def preload_tenants(m):
    """A template: each tenant is a process that sees nothing of the others."""
    m.run("rm -rf /srv/tenants; mkdir -p /srv/tenants/alice /srv/tenants/bob; "
          "for t in alice bob; do echo $t >/srv/tenants/$t/index.html; done")
    with examples(m, tenant=None):
        m.run("systemctl enable --now tenant@alice.socket tenant@bob.socket")
        m.reload()
        for tenant in "alice", "bob":
            check(get(m, f"{tenant}.example.org") == f"{tenant}\n", f"{tenant}: another page")
            pid = check_no_network(m, f"tenant@{tenant}.service")
            check(m.output(f"ls /proc/{pid}/root/srv/tenants") == tenant, f"{tenant} sees others")
            in_log(m, f"tenant@{tenant}.service", rf'::ffff:{re.escape(SOURCE)} .*"GET / ')


@case
def preload_gives_up(m):
    """Where it can't work: a word of what is wrong, once a start, and no client is lost by it."""
    serve = "/usr/bin/python3 -m http.server 80"
    conf = m.output(f"cat {EXAMPLES}/tenant/tenant@.service.d/10-fdpass-preload.conf")
    for name, ports in ("missing", "81 80"), ("wrong", "http"):
        m.worker(name, serve, enable=False, route=f"Host={name}.test",
                 service=f"{conf}\nEnvironment='FDPASS_LISTEN={ports}'")
    m.run("systemctl enable --now test-missing.socket test-wrong.socket")
    m.reload()
    clients = {}
    for name, word in ("missing", "systemd has passed no socket"), ("wrong", "is not a list of"):
        clients[name] = m.popen("curl -sS -m 30 -o /dev/null -w '%{http_code}' "
                                f"-H 'Host: {name}.test' http://127.0.0.1/")
        m.children.append(clients[name])
        line = wait_for(lambda: m.journal(f"test-{name}.service", 4, f"fdpass-preload: .*{word}"), 20, f"{name}'s word")[0]
        m.figure("line", line["MESSAGE"])
        check(line["PRIORITY"] == "3", f"{line}")
        check(m.property(f"test-{name}.service", "ExecMainStatus") in ("78", "0"), "another status")

    # The administrator hears of it and puts it right: the client has waited.
    m.unit("test-missing.service.d/right.conf", "[Service]\nEnvironment=FDPASS_LISTEN=80\n")
    m.unit("test-wrong.service.d/right.conf", "[Service]\nEnvironment=FDPASS_LISTEN=80\n")
    m.run("systemctl daemon-reload")
    for name in "missing", "wrong":
        out, err = clients[name].communicate(timeout=40)
        check(out == "200", f"{name}: {out}{err}")
