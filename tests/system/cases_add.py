# SPDX-License-Identifier: LGPL-2.1-or-later
"""fdpassctl add and remove: from a program to a route by one command, and back."""

import re
import shlex

from fdpass import UNITS, case, check
from machine import wait_for

PROGRAMS = "/usr/share/doc/fdpass/examples/programs"
LISTING = f"find {UNITS} /etc/rc?.d /run/fdpass /run/systemd/system -printf '%p %y %l\\n' | sort"


def listing(m):
    return m.output(LISTING)


def command_of(text):
    """The command that add says to try."""
    match = re.search(r"(?m)^ +((?:curl|nc|ssh|openssl) .*)$", text)
    check(match, f"no command to try:\n{text}")
    return match[1]


def try_it(m, command):
    """Runs what add says to try, without the choices that a person makes at a terminal. The machine resolves no names."""
    command = command.replace("curl ", "curl -sS -m 20 ") if command.startswith("curl") else command.replace("localhost", "127.0.0.1")
    command = command.replace("ssh ", "ssh -o StrictHostKeyChecking=no -o BatchMode=yes ")
    return m.run(command + (" true" if command.startswith("ssh") else ""), check=False, timeout=40)


def exposure(m, service):
    text = m.output(f"systemd-analyze security --no-pager {service}")
    return float(re.search(r"exposure level for \S+: ([0-9.]+)", text)[1])


def verify(m, warnings=0):
    """Nothing is wrong, and there are notes about units of fdpass only, which are not enabled."""
    done = m.run("fdpassctl verify")
    others = [line for line in done.stderr.splitlines() if not line.startswith("/usr/lib/systemd/system/fdpass-")]
    check(f"0 errors, {warnings} warnings" in done.stdout and not others, f"{done}")


def added(m, name, arguments, expected, limit=0.5, service=None, warnings=0, command=None):
    """Adds a worker, does what add says, checks the sandbox, and removes it. Nothing may be left."""
    before = listing(m)
    done = m.run(f"fdpassctl add {name} {arguments}", check=False)
    check(done.returncode == 0 and not done.stderr, f"{name}: {done.stdout[-300:]}{done.stderr}")
    seen = try_it(m, command or command_of(done.stdout))
    check(seen.returncode == 0 and expected in seen.stdout, f"{command_of(done.stdout)}: {seen.stdout}{seen.stderr}")
    verify(m, warnings)
    figure = exposure(m, service or f"{name}.service")
    m.figure(f"exposure of {name}", figure, "", 1)
    check(figure <= limit, f"{name} is exposed by {figure}")
    removed = m.run(f"fdpassctl remove {name}", check=False)
    check(removed.returncode == 0 and not removed.stderr, f"{name}: {removed}")
    after = listing(m)
    check(after == before, f"{name} leaves: {set(after.splitlines()) ^ set(before.splitlines())}")
    check(m.property(f"{name}.socket", "LoadState") == "not-found", "systemd knows the socket")
    again = m.run(f"fdpassctl remove {name}", check=False)
    check(again.returncode == 0 and "Nothing was changed" in again.stderr, f"{again}")


@case
def add_program(m):
    """Programs that take clients themselves, by bytes, by metadata and with hand-back; the broker runs or starts."""
    python = "/usr/bin/python3"
    added(m, "one", f"--host=one.example --stream -- {python} {PROGRAMS}/receivers/python", "this is Python")
    m.start_broker()
    added(m, "two", f"--host=two.example --path=/a --path=/b -- python3 {PROGRAMS}/receivers/python", "this is Python")
    added(m, "api", f"--path=/api --hand-back -- {python} {PROGRAMS}/python/api.py", "200 OK")
    added(m, "glob", f"--host='*.glob.example' --header='X-Kind: a*' --method=GET --source=127.0.0.0/8 --source=::1 "
          f"--max-pending=3 --queue-timeout-sec=5s -- {python} {PROGRAMS}/receivers/python", "this is Python")
    check(not m.journal(priority=4), f"{m.journal(priority=4)}")


