# SPDX-License-Identifier: LGPL-2.1-or-later
"""The manual pages, as their sources in src/man have them: sections, and the examples in their literal blocks."""

import dataclasses
import pathlib
import re


@dataclasses.dataclass
class Block:
    """An example. One that begins with "# /PATH", after a line "#!…" where there is one, is that file; one that begins with
    "$ " is what a person types, and sees; others, where they are commands, are typed as they are."""
    text: str
    line: int

    @property
    def path(self):
        found = re.match(r"(?:#!.*\n)?# (/\S+)$", self.text, re.M)
        return found[1] if found else None

    @property
    def is_program(self):
        return self.text.startswith("#!")

    @property
    def is_session(self):
        return self.text.startswith("$ ")

    def steps(self):
        """[(command, what it prints)] of a session."""
        parts = re.split(r"^\$ (.*)\n", self.text, flags=re.M)[1:]
        return list(zip(parts[::2], parts[1::2]))


def sections(path):
    """{title: blocks} in the order of the page; what is under "## Title" is its own, not that of "# TITLE" too."""
    found, title, block = {}, None, None
    for number, line in enumerate(pathlib.Path(path).read_text(encoding="utf-8").splitlines(), 1):
        if line == "```":
            if block:
                found[title].append(block)
            block = None if block else Block("", number + 1)
        elif block:
            block.text += re.sub(r"\\(.)", r"\1", line) + "\n"
        elif line.startswith("#"):
            title = line.lstrip("# ")
            found[title] = []
    return found


def files(path, title):
    """What a section needs: {path: block} of its own files, of two versions the first (the page has the other), and of the
    programs of other sections that its units start or its commands make executable."""
    own = {block.path: block for block in reversed(sections(path)[title]) if block.path}
    programs = {block.path: block for block in blocks(path) if block.is_program}
    text = "".join(block.text for block in own.values())
    started = re.findall(r"^ExecStart=-?(/\S+)", text, re.M)
    for block in sections(path)[title]:
        if not block.path:
            started += " ".join(re.findall(r"^chmod \+x (.*)$", block.text, re.M)).split()
    return own | {name: programs[name] for name in started if name in programs and name not in own}


def directory_name(title):
    """Where the files of a section are installed."""
    return "-".join(re.findall(r"\w+", title.lower()))


def blocks(path):
    return [block for blocks in sections(path).values() for block in blocks]


def matches(expected, got):
    """Is this what the page says is printed? "..." stands for anything on its line; white space at the end is nothing."""
    pattern = ".*".join(map(re.escape, expected.rstrip().split("...")))
    return re.fullmatch(pattern, "\n".join(line.rstrip() for line in got.splitlines()).rstrip()) is not None
