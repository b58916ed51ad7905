# SPDX-License-Identifier: LGPL-2.1-or-later
"""Flushers: the start of a response, from units as an administrator writes them, with the package's own sandbox."""

import re

from fdpass import GUEST, UNITS, WARNING, case, check
from machine import wait_for

EXAMPLES = "/usr/share/doc/fdpass/examples/flusher"
BODIES = f"/usr/bin/python3 {GUEST}/bodies.py"


def flusher(m, name, kind, route, **more):
    m.worker(name, f"{BODIES} {kind} {name}", f"RoutePriority=1\n{route}", **more)


def directory(m):
    """Where flushers are: what meson takes for the directory of libraries differs."""
    return m.output("dirname $(find /usr -name event-stream.so -path '*/fdpass/flushers/*')")


def build_example(m, name):
    """Builds a flusher of the examples as its page says. Returns its path."""
    path = f"{directory(m)}/{name}.so"
    m.run(f"cc -shared -fPIC -o {path} {EXAMPLES}/{name}.c")
    return path


def answer(m, options=""):
    """The head and the body of the response, by curl."""
    done = m.curl(options="-i " + options)
    head, _, body = done.stdout.replace("\r\n", "\n").partition("\n\n")
    if head.startswith("HTTP/1.1 100"):
        head, _, body = body.partition("\n\n")
    return head, body


def ask_many(m, n, threads, text):
    lines = m.output(f"python3 {GUEST}/askers.py {n} {threads} {text}", timeout=120).splitlines()
    check(lines == [str(n)], f"{lines[0]} of {n}; " + "; ".join(lines[1:5]))


@case
def flush(m):
    """Flusher=flush, ResponseHeader= and ResponseStatus=: the worker writes a body, and gets what the client sent as one."""
    flusher(m, "body", "serve", "Flusher=flush\nResponseHeader=Content-Type: text/plain\nResponseHeader=X-Unit: %n\n"
            "ResponseStatus=203 Well")
    head, body = answer(m, "-d HELLO")
    check(re.fullmatch(r"HTTP/1.1 203 Well\nDate: .* GMT\nServer: fdpass\nContent-Type: text/plain\n"
                       r"X-Unit: test-body.socket\nConnection: close", head), head)
    check(body == "body: HELLO\n", body)

    head, body = answer(m, "-d HELLO -H 'Expect: 100-continue'")
    check(head.startswith("HTTP/1.1 203") and body.startswith("body:"), f"with Expect: {head} {body}")
    head, body = answer(m, "--head")
    check(head.startswith("HTTP/1.1 203") and body == "", f"HEAD: {head} {body}")
    head, body = answer(m, "-0")
    check(head.startswith("HTTP/1.1 203") and body == "body: \n", f"HTTP/1.0: {head} {body}")
    check(not m.journal(priority=WARNING), "something is wrong")
    done = m.curl(options="--http2-prior-knowledge")
    # CURLE_HTTP2 (8.14) or, for one stream, CURLE_PARTIAL_FILE (7.88)
    check(done.returncode in (16, 18) and "HTTP" in done.stderr, f"HTTP/2: curl ends with {done.returncode}: {done.stderr}")
    check(m.run("curl -sS -k -m 5 https://127.0.0.1:80/", check=False).returncode != 0, "a client of TLS is served")

    m.one_line("No route takes clients of listener public")
    told = m.output("fdpassctl cat test-body.socket")
    for line in "Flusher=flush", "ResponseHeader=X-Unit: test-body.socket", "ResponseStatus=203 Well":
        check(line in told, f"{line} is not in {told}")


@case
def flush_message(m):
    """A worker with messages is told which request was answered."""
    flusher(m, "message", "tells", "Flusher=flush", socket="ListenStream=\nListenSequentialPacket=/run/fdpass/message.sock")
    head, body = answer(m, "-d HELLO")
    check(head.startswith("HTTP/1.1 200 OK") and body == "message: 200 POST / HTTP/1.1: HELLO\n", head + body)


