# SPDX-License-Identifier: LGPL-2.1-or-later
"""HTTPS by the TLS stage: two sites on one port beside raw TLS, a host with demands of its own, and renewal."""

import contextlib
import json
import re
import subprocess

from fdpass import GUEST, PROGRAMS, alone, case, check, shared
from machine import wait_for

CERTS = "/etc/fdpass/tls"
KEYS = "/etc/test-tls"  # of the clients, and what they trust

SLOWEST_SEC = 5  # for a client beside hostile ones

NEW = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30"


def make_keys(m):
    """Certificates in all forms, of one file and of two; a client's, with the CA that signed it; and of a worker with TLS."""
    m.run(f"rm -rf {KEYS} {CERTS}/*; mkdir -p {KEYS}; cd {KEYS}; "
          f"for name in a.test b.test raw.test; do {NEW} -subj /CN=$name -addext subjectAltName=DNS:$name,DNS:*.$name "
          "-keyout $name.key -out $name.crt 2>/dev/null; done; cat *.crt >all.pem; "
          f"{NEW} -subj /CN=ca -keyout ca.key -out ca.crt 2>/dev/null; "
          "openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=alice -keyout alice.key -out alice.csr 2>/dev/null; "
          "openssl x509 -req -in alice.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -out alice.crt 2>/dev/null; "
          f"install -m 600 a.test.crt a.test.key {CERTS}; cat b.test.crt b.test.key >{CERTS}/b.pem; chmod 600 {CERTS}/b.pem")


def inside(m, name, route):
    """A worker that is told the facts of its clients, and speaks without TLS."""
    m.worker(name, f"{PROGRAMS}fdpass-exec /usr/bin/python3 {GUEST}/inside.py {name}", route=route, enable=False,
             socket=f"ListenStream=\nListenSequentialPacket=/run/fdpass/{name}.sock",
             service="DynamicUser=yes\nPrivateNetwork=yes")


def begin(m, *names):
    """As an administrator does it, with the units of workers that are there."""
    sockets = " ".join(f"test-{name}.socket" for name in names)
    m.run(f"systemctl daemon-reload; systemctl enable --now {sockets} fdpass-tls.socket fdpass@443.socket; "
          "systemctl restart fdpass.service")


def https(m, url, options=""):
    """curl's exit status, the HTTP status, and the body."""
    done = m.run(f"curl -sS -m {10 * m.slowness} --cacert {KEYS}/all.pem --connect-to ::127.0.0.1: -w '\\n%{{http_code}}' {options} {url}", check=False)
    body, _, status = done.stdout.rpartition("\n")
    return done.returncode, int(status or 0), body.strip(), done.stderr.strip()


def expect(m, url, body, options=""):
    seen = https(m, url, options)
    check(seen[:3] == (0, 200, body), f"{url}: {seen}")


@case
def tls_sites(m):
    """Two sites over HTTPS on port 443, beside a worker with keys of its own, and a redirect from port 80."""
    make_keys(m)
    inside(m, "a", "Host=a.test\nProtocol=http\nTLS=yes\n")
    inside(m, "chat", "Host=a.test\nPath=/chat\nProtocol=http\n")
    inside(m, "b", "Host=*.b.test b.test\nProtocol=http\n")
    inside(m, "plain", "Host=a.test\nProtocol=http\nTLS=no\n")
    m.worker("raw", f"/usr/bin/python3 {GUEST}/speakers.py tls {KEYS}/raw.test http/1.1", "Host=raw.test\nProtocol=tls\n", enable=False)
    begin(m, "a", "chat", "b", "plain", "raw")

    for options in "--tls-max 1.2", "--tlsv1.3":
        expect(m, "https://a.test/", "a: 127.0.0.1 a.test http/1.1 443", options)
    expect(m, "https://a.test/", "a: 127.0.0.9 a.test http/1.1 443", "--interface 127.0.0.9")
    expect(m, "https://a.test/", "a: 127.0.0.1 a.test - 443", "--no-alpn")
    expect(m, "https://a.test/chat/x", "chat: 127.0.0.1 a.test http/1.1 443")
    expect(m, "https://b.test/", "b: 127.0.0.1 b.test http/1.1 443")
    expect(m, "https://x.b.test/", "b: 127.0.0.1 x.b.test http/1.1 443")
    expect(m, "http://a.test/", "plain: 127.0.0.1 a.test - public")
    check(https(m, "https://raw.test/")[2].startswith("test-raw.socket: "), "raw TLS by SNI")
    check(https(m, "https://a.test/ https://a.test/chat https://b.test/")[2].count(" http/1.1 443") == 3, "several requests")

    # Refusals: through TLS, and of TLS.
    for url, options, status in (("https://a.test/", "-H 'Host: b.test'", 421), ("https://127.0.0.1/", "-k -H 'Host: a.test'", 421)):
        check(https(m, url, options)[:2] == (0, status), f"{url} {options}: {https(m, url, options)}")
    done = m.run("openssl s_client -connect 127.0.0.1:443 -servername a.test -alpn h2 </dev/null", check=False)
    check("alert number 120" in done.stderr, f"no_application_protocol: {done.stderr}")

    service = m.output("systemctl show -P MainPID fdpass-tls.service")
    check(re.search(r"Max core file size +0 +0 ", m.output(f"cat /proc/{service}/limits")), "no core dumps")
    check(m.run(f"runuser -u nobody -- cat /proc/{service}/environ", check=False).returncode != 0, "it can't be looked into")
    lines = m.journal("fdpass-tls.service", priority=4)
    check(not [line for line in lines if "handshake" not in line["MESSAGE"]], f"{[line['MESSAGE'] for line in lines]}")


