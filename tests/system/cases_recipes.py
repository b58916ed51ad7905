# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the manual pages and the journal tell a person: the recipes of fdpass(7), typed as they stand there, the other
examples, and journalctl -x."""

import pathlib
import re
import shlex
import sys
import time

from fdpass import GUEST, UNITS, case, check, shared
from machine import wait_for

SOURCE = pathlib.Path(__file__).resolve().parents[2]
sys.path.append(str(SOURCE / "src/man"))
import pages  # noqa: E402

OVERVIEW = SOURCE / "src/man/fdpass.7.scd"
RECIPES = "/usr/share/doc/fdpass/recipes"
BALANCER = "192.0.2.10"  # in the recipe


def type_commands(m, text):
    """A block of commands, as a person would: the next one comes when the broker has done what it was told."""
    running = m.property("fdpass.service", "ActiveState") == "active"
    before = len(m.journal(match="eloaded"))
    m.run("set -e\n" + text)
    if running and m.systemd < 253 and "try-reload-or-restart" in text:  # else systemctl has waited
        wait_for(lambda: len(m.journal(match="eloaded")) > before, 5, "the broker's word about the reload")


def look(m, block, seconds=0):
    """Each command of a block has to print what the page shows, within so many seconds."""
    for command, expected in block.steps():
        end = time.monotonic() + seconds
        while True:
            done = m.run(f"script -qec {shlex.quote(command)} /dev/null", check=False)  # on a terminal
            if pages.matches(expected, done.stdout) or time.monotonic() > end:
                break
        check(pages.matches(expected, done.stdout), f"`{command}` prints\n{done.stdout}{done.stderr}instead of\n{expected}")


def units_of(blocks):
    """The units whose files are among the blocks, an instance x of each template."""
    paths = [block.path for block in blocks if block.path]
    return [path.removeprefix(UNITS + "/").replace("@.", "@x.") for path in paths if re.match(rf"{UNITS}/[^/]+$", path)]


def stop(m, blocks):
    names = " ".join("'" + unit.replace("@x.", "@*.") + "'" for unit in units_of(blocks))
    m.run(f"systemctl stop {names}", check=False)
    for name in added(blocks):
        m.run(f"fdpassctl remove {name}", check=False)


def added(blocks):
    """The workers that the commands of these blocks add."""
    return [name for block in blocks if not block.path for name in re.findall(r"^fdpassctl add (\S+)", block.text, re.M)]


def follow(m, title, seconds=0):
    """One recipe from beginning to end; what is seen may take so many seconds. Of the other recipes' programs those are there that its directory has, and no
    other: this is all that its reader is told to copy."""
    blocks = pages.sections(OVERVIEW)[title]
    check_installed(m, title)
    for block in pages.blocks(OVERVIEW):
        if block.is_program:
            m.path(block.path).unlink(missing_ok=True)
    m.run(f"if cd {directory(title)}; then cp -R ./usr / || :; fi 2>/dev/null")
    for block in blocks:
        if block.path:
            m.path(block.path).unlink(missing_ok=True)
            m.write(block.path, block.text)
        elif block.is_session:
            look(m, block, seconds)
        else:
            type_commands(m, block.text)
    verify(m, blocks)


def directory(title):
    """Where a recipe's files are installed."""
    return f"{RECIPES}/{pages.directory_name(title)}"


def check_installed(m, title):
    """The files are in the directory that the page names, and no others."""
    top = m.path(directory(title))
    files = pages.files(OVERVIEW, title)
    found = {f"/{file.relative_to(top)}" for file in top.rglob("*") if not file.is_dir()}
    check(found == set(files), f"{top} has {sorted(found)}, not {sorted(files)}")
    for path, block in files.items():
        installed = top / path.lstrip("/")
        check(installed.read_text() == block.text, f"{installed} is something else")
        check(bool(installed.stat().st_mode & 0o111) == block.is_program, f"{installed}: its mode")


def verify(m, blocks):
    m.run("systemctl daemon-reload")
    units = [f"{name}.socket" for name in added(blocks) if m.path(f"{UNITS}/{name}.socket").exists()]
    for unit in units_of(blocks) + units:
        done = m.run(f"systemd-analyze verify --man=no {unit}", check=False)
        check(done.returncode == 0 and not done.stdout + done.stderr, f"{unit}: {done.stdout}{done.stderr}")