@case
def flush_loaded(m):
    """The flusher of the package and that of the examples: a reload loads them in the broker's sandbox, the next one keeps them."""
    pid = m.start_broker()
    flusher(m, "stream", "serve", "Flusher=event-stream 7")
    head, body = answer(m)
    check("Content-Type: text/event-stream" in head and body == "retry: 7000\n\nstream: \n", head + body)
    check(directory(m) + "/event-stream.so" in m.output(f"cat /proc/{pid}/maps"), "it is not loaded")

    limit = build_example(m, "limit")
    try:
        m.drop_in("test-stream.socket", "[X-FDPass]\nFlusher=limit 3\n")
        m.reload()
        for _ in range(3):
            check(answer(m)[1] == "stream: \n", "not served within the limit")
        head, _ = answer(m)
        check(head.startswith("HTTP/1.1 429 Too Many Requests") and "Retry-After: " in head, head)
        m.reload()
        check(answer(m)[0].startswith("HTTP/1.1 429"), "a reload forgets the counts")
        check(m.broker() == pid, "the broker was restarted")
        check(not m.journal(priority=WARNING), "something is wrong")
    finally:
        m.run(f"rm {limit}")


@case
def flush_wrong(m):
    """A flusher that is missing, no object, or another's: said with file and line, and nothing else is lost by it."""
    m.start_broker()
    flusher(m, "body", "serve", "Flusher=flush")
    where = directory(m)
    m.write(f"{where}/text.so", "no object\n")
    m.run(f"ln {where}/event-stream.so {where}/other.so")
    try:
        for value, why in (("nobody", "is not installed"), ("text", "can't be loaded: .*text.so"),
                           ("other", "is not a flusher"), ("event-stream many", "does not take the argument .many."),
                           ("../event-stream", "wants \"none\", \"flush\", \"redirect\" or the name")):
            m.mark()
            m.drop_in("test-body.socket", f"[X-FDPass]\nFlusher={value}\n")
            m.run("systemctl daemon-reload; systemctl reload fdpass.service", check=False)
            line = rf"^{UNITS}/test-body.socket.d/test.conf:2: Flusher=.*{why}"
            wait_for(lambda: m.journal(match=line), 5, f"a line with /{line}/")
            wait_for(lambda: m.journal(match="Not reloaded because of 1 error"), 5, "the word about the reload")
            check(answer(m)[1] == "body: \n", "the old flusher is gone")
            told = m.run("fdpassctl verify", check=False)
            check(told.returncode == 1 and re.search(f"test.conf:2: error: .*{why}", told.stderr), told.stderr)

        # A start goes on without it: hello takes its clients.
        m.run("systemctl restart fdpass.service")
        check(m.who().startswith("Hello"), "hello does not answer")
    finally:
        m.run(f"rm {where}/text.so {where}/other.so")


@case
def flush_again(m):
    """A worker that dies with every third client: each gets one head and one body, whoever serves it in the end."""
    flusher(m, "moody", "moody", "Flusher=flush\nMaxPending=1")
    ask_many(m, 12, 3, "moody")
    m.figure("lines about that", len(m.journal(match="unread")))


@case
def flush_many(m):
    """A worker that writes bodies serves many clients without a difference."""
    flusher(m, "body", "serve", "Flusher=flush")
    ask_many(m, 3000, 6, "'body: '")
    check(not m.journal(priority=WARNING), "something is wrong")


@case
def flush_restart(m):
    """The broker is restarted while clients wait for a worker that does not come up: each is served later, once."""
    flusher(m, "body", "serve", "Flusher=flush\nMaxPending=10", service="ExecStartPre=test -e /run/test/go")
    m.start_broker()
    child = m.popen(f"python3 {GUEST}/askers.py 40 40 'body: '")
    m.children.append(child)
    wait_for(lambda: " 40 under way" in m.property("fdpass.service", "StatusText"), 10, "40 waiting clients")
    m.run("systemctl restart fdpass.service; touch /run/test/go")
    out, err = child.communicate(timeout=40)
    m.children.remove(child)
    check(out.strip() == "40", out + err)