@case
def tls_demands(m):
    """A client certificate for one host: no other name, and no session of the other stage, leads around it."""
    make_keys(m)
    inside(m, "a", "Host=a.test\nProtocol=http\n")
    inside(m, "b", "Host=b.test\nProtocol=http\n")
    m.drop_in("fdpass-tls@b.test.service", f"[Service]\nLoadCredential=client-ca:{KEYS}/ca.crt\n"
              'Environment="TLS_OPTIONS=--client-ca=%d/client-ca"\n')
    m.run("systemctl enable --now fdpass-tls@b.test.socket")
    begin(m, "a", "b")
    expect(m, "https://a.test/", "a: 127.0.0.1 a.test http/1.1 443")

    alice = f"--cert {KEYS}/alice.crt --key {KEYS}/alice.key"
    expect(m, "https://b.test/", "b: 127.0.0.1 b.test http/1.1 443", alice)
    seen = https(m, "https://b.test/")
    check(seen[0] != 0 and seen[1] == 0, f"without a certificate: {seen}")
    check(https(m, "https://a.test/", "-H 'Host: b.test'")[1] == 421, "the name of the other stage")
    for version in "TLSv1_2", "TLSv1_3":
        seen = m.output(f"python3 {GUEST}/resume.py {version} {KEYS}/all.pem a.test a.test b.test")
        check(re.fullmatch(r"a: .*\na: .* resumed\nnothing", seen), f"a session of the other stage, {version}: {seen}")


def make_client(m, name, ca, days):
    """A client's certificate by a CA of the keys, good for so many days; with 0 it is over at once."""
    m.run(f"cd {KEYS}; openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN={name} -keyout {name}.key -out {name}.csr; "
          f"openssl x509 -req -in {name}.csr -CA {ca}.crt -CAkey {ca}.key -CAcreateserial -days {days} -out {name}.crt")


@shared
@case
def tls_matrix(m):
    """Name of the handshake x certificate x session x host of the request: no way leads around the demands of a host."""
    make_keys(m)
    m.run(f"cd {KEYS}; {NEW} -subj /CN=ca -keyout other.key -out other.crt")
    make_client(m, "mallory", "other", 30)
    make_client(m, "expired", "ca", 0)
    for name, route in ("a", "Host=a.test\n"), ("b", "Host=b.test\nTLS=yes\n"), ("rest", ""):
        m.worker(name, f"/usr/bin/python3 {GUEST}/next.py {name}", route=route + "Protocol=http\n", enable=False,
                 socket=f"ListenStream=\nListenSequentialPacket=/run/fdpass/{name}.sock", service="SupplementaryGroups=fdpass")
    m.drop_in("fdpass-tls@b.test.service", f"[Service]\nLoadCredential=client-ca:{KEYS}/ca.crt\n"
              'Environment="TLS_OPTIONS=--client-ca=%d/client-ca"\n')
    m.run("systemctl disable --now fdpass-hello.socket; systemctl enable --now fdpass-tls@b.test.socket")
    begin(m, "a", "b", "rest")

    seen = json.loads(m.output(f"python3 {GUEST}/policies.py {KEYS} {'all' if m.long else 'few'}", timeout=300))
    m.figure("answers", ", ".join(f"{n} {answer}" for answer, n in sorted(seen["seen"].items())))
    check(not seen["n_wrong"], f"{seen['n_wrong']} wrong: {seen['wrong']}")
    check(set(seen["seen"]) >= {"a", "b", "rest", "421", "alert"}, f"{seen['seen']}")
    check("X-Worker: b" not in m.output("curl -si -m 10 -H 'Host: b.test' http://127.0.0.1/"), "port 80")


