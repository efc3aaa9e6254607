"""Running the examples of a page.

Two kinds of pages:

* Most are run in this process. Their blocks are files of a small project, which begins
  as the one that the tutorial ends with; each block is run as soon as it is in its
  file, and the test cases in it are run by unittest and have to pass. Code with a bare
  ``await`` is run inside a test, with a connected ``communicator``.
* A page with the comment ``<!-- run as commands -->`` is run as a reader would: its
  files are written into an empty directory, and its commands are run there. With
  ``<!-- run as commands after the tutorial -->`` the tutorial's project is there.

Written here rather than taken from a package for doctests in Markdown: the examples
are test cases of Django, which have to be run by unittest inside a database and a
project, some of them have to fail, and what they print has to match. That is all of
this module, and no part of it would come from such a package.
"""

import contextlib
import importlib
import inspect
import os
import re
import subprocess
import sys
import unittest
from ast import PyCF_ALLOW_TOP_LEVEL_AWAIT
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.test import override_settings

from chanx_testing.channels.testing import WebsocketTestCase
from tests.support.docs.pages import DOCS, Block, blocks_of
from tests.support.processes import environment_without
from tests.support.project import ROOT

TUTORIAL = DOCS / "tutorial.md"
SETTINGS = "mysite/settings.py"

# What the tutorial sets and the settings of these tests do not have.
_OF_TUTORIAL = ("ASGI_APPLICATION", "CHANX", "CHANNEL_LAYERS")

# Commands that need the network, or do not end. test_examples.py lists what is not run.
NOT_RUN = ("python -m pip install", "python manage.py runserver")


class ExampleFailed(AssertionError):
    """An example did not do what its page says."""


def runs_as_commands(page: Path) -> bool:
    """Return whether a page says that its commands are run."""
    return "<!-- run as commands" in page.read_text(encoding="utf-8")


def goes_on_after_the_tutorial(page: Path) -> bool:
    """Return whether the commands of a page need the tutorial's project."""
    return "<!-- run as commands after" in page.read_text(encoding="utf-8")


def commands_not_run(page: Path) -> list[str]:
    """Return the commands that a page shows and no test runs."""
    commands = [
        command for block in blocks_of(page) for command, _ in commands_of(block)
    ]
    if runs_as_commands(page):
        return [command for command in commands if command.startswith(NOT_RUN)]
    return commands


# --- Files ----------------------------------------------------------------------


def write(root: Path, path: str, block: Block) -> int:
    """Put a block into its file and return the number of lines before it."""
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    for package in file.relative_to(root).parents[:-1]:
        (root / package / "__init__.py").touch()
    before = ""
    if file.exists() and "replace" not in block.tags:
        before = file.read_text(encoding="utf-8").rstrip("\n") + "\n\n\n"
    file.write_text(before + block.text, encoding="utf-8")
    return before.count("\n")


def write_tutorial(root: Path) -> None:
    """Write the files of Python that the tutorial ends with, its tests left out."""
    for block in blocks_of(TUTORIAL):
        path = block.path
        if block.language == "python" and path and not path.endswith("tests.py"):
            write(root, path, block)


# --- In this process ------------------------------------------------------------