def follow_balancer(m, title):
    """The balancer's address is let in, and told; others are refused."""
    blocks = pages.sections(OVERVIEW)[title]
    attempt = next(i for i, block in enumerate(blocks) if "--haproxy-protocol" in block.text)
    m.run(f"ip address add {BALANCER}/32 dev lo")
    m.write("/root/.curlrc", f"interface = {BALANCER}\n")  # the command is typed on the load balancer
    try:
        for i, block in enumerate(blocks):
            if i == attempt:
                done = m.run(f"HOME=/root {block.text}")
                check(f"Hello, {BALANCER}:" in done.stdout, f"{done.stdout}{done.stderr}")
                check(m.who(host="127.0.0.1") is None, "others are let in")
                verify(m, blocks)
            elif block.path:
                m.write(block.path, block.text)
            else:
                type_commands(m, block.text)
    finally:
        m.path("/root/.curlrc").unlink()
        m.run(f"ip address del {BALANCER}/32 dev lo")
    check(m.who(), "nobody answers after it was taken away")


def served(m, host):
    """The serial number of the certificate that a client gets on port 443."""
    return m.output(f"echo | openssl s_client -connect localhost:443 -servername {host} 2>/dev/null | openssl x509 -noout -serial")


def follow_acme(m, title):
    """Another program stands for the clients of ACME and for the CA. A renewal is in use at once, without a restart. The links
    of certbot as they are bring nothing, and take nothing away."""
    for name in "certbot", "lego":
        m.run(f"install -m 755 {GUEST}/acme.py /usr/bin/{name}")
    follow(m, title, seconds=5)
    stage, before = m.property("fdpass-tls.service", "MainPID"), served(m, "blog.example.org")
    m.run("certbot renew")
    wait_for(lambda: served(m, "blog.example.org") != before, 5, "the new certificate")
    m.run("ln -s /etc/letsencrypt/live/blog.example.org /etc/fdpass/tls/blog; ln -s /etc/letsencrypt/live/blog.example.org/*.pem /etc/fdpass/tls/; "
          "systemctl reload fdpass-tls.service")
    after = served(m, "blog.example.org")
    check(after != before, "the old certificate is back")
    m.run("find /etc/fdpass/tls -type l -delete")
    check(m.property("fdpass-tls.service", "MainPID") == stage, "the stage was restarted")
    check(not m.journal("fdpass-tls.service", priority=3), f"{m.journal('fdpass-tls.service', priority=3)}")


def look_again(m, titles):
    """The last answer of each command of these recipes, beside all others."""
    for title in titles:
        m.run(f"! cd {directory(title)}/usr || cp -R . /usr", check=False)
        last = {command: expected for block in pages.sections(OVERVIEW)[title] if block.is_session
                for command, expected in block.steps()}
        text = "".join(f"$ {command}\n{expected}" for command, expected in last.items())
        look(m, pages.Block(text, 0))


@case
def recipes(m):
    """fdpass(7): the recipes, in one machine one after the other. All that they promise holds to the end."""
    m.start_broker()
    others = {"Behind a load balancer": follow_balancer, "Certificates by certbot or lego": follow_acme}
    titles = list(pages.sections(OVERVIEW))
    titles = titles[titles.index("RECIPES") + 1:titles.index("RELOAD, RESTART, STOP")]
    done = []
    try:
        for title in titles:
            others.get(title, follow)(m, title)
            done.append(title)
            if title == "More ports":
                check(m.curl(8443).returncode == 7, "port 8443 is there after it was taken away")  # CURLE_COULDNT_CONNECT
                look_again(m, done[:-1])
            elif title == "More cores":
                check(m.property("fdpass-shard@1.service", "ActiveState") == "inactive", "the shard is there after it was taken away")
                check(m.who(), "nobody answers")
        check(m.curl(80).returncode == 7, "port 80 is still there")  # CURLE_COULDNT_CONNECT
        m.figure("recipes", len(done))
    finally:
        for title in titles:
            stop(m, pages.sections(OVERVIEW)[title])


