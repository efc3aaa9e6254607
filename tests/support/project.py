"""What the files of the project say: its versions, its extras, its environments."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

with (ROOT / "pyproject.toml").open("rb") as _file:
    PROJECT = tomllib.load(_file)["project"]


def supported(framework: str) -> set[str]:
    """The versions that the classifiers name: supported("Framework :: Django")."""
    pattern = re.compile(re.escape(framework) + r" :: (\d+\.\d+)")
    return {
        match[1]
        for classifier in PROJECT["classifiers"]
        if (match := pattern.fullmatch(classifier))
    }


PYTHONS = supported("Programming Language :: Python")
DJANGOS = supported("Framework :: Django")


def tox_environments() -> set[str]:
    """The names in env_list, with {a,b} written out."""
    text = (ROOT / "tox.ini").read_text()
    block = re.search(r"^env_list =\n((?:    .+\n)+)", text, re.MULTILINE)
    assert block is not None
    names = set()
    for line in block[1].split():
        head, _, alternatives = line.rstrip("}").partition("{")
        names |= {head + end for end in alternatives.split(",")}
    return names