@case
def add_inetd(m):
    """Programs by fdpass-exec: HTTP, raw bytes of a port of their own, and arguments that a unit has to quote."""
    m.start_broker()
    added(m, "script", f"--host=hello.example --inetd -- sh {PROGRAMS}/script/hello-script", "Hello, ")
    odd = ["a b", "%n", "$HOME", "${HOME}", "\"'", "back\\slash", ";", "tab\there", "ä", ""]
    m.run("systemctl enable fdpass@7000.socket; systemctl restart fdpass.service")
    # It reads to the end, so that the client's bytes don't reset the connection.
    m.write("/usr/local/bin/say-words", '#!/bin/sh\nfor a; do printf "<%s>" "$a"; done\n', mode=0o755)
    added(m, "words", "--listener=7000 --inetd -- say-words " + " ".join(map(shlex.quote, odd)),
          "".join(f"<{word}>" for word in odd),
          command="python3 -c 'import socket; s = socket.create_connection((\"127.0.0.1\", 7000)); print(s.makefile().read())'")


@case
def add_proxy(m):
    """fdpass-proxy to a server at a TCP port and at a path."""
    m.start_broker()
    m.run("mkdir -p /run/test/www; echo proxied >/run/test/www/index.html; chmod -R a+rX /run/test; "
          "systemd-run -q --unit=test-www python3 -m http.server --bind 127.0.0.1 --directory /run/test/www 3999")
    wait_for(lambda: m.run("curl -s http://127.0.0.1:3999/", check=False).returncode == 0, 10, "the server")
    added(m, "tcp", "--host=tcp.example --proxy=127.0.0.1:3999", "proxied", limit=1.0)
    added(m, "tcphttp", "--host=tcp.example --proxy=127.0.0.1:3999 --http", "proxied", limit=1.0)
    m.write("/usr/local/bin/unix-www", "import http.server, socketserver, os\nos.chdir('/run/test/www')\nos.umask(0)\n"
            "class Server(socketserver.ThreadingUnixStreamServer):\n"
            "    def get_request(self):\n        return super().get_request()[0], ('client', 0)\n"
            "Server('/run/test/www.sock', http.server.SimpleHTTPRequestHandler).serve_forever()\n")
    m.run("systemd-run -q --unit=test-unix python3 /usr/local/bin/unix-www")
    wait_for(lambda: m.run("test -S /run/test/www.sock", check=False).returncode == 0, 10, "the server")
    added(m, "unix", "--host=unix.example --proxy=/run/test/www.sock", "proxied")


@case
def add_https(m):
    """A route of HTTPS on a host without it: what add says opens the port, and reaches the route."""
    m.start_broker()
    m.run("cd /root; openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj /CN=NAME "
          "-addext subjectAltName=DNS:https.example -keyout NAME.key -out NAME.crt")
    done = m.run(f"fdpassctl add https --host=https.example --tls=yes --stream -- python3 {PROGRAMS}/receivers/python")
    said = done.stdout[done.stdout.index("Open the port for HTTPS first:"):]
    steps = re.findall(r"(?m)^ +((?:install|systemctl) .*)$", said)
    check(len(steps) == 4, said)
    try:
        m.run("cd /root; " + " && ".join(steps))
        seen = try_it(m, command_of(said))
        check("this is Python" in seen.stdout, f"{command_of(said)}: {seen.stdout}{seen.stderr}")
        m.run("fdpassctl remove https")
        done = m.run(f"fdpassctl add https --host=https.example --tls=yes --stream -- python3 {PROGRAMS}/receivers/python")
        check("Open the port" not in done.stdout and "https://https.example/" in done.stdout, done.stdout[-400:])
        m.run("fdpassctl remove https")
        done = m.run(f"fdpassctl add https --tls=yes --listener=public --stream -- python3 {PROGRAMS}/receivers/python")
        check("No public port for HTTPS" in done.stdout, done.stdout[-400:])
    finally:
        m.run("fdpassctl remove https; systemctl disable --now fdpass-tls.socket fdpass@443.socket; rm -f /etc/fdpass/tls/NAME.*", check=False)