class PageRun:
    """Runs the blocks of one page, one after the other.

    Args:
        root: An empty directory.
        page: The page.
    """

    def __init__(self, root: Path, page: Path) -> None:
        self.root = root
        self.blocks = blocks_of(page)
        self.number = 0
        self.path = "chat/tests.py"
        self.stack = contextlib.ExitStack()

    def run(self) -> None:
        """Run them all.

        Raises:
            ExampleFailed: A block does not do what the page says.
        """
        write_tutorial(self.root)
        with self.stack, _importable(self.root):
            if self.page_has_a_project:
                self.apply_settings((self.root / SETTINGS).read_text(), _OF_TUTORIAL)
            for number, block in enumerate(self.blocks):
                if block.language == "python":
                    self.number = number
                    try:
                        self.run_block(block)
                    except BaseException as error:
                        error.add_note(f"in the example at {block.place}")
                        raise

    @property
    def page_has_a_project(self) -> bool:
        """Whether the files of the tutorial are there."""
        return (self.root / SETTINGS).exists()

    def apply_settings(self, text: str, names: tuple[str, ...] | None = None) -> None:
        """Have the settings in a file of settings from here to the end of the page."""
        values: dict[str, Any] = {"INSTALLED_APPS": [], "MIDDLEWARE": []}
        exec(text, values)
        chosen = {
            name: value
            for name, value in values.items()
            if name.isupper() and (names is None or name in names)
        }
        chosen = {name: value for name, value in chosen.items() if value != []}
        self.stack.enter_context(override_settings(**chosen))

    def run_block(self, block: Block) -> None:
        """Run one block and the test cases in it."""
        self.path = block.path or self.path
        if self.path.startswith("mysite/settings"):
            self.apply_settings(block.text)
            return
        module = self.module_of(self.path, block)
        before = set(vars(module))
        lines = write(self.root, self.path, block)
        code = compile(
            "\n" * lines + block.text,
            self.root / self.path,
            "exec",
            flags=PyCF_ALLOW_TOP_LEVEL_AWAIT,
            dont_inherit=True,
        )
        problems: list[str] = []
        if code.co_flags & inspect.CO_COROUTINE:
            problems += run_in_a_test(code, vars(module))
        else:
            exec(code, vars(module))
            if self.path == "mysite/urls.py":
                self.stack.enter_context(override_settings(ROOT_URLCONF="mysite.urls"))
            for case in new_cases(module, before):
                problems += run_case(case)
        self.judge(block, problems)

    def module_of(self, path: str, block: Block) -> Any:
        """Return the module of a file, made where there is none yet."""
        name = path.removesuffix(".py").replace("/", ".")
        file = self.root / path
        if "replace" in block.tags:
            file.unlink()
            sys.modules.pop(name, None)
        if not file.exists():
            empty = Block(block.page, block.line, "python", "", frozenset())
            write(self.root, path, empty)
            importlib.invalidate_caches()
        return importlib.import_module(name)

    def judge(self, block: Block, problems: list[str]) -> None:
        """Compare what went wrong with what the page says."""
        if "fails" not in block.tags:
            if problems:
                raise ExampleFailed("\n".join(problems))
            return
        if not problems:
            raise ExampleFailed("it is said to fail, and it passes")
        following = self.blocks[self.number + 1 : self.number + 2]
        if not following or following[0].language != "text":
            raise ExampleFailed("no text block after it shows how it fails")
        require_shown(following[0].text, "\n".join(problems))


def new_cases(module: Any, before: set[str]) -> list[type[unittest.TestCase]]:
    """Return the test cases that a module defines now and did not before."""
    return [
        value
        for name, value in vars(module).items()
        if name not in before
        and isinstance(value, type)
        and issubclass(value, unittest.TestCase)
        and value.__module__ == module.__name__
    ]


def run_case(case: type[unittest.TestCase]) -> list[str]:
    """Run the tests of a case and return the traceback of each that did not pass."""
    result = unittest.TestResult()
    for name in unittest.defaultTestLoader.getTestCaseNames(case):
        case(name)(result)
    problems = [text for _, text in [*result.errors, *result.failures]]
    problems += [f"{test} passed unexpectedly" for test in result.unexpectedSuccesses]
    problems += [f"{test} was skipped: {why}" for test, why in result.skipped]
    return problems


def run_in_a_test(code: Any, names: dict[str, Any]) -> list[str]:
    """Run code with a bare ``await`` as a test of the chat of the tutorial."""

    class Snippet(WebsocketTestCase):
        ws_path = "/ws/chat/"

        def get_ws_headers(self) -> Any:
            self.user, headers = self.create_user_and_ws_headers()
            return headers

        async def test(self) -> None:
            names.update(self=self, communicator=self.auth_communicator)
            await self.auth_communicator.connect()
            await self.auth_communicator.assert_authenticated_status_ok()
            await eval(code, names)

    return run_case(Snippet)


@contextlib.contextmanager
def _importable(root: Path) -> Iterator[None]:
    """Let modules in ``root`` be imported, and forget them afterwards."""
    before = set(sys.modules)
    path = list(sys.path)
    sys.path.insert(0, str(root))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path[:] = path
        for name in set(sys.modules) - before:
            file = getattr(sys.modules[name], "__file__", None) or ""
            if file.startswith(str(root)):
                del sys.modules[name]


