# SPDX-License-Identifier: LGPL-2.1-or-later
"""HTTPS with the records of TLS left to the kernel, in the guests of qemu.py."""

import re

from cases_tls import KEYS, begin, echo, echo_begin, expect, https, inside, make_keys, processes
from fdpass import GUEST, PROGRAMS, UNITS, case, check, kernel
from machine import wait_for

CIPHERS = {"1.2": ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305"],
           "1.3": ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"]}
OPENSSL_CONF = "openssl_conf = a\\n[a]\\nssl_conf = b\\n[b]\\nsystem_default = c\\n[c]\\nCiphersuites = {}\\n"


def options(m, text):
    m.drop_in("fdpass-tls.service", f'[Service]\nEnvironment="TLS_OPTIONS={text}"\n', "options.conf")


def worker(m, name, route):
    """A worker that lives on, reads and writes plain bytes, and tells its client's address by getpeername(2)."""
    m.worker(name, f"serve {name}", route, enable=False)


def name_host(m):
    """For clients that connect to no other address than that of the host's name."""
    m.run("grep -q a.test /etc/hosts || echo 127.0.0.1 a.test >>/etc/hosts")


def taken_over(m):
    """How many sockets got keys for sending since the boot: /proc/net/tls_stat."""
    return int(re.search(r"TlsTxSw\s+(\d+)", m.output("cat /proc/net/tls_stat"))[1])


def sockets_of_stage(m):
    """The sockets of TCP that the stage's process for clients has, besides the one that it makes pairs with."""
    main, (pid,) = processes(m)
    return m.output(f"nsenter -n -t {main} ss -Htanp; ss -Htanp", check=False).count(f"pid={pid},") - 1


@kernel
@case
def ktls_start(m):
    """What the stage finds out at its start, and does: the module is loaded, and the kernel is fit for it or not."""
    m.figure("kernel", m.output("uname -r"))
    is_old = m.output("uname -r").startswith("6.1.")
    make_keys(m)
    worker(m, "a", "Host=a.test\nProtocol=http\n")
    begin(m, "a")
    check("tls" in m.output("cat /proc/sys/net/ipv4/tcp_available_ulp"), "modprobe@tls.service did nothing")

    own = r"a: (::ffff:)?127\.0\.0\.1:7"  # the client's own address, and not one of a pair
    for text, is_kernel, line in (("", not is_old, None), ("--ktls=auto", not is_old, None), ("--ktls=yes", True, None), ("--ktls=no", False, "")):
        options(m, text)
        m.run("systemctl daemon-reload")
        m.mark()
        m.run("systemctl restart fdpass-tls.service")
        before = taken_over(m)
        for version in "--tls-max 1.2", "--tlsv1.3":
            seen = https(m, "https://a.test/", f"{version} --local-port 7000-7999")
            check(seen[:2] == (0, 200) and bool(re.match(own, seen[2])) == is_kernel, f"{text}: {seen}")
        check(taken_over(m) - before == (2 if is_kernel else 0), f"{text}: {taken_over(m) - before} in the kernel")
        lines = [entry["MESSAGE"] for entry in m.journal("fdpass-tls.service", match="go through|takes over")]
        check(len(lines) == (text != "--ktls=no"), f"{text}: {lines}")
        if lines:
            m.figure(f"line with {text or 'nothing'}", lines[0])


@kernel
@case
def ktls_matrix(m):
    """Both versions, all ciphers, IPv4 and IPv6, new and resumed, the request in one or three records, before or after the keys."""
    make_keys(m)
    options(m, "--ktls=yes")
    worker(m, "a", "Host=a.test\nProtocol=http\n")
    begin(m, "a")
    before, n = taken_over(m), 0
    for version, ciphers in CIPHERS.items():
        for cipher in ciphers:
            m.run(f"printf '{OPENSSL_CONF.format(cipher)}' >/run/test/openssl.cnf")
            conf = "OPENSSL_CONF=/run/test/openssl.cnf " if version == "1.3" else ""
            done = m.run(f"{conf}python3 {GUEST}/ktls-matrix.py {KEYS}/all.pem a.test {version} {cipher}", check=False, timeout=300)
            check(done.returncode == 0, f"{version} {cipher}: {done.stdout}{done.stderr[-600:]}")
            n += int(done.stdout)
    m.figure("connections", n)
    check(taken_over(m) - before == n, f"{taken_over(m) - before} of {n} in the kernel")
    wait_for(lambda: sockets_of_stage(m) == 0, 10, "the stage without a client")
    check(not m.journal("fdpass-tls.service", 4), "the stage complains")


def survive_stop(m):
    """A client that goes on when there is no stage any more."""
    client = echo_begin(m)
    echo(client, "first")
    m.run("systemctl stop fdpass-tls.socket fdpass-tls.service")
    echo(client, "after a stop")
    client.stdin.close()
    m.run("systemctl start fdpass-tls.socket")


@kernel
@case
def ktls_sites(m):
    """Sites by host and path over the kernel's TLS; refusals of the broker come through it; a stop of the stage cuts nobody."""
    make_keys(m)
    options(m, "--ktls=yes")
    inside(m, "a", "Host=a.test\nProtocol=http\nTLS=yes\n")
    inside(m, "chat", "Host=a.test\nPath=/chat\nProtocol=http\n")
    inside(m, "b", "Host=*.b.test b.test\nProtocol=http\n")
    m.worker("echo", f"{PROGRAMS}fdpass-exec /usr/bin/cat", "Prefix=ECHO\nTLS=yes\n", enable=False)
    begin(m, "a", "chat", "b", "echo")
    before = taken_over(m)
    expect(m, "https://a.test/", "a: 127.0.0.1 a.test http/1.1 443", "--tls-max 1.2")
    expect(m, "https://a.test/chat/x", "chat: 127.0.0.1 a.test http/1.1 443")
    expect(m, "https://x.b.test/", "b: 127.0.0.1 x.b.test http/1.1 443")
    expect(m, "https://a.test/", "a: 127.0.0.9 a.test http/1.1 443", "--interface 127.0.0.9")
    check(https(m, "https://a.test/", "-H 'Host: b.test'")[:2] == (0, 421), "another host than the handshake's")
    survive_stop(m)
    before += 1
    m.run("systemctl disable --now fdpass-hello.socket; systemctl reload fdpass.service")
    check(https(m, "https://raw.test/", "-k")[:2] == (0, 421), "a host without a route")
    check(taken_over(m) - before == 6, f"{taken_over(m) - before} in the kernel")
    check(not [line for line in m.journal("fdpass-tls.service", 4) if "handshake" not in line["MESSAGE"]], "the stage complains")


@kernel
@case
def ktls_nginx(m):
    """Debian's nginx under the preload, behind the kernel's TLS: files by sendfile(2), kept connections, a body; no error in its log."""
    make_keys(m)
    options(m, "--ktls=yes")
    name_host(m)
    m.run(f"cp -R /usr/share/doc/fdpass/examples/nginx/. {UNITS}; mkdir -p /run/test; rm -f /var/log/nginx/*;"
          "head -c 500000 /dev/urandom >/var/www/html/big; systemctl disable --now fdpass-hello.socket")
    socket = m.output("cd /usr/share/doc/fdpass/examples/nginx; echo *.socket")
    m.drop_in(socket, "[X-FDPass]\nHost=\nPath=\nHost=a.test\nProtocol=http\n")
    m.run(f"systemctl daemon-reload; systemctl enable --now {socket}")
    begin(m)
    before = taken_over(m)
    size = "-o /dev/null -w '%{http_code} %{size_download} %{num_connects}\\n'"
    curl = f"curl -sS -m 60 --cacert {KEYS}/all.pem --connect-to ::127.0.0.1:"
    for version in "--tls-max 1.2", "--tlsv1.3":
        seen = m.output(f"{curl} {version} {size} https://a.test/big {size} https://a.test/big").splitlines()
        check(seen == ["200 500000 1", "200 500000 0"], f"{version}: {seen}")
        seen = m.output(f"{curl} {version} -o /run/test/big https://a.test/big; cmp /run/test/big /var/www/html/big && echo same")
        check(seen == "same", seen)
    done = m.run(f"wget -nv --tries=1 --timeout=60 --ca-certificate={KEYS}/all.pem -O /run/test/big https://a.test/big", check=False)
    check(done.returncode == 0, f"wget: {done.stderr}")
    check(taken_over(m) - before == 5, f"{taken_over(m) - before} in the kernel")
    log = m.output("cat /var/log/nginx/error.log", check=False)
    check("[alert]" not in log and "Input/output" not in log, f"nginx logs {log}")
    m.run(f"systemctl stop {socket} nginx.service", check=False)


READ = ("import ssl, sys, urllib.request; context = ssl.create_default_context(cafile='%s/all.pem'); "
        "sys.stdout.buffer.write(urllib.request.urlopen('https://a.test/%s', context=context).read())")
CLIENTS = {
    "curl": "curl -sS -m 30 --cacert {keys}/all.pem https://a.test/{way}",
    "wget": "wget -q --tries=1 --timeout=30 --ca-certificate={keys}/all.pem -O - https://a.test/{way}",
    "python3": 'python3 -c "{read}"',
    "s_client": "printf 'GET /{way} HTTP/1.1\\r\\nHost: a.test\\r\\n\\r\\n' | "
                "openssl s_client -quiet -ign_eof -CAfile {keys}/all.pem -servername a.test -connect a.test:443",
}


@kernel
@case
def ktls_ends(m):
    """Bodies that end by their length, by chunks and by the end of the connection: each client ends without an error."""
    make_keys(m)
    m.worker("a", f"{PROGRAMS}fdpass-exec /usr/bin/python3 {GUEST}/endings.py", "Host=a.test\nProtocol=http\n", enable=False,
             service="DynamicUser=yes\nPrivateNetwork=yes")
    name_host(m)
    options(m, "--ktls=yes")
    begin(m, "a")
    wrong = []
    for text in "--ktls=yes", "--ktls=no":
        options(m, text)
        m.run("systemctl daemon-reload; systemctl restart fdpass-tls.service")
        for way in "length", "chunks", "close":
            for name, command in CLIENTS.items():
                done = m.run(command.format(keys=KEYS, way=way, read=READ % (KEYS, way)) + " >/run/test/body", check=False)
                n = m.output("grep -c 'the body' /run/test/body", check=False)
                error = re.search("(?i)error|unexpected eof", done.stderr)
                if done.returncode != 0 or n != "1000" or error:
                    wrong.append(f"{text} {way} {name}: {done.returncode}, {n} lines, {done.stderr[-300:]}")
    check(not wrong, "\n".join(wrong))