@alone
@shared
@case
def tls_hostile(m):
    """Clients that break the rules of TLS get an alert, harm no other client, and cost nothing while they hold what they have."""
    make_keys(m)
    m.worker("a", f"/usr/bin/python3 {GUEST}/next.py a", route="Host=a.test\nProtocol=http\n", enable=False,
             socket="ListenStream=\nListenSequentialPacket=/run/fdpass/a.sock", service="SupplementaryGroups=fdpass")
    begin(m, "a")
    seen = json.loads(m.output(f"python3 {GUEST}/tls-hostile.py {KEYS}/all.pem {30 if m.long else 2}", timeout=120))
    m.figure("CPU while they hold", ", ".join(f"{unit} {percent:.3f} %" for unit, percent in seen["cpu"].items()) if "CPU" not in seen["wrong"] else "too much")
    m.figure("the slowest other client", seen["slowest"], "s", 2)
    m.figure("ends", ", ".join(f"{attack}: {end}" for attack, end in seen["ends"].items()))
    check(not seen["wrong"], f"{seen}")
    check(seen["slowest"] < SLOWEST_SEC, "another client waits")


def kernel_lines(m, options):
    """The priorities and the texts of the lines about the kernel's TLS that the stage logs at its start with these options."""
    m.drop_in("fdpass-tls.service", f'[Service]\nEnvironment="TLS_OPTIONS={options}"\n', "options.conf")
    m.run("systemctl daemon-reload")
    m.mark()
    m.run("systemctl restart fdpass-tls.service")
    wait_for(lambda: m.journal("fdpass-tls.service", match="go through|takes over"), 10 * m.slowness, "the line of its process")
    return [(int(entry["PRIORITY"]), entry["MESSAGE"]) for entry in m.journal("fdpass-tls.service", match="go through|takes over")]


@case
def tls_no_kernel(m):
    """A container whose host has not loaded the module: one line says what to do, an error if the kernel's TLS is demanded."""
    make_keys(m)
    inside(m, "a", "Host=a.test\nProtocol=http\n")
    begin(m, "a")
    has_kernel = "tls" in m.output("cat /proc/sys/net/ipv4/tcp_available_ulp", check=False).split()
    for options, priority in ("--ktls=auto", 5), ("--ktls=yes", 3):
        lines = kernel_lines(m, options)
        if not has_kernel:
            check(len(lines) == 1 and lines[0][0] == priority and "modprobe tls" in lines[0][1], f"{options}: {lines}")
        check(https(m, "https://a.test/")[:2] == (0, 200), f"{options}: a client")


@case
def tls_renewal(m):
    """New certificates without a restart; broken ones are told, and the old ones stay."""
    make_keys(m)
    inside(m, "a", "Host=a.test\nProtocol=http\n")
    begin(m, "a")
    expect(m, "https://a.test/", "a: 127.0.0.1 a.test http/1.1 443")
    service = m.output("systemctl show -P MainPID fdpass-tls.service")

    def serial():
        return m.output("openssl s_client -connect 127.0.0.1:443 -servername a.test </dev/null 2>/dev/null | openssl x509 -noout -serial")

    before = serial()
    m.run(f"cd {CERTS}; {NEW} -subj /CN=a.test -addext subjectAltName=DNS:a.test -keyout new.key -out new.crt 2>/dev/null; "
          "mv new.key a.test.key; mv new.crt a.test.crt")
    wait_for(lambda: serial() != before, 10, "the new certificate")
    check(m.output("systemctl show -P MainPID fdpass-tls.service") == service, "it was restarted")

    after = serial()
    m.run(f"cp {KEYS}/b.test.key {CERTS}/a.test.key; echo nonsense >{CERTS}/c.crt; systemctl reload fdpass-tls.service")
    lines = [line["MESSAGE"] for line in m.journal("fdpass-tls.service", priority=3)]
    check(any(re.search(r"^a\.test\.crt: the private key is not the one of the certificate\. The pair that was read before stays", line)
              for line in lines), f"{lines}")
    check(any(re.search(r"^c\.crt: there is no file c\.key", line) for line in lines), f"{lines}")
    check(serial() == after, "the old pair stays")


def resumed(m, host, options=""):
    """Whether openssl s_client resumes the session of the file; the file gets the new one, if there is one."""
    seen = m.output(f"cd {KEYS}; printf 'GET / HTTP/1.1\\r\\nHost: {host}\\r\\n\\r\\n' | timeout 10 openssl s_client -connect 127.0.0.1:443 "
                    f"-servername {host} -ign_eof {options} 2>&1")
    check("HTTP/1.1 200" in seen, f"no answer: {seen}")
    return re.search(r"^(New|Reused), TLSv1", seen, re.M).group(1) == "Reused"


