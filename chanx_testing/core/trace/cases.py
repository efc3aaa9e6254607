"""The end of a test of ``unittest``, for test cases of every kind.

A cleanup may fail its test, and runs while the loop of an ``IsolatedAsyncioTestCase``
is still there. So each test is given one more, before all others: it runs last.
"""

import functools
import inspect
import unittest
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import CodeType
from typing import Any

from chanx_testing.core.replacing import Replacement, replaced
from chanx_testing.core.trace.timeline import (
    Timeline,
    running_timeline,
    timeline_of_test,
)


def code_of(test: object) -> CodeType | None:
    """Return the code of a test function or method, without its decorators."""
    code = getattr(inspect.unwrap(test), "__code__", None)  # type: ignore[arg-type]
    return code if isinstance(code, CodeType) else None


def end_with_cleanups(case: unittest.TestCase, timeline: Timeline) -> None:
    """Look at the end of a test, which has not begun yet, with its last cleanup."""
    case.addCleanup(_end, case, timeline)


def _end(case: unittest.TestCase, timeline: Timeline) -> None:
    if timeline.ending is not None:
        method = getattr(case, case._testMethodName)
        timeline.ending.end(None, case.id(), code_of(method), last=True)


def _make_run(replacement: Replacement) -> Callable[..., Any]:
    @functools.wraps(replacement.below)
    def run(self: unittest.TestCase, result: Any = None) -> Any:
        original = replacement.original(self)
        if not replacement.active:
            return original(result)
        timeline = running_timeline()
        if timeline is not None:
            end_with_cleanups(self, timeline)
            return original(result)
        with timeline_of_test() as timeline:
            end_with_cleanups(self, timeline)
            return original(result)

    return run


@contextmanager
def cases_end() -> Iterator[None]:
    """Look at the end of each test of ``unittest`` while the block runs."""
    with replaced(unittest.TestCase, "run", "ends of tests", _make_run):
        yield
