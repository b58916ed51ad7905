# SPDX-License-Identifier: LGPL-2.1-or-later
"""Connections that clients keep: each request reaches its worker, whoever answered the last one."""

import json
import threading

from cases_preload import examples
from fdpass import GUEST, UNITS, case, check, shared
from machine import wait_for

SERVERS = {"/": "nginx", "/apache": "apache2", "/gunicorn": "gunicorn", "/uvicorn": "uvicorn", "/node": "node", "/java": "java"}
FILE_SIZE = 256 << 10
PROGRAMS = {
    "gunicorn": f"/usr/bin/gunicorn --worker-class=gthread --threads=4 --keep-alive=20 --chdir={GUEST} kept:wsgi",
    "uvicorn": f"/usr/bin/uvicorn --fd=3 --app-dir={GUEST} kept:asgi",
    "node": f"/usr/bin/node {GUEST}/kept.js",
    "java": f"/usr/bin/java -XX:-UsePerfData {GUEST}/Kept.java",
}


def prepare(m):
    """All servers at one host, each at a path of its own; nginx has the rest."""
    for path, name in SERVERS.items():
        m.drop_in(f"{name}.socket", f"[X-FDPass]\nHost=\nPath=\nHost=kept.test\nPath={path}\n", name="kept.conf")
    for name, program in PROGRAMS.items():
        m.drop_in(f"{name}.service", f"[Service]\nExecStart=\nExecStart={program}\nEnvironment=WORKER={name}\n"
                  "ProtectHome=no\n", name="kept.conf")
    m.write("/srv/kept/file", "0123456789abcdef" * (FILE_SIZE // 16))
    m.write("/etc/nginx/conf.d/kept.conf", """server {
        listen 80; listen [::]:80; server_name kept.test other.test; keepalive_requests 100000;
        add_header X-Worker nginx always; add_header X-Request $http_x_request always;
        location / { return 200 "nginx\\n"; }
        location ~ /file$ { root /srv/kept; try_files /file =404; error_page 405 =200 $uri; }
        }\n""")
    m.write("/etc/apache2/conf-enabled/kept.conf", """LoadModule headers_module /usr/lib/apache2/modules/mod_headers.so
        MaxKeepAliveRequests 0
        AliasMatch "/file$" /srv/kept/file
        <Directory /srv/kept>
        Require all granted
        </Directory>
        Header always set X-Worker apache2
        Header always set X-Request expr=%{HTTP:X-Request}\n""")


def wander(m, port, clients, requests, arguments):
    """Each answer has to be its request's, and its worker's."""
    seen = json.loads(m.output(f"python3 {GUEST}/kept-clients.py {port} {clients} {requests} {arguments}", timeout=120))
    m.figure("requests on kept connections, right", seen["right"])
    check(not seen["wrong"], f"{seen}")
    return seen


def restarts(m, arguments):
    """Servers reload, and a path gets another worker, while clients wander."""
    done = threading.Event()

    def restart():
        for n in range(1000):
            if done.is_set():
                return
            m.drop_in(f"{('node', 'java')[n % 2]}.socket", "[X-FDPass]\nPath=/moving\n", name="moving.conf")
            m.path(f"{UNITS}/{('java', 'node')[n % 2]}.socket.d/moving.conf").unlink(missing_ok=True)
            m.reload()
            m.run("systemctl reload nginx.service apache2.service")

    m.drop_in("java.socket", "[X-FDPass]\nPath=/moving\n", name="moving.conf")
    m.reload()
    thread = threading.Thread(target=restart)
    thread.start()
    try:
        seen = wander(m, 80, 12, 150, arguments + " /moving=node,java")
    finally:
        done.set()
        thread.join()
    m.figure("connections, closed, while servers and routes change", f"{seen['connections']}, {seen['closed']}")
    check(seen["closed"] <= 6, f"{seen}")


@case
def kept_paths(m):
    """Six unmodified servers at one host: clients that keep their connections wander between them, through reloads."""
    prepare(m)
    with examples(m, **{name: None for name in SERVERS.values()}):
        arguments = " ".join(f"{path}={name}" for path, name in SERVERS.items())
        for _ in SERVERS:
            m.run(f"python3 {GUEST}/kept-clients.py 80 6 1 {arguments}")  # all of them have started
        seen = wander(m, 80, 20, 120, arguments)
        m.figure("connections, closed", f"{seen['connections']}, {seen['closed']}")
        restarts(m, arguments)
        for name in SERVERS.values():
            check(not m.journal(f"{name}.service", 4, "fdpass-preload"), f"the preload in {name} complains")


def parked(m):
    return [c["State"] for c in json.loads(m.output("fdpassctl --json=short list-clients"))].count("parked")


@case
def drain_host_idle(m):
    """Idle clients of unmodified servers go back to the broker when the host or a worker is drained; running requests go on."""
    prepare(m)
    m.run("sed -i 's/^worker_processes .*/worker_processes 2;/' /etc/nginx/nginx.conf; sed -i "
          "'s|location ~ /file|location ^~ /slow/ { alias /srv/kept/; limit_rate 300k; }\\n        &|' /etc/nginx/conf.d/kept.conf")
    servers = SERVERS if m.long else {"/": "nginx"}
    with examples(m, **{name: None for name in servers.values()}):
        count = 40
        child = m.popen(f"python3 {GUEST}/idlers.py {count} kept.test {' '.join(servers)} slow=/slow/file")
        m.children.append(child)
        n, n_busy = count * len(servers), len(servers) + 1
        check(json.loads(child.stdout.readline()) == {"right": n, "errors": []} and child.stdout.readline() == "ready\n", "at first")
        check(parked(m) == 0, "clients go back before the drain")

        m.run("fdpassctl drain --host")
        wait_for(lambda: parked(m) >= n, 2, f"{n} idle clients to be back")
        finished = m.ask(child, "finish")
        check(finished == {"right": len(servers), "errors": []}, f"running uploads: {finished}")
        finished = json.loads(child.stdout.readline())
        check(finished == {"right": 1, "errors": []}, f"the running download: {finished}")
        wait_for(lambda: parked(m) == n + n_busy, 2, "the others to be back after their responses")
        m.run("fdpassctl undrain --host")
        check(m.ask(child, "ask") == {"right": n + n_busy, "errors": []}, "clients that were handed back")
        check(parked(m) == 0, "clients go back after the drain")

        m.run("fdpassctl drain nginx.socket")
        wait_for(lambda: parked(m) >= count, 2, "idle clients of the worker to be back")
        m.run("fdpassctl undrain nginx.socket")
        check(m.ask(child, "ask") == {"right": n + n_busy, "errors": []}, "clients of the worker")
        if m.long:
            m.run("fdpassctl drain --host")
            ends = m.ask(child, "ends 10")
            m.figure("the last one of the clients ended after", ends["last"], "s", 1)
            check(ends["ended"] == n + n_busy and ends["last"] < 7 and not ends["came"], f"{ends}")
            m.run("fdpassctl wait --timeout=1s; fdpassctl undrain --host")
        for name in servers.values():
            check(not m.journal(f"{name}.service", 4, "fdpass-preload"), f"the preload in {name} complains")
        check("[alert]" not in m.output("cat /var/log/nginx/error.log", check=False), "nginx complains")


HAPROXY = """defaults
        mode http
        timeout connect 5s
        timeout client 20s
        timeout server 20s
        retries 0
        option http-keep-alive
frontend public
        bind 127.0.0.1:8092
        default_backend fdpass
backend fdpass
        http-reuse always
        server fdpass 127.0.0.1:80 send-proxy-v2
"""

NGINX_BALANCER = """user www-data; worker_processes 2;
pid /run/balancer.pid;
error_log /var/log/balancer.log;
events { worker_connections 1024; }
http {
        access_log off;
        upstream fdpass { server 127.0.0.1:80; keepalive 16; keepalive_requests 1000000; }
        server {
                listen 127.0.0.1:8093; keepalive_requests 1000000; client_max_body_size 10m;
                location / {
                        proxy_pass http://fdpass; proxy_http_version 1.1; proxy_set_header Connection "";
                        proxy_set_header Host $http_host; proxy_next_upstream off;
                }
        }
}
"""


@shared
@case
def kept_behind_balancers(m):
    """HAProxy and nginx share connections between clients, hosts and paths; the PROXY header goes with each hand-back."""
    prepare(m)
    m.drop_in("uvicorn.socket", "[X-FDPass]\nHost=\nPath=\nHost=other.test\n", name="other.conf")
    m.drop_in("fdpass.socket", "[X-FDPass]\nProxyProtocol=optional\nTrustedProxies=127.0.0.1\n")
    m.write("/etc/haproxy/kept.cfg", HAPROXY)
    with examples(m, nginx=None, gunicorn=None, uvicorn=None, node=None):
        m.run("systemctl restart fdpass.service")
        m.write("/etc/nginx/balancer.conf", NGINX_BALANCER)
        m.run("systemd-run --quiet --unit=test-haproxy haproxy -db -f /etc/haproxy/kept.cfg; "  # reset() ends test-*
              "systemd-run --quiet --unit=test-balancer nginx -c /etc/nginx/balancer.conf -g 'daemon off;'")
        arguments = "/=nginx /gunicorn=gunicorn /node=node other.test/=uvicorn other.test/gunicorn=uvicorn"
        for port, name in (8092, "HAProxy"), (8093, "nginx"):
            wait_for(lambda: m.run(f"ss -Htln 'sport = :{port}' | grep -q .", check=False).returncode == 0, 10, f"{name}'s port")
            for _ in range(4 if name == "HAProxy" else 0):
                m.run(f"python3 {GUEST}/kept-clients.py {port} 6 1 {arguments}")
            seen = wander(m, port, 16, 100, arguments)
            check(seen["right"] == 1600 and seen["closed"] == 0, f"{seen}")
            m.figure(f"connections with {name}", int(m.output("ss -Htn state established 'dport = :80' | wc -l")))
