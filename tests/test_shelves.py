"""Where tests and their helpers stand."""

import ast
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parent
PACKAGE = TESTS.parent / "chanx_testing"
# Folders whose tests are about several rooms of the package, or about none.
OF_MANY_ROOMS = {"compat", "docs", "drop_in", "scenarios", "servers", "support"}


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


def names_in(room: Path) -> Iterator[str]:
    """Yield the names of the modules of a folder of the package, and its own."""
    yield room.name
    yield from (path.stem for path in room.glob("*.py"))


def test_each_file_is_named_after_a_module_of_its_folder() -> None:
    """What is about the package as a whole stands at the top."""
    assert [
        str(file)
        for file in sorted(path.relative_to(TESTS) for path in TESTS.rglob("test_*.py"))
        if file.parts[0] not in {file.name, *OF_MANY_ROOMS}
        if not any(
            f"{file.stem}_".startswith(f"test_{name}_")
            for name in names_in(PACKAGE / file.parent)
        )
    ] == []
