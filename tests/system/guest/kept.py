# SPDX-License-Identifier: LGPL-2.1-or-later
"""An application for WSGI and one for ASGI, which say who they are (WORKER=), and answer with what they were
asked: X-Request, a line feed, and the body."""

import os

NAME = os.environ.get("WORKER", "?")


def wsgi(environ, start_response):
    length = environ.get("CONTENT_LENGTH")
    body = environ["wsgi.input"].read(int(length)) if length else environ["wsgi.input"].read()
    tag = environ.get("HTTP_X_REQUEST", "")
    answer = tag.encode() + b"\n" + body
    start_response("200 OK", [("Content-Length", str(len(answer))), ("X-Worker", NAME), ("X-Echo", "yes"), ("X-Request", tag)])
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [answer]


async def asgi(scope, receive, send):
    if scope["type"] != "http":
        return
    body = b""
    more = True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    tag = dict(scope["headers"]).get(b"x-request", b"")
    await send({"type": "http.response.start", "status": 200,
                "headers": [(b"x-worker", NAME.encode()), (b"x-request", tag), (b"x-echo", b"yes")]})
    await send({"type": "http.response.body", "body": tag + b"\n" + body})
