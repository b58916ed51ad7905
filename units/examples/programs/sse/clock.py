# SPDX-License-Identifier: MIT-0

import asyncio
import contextlib
import socket
import time

HEAD = (b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n"
        b"Connection: close\r\n\r\n")


async def stream(reader, writer):
    print("client", writer.get_extra_info("peername")[0], flush=True)
    with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD)
        while True:
            writer.write(f"event: time\ndata: {time.time():.0f}\n\n".encode())
            await writer.drain()
            await asyncio.sleep(1)
    writer.close()


async def main():
    server = await asyncio.start_server(stream, sock=socket.socket(fileno=3))
    async with server:
        await server.serve_forever()


asyncio.run(main())
