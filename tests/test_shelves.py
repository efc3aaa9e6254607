"""Where tests and their helpers stand."""

import ast
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parent


def imported_by(path: Path) -> Iterator[str]:
    """Yield the modules of this folder that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Import():
                yield from (alias.name for alias in node.names)
            case ast.ImportFrom(level=0, module="tests"):
                yield from (f"tests.{alias.name}" for alias in node.names)
            case ast.ImportFrom():
                yield "." * node.level + (node.module or "")


def test_what_tests_share_is_in_support() -> None:
    """Otherwise a change of one test is a change of another one's ground."""
    assert [
        f"{path.relative_to(TESTS)}: {name}"
        for path in sorted(TESTS.rglob("*.py"))
        for name in imported_by(path)
        if name.startswith(("tests", ".")) and not name.startswith("tests.support")
    ] == []
