# SPDX-License-Identifier: LGPL-2.1-or-later
"""fleet-load.py ADDRESS[:PORT] NEW KEPT PAUSE: clients in a closed loop, NEW with a connection for each request and KEPT with one for all,
which pause PAUSE seconds after each answer. SIGUSR1 prints the number of requests so far. SIGTERM ends it with a line of JSON: {"asked": …, "failed": {kind: …},
"reconnects": …, "slowest": …, "answers": {text: …}}. A request on a kept connection that ends without an answer has failed."""

import asyncio
import collections
import json
import signal
import sys
import time

(address, _, port), n_new, n_kept, pause = sys.argv[1].partition(":"), int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
TIMEOUT = 10
seen, failed, answers = collections.Counter(), collections.Counter(), collections.Counter()
slowest = 0.0
stopping = asyncio.Event()


async def ask(reader, writer, is_last):
    writer.write(b"GET / HTTP/1.1\r\nHost: app.test\r\n" + (b"Connection: close\r\n" if is_last else b"") + b"\r\n")
    head = await reader.readuntil(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200 "):
        raise ValueError(head.split(b"\r\n")[0].decode())
    length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
    answers[(await reader.readexactly(length)).decode().strip()] += 1
    return b"connection: close" in head.lower()


async def one(connection, is_last):
    """Asks once. Returns the connection if it is kept."""
    global slowest
    begin = time.monotonic()
    seen["asked"] += 1
    try:
        if connection is None:
            connection = await asyncio.wait_for(asyncio.open_connection(address, port or 80), TIMEOUT)
            seen["connections"] += 1
        ended = await asyncio.wait_for(ask(*connection, is_last), TIMEOUT)
    except (OSError, EOFError, ValueError, asyncio.TimeoutError) as error:
        failed[f"{type(error).__name__}: {error}"[:60]] += 1
        ended = True
    slowest = max(slowest, time.monotonic() - begin)
    if ended or is_last:
        if connection:
            connection[1].close()
        return None
    return connection


async def client(is_kept):
    connection = None
    while not stopping.is_set():
        if connection and connection[0].at_eof():  # it ended between two requests
            connection[1].close()
            connection = None
        connection = await one(connection, not is_kept)
        await asyncio.sleep(pause)
    if connection:
        connection[1].close()


async def run():
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, lambda: print(seen["asked"], flush=True))
    print("started", flush=True)
    await asyncio.gather(*(client(i >= n_new) for i in range(n_new + n_kept)))
    print(json.dumps({"asked": seen["asked"], "failed": failed, "connections": seen["connections"], "slowest": round(slowest, 3),
                      "answers": answers}), flush=True)


asyncio.run(run())