@case
def import_httpd(m):
    """fdpassctl import httpd: a configuration of httpd becomes units, which serve by the worker that there was."""
    m.write("/etc/test/site.conf", """ServerRoot /run
<VirtualHost *:80>
    ServerName test.example
    ProxyPassMatch "^/chat()" "fd://fdpass/old.sock$1" flusher=flush
    ProxyPass /no !
</VirtualHost>
""")
    child = m.popen(f"{BODIES} serve old /run/fdpass/old.sock")
    m.children.append(child)
    done = m.run(f"fdpassctl import httpd --output={UNITS} /etc/test/site.conf")
    check(done.stdout.strip() == "# httpd-test.example-chat.target", done.stdout)
    check("/etc/test/site.conf:5: An exception can't be expressed" in done.stderr, done.stderr)
    done = m.run(f"fdpassctl import httpd --output={UNITS} /etc/test/site.conf", check=False)
    check(done.returncode == 1 and "exists" in done.stderr, "a unit that is there is overwritten")

    m.start_broker()
    m.run("systemctl enable --now httpd-test.example-chat.target")
    m.reload()
    body = m.output("curl -sS -m 10 -d HELLO -H 'Host: test.example' http://127.0.0.1/chat/x")
    check(body == "old: HELLO", body)
    check(m.who().startswith("Hello"), "hello does not take the others")


def ask(m, path, options=""):
    return m.run(f"curl -sS -m 10 {options} 'http://127.0.0.1{path}'", check=False).stdout


@case
def redirect(m):
    """Flusher=redirect: 80 to 443 without a worker, another address for one host, and what is no request of HTTP/1."""
    m.worker("acme", f"{BODIES} serve acme", "RoutePriority=200\nPath=/.well-known\nFlusher=flush")
    m.run("systemctl enable --now fdpass-redirect.target")
    m.reload()
    where = "-o /dev/null -w '%{http_code} %{redirect_url}' --path-as-is "
    got = ask(m, "//evil.example/x?y=1", where + "-H 'Host: example.org:80'")
    check(got == "308 https://example.org//evil.example/x?y=1", got)
    got = ask(m, "/", where + "-d HELLO -H 'Host: [2001:DB8::1]' -H 'Expect: 100-continue'")
    check(got == "308 https://[2001:db8::1]/", got)
    head, body = answer(m, "--head")
    check(head.startswith("HTTP/1.1 308 Permanent Redirect\n") and "Content-Length: 28" in head and body == "", f"HEAD: {head} {body}")
    check(ask(m, "/.well-known/x", "-d a") == "acme: a\n", "the route with the higher priority")
    head, body = answer(m, "-0 -H Host:")
    check(head.startswith("HTTP/1.1 400"), f"without a host: {head}")
    for options in "--http2-prior-knowledge http://127.0.0.1/", "-k https://127.0.0.1:80/":
        check(m.run(f"curl -sS -m 5 {options}", check=False).returncode != 0, f"{options} is served")

    m.unit("test-old.target", "[X-FDPass]\nHost=old.example\nFlusher=redirect\nRedirectTo=https://new.example:8443%u\n"
           "ResponseStatus=301\nRoutePriority=101\n[Install]\nWantedBy=fdpass.target\n")
    m.run("systemctl enable --now test-old.target")
    m.reload()
    got = ask(m, "/a", where + "-H 'Host: old.example'")
    check(got == "301 https://new.example:8443/a", got)
    told = m.output("fdpassctl test --host=old.example; fdpassctl test --running --host=old.example; fdpassctl list-routes; "
                    "fdpassctl list-workers; fdpassctl graph --interval=0; fdpassctl metrics; fdpassctl verify 2>&1")
    for text in "answers it with a redirection", "https://new.example:8443%u", 'fdpass_route_answers_total{route="test-old.target"} 1':
        check(text in told, f"{text} is not in {told}")
    check(", 0 warnings" in told and 'worker=""' not in told, told)
    m.one_line("No route takes clients of listener public")  # that of TLS
    m.run("systemctl disable --now fdpass-redirect.target")
