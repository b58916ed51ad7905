# SPDX-License-Identifier: LGPL-2.1-or-later
"""Brokers behind brokers, and senders that are none."""

from fdpass import GUEST, PROGRAMS, UNITS, case, check

# A second broker, as a container would have it: with units of its own, and no port.
SECOND = "/srv/second"


def two_brokers(m, units):
    """Hands clients for 127.0.0.1 to the second broker, whose units these are."""
    m.run(f"rm -rf {SECOND}; mkdir -p {SECOND}{UNITS}/fdpass.target.wants")
    for name, text in units.items():
        m.write(f"{SECOND}{UNITS}/{name}", text)
        m.symlink(f"{UNITS}/{name}", f"{SECOND}{UNITS}/fdpass.target.wants/{name}")
    m.unit("test-second.socket", "[Socket]\nListenSequentialPacket=/run/fdpass/second.sock\nFileDescriptorName=return\n"
           "SocketUser=fdpass\nSocketMode=0600\nTriggerLimitIntervalSec=0\n")
    m.unit("test-second.service", f"[Unit]\nStartLimitIntervalSec=0\n[Service]\nExecStart={PROGRAMS}fdpassd --root={SECOND}\n"
           "Type=notify\nUser=fdpass\nLimitNOFILE=20000\n")
    m.unit("test-next.service", "[Service]\nExecStart=/bin/true\n[X-FDPass]\nWorker=/run/fdpass/second.sock\n"
           "Host=127.0.0.1\n[Install]\nWantedBy=fdpass.target\n")
    m.run("systemctl daemon-reload; systemctl start test-second.socket; systemctl enable test-next.service")
    m.reload()
    m.start_broker()


@case
def chained(m):
    """A broker behind the broker routes by its own units; each is restarted under load, and nobody is lost."""
    m.worker("serve", "serve serve", route="Host=nobody.invalid\n")
    two_brokers(m, {"serve.socket": "[Socket]\nListenStream=/run/fdpass/serve.sock\n[X-FDPass]\nHost=127.0.0.1\n"})
    check(m.who() == "serve", "the client does not get through")
    load = m.client("load", threads=4)
    for _ in range(5):
        m.run("systemctl restart fdpass.service; systemctl restart test-second.service")
    seen = m.end_load(load)
    m.figure("restarts of each; clients meanwhile, lost", f"5; {seen['asked']}, {sum(seen['errors'].values())}")
    m.figure("p99, the longest", f"{seen['p99'] * 1000:.1f} ms, {seen['longest'] * 1000:.1f} ms")
    check(not seen["errors"], f"{seen['errors']}")


@case
def loop(m):
    """Two brokers that point at each other, and one that points at itself, answer their clients and do not turn."""
    two_brokers(m, {"back.service": "[X-FDPass]\nWorker=/run/fdpass/return.sock\nHost=127.0.0.1\n"})
    answer = m.curl(options="-w '%{http_code}' -o /dev/null")
    check(answer.stdout == "503", f"{answer.stdout}{answer.stderr}")
    said = [e["MESSAGE"] for unit in ("fdpass.service", "test-second.service") for e in m.journal(unit, match="more than")]
    check(len(said) == 1, f"{said}")
    m.figure("line", said[0])

    m.unit("test-next.service", "[Service]\nExecStart=/bin/true\n[X-FDPass]\nWorker=/run/fdpass/return.sock\n"
           "Host=127.0.0.1\n[Install]\nWantedBy=fdpass.target\n")
    m.reload()
    before = m.cpu(m.broker())
    answer = m.curl(options="-w '%{http_code}' -o /dev/null")
    check(answer.stdout == "503", f"{answer.stdout}{answer.stderr}")
    check(m.cpu(m.broker()) - before < 0.1, "it turns")
    m.one_line("a socket of this broker itself", besides="more than")


@case
def stream_return(m):
    """A program that passes a socket with one byte reaches the route of its listener, if its user is in the group."""
    m.worker("held", "hold", route="Listener=return-web\n")
    m.worker("serve", "serve serve", route="Host=127.0.0.1\n")
    m.run("systemctl enable fdpass-return@web.socket; systemctl restart fdpass.service")
    send = f"python3 {GUEST}/sender.py /run/fdpass/return-web.sock"
    check(m.output(send) == "held", "root's client is not served")
    nobody = "setpriv --reuid=nobody --regid=nogroup"
    check(m.output(f"{nobody} --groups=fdpass {send}") == "held", "the group's client is not served")
    check(m.run(f"{nobody} --clear-groups {send}", check=False).returncode != 0, "anybody may hand over clients")
    check(m.who() == "serve", "the port's clients are not served")
    m.run("systemctl disable --now fdpass-return@web.socket")
    check(m.who() == "serve", "the port is closed")