@case
def add_server(m):
    """Each --server= with Debian's packages; nginx was enabled before, and is after."""
    m.start_broker()
    m.run("echo '<p>the page' >/var/www/html/index.html; systemctl enable nginx.service")
    added(m, "www", "--host=www.example --server=nginx", "<p>the page", limit=2.0, service="nginx.service")
    check(m.property("nginx.service", "UnitFileState") == "enabled", "nginx is not enabled again")
    m.run("systemctl disable nginx.service")
    added(m, "nginx", "--host=www.example --server=nginx", "<p>the page", limit=2.0, service="nginx.service")
    added(m, "apache", "--host=apache.example --server=apache2", "<p>the page", limit=2.0, service="apache2.service")
    added(m, "shop", "--host=shop.example --server=gunicorn", "200 OK")
    added(m, "asgi", "--host=asgi.example --server=uvicorn", "Hello, ")
    added(m, "coffee", "--host=coffee.example --server=java", "Hello, ")
    added(m, "app", f"--host=app.example --server=node -- node {PROGRAMS}/node/hello.js", "200 OK")
    m.run("rm -rf /srv/git /root/.ssh; git init -q --bare /srv/git/demo.git; ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519; "
          "cp /root/.ssh/id_ed25519.pub /root/.ssh/authorized_keys")
    added(m, "git", "--server=git-daemon", "", command="git ls-remote git://127.0.0.1:80/demo.git")
    added(m, "login", "--server=sshd", "", limit=3.0)


@case
def add_twice(m):
    """Names that are taken or reserved, wrong keys and programs: an error, and nothing is written."""
    m.start_broker()
    m.run("ln -s /dev/null /run/systemd/system/masked.service; cp /bin/true /usr/local/bin/no-program; "
          "chmod 644 /usr/local/bin/no-program; mkdir -p /usr/local/lib/systemd/system; "
          "echo '[Service]' >/usr/local/lib/systemd/system/taken.service")
    m.unit("other.socket", "[Socket]\nListenStream=/run/fdpass/elsewhere.sock\n")
    before = listing(m)
    program = "-- cat"
    for name, arguments, expected in (
            ("masked", program, "masked.service"), ("taken", program, "/usr/local/lib/systemd/system/taken.service"),
            ("other", program, "other.socket"), ("elsewhere", program, "other.socket"), ("ssh", program, "ssh.socket"),
            ("return", program, "fdpass-return.socket"), ("hello", "--inetd -- cat", "fdpass-hello.socket"),
            ("fdpass", program, "fdpass itself"), ("fdpass-x", program, "fdpass itself"), ("tls-x", program, "fdpass itself"),
            ("return-x", program, "fdpass itself"), ("a@b", program, "@"),
            ("a@", program, "@"), ("'a b'", program, "letters"), ("..", program, "begins with"), ("../a", program, "letters"),
            ("''", program, "letters"), ("-- -a", "", "name"), ("a-", program, "end"), ("x" * 81, program, "80 bytes"),
            ("a.service", program, "type of a unit"), ("a", "", "what serves"), ("a", "--inetd", "program"),
            ("a", "-- no-such-program", "no such program"), ("a", "-- /usr/local/bin/no-program", "not executable"),
            ("a", "-- /usr", "directory"), ("a", "-- /root/x", "/root"), ("a", "-- bin/x", "absolute"),
            ("a", "cat", "--"), ("a", f"--host= {program}", "value"), ("a", f"--hots=x {program}", "hots"),
            ("a", f"--host='a b c..' {program}", "Host="), ("a", f"--max-pending=0 {program}", "MaxPending="),
            ("a", f"--host='a\nWorker=/x' {program}", "one line"), ("a", f"--path='/a\\' {program}", "backslash"),
            ("a", f"--flusher=none-such {program}", "none-such"), ("a", "--server=iis", "nginx"),
            ("a", "--server=uvicorn --proxy=x:1", "one of these"), ("a", "--proxy=x:0", "HOST:PORT"),
            ("a", f"--http {program}", "--proxy="), ("a", f"--control=/run/test/none {program}", None)):
        done = m.run(f"fdpassctl add {name} {arguments}", check=False)
        check(done.returncode == 1 and (not expected or expected in done.stderr), f"add {name} {arguments}: {done}")
        after = listing(m)
        check(after == before, f"add {name} {arguments} leaves {set(after.splitlines()) ^ set(before.splitlines())}")
    done = m.run("setpriv --reuid=nobody --clear-groups fdpassctl add a -- cat", check=False)
    check(done.returncode == 1 and "root" in done.stderr, f"as another user: {done}")
    check(m.run("setpriv --reuid=nobody --clear-groups fdpassctl add a --print -- cat", check=False).returncode == 0, "--print")
    m.run("rm /run/systemd/system/masked.service /usr/local/bin/no-program /usr/local/lib/systemd/system/taken.service")
    check(m.who() is not None, "the broker does not serve")


