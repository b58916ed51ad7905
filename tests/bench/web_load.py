# SPDX-License-Identifier: LGPL-2.1-or-later
"""Load by wrk on one subject of tests/bench/web: what it takes in time and in CPU, and whether the answers are right."""

import http.client
import pathlib
import re
import subprocess
import threading
import os

HOST = 'bench.example'
NAMES = {'site': '', 'api': '/api'}  # workers, and the prefix of their paths
SIZES = [11, 16384, 65536, 102400, 262144, 10 << 20]
READY_SEC = 10
SAMPLE_SEC = 0.05
SAMPLE_BYTES = 10 << 20  # that a client beside wrk reads in a second
TICK = os.sysconf('SC_CLK_TCK')

# Kinds of load: the workers whose paths a connection asks for in turn, and requests of a connection (0: no end).
LOADS = {
    'stay': (['site'], 0),
    'wander': (['site', 'api'], 0),
    'new': (['site'], 1),
    'ten': (['site'], 10),
    'thousand': (['site'], 1000),
}

# wrk counts an answer of another status. A worker has only its own paths, so the wrong worker answers 404.
SCRIPT = '''
local requests, last, n, left, each = {}, {}, 0, 0, %d
function init()
        for i, path in ipairs({ %s }) do
                requests[i] = wrk.format("GET", path)
                wrk.headers["Connection"] = "close"
                last[i] = wrk.format("GET", path)
                wrk.headers["Connection"] = nil
        end
        left = each
end
function request()
        n = n %% #requests + 1
        left = left - 1
        if left ~= 0 then return requests[n] end
        left = each
        return last[n]
end
function done(summary, latency)
        local e = summary.errors
        io.write(string.format("served=%%d usec=%%d p50=%%d p99=%%d failed=%%d\\n", summary.requests, summary.duration,
                 latency:percentile(50), latency:percentile(99), e.connect + e.read + e.write + e.status + e.timeout))
end
'''


def body(name, size):
    """What the worker of this name answers."""
    line = f'{name:4} hello\n'.encode()
    return (line * (size // len(line) + 1))[:size]


def path_of(name, size):
    return f'{NAMES[name]}/{size}'


def machine_seconds():
    """CPU that the whole machine has used: all but what is idle, waits for a disk, or is another machine's."""
    user, nice, system, _, _, irq, softirq = map(int, pathlib.Path('/proc/stat').read_text().split()[1:8])
    return (user + nice + system + irq + softirq) / TICK


def memory(pids):
    """Bytes of processes, a shared page divided among those that have it (Pss)."""
    return 1024 * sum(int(line.split()[1]) for pid in pids
                      for line in pathlib.Path(f'/proc/{pid}/smaps_rollup').read_text().splitlines()
                      if line.startswith('Pss:'))


def idle(subject, n, pids):
    """Opens @n connections that have had one answer each. Returns bytes of the processes for each."""
    before, connections = memory(pids()), []
    try:
        for _ in range(n):
            client = http.client.HTTPConnection('127.0.0.1', subject.port, timeout=READY_SEC)
            connections.append(client)
            client.request('GET', path_of('site', 11), headers={'Host': HOST})
            client.getresponse().read()
        return (memory(pids()) - before) / n
    finally:
        for client in connections:
            client.close()


class Sampler(threading.Thread):
    """A client beside wrk, which compares each body with what the right worker answers. It has little to do."""

    def __init__(self, port, names, size, closes):
        super().__init__()
        self.port, self.names, self.size = port, names, size
        self.headers = {'Host': HOST} | ({'Connection': 'close'} if closes else {})
        self.ended = threading.Event()
        self.n, self.wrong = 0, None

    def run(self):
        client = http.client.HTTPConnection('127.0.0.1', self.port, timeout=READY_SEC)
        try:
            while not self.ended.is_set():
                self.ask(client, self.names[self.n % len(self.names)])
                self.ended.wait(max(SAMPLE_SEC, self.size / SAMPLE_BYTES))
        except (OSError, http.client.HTTPException) as e:
            self.wrong = self.wrong or f'a sample: {e!r}'
        finally:
            client.close()

    def ask(self, client, name):
        client.request('GET', path_of(name, self.size), headers=self.headers)
        answer = client.getresponse()
        got = answer.read()
        self.n += 1
        if answer.status != 200 or got != body(name, self.size):
            self.wrong = f'{name} was asked for {self.size} bytes: {answer.status}, {len(got)} bytes {got[:20]!r}'

    def end(self):
        self.ended.set()
        self.join()
        if self.wrong:
            raise RuntimeError(self.wrong)


class Load:
    """One load: a kind of LOADS, and a size of answers."""

    def __init__(self, kind, size, options, directory):
        self.kind, self.size, self.options = kind, size, options
        self.names, self.each = LOADS[kind]
        self.script = directory / f'{kind}-{size}.lua'
        self.script.write_text(SCRIPT % (self.each, ', '.join(f'"{path_of(name, size)}"' for name in self.names)))

    def wrk(self, port, seconds):
        """Returns what wrk tells, and the CPU seconds that it took."""
        # A thread for each connection, because the script does not know which connection a request is for.
        n = self.options.connections
        argv = ['wrk', f'-t{n}', f'-c{n}', f'-d{seconds}s', '-s', self.script, '-H', f'Host: {HOST}',
                f'http://127.0.0.1:{port}']
        child = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
        text = child.stdout.read()
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        found = re.search(r'^served=.*', text, re.M)
        if child.returncode != 0 or not found:
            raise RuntimeError(f'wrk: {text.strip()}')
        return ({k: int(v) for k, v in (word.split('=') for word in found[0].split())}, usage.ru_utime + usage.ru_stime)

    def warm_up(self, subject):
        self.wrk(subject.port, 1)

    def measure(self, subject):
        """One round. CPU is in us for a request: of the whole machine, and of each part that serves it."""
        sampler = Sampler(subject.port, self.names, self.size, self.each == 1)
        sampler.start()
        try:
            before, machine = subject.cpu(), machine_seconds()
            told, wrk_cpu = self.wrk(subject.port, self.options.seconds)
            machine = machine_seconds() - machine
            parts = {part: cpu - before[part] for part, cpu in subject.cpu().items()} | {'wrk': wrk_cpu}
        finally:
            sampler.end()
        if told['failed'] > 0 or told['served'] == 0:
            raise RuntimeError(f'{subject.name}, {self.kind}, {self.size} bytes: {told["failed"]} of {told["served"]} failed')

        each = {part: 1e6 * cpu / told['served'] for part, cpu in parts.items()}
        return {'rate': 1e6 * told['served'] / told['usec'], 'p50': told['p50'], 'p99': told['p99'],
                'machine': 1e6 * machine / told['served'], 'own': sum(each.values()), 'parts': each,
                'others': (machine - sum(parts.values())) / self.options.seconds, 'samples': sampler.n}
