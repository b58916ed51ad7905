#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Stands for certbot and lego (by the name it is called by), and for the CA that they ask: it proves a host by http-01 or
tls-alpn-01 as a CA does (RFC 8555 8.3, RFC 8737 3), lays the files out as they do, and calls the hook. "certbot renew"
gets new certificates for all that it has."""

import argparse
import http.client
import http.server
import os
import pathlib
import secrets
import socket
import ssl
import subprocess
import sys
import tempfile
import threading

LETSENCRYPT = pathlib.Path("/etc/letsencrypt")


def arguments():
    parser = argparse.ArgumentParser()
    for flag in ("--non-interactive", "--agree-tos", "--register-unsafely-without-email", "--accept-tos", "--standalone", "--http", "--tls"):
        parser.add_argument(flag, action="store_true")
    parser.add_argument("--http-01-address", "--http.port", "--tls.port", dest="address")
    parser.add_argument("--http-01-port", dest="port")
    parser.add_argument("--deploy-hook", "--run-hook", "--renew-hook", dest="hook")
    parser.add_argument("-d", "--domains", dest="host")
    parser.add_argument("--email")
    parser.add_argument("--path", type=pathlib.Path)
    parser.add_argument("verb", choices=["certonly", "run", "renew"])
    return parser.parse_args()


def place(options):
    host, _, port = options.address.partition(":")
    return host, int(options.port or port)


def prove_by_http(options):
    token, answer = secrets.token_urlsafe(), secrets.token_urlsafe().encode()

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            found = self.path == f"/.well-known/acme-challenge/{token}" and self.headers["Host"] == options.host
            self.send_response(200 if found else 404)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(place(options), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        ca = http.client.HTTPConnection("127.0.0.1", 80, timeout=10)
        ca.request("GET", f"/.well-known/acme-challenge/{token}", headers={"Host": options.host})
        response = ca.getresponse()
        seen = response.status, response.read()
        server.shutdown()
    assert seen == (200, answer), f"http-01 for {options.host}: {seen}"


def make_certificate(directory, host, *extensions):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "90",
                    "-subj", f"/CN={host}", *(word for text in (f"subjectAltName=DNS:{host}", *extensions) for word in ("-addext", text)),
                    "-keyout", directory / "key", "-out", directory / "crt"], check=True, stderr=subprocess.DEVNULL)


def prove_by_tls(options):
    with tempfile.TemporaryDirectory() as name, socket.create_server(place(options)) as listener:
        directory = pathlib.Path(name)
        digest = ":".join(f"{byte:02x}" for byte in secrets.token_bytes(32))
        make_certificate(directory, options.host, f"1.3.6.1.5.5.7.1.31=critical,DER:04:20:{digest}")
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(directory / "crt", directory / "key")
        server.set_alpn_protocols(["acme-tls/1"])

        def serve():
            with server.wrap_socket(listener.accept()[0], server_side=True) as client:
                client.recv(1)

        threading.Thread(target=serve, daemon=True).start()
        ca = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        ca.check_hostname, ca.verify_mode = False, ssl.CERT_NONE
        ca.set_alpn_protocols(["acme-tls/1"])
        with ca.wrap_socket(socket.create_connection(("127.0.0.1", 443), timeout=10), server_hostname=options.host) as client:
            seen = client.selected_alpn_protocol(), ssl.DER_cert_to_PEM_cert(client.getpeercert(binary_form=True)).split()
        assert seen == ("acme-tls/1", (directory / "crt").read_text().split()), f"tls-alpn-01 for {options.host}: {seen}"


def certbot_lay_out(host):
    """The files are archive/HOST/NAME<n>.pem, and live/HOST/NAME.pem are symbolic links to the newest."""
    live, archive = LETSENCRYPT / "live" / host, LETSENCRYPT / "archive" / host
    for directory in live, archive:
        directory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory.mkdir(exist_ok=True)
    n = len(list(archive.glob("privkey*.pem"))) + 1
    with tempfile.TemporaryDirectory() as name:
        make_certificate(pathlib.Path(name), host)
        for kind in "cert", "chain", "fullchain", "privkey":
            text = (pathlib.Path(name) / ("key" if kind == "privkey" else "crt")).read_text()
            (archive / f"{kind}{n}.pem").write_text(text)
            (archive / f"{kind}{n}.pem").chmod(0o600 if kind == "privkey" else 0o644)
            link = live / f"{kind}.pem"
            link.unlink(missing_ok=True)
            link.symlink_to(f"../../archive/{host}/{kind}{n}.pem")
    return {"RENEWED_LINEAGE": str(live), "RENEWED_DOMAINS": host}


def lego_lay_out(host, path):
    """The files are certificates/HOST.crt, .key, .issuer.crt and .json."""
    directory = path / "certificates"
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        make_certificate(pathlib.Path(name), host)
        for kind, file in ("crt", "crt"), ("key", "key"), ("issuer.crt", "crt"):
            (directory / f"{host}.{kind}").write_bytes((pathlib.Path(name) / file).read_bytes())
    (directory / f"{host}.json").write_text("{}\n")
    return {"LEGO_CERT_DOMAIN": host, "LEGO_CERT_PATH": str(directory / f"{host}.crt"), "LEGO_CERT_KEY_PATH": str(directory / f"{host}.key")}


def certbot_remember(host):
    """certbot keeps the arguments for "renew"."""
    file = LETSENCRYPT / "renewal" / f"{host}.conf"
    file.parent.mkdir(exist_ok=True)
    file.write_text("\n".join(sys.argv[1:]))


def obtain(options, is_certbot):
    (prove_by_tls if options.tls else prove_by_http)(options)
    told = certbot_lay_out(options.host) if is_certbot else lego_lay_out(options.host, options.path)
    subprocess.run([options.hook], env=os.environ | told, check=True)


def main():
    is_certbot = pathlib.Path(sys.argv[0]).name == "certbot"
    if is_certbot and sys.argv[1:] == ["renew"]:
        for file in (LETSENCRYPT / "renewal").glob("*.conf"):
            sys.argv[1:] = file.read_text().splitlines()
            obtain(arguments(), is_certbot)
        return
    options = arguments()
    obtain(options, is_certbot)
    if is_certbot:
        certbot_remember(options.host)


main()
