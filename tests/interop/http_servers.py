# SPDX-License-Identifier: LGPL-2.1-or-later
"""Real HTTP servers that tell how they read a request.

Each answers with the host and the path as it understood them. nginx and Apache also tell which of their locations serves
the request. Some run several times with other settings, because these change how a path is read.
"""

import asyncio
import os
import random
import re
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.parse

APACHE_MODULES = '/usr/lib/apache2/modules'
REFUSALS = {400, 405, 411, 413, 414, 417, 421, 431, 501, 505}
TIMEOUT_SEC = 10

NGINX = '''
daemon off;
worker_processes 1;
error_log {dir}/error.log crit;
pid {dir}/pid;
events {{ worker_connections 256; }}
http {{
        access_log off;
        client_body_temp_path {dir}/1; proxy_temp_path {dir}/2; fastcgi_temp_path {dir}/3;
        uwsgi_temp_path {dir}/4; scgi_temp_path {dir}/5;
        {servers}
}}
'''

NGINX_SERVER = '''
        server {{
                listen 127.0.0.1:{port} default_server;
                {setting};
                location / {{ add_header X-Host p$host always; add_header X-Path p$uri always; return 204; }}
                {locations}
        }}
'''

NGINX_LOCATION = '''
                location {match} {{
                        add_header X-Host p$host always; add_header X-Path p$uri always;
                        add_header X-Location {path} always; return 204;
                }}
'''

APACHE = '''
ServerRoot {dir}
PidFile {dir}/pid
ErrorLog {dir}/error.log
LogLevel crit
DefaultRuntimeDir {dir}
LoadModule mpm_event_module {modules}/mod_mpm_event.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule headers_module {modules}/mod_headers.so
{user}
DocumentRoot {dir}/empty
UseCanonicalName Off
ServerName fallback.invalid
Header always set X-Host "expr=p%{{SERVER_NAME}}"
Header always set X-Path "expr=p%{{REQUEST_URI}}"
{locations}
{servers}
'''

APACHE_SERVER = '''
Listen 127.0.0.1:{port}
<VirtualHost 127.0.0.1:{port}>
ServerName fallback.invalid
{setting}
</VirtualHost>
'''

HAPROXY = '''
global
        expose-experimental-directives
defaults
        mode http
        timeout client 10s
        timeout server 10s
        timeout connect 10s
{servers}
'''

HAPROXY_SERVER = '''
frontend f{port}
        bind 127.0.0.1:{port}
        {setting}
        http-request return status 200 hdr X-Host "p%[req.hdr(host)]" hdr X-Path "p%[path]"
'''

# The application gets the target as it was sent. These are ways in which libraries read it.
NODE = '''
const url = require("url"), path = require("path");
const decode = s => { try { return decodeURIComponent(s); } catch (e) { return s; } };
require("http").createServer((q, s) => {
        const paths = [], hosts = [q.headers.host || ""], base = "http://" + (q.headers.host || "none.invalid");
        const add = p => { if (p) paths.push(p, decode(p), path.posix.normalize(decode(p))); };
        const absolute = /^https?:/i.test(q.url);
        if (!absolute) add(q.url.split("?")[0]);
        try { const u = new URL(q.url, base); add(u.pathname); if (absolute) hosts[0] = u.host; } catch (e) { }
        try { add(url.parse(q.url, false, true).pathname); } catch (e) { }
        s.setHeader("X-Host", "p" + encodeURIComponent(hosts[0]));
        s.setHeader("X-Paths", paths.map(p => Buffer.from(p, "latin1").toString("hex")).join(","));
        s.end();
}).listen(PORT, "127.0.0.1");
'''

PYTHON = '''
import http.server, posixpath, urllib.parse
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def answer(self):
        paths = [] if '://' in self.path else [self.path.split('?')[0]]
        try:
            u = urllib.parse.urlparse(self.path)
            paths += [u.path or '/']
        except ValueError:
            u = None
        paths += [urllib.parse.unquote(p, 'latin-1') for p in paths]
        paths += [posixpath.normpath(p) for p in paths]
        host = u.netloc if u and u.scheme and u.netloc else self.headers.get('Host', '')
        self.send_response(200)
        self.send_header('X-Host', 'p' + urllib.parse.quote(host, safe='', encoding='latin-1'))
        self.send_header('X-Paths', ','.join(p.encode('latin-1', 'replace').hex() for p in paths))
        self.send_header('Content-Length', '0')
        self.send_header('Connection', 'close')
        self.end_headers()
    def __getattr__(self, name):
        if name.startswith('do_'):
            return self.answer
        raise AttributeError(name)
    def log_message(self, *args):
        pass
http.server.HTTPServer.request_queue_size = 128
http.server.HTTPServer(('127.0.0.1', PORT), Handler).serve_forever()
'''