@case
def tls_tickets(m):
    """Sessions outlive restarts, but no change of what is demanded of clients, and none is resumed by another instance."""
    make_keys(m)
    inside(m, "a", "Host=a.test\nProtocol=http\n")
    inside(m, "b", "Host=b.test\nProtocol=http\n")
    m.run("systemctl enable --now fdpass-tls@b.test.socket")
    begin(m, "a", "b")
    expect(m, "https://a.test/", "a: 127.0.0.1 a.test http/1.1 443")

    for version in "-tls1_2", "-tls1_3":
        check(not resumed(m, "a.test", f"{version} -sess_out s"), "a new session")
        check(resumed(m, "a.test", f"{version} -sess_in s"), f"resumed {version}")
        m.run("systemctl restart fdpass-tls.service")
        check(resumed(m, "a.test", f"{version} -sess_in s"), f"resumed after a restart {version}")
        m.run("systemctl stop fdpass-tls.service")
        check(resumed(m, "a.test", f"{version} -sess_in s"), f"resumed after a stop {version}")
        m.run("systemctl kill -s KILL fdpass-tls.service; systemctl restart fdpass.service")
        check(resumed(m, "a.test", f"{version} -sess_in s"), f"resumed after a crash {version}")
        check(not resumed(m, "b.test", f"{version} -sess_in s"), f"resumed by another instance {version}")

    seed = m.output("stat -Lc '%a %s' /run/fdpass-tls/seed /run/fdpass-tls@b.test/seed /run/fdpass-tls-b.test/seed 2>/dev/null || true")
    check(seed.split("\n") == ["600 48", "600 48"], f"the seeds: {seed}")
    check(m.run("runuser -u nobody -- cat /run/fdpass-tls/seed", check=False).returncode != 0, "others can read the seed")
    m.drop_in("fdpass-tls.service", f"[Service]\nLoadCredential=client-ca:{KEYS}/ca.crt\n"
              'Environment="TLS_OPTIONS=--client-ca=%d/client-ca"\n')
    m.run("systemctl daemon-reload; systemctl restart fdpass-tls.service")
    alice = f"-cert {KEYS}/alice.crt -key {KEYS}/alice.key"
    check(not resumed(m, "a.test", f"-sess_in s {alice}"), "resumed with other demands")


@case
def tls_status(m):
    """Certificates that expire, or can't be used, in the status, the metrics, and what verify says before they are used."""
    make_keys(m)
    inside(m, "a", "Host=a.test\nProtocol=http\n")
    begin(m, "a")
    expect(m, "https://a.test/", "a: 127.0.0.1 a.test http/1.1 443")
    status = m.output("fdpassctl status")
    check(re.search(r"^Certificates: 2, the first to expire is (a\.test|b) of fdpass-tls\.service, in 4w|^Certificates: 2, .* in 29d", status, re.M), status)
    check("certificate" not in status.lower().replace("certificates: 2", ""), status)

    m.run(f"cd {CERTS}; {NEW.replace('-days 30', '-days 3')} -subj /CN=soon.test -keyout soon.key -out soon.crt 2>/dev/null; "
          f"echo nonsense >'bad name.pem'; ln -s a.test.crt link.crt; mkdir live; cp {KEYS}/raw.test.crt live/fullchain.pem; "
          f"cp {KEYS}/raw.test.key live/privkey.pem; systemctl reload fdpass-tls.service")
    done = m.run("fdpassctl status", check=False)
    check(done.returncode == 2, f"exit status {done.returncode}")
    check("bad\\x20name.pem: it has no certificate" in done.stdout.replace("\n    ", ""), done.stdout)
    check(re.search(r"the certificate soon expires in 2d 23h\.", done.stdout), done.stdout)
    check("Certificates: 4" in done.stdout, done.stdout)
    state = m.output("fdpassctl status --json=short", check=False)
    check('"Unit":"fdpass-tls.service","Name":"live","ExpiresUSec":' in state, state)

    m.run("systemctl enable --now fdpass-metrics.socket")
    for metrics in m.output("fdpassctl metrics"), m.output("curl -sS -m 10 http://127.0.0.1:9469/metrics"):
        check(len(re.findall(r'^fdpass_certificate_expiry_timestamp_seconds\{unit="fdpass-tls\.service",certificate="[a-z.]+"\} 1[0-9]{9}$', metrics, re.M)) == 4,
              metrics[-2000:])
        check(re.search(r'^fdpass_certificate_problems\{unit="fdpass-tls\.service"\} 1$', metrics, re.M), metrics[-1000:])
    done = m.run(f"{PROGRAMS}fdpass-tls --check {CERTS}", check=False)
    check(done.returncode == 65 and re.search(r"^problem link\.crt: it is a symbolic link", done.stdout, re.M), f"{done}")
    check(m.run(f"runuser -u nobody -- {PROGRAMS}fdpass-tls --check {CERTS}", check=False).returncode == 1, "not readable")

    m.run(f"rm -r {CERTS}/*; systemctl restart fdpass-tls.service")
    done = m.run("fdpassctl status", check=False)
    check(done.returncode == 2 and "certificates: there is none that can be used" in done.stdout.replace("\n    ", ""), done.stdout)

    m.run("systemctl stop fdpass-tls.socket fdpass-tls.service")
    check("certificate" not in m.output("fdpassctl metrics"), "of a stopped stage")
    check(not m.output("ls -A /run/fdpass-certificates"), "a report stays")