@case
def add_at_once(m):
    """Several add of one name: one is done, and the others fail. Ctrl-C does not end remove between its steps."""
    m.start_broker()
    before = listing(m)
    add = f"fdpassctl add -q one --host=one.example -- python3 {PROGRAMS}/receivers/python"
    both = [m.popen(add) for _ in range(4)] + [m.popen("fdpassctl add -q one --host=one.example --inetd -- /bin/cat")]
    errors = [child.communicate(timeout=30)[1] for child in both]
    done = [child.returncode for child in both]
    check(sorted(done) == [0, 1, 1, 1, 1], f"{done}: {errors}")
    check(all(not e if r == 0 else "at this time" in e or "already" in e for r, e in zip(done, errors)), f"{errors}")
    check(m.property("one.socket", "ActiveState") == "active" and ".#" not in m.output(f"ls -A {UNITS}"), "the one that was added")
    check(m.run("fdpassctl verify", check=False).returncode == 0, "verify")

    # It waits for a service that takes its time to stop. timeout(1) sends the signal to systemctl, too.
    m.run(f"mkdir -p {UNITS}/one.service.d; printf '[Service]\nExecStop=sleep 1\n' >{UNITS}/one.service.d/slow.conf; "
          "systemctl daemon-reload; systemctl start one.service")
    done = m.run("timeout -s INT 0.2 fdpassctl remove one", check=False)
    check("Removed /etc/systemd/system/one.service" in done.stdout and "slow.conf stays" in done.stderr, f"{done}")
    check("one.service" not in m.output(f"ls {UNITS}").split() and m.property("one.socket", "ActiveState") == "inactive", "half of it")
    m.run(f"rm -r {UNITS}/one.service.d")
    check(listing(m) == before, f"{set(listing(m).splitlines()) ^ set(before.splitlines())}")


@case
def add_full_disk(m):
    """A full disk, a socket that can't be started, and a broker that refuses the units: everything is as before."""
    m.start_broker()
    before = listing(m)
    for size in 0, 1, 2, 4:
        m.run(f"cp -a {UNITS} /run/test/units; mount -t tmpfs -o size={4 * size + 60}k,nr_inodes=400 tmpfs {UNITS}; "
              f"cp -a /run/test/units/. {UNITS}; head -c 1M /dev/zero >{UNITS}/.filler", check=False)
        inside = listing(m)
        done = m.run("fdpassctl add full --host=full.example --server=gunicorn", check=False)
        check(done.returncode == 1 and "No space left on device" in done.stderr, f"a full disk: {done}")
        check(listing(m) == inside, f"a full disk: {set(listing(m).splitlines()) ^ set(inside.splitlines())}")
        m.run(f"umount {UNITS}; rm -r /run/test/units")
    m.run("mkdir /run/fdpass/busy.sock /run/fdpass/busy.sock/x")
    done = m.run("fdpassctl add busy --host=busy.example -- cat", check=False)
    check(done.returncode == 1 and "not added" in done.stderr, f"a socket that can't be made: {done}")
    m.run("rm -r /run/fdpass/busy.sock")
    check(listing(m) == before, f"{set(listing(m).splitlines()) ^ set(before.splitlines())}")
    check(m.who() is not None, "the broker does not serve")