# The server of the JDK. Servlet containers also remove the parameters of each segment, before or after they decode it.
JAVA = r'''
import com.sun.net.httpserver.*;
import java.net.*;
import java.nio.charset.StandardCharsets;
import java.util.*;

public class config {
        static void add(List<String> paths, String path) {
                if (path == null)
                        return;
                paths.add(path);
                try {
                        paths.add(new URI(null, null, path, null).normalize().getPath());
                } catch (URISyntaxException e) { }
        }

        static String encode(List<String> paths) {
                StringJoiner joiner = new StringJoiner(",");
                for (String path : paths) {
                        StringBuilder hex = new StringBuilder();
                        for (byte b : path.getBytes(StandardCharsets.ISO_8859_1))
                                hex.append(String.format("%02x", b));
                        joiner.add(hex);
                }
                return joiner.toString();
        }

        public static void main(String[] arguments) throws Exception {
                HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", PORT), 128);
                server.createContext("/", exchange -> {
                        List<String> paths = new ArrayList<>();
                        URI uri = exchange.getRequestURI();
                        String host = exchange.getRequestHeaders().getFirst("Host");

                        if (uri.getHost() != null)
                                host = uri.getHost();
                        add(paths, uri.getRawPath().isEmpty() ? "/" : uri.getRawPath());
                        add(paths, uri.getRawPath().replaceAll(";[^/]*", ""));
                        add(paths, URLDecoder.decode(uri.getRawPath().replaceAll(";[^/]*", "").replace("+", "%2B"), "ISO-8859-1"));
                        add(paths, uri.getPath());
                        add(paths, uri.getPath().replaceAll(";[^/]*", ""));
                        exchange.getResponseHeaders().set("X-Host", "p" + URLEncoder.encode(host == null ? "" : host, "UTF-8"));
                        exchange.getResponseHeaders().set("X-Paths", encode(paths));
                        exchange.sendResponseHeaders(200, -1);
                        exchange.close();
                });
                server.start();
        }
}
'''


def find(name):
    return shutil.which(name, path=os.environ.get('PATH', '') + ':/usr/sbin:/sbin')


def free_port():
    """A port that is free, and that the kernel gives to no connection, because these begin at 32768."""
    while True:
        port = random.SystemRandom().randrange(12000, 32000)
        with socket.socket() as s:
            try:
                s.bind(('127.0.0.1', port))
                return port
            except OSError:
                pass


def normal_host(host):
    """As the probe writes it: lower case, no port, no dot at the end. Apache has a name where the client has none."""
    host = host.strip()
    if host == 'fallback.invalid':
        return ''
    host = re.sub(r':\d*$', '', host.lower()) if not host.endswith(']') else host.lower()
    if host.startswith('[') and host.endswith(']'):
        try:
            return '[' + socket.inet_ntop(socket.AF_INET6, socket.inet_pton(socket.AF_INET6, host[1:-1])) + ']'
        except OSError:
            return host
    return host[:-1] if host.endswith('.') else host


class Reading:
    """How a server reads a request. The status is None if it answers nothing; @host is None if it refuses."""

    def __init__(self, status, fields):
        self.status, self.host, self.paths = status, None, []
        if status is None or status in REFUSALS or b'x-host' not in fields:
            return
        self.host = fields[b'x-host'].decode('latin-1')[1:]
        if b'x-paths' in fields:
            self.host = urllib.parse.unquote(self.host, 'latin-1')
            self.paths = [bytes.fromhex(p.decode()).decode('latin-1') for p in fields[b'x-paths'].split(b',')]
        else:
            self.paths = [fields[b'x-path'].decode('latin-1')[1:]]
        if b'x-location' in fields:
            self.paths.append(fields[b'x-location'].decode('latin-1'))
        self.host = normal_host(self.host)


class Server:
    """One way in which a server is set up, on a port of its own."""

    def __init__(self, name, setting=''):
        self.name, self.setting, self.port = name, setting, free_port()

    async def ask(self, request):
        """Sends a request and returns its Reading, or None if the server waits for more."""
        reader, writer = await asyncio.open_connection('127.0.0.1', self.port)
        answer = b''
        try:
            writer.write(request)
            while b'\r\n\r\n' not in answer:
                data = await asyncio.wait_for(reader.read(65536), TIMEOUT_SEC)
                if not data:
                    break
                answer += data
        except asyncio.TimeoutError:
            return None
        except ConnectionError:
            pass
        finally:
            writer.transport.abort()
        m = re.match(rb'HTTP/1\.\d (\d+)', answer)
        fields = re.findall(rb'\r\n([^:\r\n]+): *([^\r\n]*)', answer.split(b'\r\n\r\n')[0])
        return Reading(int(m[1]) if m else None, {k.lower(): v for k, v in fields})


