# SPDX-License-Identifier: MIT-0


async def application(scope, receive, send):
    if scope["type"] != "http":
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": f"Hello, {scope['client'][0]}!\n".encode()})