def old_certificate(m):
    """One that has expired. `openssl req` makes none before OpenSSL 3.4."""
    m.write(f"{KEYS}/ca.cnf", "[ca]\ndefault_ca=a\n[a]\ndatabase=index\nnew_certs_dir=.\nrand_serial=yes\npolicy=p\ndefault_md=sha256\n"
                              "[p]\ncommonName=supplied\n")
    m.run(f"cd {KEYS}; : >index; openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=old.test -keyout {CERTS}/old.key "
          f"-out old.csr 2>/dev/null; openssl ca -batch -config ca.cnf -selfsign -keyfile {CERTS}/old.key -in old.csr -out {CERTS}/old.crt "
          "-startdate 20250101000000Z -enddate 20250201000000Z -notext 2>/dev/null")


@case
def tls_verify(m):
    """What fdpassctl verify says about certificates, and about names and protocols that lead nowhere; offline too."""
    make_keys(m)
    inside(m, "a", "Host=a.test *.a.test\nProtocol=http\nTLS=yes\n")
    begin(m, "a")
    done = m.run("fdpassctl verify")
    check("certificate" not in done.stderr and "test-a.socket" not in done.stderr and done.stdout.endswith(" 0 warnings.\n"), f"{done}")

    old_certificate(m)
    m.run(f"cd {CERTS}; {NEW.replace('-days 30', '-days 3')} -subj /CN=soon.test -keyout soon.key -out soon.crt 2>/dev/null; "
          f"cp {KEYS}/raw.test.crt c.crt; cp {KEYS}/b.test.key c.key; echo nonsense >d.pem; cp a.test.crt e.crt")
    inside(m, "c", "Host=c.test\nProtocol=http\nTLS=yes\n")
    inside(m, "d", "Host=d.test\nProtocol=http\n")
    m.drop_in("fdpass-tls@h2.test.service", '[Service]\nEnvironment="TLS_OPTIONS=--alpn=h2,http/1.1"\n')
    inside(m, "demands", "Host=demands.test\nProtocol=http\n")
    m.drop_in("fdpass-tls@demands.test.service", f'[Service]\nLoadCredential=client-ca:{KEYS}/ca.crt\nEnvironment="TLS_OPTIONS=--client-ca=%d/client-ca"\n')
    m.run("systemctl enable test-c.socket test-d.socket test-demands.socket fdpass-tls@h2.test.socket fdpass-tls@demands.test.socket")
    wanted = [rf"fdpass-tls\.socket: warning: LoadCredential=tls:{CERTS}: c\.crt: the private key is not the one of the certificate\.",
              rf"fdpass-tls\.socket: warning: LoadCredential=tls:{CERTS}: d\.pem: it has no certificate", r"e\.crt: there is no file e\.key",
              r"The certificate old expired [0-9].* ago\.", r"The certificate soon expires in 2d 23h;",
              r"test-c\.socket: warning: Host=c\.test: No certificate in /etc/fdpass/tls has this name", r"Host=h2\.test: No certificate",
              r"fdpass-tls@\.socket: warning: .* offers h2 .*Protocol=http2",
              r"test-demands\.socket: warning: Host=demands\.test: Clients without TLS reach it, too, .* TLS=yes\."]
    for where in "", "/srv/other":
        if where:
            m.run(f"rm -rf {where}; mkdir -p {where}/usr/lib/systemd {where}/etc/systemd {where}/etc/fdpass; cp -a {CERTS} {where}/etc/fdpass; "
                  f"cp -a /usr/lib/systemd/system {where}/usr/lib/systemd; cp -a /etc/systemd/system {where}/etc/systemd")
        done = m.run(f"fdpassctl verify --root={where or '/'}")
        for line in wanted:
            check(re.search(line.replace(CERTS, where + CERTS), done.stderr), f"{line}: {done.stderr}")
        check(len(re.findall(r"d\.pem: it has no certificate", done.stderr)) == 1, f"twice: {done.stderr}")
        check("Host=d.test" not in done.stderr and "Host=a.test" not in done.stderr, done.stderr)

    done = m.run("runuser -u nobody -- fdpassctl verify", check=False)
    check(f"{CERTS}: The certificates were not checked, because this user may not read them." in done.stderr, f"as another user: {done}")