@case
def add_removed(m):
    """remove: files that were changed, and drop-ins of an administrator, stay and are named; other units are untouched."""
    m.start_broker()
    check(m.run("fdpassctl remove none", check=False).returncode == 0, "a name without units")
    m.unit("mine.socket", "[Socket]\nListenStream=/run/fdpass/mine.sock\n")
    done = m.run("fdpassctl remove mine", check=False)
    check(done.returncode == 1 and "mine.socket stays" in done.stderr, f"{done}")
    m.run(f"fdpassctl add -q chat --host=chat.example -- python3 {PROGRAMS}/receivers/python; "
          f"sed -i 's/^LockPersonality=yes/&\\nNice=5/' {UNITS}/chat.service; mkdir {UNITS}/chat.service.d; "
          f"echo '[Service]' >{UNITS}/chat.service.d/mine.conf")
    done = m.run("fdpassctl remove chat", check=False)
    check(done.returncode == 0 and "chat.service stays" in done.stderr and "mine.conf stays" in done.stderr and
          "Removed /etc/systemd/system/chat.socket" in done.stdout, f"{done}")
    check(m.output(f"ls {UNITS}/chat.service.d {UNITS}/chat.service; ls {UNITS}/chat.socket", check=False).count("chat") == 2,
          "other files are left")
    check(m.property("chat.socket", "ActiveState") == "inactive", "the socket listens")
    check("Hello" in m.output("curl -sS -m 10 -H 'Host: chat.example' http://localhost/"), "the route is still there")
    done = m.run("fdpassctl add chat -- cat", check=False)
    check(done.returncode == 1 and "chat.service" in done.stderr, f"{done}")

    # A worker that listens already, at the path and with the name that add would take for its own.
    m.worker("theirs", "serve theirs", enable=False)
    m.unit("theirs.service", "[Service]\nExecStart=/bin/sleep infinity\n")
    m.run("systemctl daemon-reload; systemctl start test-theirs.socket theirs.service; "
          "fdpassctl add -q theirs --host=theirs.example --worker=/run/fdpass/theirs.sock")
    ask = "curl -sS -m 10 -H 'Host: theirs.example' http://localhost/"
    check("theirs" in m.output(ask), "the worker gets no client")
    m.run("fdpassctl remove theirs", check=False)
    check(m.property("theirs.service", "ActiveState") == "active", "remove stops a service that add did not write")
    m.run("fdpassctl add -q theirs --host=theirs.example --worker=/run/fdpass/theirs.sock")
    check("theirs" in m.output(ask), "remove deletes the socket of a worker that listens already")
    m.run(f"fdpassctl remove theirs; systemctl stop theirs.service; rm {UNITS}/theirs.service", check=False)

    # Nothing stops where nothing can be removed, and nobody needs to read what add prints.
    m.run(f"fdpassctl add -q still --host=still.example -- python3 {PROGRAMS}/receivers/python; mount --bind {UNITS} {UNITS}; "
          f"mount -o remount,bind,ro {UNITS}")
    for command in "remove still", "add more -- cat":
        done = m.run(f"fdpassctl {command}", check=False)
        check(done.returncode == 1 and "Read-only file system" in done.stderr, f"{done}")
    check(m.property("still.socket", "ActiveState") == "active", "remove stops what it can't remove")
    m.run(f"umount {UNITS}; fdpassctl remove still; fdpassctl add piped --host=piped.example -- cat | true", check=False)
    check(m.property("piped.socket", "ActiveState") == "active" and m.property("piped.socket", "UnitFileState") == "enabled",
          "a reader that is gone leaves half of the work")
    m.run("fdpassctl remove piped")

    m.run("fdpassctl add -q off --no-start --host=off.example -- cat")
    check(m.property("off.socket", "ActiveState") == "inactive" and m.property("off.socket", "UnitFileState") == "disabled",
          "--no-start starts it")
    m.run("fdpassctl remove off; mkdir -p /run/test/root/usr/bin; cp /bin/true /run/test/root/usr/bin/cat; fdpassctl --root=/run/test/root add -q far -- cat")
    check(m.output(f"readlink /run/test/root{UNITS}/fdpass.target.wants/far.socket").endswith("far.socket"), "not enabled")
    m.run("fdpassctl --root=/run/test/root remove far")
    check(not m.output(f"find /run/test/root{UNITS} -name '*far*'"), "--root leaves files")