# --- As commands ----------------------------------------------------------------


def run_commands(root: Path, page: Path) -> None:
    """Write the files of a page and run its commands, in the order of the page.

    Args:
        root: An empty directory.
        page: The page.

    Raises:
        ExampleFailed: A command fails, or does not print what the page shows.
    """
    if goes_on_after_the_tutorial(page):
        _run("django-admin startproject mysite .", root)
        write_tutorial(root)
    for block in blocks_of(page):
        try:
            if block.language == "console":
                for command, shown in commands_of(block):
                    if command.startswith(NOT_RUN):
                        continue
                    printed = _run(command, root, fails="fails" in block.tags)
                    if shown.strip():
                        require_shown(shown, printed)
            elif block.path is not None:
                write(root, block.path, block)
            elif block.language == "python":
                raise ExampleFailed("it does not say which file it is in")
        except BaseException as error:
            error.add_note(f"in the example at {block.place}")
            raise


def commands_of(block: Block) -> list[tuple[str, str]]:
    """Return the commands of a block, each with what it prints."""
    found: list[tuple[str, str]] = []
    if block.language == "console":
        for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
            command, _, shown = part.partition("\n")
            found.append((command, shown))
    return found


def _run(command: str, root: Path, *, fails: bool = False) -> str:
    environment = environment_without("DJANGO_", "PYTEST_", "CHANX_", "PYTHONPATH")
    programs = str(Path(sys.executable).parent)
    environment["PATH"] = programs + os.pathsep + environment["PATH"]
    # Installed or not, the package that is tested is this one.
    environment["PYTHONPATH"] = str(ROOT)
    # What goes to stdout and to stderr stays in its order.
    environment["PYTHONUNBUFFERED"] = "1"
    done = subprocess.run(
        command,
        shell=True,
        cwd=root,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    if (done.returncode != 0) != fails:
        raise ExampleFailed(f"$ {command} ended with {done.returncode}:\n{done.stdout}")
    return done.stdout


# --- What is shown --------------------------------------------------------------

# What differs from run to run, or between the page and the directory of the test.
_VARYING = [
    (re.compile(r'(?:[^\s"(]*/)?(\w+\.py):\d+'), r"\1:N"),
    (re.compile(r'File "(?:[^"]*/)?(\w+\.py)", line \d+'), r'File "\1", line N'),
    (re.compile(r"^ +\d+\.\d ", re.MULTILINE), "  T "),
    (re.compile(r"\bws#\d+"), "ws#N"),
    (re.compile(r"\btest-user-\d+"), "test-user-N"),
    (re.compile(r"\b\d+(?:\.\d+)? ?m?s\b"), "T s"),
    (re.compile(r"^[\w.]+\.(?=[A-Z]\w+: )", re.MULTILINE), ""),
    (re.compile(r"\[broadcast \d+\]"), "[broadcast N]"),
    (re.compile(r"(=|-){5,}"), r"\1\1\1\1\1"),
]


def require_shown(shown: str, printed: str) -> None:
    """Fail unless ``printed`` has the lines of ``shown``, one after the other.

    Times, numbers of lines and directories may differ. A line ``...`` stands for any
    lines.
    """
    want = [line.strip() for line in _plain(shown)]
    have = [line.strip() for line in _plain(printed)]
    pieces: list[list[str]] = [[]]
    for line in want:
        if line == "...":
            pieces.append([])
        else:
            pieces[-1].append(line)
    at = 0
    for piece in pieces:
        places = range(at, len(have) - len(piece) + 1)
        found = next((n for n in places if have[n : n + len(piece)] == piece), None)
        if found is None:
            wanted = "\n".join(piece)
            raise ExampleFailed(
                f"the page shows\n\n{wanted}\n\nand this was printed:\n\n{printed}"
            )
        at = found + len(piece)


def _plain(text: str) -> list[str]:
    for pattern, replacement in _VARYING:
        text = pattern.sub(replacement, text)
    # Tracebacks of Python 3.13 underline more than those before.
    lines = [line for line in text.splitlines() if set(line.strip()) - set("^~")]
    return [line for line in lines if line.strip()]