def echo_begin(m):
    """A client that stays, at a worker that sends back what it gets."""
    client = m.popen(f"python3 {GUEST}/tls-echo.py a.test")
    m.children.append(client)
    return client


def echo(client, text):
    client.stdin.write(f"ECHO {text}\n")
    client.stdin.flush()
    line = client.stdout.readline().strip()
    check(line == f"ECHO {text}", f"{text}: {line!r} {client.poll() is not None and client.stderr.read()}")


def processes(m, unit="fdpass-tls.service"):
    """Process IDs of the stage: of the main process, and of all others, those that are left of an earlier start too."""
    main = m.output(f"systemctl show -P MainPID {unit}")
    every = m.output(f"cat /sys/fs/cgroup/system.slice/{unit}/cgroup.procs 2>/dev/null || "
                     f"cat /sys/fs/cgroup/system.slice/system-*/{unit}/cgroup.procs", check=False).split()
    return main, sorted(pid for pid in every if pid != main)


def serials(m, n):
    """What certificates so many clients get."""
    return set(m.output(f"for i in $(seq {n}); do openssl s_client -connect 127.0.0.1:443 -servername a.test </dev/null 2>/dev/null "
                        "| openssl x509 -noout -serial; done").split())


def new_certificate(m, name="a.test"):
    m.run(f"cd {CERTS}; {NEW} -subj /CN={name} -addext subjectAltName=DNS:{name} -keyout .new.key -out .new.crt 2>/dev/null; "
          f"mv .new.key {name}.key; mv .new.crt {name}.crt")


@shared
@case
def tls_processes(m):
    """Several processes: new certificates reach all, one that dies or hangs is replaced, and the stop ends all."""
    make_keys(m)
    inside(m, "a", "Host=a.test\nProtocol=http\n")
    m.drop_in("fdpass-tls.service", '[Service]\nEnvironment=TLS_OPTIONS=--processes=3\nWatchdogSec=2\n')
    begin(m, "a")
    expect(m, "https://a.test/", "a: 127.0.0.1 a.test http/1.1 443")
    main, others = processes(m)
    check(len(others) == 3, f"processes: {others}")

    before = serials(m, 6)
    new_certificate(m)
    m.run("systemctl reload fdpass-tls.service")
    after = serials(m, 6)
    check(len(before) == len(after) == 1 and before != after, f"serials: {before} {after}")
    check(processes(m) == (main, others), "a reload needs no new process")

    for signal, line in ("KILL", "A process was killed by signal 9"), ("STOP", "A process is killed, because it hangs."):
        victim = processes(m)[1][0]
        m.run(f"kill -{signal} {victim}")
        wait_for(lambda: victim not in processes(m)[1] and len(processes(m)[1]) == 3, 15, f"another process after {signal}")
        wait_for(lambda: any(line in entry["MESSAGE"] for entry in m.journal("fdpass-tls.service", priority=3)), 5, line)
        check(serials(m, 6) == after, f"certificates after {signal}")
    check(processes(m)[0] == main, "the main process goes on")

    m.run(f"kill -KILL {main}")
    wait_for(lambda: processes(m)[0] not in ("0", main) and len(processes(m)[1]) == 3, 10, "a restart after a crash of the main process")
    check(serials(m, 3) == after, "certificates after a crash")
    m.run("systemctl stop fdpass-tls.socket fdpass-tls.service")
    wait_for(lambda: not processes(m)[1], 5, "the end of all")


@case
def tls_restart(m):
    """Connections outlive a restart of the stage and of the broker; new clients get the new process; the old one ends with its last client."""
    make_keys(m)
    inside(m, "a", "Host=a.test\nProtocol=http\n")
    m.worker("echo", f"{PROGRAMS}fdpass-exec /usr/bin/cat", "Prefix=ECHO\nTLS=yes\n", enable=False)
    begin(m, "a", "echo")
    client = echo_begin(m)
    echo(client, "first")
    main, others = processes(m)

    m.run("systemctl restart fdpass-tls.service")
    expect(m, "https://a.test/", "a: 127.0.0.1 a.test http/1.1 443")
    m.run("systemctl restart fdpass.service")
    expect(m, "https://a.test/", "a: 127.0.0.1 a.test http/1.1 443")
    echo(client, "after the restart")
    check(others[0] in processes(m)[1] and processes(m)[0] != main, f"the old process goes on: {processes(m)} {main} {others}")
    m.run(f"kill -KILL {processes(m)[0]}")
    expect(m, "https://a.test/", "a: 127.0.0.1 a.test http/1.1 443")
    echo(client, "after a crash")
    client.stdin.close()
    wait_for(lambda: others[0] not in processes(m)[1], 10, "the end of the old process")

    # Who wants an end for all says it twice, as the end of the machine does.
    client = echo_begin(m)
    echo(client, "second")
    victim = processes(m)[1]
    m.run("systemctl stop fdpass-tls.socket fdpass-tls.service")
    echo(client, "after a stop")
    m.run(f"kill -TERM {' '.join(victim)}", check=False)
    wait_for(lambda: not processes(m)[1], 5, "the end by a second signal")


