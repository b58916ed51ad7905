# SPDX-License-Identifier: LGPL-2.1-or-later
"""The servers of tests/bench/web, and the ways by which requests get to them.

A server of a kind is started for the paths of one worker (site or api) or for all (direct), and listens on a port, on a
path, or takes handoffs of fdpass. A subject is a way to them: direct, or with fdpassd or a proxy in between.
"""

import contextlib
import http.client
import os
import pathlib
import shutil
import socket
import time

import web_load

HERE = pathlib.Path(__file__).resolve().parent
SOCKET_PROXYD = '/usr/lib/systemd/systemd-socket-proxyd'


class Place:
    """Where a server takes its clients."""

    def __init__(self, port=None, path=None, handoff=None, build=None):
        self.port, self.path, self.handoff = port, path, handoff
        self.build = build  # whose preload takes the handoffs

    def address(self, unix='unix:'):
        """For a proxy's configuration."""
        return f'{unix}{self.path}' if self.path else f'127.0.0.1:{self.port}'


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def find(name):
    return shutil.which(name, path=os.environ['PATH'] + ':/usr/sbin')


class Context:
    """What all of a run share."""

    def __init__(self, bench, options, processes, directory):
        self.bench, self.options, self.processes, self.directory = bench, options, processes, directory

    def start(self, argv, *listeners, **environment):
        return self.processes.start(argv, *listeners, **environment)

    def start_server(self, argv, place, **environment):
        """Starts a server; where it takes handoffs, with the preload and a worker's socket."""
        if not place.handoff:
            return self.start(argv, **environment)
        return self.start(argv, self.listen(place), **environment, FDPASS_SOCKET=str(place.handoff), FDPASS_LISTEN='80',
                          LD_PRELOAD=str(place.build / 'src/workers/preload/fdpass-preload.so'))

    def listen(self, place):
        """Opens the listener at a place."""
        if place.port:
            return self.bench.listen(socket.AF_INET, ('127.0.0.1', place.port))
        kind = socket.SOCK_SEQPACKET if place.handoff else socket.SOCK_STREAM
        listener = self.bench.listen(socket.AF_UNIX, str(place.handoff or place.path), kind)
        (place.handoff or place.path).chmod(0o600)
        return listener

    def files(self):
        """A directory for each worker, with a file of each size at its path."""
        root = self.directory / 'files'
        if not root.exists():
            for name in web_load.NAMES:
                for size in web_load.SIZES:
                    path = root / name / web_load.path_of(name, size).lstrip('/')
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(web_load.body(name, size))
        return root


def tree(pid):
    pids = [pid]
    for p in pids:
        with contextlib.suppress(OSError):
            for thread in os.listdir(f'/proc/{p}/task'):
                pids += map(int, pathlib.Path(f'/proc/{p}/task/{thread}/children').read_text().split())
    return pids


def nginx(context, names, place, directory):
    """Debian's nginx, one process: files by sendfile(2) as in Debian's configuration, 11 bytes from memory, no log."""
    locations = ''.join(f'''
        location = {web_load.path_of(name, 11)} {{ return 200 "{web_load.body(name, 11).decode()}"; }}
        location {web_load.NAMES[name] or '/'} {{ root {context.files()}/{name}; }}''' for name in names)
    listen = '80 deferred backlog=4096' if place.handoff else \
        f'unix:{place.path} backlog=4096' if place.path else f'127.0.0.1:{place.port} deferred backlog=4096'
    conf = directory / 'nginx.conf'
    conf.write_text(f'''
user www-data;
worker_processes 1;
pid {directory}/nginx.pid;
error_log {directory}/error.log;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    default_type text/plain;
    keepalive_requests 1000000;
    client_body_temp_path {directory}/body;
    server {{
        listen {listen};{locations}
    }}
}}
''')
    return context.start_server([find('nginx'), '-c', str(conf), '-g', 'daemon off;'], place)


