# SPDX-License-Identifier: LGPL-2.1-or-later
"""The kernel's TLS as the broker and its workers see it, in the guests of qemu.py: ends, and workers that die."""

from cases_ktls import options
from cases_tls import KEYS, begin, ends, https, make_keys, next_requests, python_worker, raw
from fdpass import GUEST, PROGRAMS, case, check, kernel


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
