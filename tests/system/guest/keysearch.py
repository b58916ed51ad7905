# SPDX-License-Identifier: LGPL-2.1-or-later
"""Which processes of fdpass and of its workers have a private key (P-256) in their memory? Prints the unit of each process, and
whether it has. keysearch.py KEY..."""

import base64
import pathlib
import re
import sys


def needles(path):
    """Parts of the key's file, its secret number in both orders of bytes, and the encoded key."""
    text = re.search(r"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----\n(.*?)-----END", pathlib.Path(path).read_text(), re.S)[1]
    der = base64.b64decode(text)
    secret = der[der.index(b"\x02\x01\x01\x04\x20") + 5:][:32]  # RFC 5915: version 1, and an OCTET STRING of 32 bytes
    return [secret, secret[::-1], text.split("\n")[1].encode()]


def areas(process):
    for line in (process / "maps").read_text().splitlines():
        begin, end, mode = re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+)", line).groups()
        if mode[0] == "r" and "[v" not in line:
            yield int(begin, 16), int(end, 16)


def has_any(process, wanted):
    with open(process / "mem", "rb", buffering=0) as memory:
        for begin, end in areas(process):
            try:
                memory.seek(begin)
                data = memory.read(end - begin)
            except (OSError, OverflowError):
                continue
            if any(needle in data for needle in wanted):
                return True
    return False


keys = [needle for path in sys.argv[1:] for needle in needles(path)]
for process in pathlib.Path("/proc").glob("[0-9]*"):
    try:
        unit = re.search(r"/([^/\n]+\.service)", (process / "cgroup").read_text())
        if unit and re.match(r"fdpass|test-", unit[1]):
            print(unit[1], process.name, "yes" if has_any(process, keys) else "no")
    except (FileNotFoundError, ProcessLookupError):
        pass
