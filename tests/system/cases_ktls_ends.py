# SPDX-License-Identifier: LGPL-2.1-or-later
"""The kernel's TLS as the broker and its workers see it, in the guests of qemu.py: ends, and workers that die."""

from cases_ktls import options
from cases_tls import KEYS, begin, ends, https, kernel_lines, make_keys, next_requests, python_worker, raw
from fdpass import GUEST, PROGRAMS, case, check, kernel
from machine import wait_for


@kernel
@case
def ktls_broker_ends(m):
    """As tls_ends, without the stage in the path."""
    make_keys(m)
    options(m, "--ktls=yes")
    ends(m)
    next_requests(m)


@kernel
@case
def ktls_bodies(m):
    """Workers that use fdpass.py, with bodies up to the end of the connection: no client reports an error, also if the buffer is full."""
    make_keys(m)
    options(m, "--ktls=yes")
    python_worker(m, "a", "Host=a.test\nPath=/a\nProtocol=http\n")
    begin(m, "a")
    m.run("grep -q a.test /etc/hosts || echo 127.0.0.1 a.test >>/etc/hosts")
    curl = f"curl -sS -m 60 --cacert {KEYS}/all.pem -o /run/test/body"
    for version in "--tls-max 1.2", "--tlsv1.3":
        for way in "close", "big":
            done = m.run(f"{curl} {version} {'--limit-rate 4M' if way == 'big' else ''} https://a.test/a/{way}", check=False)
            check(done.returncode == 0 and not done.stderr, f"{version} {way}: {done}")
    m.figure("bytes", m.output("stat -c %s /run/test/body"))
    done = m.run(f"{curl} https://a.test/a/rude", check=False)
    m.figure("curl without close_notify", f"exit {done.returncode} {done.stderr.strip()}")
    done = m.run(f"wget -q --tries=1 --timeout=60 --ca-certificate={KEYS}/all.pem -O /run/test/body https://a.test/a/big", check=False)
    check(done.returncode == 0, f"wget: {done}")


@kernel
@case
def ktls_dying(m):
    """Receipt=ack: a worker that dies before it reads or writes is followed by another, and no other worker is."""
    make_keys(m)
    options(m, "--ktls=yes")
    deeds = {"none": True, "peek": None, "one": False, "all": False, "write": False}
    for deed in deeds:
        m.worker(deed, f"/usr/bin/python3 {GUEST}/tls-deeds.py /run/test/{deed}.mark {deed}", f"Host=a.test\nPath=/{deed}\nProtocol=http\nReceipt=ack\n",
                 enable=False, socket=f"ListenStream=\nListenSequentialPacket=/run/fdpass/{deed}.sock")
    m.run("mkdir -p /run/test; rm -f /run/test/*.mark")
    begin(m, *deeds)
    for deed, is_again in deeds.items():
        seen = https(m, f"https://a.test/{deed}")
        if is_again is None:
            m.figure(deed, seen[:3])
        else:
            check((seen[:3] == (0, 200, "second")) == is_again, f"{deed}: {seen}")


@kernel
@case
def ktls_half(m):
    """Half a record for 3 s: the workers do not take the client for one that has left."""
    make_keys(m)
    options(m, "--ktls=yes")
    m.worker("a", f"{PROGRAMS}fdpass-exec /usr/bin/python3 {GUEST}/inside.py a", "Host=a.test\nPath=/exec\nProtocol=http\n", enable=False)
    begin(m, "a")
    for path in "/", "/exec":
        seen = raw(m, "half", path)
        check(seen == "200 close_notify", f"{path}: {seen}")


@kernel
@case
def ktls_records(m):
    """New keys and a corrupt record, before the request and behind an answer: the client ends, and nobody else does or works in vain."""
    make_keys(m)
    m.worker("a", f"/usr/bin/python3 {GUEST}/next.py a", route="Host=a.test\nProtocol=http\n", enable=False,
             socket="ListenStream=\nListenSequentialPacket=/run/fdpass/a.sock", service="SupplementaryGroups=fdpass")
    units = "fdpass.service", "fdpass-tls.service", "test-a.service"
    for text in "--ktls=yes", "--ktls=no":
        options(m, text)
        begin(m, "a")
        m.run("systemctl restart fdpass-tls.service")
        check(https(m, "https://a.test/")[:2] == (0, 200), f"{text}: before")
        pids = [m.property(unit, "MainPID") for unit in units]
        seen = dict(line.split(": ") for line in m.output(f"cd {GUEST}; python3 tls-records.py a.test", timeout=120).splitlines())
        m.figure(text, ", ".join(f"{attack}: {end}" for attack, end in seen.items()))
        for attack, end in seen.items():
            is_served = text == "--ktls=no" and attack.startswith("new keys")
            check(end == "answered" if is_served else end not in ("answered", "nothing"), f"{text}: {attack}: {end}")
        check(https(m, "https://a.test/")[:2] == (0, 200), f"{text}: another client")
        check([m.property(unit, "MainPID") for unit in units] == pids, f"{text}: a process ended")


@kernel
@case
def ktls_no_module(m):
    """Without the module: one line says what to do, clients are served by pairs, and --ktls=yes makes the line an error."""
    make_keys(m)
    python_worker(m, "a", "Host=a.test\nPath=/a\nProtocol=http\n")
    m.write("/etc/modprobe.d/test.conf", "install tls /bin/false\n")
    try:
        wait_for(lambda: m.run("! grep -qw ^tls /proc/modules || rmmod tls", check=False).returncode == 0, 60, "the end of the module")
        begin(m, "a")
        for text, priority in ("--ktls=auto", 5), ("--ktls=yes", 3):
            lines = kernel_lines(m, text)
            check(len(lines) == 1 and lines[0][0] == priority and "modprobe tls" in lines[0][1], f"{text}: {lines}")
            m.figure(text, lines[0][1])
            check(https(m, "https://a.test/a/length")[:2] == (0, 200), f"{text}: a client")
    finally:
        m.run("rm /etc/modprobe.d/test.conf; modprobe tls")
