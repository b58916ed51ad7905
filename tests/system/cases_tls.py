# SPDX-License-Identifier: LGPL-2.1-or-later
"""HTTPS by the TLS stage: two sites on one port beside raw TLS, a host with demands of its own, and renewal."""

import json
import re

from fdpass import GUEST, PROGRAMS, alone, case, check
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
    done = m.run(f"curl -sS -m 10 --cacert {KEYS}/all.pem --connect-to ::127.0.0.1: -w '\\n%{{http_code}}' {options} {url}", check=False)
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