def apache(context, names, place, directory):
    """Apache of Debian, event MPM, one process with as many threads as it needs; files."""
    modules = '/usr/lib/apache2/modules'
    files = context.files()
    aliases = ''.join(f'AliasMatch ^{prefix}/([0-9]+)$ {files}/{name}{prefix}/$1\n'
                      for name, prefix in web_load.NAMES.items() if name in names)
    conf = directory / 'apache.conf'
    conf.write_text(f'''
ServerRoot {directory}
ServerName {web_load.HOST}
PidFile {directory}/pid
ErrorLog {directory}/error.log
LoadModule mpm_event_module {modules}/mod_mpm_event.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule alias_module {modules}/mod_alias.so
User www-data
Group www-data
StartServers 1
ServerLimit 1
ThreadsPerChild 64
MaxRequestWorkers 64
MaxKeepAliveRequests 0
KeepAliveTimeout 60
Listen {'80' if place.handoff else f'127.0.0.1:{place.port}'}
DocumentRoot {directory}
{aliases}<Directory />
Require all granted
</Directory>
''')
    return context.start_server([find('apache2'), '-f', str(conf), '-DFOREGROUND'], place)


def node(context, names, place, directory):
    """Node, one process."""
    where = '80' if place.handoff else str(place.path or place.port)
    return context.start_server([find('node'), HERE / 'web_app.js', where, ','.join(names),
                                 ','.join(map(str, web_load.SIZES))], place)


def gunicorn(context, names, place, directory):
    """gunicorn, one process with threads. It takes the socket that systemd passes by itself."""
    bind = [] if place.handoff else ['--bind', f'unix:{place.path}' if place.path else f'127.0.0.1:{place.port}']
    return context.start_server([find('gunicorn'), '--worker-class=gthread', '--threads=16', '--keep-alive=60',
                                 '--log-level=error', f'--chdir={HERE}', *bind, 'web_apps:wsgi'], place,
                                WORKER=' '.join(names))


def libfdpass(context, names, place, directory):
    """web-worker.c: a worker that was written for fdpass."""
    build = place.build or context.options.build
    argv = [build / 'tests/bench/web-worker', 'handoff' if place.handoff else 'accept',
            place.handoff.parent.parent / 'return.sock' if place.handoff else '-', *names]
    return context.start(argv, context.listen(place))


KINDS = {'nginx': nginx, 'libfdpass': libfdpass, 'apache': apache, 'node': node, 'gunicorn': gunicorn}
WITHOUT_UNIX = ['apache']  # it listens on no path, so proxies reach it at a port


class Subject:
    """A way to the servers of one kind. Subclasses say in begin() what they start."""

    def __init__(self, kind, context):
        self.kind, self.context = kind, context
        self.name = type(self).__name__.lower()
        self.pids = {'server': [], 'middle': []}
        self.directory = context.directory / f'{kind}-{self.name}'
        self.directory.mkdir()
        self.port = None
        self.begin()

    def server(self, names, **place):
        directory = self.directory / '-'.join(names)
        directory.mkdir()
        place = Place(**{key: directory / value if isinstance(value, str) else value for key, value in place.items()})
        self.pids['server'].append(KINDS[self.kind](self.context, names, place, directory))
        return place

    def backend(self, name):
        """Starts the server that a proxy reaches."""
        return self.server([name], **({'port': free_port()} if self.kind in WITHOUT_UNIX else {'path': 'server.sock'}))

    def cpu(self):
        """CPU seconds of each part so far."""
        return {part: sum(self.context.bench.cpu_seconds(p) for pid in pids for p in tree(pid))
                for part, pids in self.pids.items() if pids}

    def wait_until_ready(self):
        end = time.monotonic() + web_load.READY_SEC
        for name in web_load.NAMES:
            while not self.answers(web_load.path_of(name, 11)):
                self.context.processes.check()
                if time.monotonic() > end:
                    raise RuntimeError(f'{self.kind}, {self.name}: {name} does not answer')
                time.sleep(0.01)

    def answers(self, path):
        client = http.client.HTTPConnection('127.0.0.1', self.port, timeout=1)
        with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(client):
            client.request('GET', path, headers={'Host': web_load.HOST})
            return client.getresponse().status == 200
        return False


class Direct(Subject):
    """One server with all paths, at its own port."""

    def begin(self):
        self.port = free_port()
        self.server(list(web_load.NAMES), port=self.port)


