# SPDX-License-Identifier: LGPL-2.1-or-later
"""So many clients a second, from so many addresses in turn, until a line comes on stdin. Then what each saw, as JSON:
when it came (CLOCK_MONOTONIC), from which address, the first word of the answer's body or the error, and how long it
took."""

import argparse
import asyncio
import json
import sys
import time

REQUEST = b"GET / HTTP/1.1\r\nHost: pool.example\r\nConnection: close\r\n\r\n"


async def ask(source, port, seen):
    begin = time.monotonic()
    writer = None
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))
        writer.write(REQUEST)
        head, _, body = (await asyncio.wait_for(reader.read(-1), 30)).partition(b"\r\n\r\n")
        what = body.decode().split(":")[0] if head.startswith(b"HTTP/1.1 200 ") else f"error: {head[:40]!r}"
    except (OSError, asyncio.TimeoutError) as error:
        what = f"error: {type(error).__name__}"
    if writer:
        writer.close()
    seen.append((begin, source, what, time.monotonic() - begin))


async def run(arguments):
    stdin = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stdin), sys.stdin)
    over = asyncio.create_task(stdin.readline())
    seen, tasks, begin = [], [], time.monotonic()
    print("started", flush=True)
    while not over.done():
        i = len(tasks)
        tasks.append(asyncio.create_task(ask(f"127.4.0.{1 + i % arguments.sources}", arguments.port, seen)))
        await asyncio.sleep(max(0, begin + (i + 1) / arguments.rate - time.monotonic()))
    await asyncio.gather(*tasks)
    print(json.dumps(seen), flush=True)


parser = argparse.ArgumentParser()
parser.add_argument("--port", type=int, default=80)
parser.add_argument("--rate", type=float, default=100)
parser.add_argument("--sources", type=int, default=1)
asyncio.run(run(parser.parse_args()))
