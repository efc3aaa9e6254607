"""The table of ``docs/howto/frameworks.md``, read off the names of the tests.

A test of ``tests/compat`` is called ``test_<feature>_...``. To write the page anew::

    python -m tests.support.frameworks
"""

import ast
from collections.abc import Iterator

from tests.support.project import ROOT

TESTS = ROOT / "tests" / "compat"
PAGE = ROOT / "docs" / "howto" / "frameworks.md"
HEAD = "## The table\n"

FEATURES = {
    "handshake": "accept, reject",
    "frames": "frames",
    "typed": "typed messages",
    "groups": "between clients",
    "crash": "crashes",
    "cleanup": "cleanup",
    "nothing": "nothing more",
    "database": "database",
}


def names_in(tree: ast.AST) -> Iterator[str]:
    """Yield the names of the tests of a module, in their order."""
    for node in ast.walk(tree):
        if isinstance(
            node, ast.FunctionDef | ast.AsyncFunctionDef
        ) and node.name.startswith("test_"):
            yield node.name


def frameworks() -> dict[str, tuple[str, list[str]]]:
    """Return the title and the tests of each module of ``tests/compat``."""
    found = {}
    for path in sorted(TESTS.glob("test_*.py")):
        if path.stem != "test_table":
            tree = ast.parse(path.read_text(encoding="utf-8"))
            title = (ast.get_docstring(tree) or "").splitlines()[0].rstrip(".")
            found[path.stem] = (title, list(names_in(tree)))
    return found


def feature_of(name: str) -> str:
    """Return the feature that a test is about: the first word of its name."""
    return name.split("_")[1]


def render() -> str:
    """Return the generated part of the page."""
    lines = [
        HEAD,
        "| | " + " | ".join(FEATURES.values()) + " |",
        "|---" * (len(FEATURES) + 1) + "|",
    ]
    sections = []
    for module, (title, names) in frameworks().items():
        target = module.replace("test_", "compat-").replace("_", "-")
        cells = []
        sections += [
            "",
            f"({target})=",
            f"### {title}",
            "",
            f"`tests/compat/{module}.py`",
            "",
        ]
        for feature, column in FEATURES.items():
            tests = [name for name in names if feature_of(name) == feature]
            cells.append(f"[yes](#{target})" if tests else "-")
            if tests:
                listed = ", ".join(f"`{name}`" for name in tests)
                sections.append(f"- {column}: {listed}")
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, *sections]) + "\n"


def write() -> None:
    """Put the table of today into the page."""
    before, _, _ = PAGE.read_text(encoding="utf-8").partition(HEAD)
    PAGE.write_text(before + render(), encoding="utf-8")


if __name__ == "__main__":
    write()
