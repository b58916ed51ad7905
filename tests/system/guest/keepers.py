# SPDX-License-Identifier: LGPL-2.1-or-later
"""Clients that stay: some ask again and again on one connection, some have said half a head and no more. At each line
on stdin they say how they have fared; at "finish" all of them ask, and the halves become whole."""

import argparse
import asyncio
import collections
import json
import sys

HALF = b"GET /half HTTP/1.1\r\nHost: loc"
REST = b"alhost\r\nConnection: close\r\n\r\n"


class Keepers:
    def __init__(self, arguments):
        self.arguments = arguments
        self.asked = 0
        self.longest = 0.0
        self.errors = collections.Counter()
        self.kept, self.halves = [], []
        self.busy = set()

    async def connect(self, i):
        source = f"127.2.{i // 200}.{1 + i % 200}"
        return await asyncio.open_connection("127.0.0.1", self.arguments.port, local_addr=(source, 0))

    async def ask(self, reader, writer, request):
        begin = asyncio.get_running_loop().time()
        self.asked += 1
        try:
            writer.write(request)
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)
            if not head.startswith(b"HTTP/1.1 200 "):
                raise ValueError(head.split(b"\r\n")[0].decode())
            length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
            await asyncio.wait_for(reader.readexactly(length), 20)
        except (OSError, ValueError, EOFError, asyncio.TimeoutError) as error:
            self.errors[f"{type(error).__name__}: {error}"] += 1
        self.longest = max(self.longest, asyncio.get_running_loop().time() - begin)

    async def ask_kept(self, i):
        if i not in self.busy:  # a client has one question at a time
            self.busy.add(i)
            await self.ask(*self.kept[i], b"GET /kept HTTP/1.1\r\nHost: localhost\r\n\r\n")
            self.busy.discard(i)

    async def keep_asking(self):
        """In their turns, so many a second."""
        tasks, i, begin = set(), 0, asyncio.get_running_loop().time()
        try:
            while self.kept:
                await asyncio.sleep(max(0, begin + i / self.arguments.rate - asyncio.get_running_loop().time()))
                tasks.add(task := asyncio.create_task(self.ask_kept(i % len(self.kept))))
                task.add_done_callback(tasks.discard)
                i += 1
        except asyncio.CancelledError:
            await asyncio.gather(*tasks)
            raise

    def report(self):
        ended = sum(reader.at_eof() or bool(reader._buffer) for reader, _ in self.halves)
        print(json.dumps({"asked": self.asked, "errors": self.errors, "longest": self.longest,
                          "halves that ended": ended}), flush=True)

    async def run(self):
        stdin = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stdin), sys.stdin)
        for i in range(self.arguments.kept):
            self.kept.append(await self.connect(i))
            await self.ask_kept(i)
        for i in range(self.arguments.halves):
            self.halves.append(await self.connect(self.arguments.kept + i))
            self.halves[-1][1].write(HALF)
        print("connected", flush=True)

        asking = asyncio.create_task(self.keep_asking())
        while (line := await stdin.readline()) and line != b"finish\n":
            self.report()
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        await asyncio.gather(*(self.ask_kept(i) for i in range(len(self.kept))),
                             *(self.ask(*half, REST) for half in self.halves))
        self.report()


parser = argparse.ArgumentParser()
parser.add_argument("--port", type=int, default=80)
parser.add_argument("--kept", type=int, default=0)
parser.add_argument("--halves", type=int, default=0)
parser.add_argument("--rate", type=float, default=100, help="questions a second, of all together")
asyncio.run(Keepers(parser.parse_args()).run())
