# SPDX-License-Identifier: MIT-0

import asyncio
import socket

import websockets


async def echo(connection, path=None):
    print("client", connection.remote_address[0], flush=True)
    async for message in connection:
        await connection.send(message)


async def main():
    async with websockets.serve(echo, sock=socket.socket(fileno=3)):
        await asyncio.get_running_loop().create_future()


asyncio.run(main())
