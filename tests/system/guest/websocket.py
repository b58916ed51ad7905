#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""websocket.py URL SOURCE: an ordinary WebSocket client. Sends a thousand messages and a large one, and wants them back."""

import asyncio
import sys

import websockets


async def main(url, source):
    async with websockets.connect(url, host="127.0.0.1", port=80, local_addr=(source, 0), max_size=None) as connection:
        messages = [f"message {i}" for i in range(1000)] + ["x" * 900_000]
        for message in messages:
            await connection.send(message)
            if await connection.recv() != message:
                raise SystemExit("another message came back")
        print(f"{len(messages)} messages")


asyncio.run(main(*sys.argv[1:]))