@case
def examples_of_pages(m):
    """The examples of the other pages: units are right, and commands do and show what is said."""
    n = 0
    for path in sorted((SOURCE / "src/man").glob("*.scd")):
        blocks = [block for block in pages.blocks(path) if path != OVERVIEW]
        try:
            for block in blocks:
                if block.path:
                    m.write(block.path, block.text)
            if units_of(blocks):
                m.write("/usr/local/bin/chat", "#!/bin/sh\n", 0o755)
                verify(m, blocks)
            for block in blocks:
                n += bool(block.path)
                if block.is_session:
                    look(m, block)
                elif block.text.startswith(("systemctl ", "journalctl ")):
                    m.run("set -e\n" + block.text)
                else:
                    continue
                n += 1
        finally:
            if units_of(blocks):
                stop(m, blocks)
    m.figure("examples", n)
    check(n >= 5, "these are too few")


@case
def restart_steps(m):
    """fdpass.unit(5): a program that can't be executed is tried ever more seldom, where systemd knows how."""
    blocks = pages.blocks(SOURCE / "src/man/fdpass.unit.5.scd")
    lines = next(block.text for block in blocks if block.text.startswith("RestartSteps="))
    unit = "test-absent.service"
    m.worker("absent", "/bin/nothing", service=lines)
    m.run(f"systemctl start {unit}", check=False)
    if m.systemd >= 254:
        wait_for(lambda: m.property(unit, "RestartUSecNext") == "5s", 20, "5 s between two tries")
        check(int(m.property(unit, "NRestarts")) in (4, 5), f"restarts: {m.property(unit, 'NRestarts')}")
    else:
        found = m.run(f"systemd-analyze verify --man=no {unit}", check=False).stderr
        check(found.count("ignoring") == 2, found)


@case
def journal_explains(m):
    """journalctl -x has a paragraph about a worker that is gone, with its name in it, and one about its return."""
    m.worker("shy", "serve shy", route="Host=shy.example\n")
    m.start_broker()
    m.run("systemctl stop test-shy.socket")
    m.curl(options="-H 'Host: shy.example'")
    wait_for(lambda: m.journal(match="is gone"), 5, "the entry")
    m.run("systemctl start test-shy.socket")
    wait_for(lambda: m.curl(options="-H 'Host: shy.example'").stdout.startswith("shy"), 5, "an answer")
    wait_for(lambda: m.journal(match="is back"), 5, "the entry about its return")
    m.run("journalctl --sync")

    text = m.output(f"journalctl -q -x -u fdpass --after-cursor='{m.cursor}'")
    for expected in ("Subject: Worker of test-shy.socket cannot be reached", "Defined-By: fdpass",
                     "Documentation: man:fdpass.unit(5)", "could not connect to /run/fdpass/shy.sock",
                     "Is the socket unit started? systemctl status test-shy.socket",
                     "Subject: Worker of test-shy.socket is back"):
        check(expected in text, f"no \"{expected}\" in\n{text}")
    check("@FDPASS" not in text, text)

    entry = m.journal(match="is gone")[0]
    # Without --after-cursor: with matches, systemd 252 skips an entry then.
    found = m.output(f"journalctl -q -o cat -n 1 -u fdpass MESSAGE_ID={entry['MESSAGE_ID']}")
    check(found == entry["MESSAGE"], found)


@shared
@case
def worker_comes_and_goes(m):
    """A worker that comes and goes makes one pair of entries in a while, not one each time."""
    m.worker("fickle", "serve fickle", route="Host=fickle.example\n")
    m.start_broker()
    for _ in range(5):
        m.run("systemctl stop test-fickle.socket test-fickle.service")
        m.curl(options="-H 'Host: fickle.example'")
        m.run("systemctl reset-failed test-fickle.socket && systemctl start test-fickle.socket")  # more often than StartLimitBurst=
        wait_for(lambda: m.curl(options="-H 'Host: fickle.example'").stdout.startswith("fickle"), 5, "an answer")
    m.run("journalctl --sync")
    gone, back = len(m.journal(match="is gone")), len(m.journal(match="is back"))
    m.figure("times gone, lines about it", f"5, {gone} + {back}")
    check(1 <= gone <= 3 and back == gone, f"{gone} lines about its going, {back} about its return")
