# SPDX-License-Identifier: LGPL-2.1-or-later
"""An application for WSGI and one for ASGI, which say who they are (WORKER=) and what they were asked."""

import os

NAME = os.environ.get("WORKER", "?")


def wsgi(environ, start_response):
    length = environ.get("CONTENT_LENGTH")
    body = environ["wsgi.input"].read(int(length)) if length else environ["wsgi.input"].read()
    answer = f"{len(body)}\n".encode()
    start_response("200 OK", [("Content-Length", str(len(answer))), ("X-Worker", NAME),
                              ("X-Request", environ.get("HTTP_X_REQUEST", ""))])
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [answer]


async def asgi(scope, receive, send):
    if scope["type"] != "http":
        return
    length = 0
    more = True
    while more:
        message = await receive()
        length += len(message.get("body", b""))
        more = message.get("more_body", False)
    tag = dict(scope["headers"]).get(b"x-request", b"")
    await send({"type": "http.response.start", "status": 200,
                "headers": [(b"x-worker", NAME.encode()), (b"x-request", tag)]})
    await send({"type": "http.response.body", "body": f"{length}\n".encode()})