class Fdpass(Subject):
    """fdpassd in front, with the sockets that systemd would pass, and the servers under the preload."""

    def begin(self):
        bench = self.context.bench
        units = self.directory / 'root/etc/systemd/system'
        (units / 'fdpass.target.wants').mkdir(parents=True)
        (units / 'fdpass.socket').write_text('[Socket]\nFileDescriptorName=public\n'
                                             '[X-FDPass]\nMaxClientsPerSource=100000\n')
        for name, prefix in web_load.NAMES.items():
            worker = self.server([name], handoff='worker.sock', build=self.build()).handoff
            path = f'Path={prefix}\n' if prefix else ''
            (units / f'{name}.socket').write_text(f'[Socket]\nListenSequentialPacket={worker}\nTriggerLimitIntervalSec=0\n'
                                                  f'[X-FDPass]\nHost={web_load.HOST}\n{path}')
            (units / f'fdpass.target.wants/{name}.socket').symlink_to(f'/etc/systemd/system/{name}.socket')
        public = bench.listen(socket.AF_INET, ('127.0.0.1', 0))
        back = bench.listen(socket.AF_UNIX, str(self.directory / 'return.sock'), socket.SOCK_SEQPACKET)
        self.port = public.getsockname()[1]
        self.pids['middle'].append(bench.start_broker(self.context.processes, self.build() / 'src/fdpassd', self.directory,
                                                      [public, back], 'public:return'))

    def build(self):
        return self.context.options.build


class Before(Fdpass):
    """The same with the fdpassd and the preload of another build."""

    def build(self):
        return self.context.options.before


class Nginx(Subject):
    """nginx as HTTP proxy, one process, with connections to the servers that are kept."""

    def begin(self):
        self.port = free_port()
        places = {name: self.backend(name).address() for name in web_load.NAMES}
        upstreams = ''.join(f'upstream {name} {{ server {place}; keepalive 64; keepalive_requests 1000000; }}\n'
                            for name, place in places.items())
        locations = ''.join(f'location {prefix or "/"} {{ proxy_pass http://{name}; proxy_http_version 1.1; '
                            'proxy_set_header Connection ""; proxy_set_header Host $host; }\n'
                            for name, prefix in web_load.NAMES.items())
        conf = self.directory / 'nginx.conf'
        conf.write_text(f'''
user root;
worker_processes 1;
pid {self.directory}/nginx.pid;
error_log {self.directory}/error.log;
events {{ worker_connections 4096; }}
http {{
access_log off;
tcp_nopush on;
keepalive_requests 1000000;
client_body_temp_path {self.directory}/body;
proxy_temp_path {self.directory}/proxy;
{upstreams}
server {{
listen 127.0.0.1:{self.port} deferred backlog=4096;
{locations}}}
}}
''')
        self.pids['middle'].append(self.context.start([find('nginx'), '-c', str(conf), '-g', 'daemon off;']))


class Haproxy(Subject):
    """HAProxy likewise, one thread."""

    def begin(self):
        self.port = free_port()
        backends = ''.join(f'backend {name}\n    http-reuse always\n'
                           f'    server s {self.backend(name).address("unix@")}\n'
                           for name in web_load.NAMES)
        conf = self.directory / 'haproxy.cfg'
        conf.write_text(f'''
global
    nbthread 1
    maxconn 4000
defaults
    mode http
    backlog 4096
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    option http-keep-alive
frontend f
    bind 127.0.0.1:{self.port} defer-accept
    use_backend api if {{ path_beg {web_load.NAMES['api']}/ }}
    default_backend site
{backends}''')
        self.pids['middle'].append(self.context.start([find('haproxy'), '-db', '-f', str(conf)]))


class Socketproxyd(Subject):
    """systemd-socket-proxyd, which copies bytes and knows no requests: one server behind it has all paths."""

    def begin(self):
        place = self.server(list(web_load.NAMES), **({'port': free_port()} if self.kind in WITHOUT_UNIX else
                                                     {'path': 'server.sock'}))
        public = self.context.bench.listen(socket.AF_INET, ('127.0.0.1', 0))
        self.port = public.getsockname()[1]
        self.pids['middle'].append(self.context.start([SOCKET_PROXYD, '--connections-max=4096', place.address(unix='')],
                                                      public))


SUBJECTS = [Direct, Fdpass, Nginx, Haproxy, Socketproxyd]
