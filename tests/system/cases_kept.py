# SPDX-License-Identifier: LGPL-2.1-or-later
"""Connections that clients keep: each request reaches its worker, whoever answered the last one."""

import json

from cases_preload import examples
from fdpass import GUEST, case, check

SERVERS = {"/": "nginx", "/apache": "apache2", "/gunicorn": "gunicorn", "/uvicorn": "uvicorn", "/node": "node", "/java": "java"}
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
    m.write("/etc/nginx/conf.d/kept.conf", """server {
        listen 80; listen [::]:80; server_name kept.test; keepalive_requests 100000;
        location / { add_header X-Worker nginx always; add_header X-Request $http_x_request always; return 200 "nginx\\n"; }
        }\n""")
    m.write("/etc/apache2/conf-enabled/kept.conf", """LoadModule headers_module /usr/lib/apache2/modules/mod_headers.so
        MaxKeepAliveRequests 0
        Header always set X-Worker apache2
        Header always set X-Request expr=%{HTTP:X-Request}\n""")


@case
def kept_paths(m):
    """Six unmodified servers at one host: clients that keep their connections wander between them."""
    prepare(m)
    with examples(m, **{name: None for name in SERVERS.values()}):
        arguments = " ".join(f"{path}={name}" for path, name in SERVERS.items())
        for _ in SERVERS:
            m.run(f"python3 {GUEST}/kept-clients.py 6 1 {arguments}")  # all of them have started
        seen = json.loads(m.output(f"python3 {GUEST}/kept-clients.py 20 120 {arguments}", timeout=120))
        m.figure("requests on kept connections, right", seen["right"])
        m.figure("connections, closed", f"{seen['connections']}, {seen['closed']}")
        check(not seen["wrong"], f"{seen}")
        for name in SERVERS.values():
            check(not m.journal(f"{name}.service", 4, "fdpass-preload"), f"the preload in {name} complains")