@shared
@case
def tls_load(m):
    """Handshakes at a steady rate, while certificates are renewed each 2 s, and the stage and the broker restart: none fails."""
    seconds, rate = (20, 500) if m.long else (5, 150)
    make_keys(m)
    m.run(f"[ -e /usr/local/bin/handshakes ] || gcc -O1 -Wall -Werror -D_GNU_SOURCE -o /usr/local/bin/handshakes {GUEST}/handshakes.c -lssl -lcrypto")
    begin(m)
    load = m.popen(f"/usr/local/bin/handshakes 16 {rate} {seconds} a.test")
    m.children.append(load)
    n_renewed = n_restarted = 0
    before = serials(m, 1)
    while load.poll() is None:
        new_certificate(m)
        n_renewed += 1
        for unit in ("fdpass.service", "fdpass-tls.service")[:1 + n_renewed % 2]:
            m.run(f"systemctl restart {unit}")
            n_restarted += 1
        with contextlib.suppress(subprocess.TimeoutExpired):
            load.wait(timeout=2)
    n, n_failed, longest = map(int, load.stdout.read().split())
    check(n_failed == 0 and n > 0, f"{n_failed} of {n} failed: {load.stderr.read()}")
    check(serials(m, 1) != before, "the certificate is a new one")
    m.figure("clients", n)
    m.figure("renewals, restarts", f"{n_renewed}, {n_restarted}")
    m.figure("longest", longest, "ms")


@case
def tls_keys(m):
    """The private keys are in the memory of the stage only, which leaves no core dump; no other user can read them or its credentials."""
    make_keys(m)
    inside(m, "a", "Host=a.test\nProtocol=http\n")
    m.worker("echo", f"{PROGRAMS}fdpass-exec /usr/bin/cat", "Prefix=ECHO\nTLS=yes\n", enable=False)
    begin(m, "a", "echo")
    m.run("systemctl enable --now fdpass-metrics.socket fdpass-hello.socket")
    client = echo_begin(m)
    echo(client, "a process of a worker")
    expect(m, "https://a.test/", "a: 127.0.0.1 a.test http/1.1 443")
    check(https(m, "https://other.test/", "-k")[1] == 200, "the hello worker")
    m.run("curl -sS -m 10 http://127.0.0.1:9469/metrics")

    seen = m.output(f"python3 {GUEST}/keysearch.py {CERTS}/a.test.key {CERTS}/b.pem", timeout=120)
    units = {line.split()[0] for line in seen.splitlines()}
    for unit in "fdpass.service", "fdpass-tls.service", "fdpass-hello.service", "fdpass-metrics.service", "test-echo.service":
        check(unit in units, f"{unit} does not run: {seen}")
    for line in seen.splitlines():
        check(line.endswith(" yes") == line.startswith("fdpass-tls.service "), f"{seen}")

    main, others = processes(m)
    for pid in [main, *others]:
        check(re.search(r"Max core file size +0 +0 ", m.output(f"cat /proc/{pid}/limits")), "no core dumps")
        check(m.output(f"stat -c '%u %g' /proc/{pid}/environ") == "0 0", "a process that can be dumped belongs to its user")
        # Its own user may not look into it either (PR_SET_DUMPABLE).
        check(m.run(f"setpriv --reuid $(awk '/^Uid:/ {{ print $2 }}' /proc/{pid}/status) --clear-groups cat /proc/{pid}/environ",
                    check=False).returncode != 0, "its user can look into it")
    for path in "/run/credentials/fdpass-tls.service/tls_a.test.key", "/run/credentials/fdpass-tls.service", f"{CERTS}/a.test.key":
        check(m.run(f"runuser -u nobody -- cat {path} || runuser -u nobody -- ls {path}", check=False).returncode != 0, f"{path} can be read")
        check(m.run(f"runuser -u fdpass -- cat {path} || runuser -u fdpass -- ls {path}", check=False).returncode != 0, f"{path} can be read")


PYTHON = "DynamicUser=yes\nPrivateNetwork=yes\nSupplementaryGroups=fdpass\nEnvironment=PYTHONPATH=/usr/share/fdpass/python"


def python_worker(m, name, route):
    """A worker that uses fdpass.py, and hands clients back."""
    m.worker(name, f"/usr/bin/python3 {GUEST}/tls-python.py {name}", route, enable=False,
             socket=f"ListenStream=\nListenSequentialPacket=/run/fdpass/{name}.sock", service=PYTHON)