@case
def add_import(m):
    """import: an inetd.conf and a sslh.cfg become units that serve on the same ports; a service of systemd-socket-proxyd goes on."""
    m.write("/etc/test-inetd.conf", f"7000 stream tcp nowait nobody /bin/sh sh {PROGRAMS}/script/hello-script\n9 dgram udp wait root internal\n")
    m.write("/etc/test-sslh.cfg", 'listen: ({ host: "0.0.0.0"; port: "7001"; });\nprotocols: (\n'
            '{ name: "ssh"; host: "127.0.0.1"; port: "3022"; },\n{ name: "http"; host: "127.0.0.1"; port: "3999"; });\ntimeout: 2;\n')
    done = m.run(f"fdpassctl import inetd --output={UNITS} /etc/test-inetd.conf && fdpassctl import sslh --output={UNITS} /etc/test-sslh.cfg")
    check("test-inetd.conf:2: Only stream" in done.stderr and "# sslh-http.socket" in done.stdout, f"{done}")
    check(m.run(f"fdpassctl import inetd --output={UNITS} /etc/test-inetd.conf", check=False).returncode == 1, "files are replaced")
    m.run("systemd-run -q --unit=test-www python3 -m http.server --bind 127.0.0.1 3999; systemctl daemon-reload; systemctl enable "
          "fdpass@7000.socket fdpass@7001.socket; systemctl enable --now inetd-7000.socket sslh-http.socket sslh-ssh.socket; "
          "systemctl restart fdpass.service")
    wait_for(lambda: m.run("curl -s http://127.0.0.1:3999/", check=False).returncode == 0, 10, "the server")
    check("Hello" in m.output("curl -sS -m 10 http://127.0.0.1:7000/"), "the program of inetd")
    check("Directory" in m.output("curl -sS -m 10 http://127.0.0.1:7001/"), "the server behind sslh")
    verify(m)
    m.run("fdpassctl remove inetd-7000; fdpassctl remove sslh-http; fdpassctl remove sslh-ssh")
    check(not m.output(f"ls {UNITS} | grep -e sslh -e inetd", check=False), "files are left")

    m.unit("test-through.socket", "[Socket]\nListenStream=127.0.0.1:7002\n")
    m.unit("test-through.service", "[Unit]\nRequires=test-through.socket\n[Service]\n"
           "ExecStart=/lib/systemd/systemd-socket-proxyd --exit-idle-time=1min 127.0.0.1:3999\n")
    m.run("systemctl daemon-reload; systemctl start test-through.socket")
    check("Directory" in m.output("curl -sS -m 10 http://127.0.0.1:7002/"), "systemd-socket-proxyd")
    m.run(f"fdpassctl import socket-proxyd --output={UNITS} {UNITS}/test-through.service; systemctl daemon-reload; "
          "systemctl restart test-through.service")
    check("Directory" in m.output("curl -sS -m 10 http://127.0.0.1:7002/"), "fdpass-proxy in its place")
    check("fdpass-proxy" in m.property("test-through.service", "ExecStart"), "another program")