class Program:
    """A process that runs in a directory of its own and serves one port for each Server."""

    def __init__(self, program, config, command, servers):
        self.servers = servers
        self.dir = tempfile.mkdtemp(prefix='fdpass-interop-')
        os.chmod(self.dir, 0o755)
        os.mkdir(f'{self.dir}/empty')
        path = f'{self.dir}/config' + ('.java' if 'public class config' in config else '')
        with open(path, 'w') as f:
            f.write(config.replace('DIR', self.dir))
        null = subprocess.DEVNULL
        self.process = subprocess.Popen([program] + [a.format(dir=self.dir, config=path) for a in command],
                                        stdin=null, stdout=null, stderr=null)

    def wait_until_up(self):
        deadline = time.monotonic() + 20
        for server in self.servers:
            while True:
                try:
                    with socket.create_connection(('127.0.0.1', server.port), 20) as s:
                        s.sendall(b'GET / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n')
                        if s.recv(1) == b'H': # the first answer of the JDK takes long
                            break
                except OSError:
                    if time.monotonic() > deadline or self.process.poll() is not None:
                        raise RuntimeError(f'{server.name} does not start.')
                    time.sleep(0.05)

    def stop(self):
        self.process.terminate()
        self.process.wait(20)
        shutil.rmtree(self.dir, ignore_errors=True)


def nginx(paths):
    servers = [Server('nginx', 'merge_slashes on'), Server('nginx, merge_slashes off', 'merge_slashes off')]
    locations = ''.join(NGINX_LOCATION.format(match=m, path=p) for p in paths for m in (f'= {p}', f'{p}/'))
    blocks = [NGINX_SERVER.format(port=s.port, setting=s.setting, locations=locations) for s in servers]
    return Program(find('nginx'), NGINX.format(dir='DIR', servers=''.join(blocks)),
                   ['-p', '{dir}', '-c', '{config}', '-e', '{dir}/error.log'], servers)


def apache(paths):
    servers = [Server('apache'),
               Server('apache, AllowEncodedSlashes On', 'AllowEncodedSlashes On'),
               Server('apache, NoDecode, MergeSlashes Off', 'AllowEncodedSlashes NoDecode\nMergeSlashes Off')]
    locations = ''.join(f'<Location "{p}">\nHeader always set X-Location {p}\n</Location>\n' for p in paths)
    blocks = ''.join(APACHE_SERVER.format(port=s.port, setting=s.setting) for s in servers)
    user = 'User nobody\nGroup nogroup' if os.geteuid() == 0 else ''
    return Program(find('apache2'),
                   APACHE.format(dir='DIR', user=user, modules=APACHE_MODULES, locations=locations, servers=blocks),
                   ['-d', '{dir}', '-f', '{config}', '-DFOREGROUND'], servers)


def haproxy(_):
    steps = ('percent-decode-unreserved', 'path-strip-dot', 'path-strip-dotdot', 'path-merge-slashes')
    servers = [Server('haproxy'),
               Server('haproxy, normalize-uri', '\n        '.join(f'http-request normalize-uri {s}' for s in steps))]
    blocks = ''.join(HAPROXY_SERVER.format(port=s.port, setting=s.setting) for s in servers)
    return Program(find('haproxy'), HAPROXY.format(servers=blocks), ['-db', '-f', '{config}'], servers)


def node(_):
    server = Server('node')
    return Program(find('node'), NODE.replace('PORT', str(server.port)), ['{config}'], [server])


def python(_):
    server = Server('python')
    return Program(find('python3'), PYTHON.replace('PORT', str(server.port)), ['{config}'], [server])


def java(_):
    server = Server('java')
    return Program(find('java'), JAVA.replace('PORT', str(server.port)), ['-XX:TieredStopAtLevel=1', '-Xshare:auto', '{config}'], [server])


def has_jdk():
    """Is there a compiler in it, and the server?"""
    modules = subprocess.run([find('java'), '--list-modules'], stdout=subprocess.PIPE, check=False).stdout if find('java') else b''
    return b'jdk.compiler' in modules and b'jdk.httpserver' in modules


def start(paths):
    """Starts what is installed, with a location for each path. Deeper paths have to be last."""
    kinds = (('nginx', nginx), ('apache2', apache), ('haproxy', haproxy), ('node', node), ('python3', python))
    programs = [make(paths) for name, make in kinds if find(name)]
    return programs + [java(paths)] if programs and has_jdk() else programs