def raw(m, *what, name="a.test"):
    """The status of the answer, or -, and how the connection ended."""
    return m.output(f"python3 {GUEST}/tls-raw.py {KEYS}/all.pem '{name}' " + " ".join(f"'{word}'" for word in what), check=False)


def request(path, *lines, version="1.1"):
    return "".join(line + "\\r\\n" for line in (f"GET {path} HTTP/{version}", *lines, ""))


def ends(m):
    """Every way by which the broker ends a client of TLS comes with close_notify; no way leads around the name of the handshake."""
    m.drop_in("fdpass.service", "[X-FDPass]\nParkTimeoutSec=2\nLogHandoffs=yes\n", "park.conf")
    m.drop_in("fdpass@443.socket", "[X-FDPass]\nHeadTimeoutSec=2\n", "head.conf")
    python_worker(m, "a", "Host=a.test b.test\nPath=/a\nProtocol=http\n")
    m.worker("stuck", "/bin/sleep infinity", "Host=a.test\nPath=/stuck\nProtocol=http\nQueueTimeoutSec=1\n", enable=False)
    begin(m, "a", "stuck")
    m.run("systemctl disable --now fdpass-hello.socket; systemctl reload fdpass.service")
    m.mark()
    close = "Connection: close"
    for text, expected in ((request("/x", "Host: a.test"), "404 close_notify"),
                           (request("/a", "Host: b.test"), "421 close_notify"),
                           (request("/a", "Host: 127.0.0.1"), "421 close_notify"),
                           (request("/a/length", "Host: A.TEST.:443", close), "200 close_notify"),
                           (request("/a/length", version="1.0"), "200 close_notify"),  # goes by the name of the handshake
                           (request("http://b.test/a", "Host: a.test"), "421 close_notify"),
                           (request("http://a.test/a", "Host: b.test"), "421 close_notify"),
                           (request("http://a.test:443/a/length", "Host: a.test", close), "200 close_notify"),
                           (request("/a", "Host: a.test", "Host: a.test"), "400 close_notify"),
                           ("GET /a HTTP/1.1\\r\\nHost: a", "408 close_notify"),
                           (request("/stuck", "Host: a.test"), "504 close_notify"),
                           (request("/a/keep", "Host: a.test"), "200 close_notify")):  # and then parked
        seen = raw(m, "ends", text)
        check(seen == expected, f"{text}: {seen}")
    check(raw(m, "ends") == "- close_notify", "a silent client")
    check(raw(m, "bye", "/a/length") == "200 close_notify", "a client whose close_notify is right behind its request")
    taken = [entry for entry in m.journal() if entry.get("FDPASS_TLS_NAME") == "a.test" and "taken by test-a" in entry["MESSAGE"]]
    check(taken and taken[0]["FDPASS_TLS_VERSION"] == "TLSv1.3" and "FDPASS_TLS_CLIENT" not in taken[0], f"{taken}")


def next_requests(m):
    """The second request of a connection: of another worker, for another host, and after a worker that tells nothing of the TLS."""
    curl = f"curl -sS -m 60 --cacert {KEYS}/all.pem --connect-to ::127.0.0.1:"
    form = "-w '%{http_code} %{num_connects}\\n'"
    python_worker(m, "b", "Host=a.test b.test\nPath=/b\nProtocol=http\n")
    m.run("systemctl daemon-reload; systemctl enable --now test-b.socket; systemctl reload fdpass.service")
    check(re.fullmatch(r"a facts \('TLSv1.3', 'TLS_\w+', 'a.test', None, None\)", m.output(f"{curl} https://a.test/a/facts")), "the facts")
    for first, second, expected in (("keep", "https://a.test/b/keep", "200 0"), ("forget", "https://a.test/b/facts", "200 0"),
                                    ("keep", "-H 'Host: b.test' https://a.test/b/keep", "421 0"),
                                    ("keep", "-H 'Host: b.test' https://a.test/a/keep", "421 0"),
                                    ("forget", "-H 'Host: b.test' https://a.test/a/keep", "421 0"),
                                    ("forget", "-H 'Host: b.test' https://a.test/b/keep", "421 0")):
        # A header of the second request only: --next begins anew.
        seen = m.output(f"{curl} https://a.test/a/{first} --next {curl[5:]} {form} {second}", check=False).splitlines()
        check(seen[-1:] == [expected], f"{first}, {second}: {seen}")
        check(first != "forget" or "facts" not in second or "b facts ('TLSv1.3'" in seen[-2], f"the forgotten facts: {seen}")


@shared
@case
def tls_ends(m):
    """What ends, and what leads around the name of the handshake, where the stage stays in the path."""
    make_keys(m)
    ends(m)
    next_requests(m)
