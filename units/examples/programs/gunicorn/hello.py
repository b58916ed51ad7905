# SPDX-License-Identifier: MIT-0


def application(environ, start_response):
    body = f"Hello, {environ['REMOTE_ADDR']}!\n".encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
