"""Reading the examples out of a page, as a reader sees them.

A page is Markdown. Its examples are fenced blocks, each with a language:

``python``
    Code. A first line such as ``# chat/consumers.py`` names its file; without one the
    block continues the file of the block before it.
``console``
    Commands after ``$``, and what they print.
``text``
    What a failing test shows, after a block that is marked as failing.
``ini``, ``toml``
    A file, named in its first line like a file of Python.

A comment before a block says what cannot be seen from the block itself:
``<!-- fails -->`` for a test that must fail with the next ``text`` block,
``<!-- replace -->`` for a file that is shown anew instead of being continued.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.project import ROOT

DOCS = ROOT / "docs"

LANGUAGES = frozenset({"python", "console", "text", "ini", "toml"})
TAGS = frozenset({"fails", "replace"})

_FENCE = re.compile(r"^(?P<indent> *)(?P<ticks>`{3,}) *(?P<info>.*)$")
_COMMENT = re.compile(r"^ *<!-- (?P<text>.*) -->$")
_FILE = re.compile(r"^# (?P<path>[\w./-]+\.(?:py|ini|toml))$")


@dataclass(frozen=True)
class Block:
    """One example.

    Attributes:
        page: The file that it is in.
        line: The line of its fence, from 1.
        language: The language after the fence.
        text: What is in it, without indentation.
        tags: The comments before it.
    """

    page: Path
    line: int
    language: str
    text: str
    tags: frozenset[str]

    @property
    def place(self) -> str:
        """Where it is, for a person to open."""
        return f"{os.path.relpath(self.page, ROOT)}:{self.line}"

    @property
    def path(self) -> str | None:
        """The file that it says it is in, or None."""
        first, _, _ = self.text.partition("\n")
        match = _FILE.match(first)
        return match["path"] if match else None


def all_pages() -> list[Path]:
    """Return the README and every page of the documentation."""
    built = DOCS / "_build"
    pages = [path for path in DOCS.rglob("*.md") if built not in path.parents]
    return [ROOT / "README.md", *sorted(pages)]


def blocks_of(page: Path) -> list[Block]:
    """Return the examples of a page in their order.

    Directives of MyST, such as ``{toctree}``, are no examples. What is inside a note
    between colons is read as everything else.
    """
    return [block for block in _fenced(page) if not block.language.startswith("{")]


def directives_of(page: Path) -> list[Block]:
    """Return what is fenced and is a directive of MyST."""
    return [block for block in _fenced(page) if block.language.startswith("{")]


def prose_of(page: Path) -> list[tuple[int, str]]:
    """Return the lines of a page outside its blocks, with their numbers from 1."""
    lines = page.read_text(encoding="utf-8").splitlines()
    fenced = {
        number
        for block in _fenced(page)
        for number in range(block.line, block.line + block.text.count("\n") + 2)
    }
    return [(n, line) for n, line in enumerate(lines, 1) if n not in fenced]


def _fenced(page: Path) -> Iterator[Block]:
    tags: set[str] = set()
    lines = page.read_text(encoding="utf-8").splitlines()
    at = 0
    while at < len(lines):
        line = lines[at]
        at += 1
        if comment := _COMMENT.match(line):
            tags.add(comment["text"])
        elif fence := _FENCE.match(line):
            start, indent = at, len(fence["indent"])
            while lines[at].strip() != fence["ticks"]:
                at += 1
            text = "".join(content[indent:] + "\n" for content in lines[start:at])
            at += 1
            yield Block(page, start, fence["info"].strip(), text, frozenset(tags))
            tags.clear()
        elif line.strip():
            tags.clear()
