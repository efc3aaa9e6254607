"""What the end of a test looks at, where the test has used a connection.

What failed by the end of its call, and nobody has seen, is a failure of the test. What
fails while its fixtures are torn down is an error of the teardown.
"""

import unittest
from collections.abc import Generator
from typing import Any

import pytest


def _end(item: pytest.Item, headline: BaseException | None, *, last: bool) -> None:
    from chanx_testing.core.trace.cases import code_of
    from chanx_testing.core.trace.timeline import running_timeline

    timeline = running_timeline()
    if timeline is not None and timeline.ending is not None:
        code = code_of(getattr(item, "obj", None))
        timeline.ending.end(headline, item.nodeid, code, last=last)


def _checked(item: pytest.Item, *, last: bool) -> Generator[None, Any, Any]:
    try:
        result = yield
    except (KeyboardInterrupt, pytest.exit.Exception):
        raise
    except pytest.skip.Exception:
        # A skip does not hide what went wrong beside it.
        _end(item, None, last=last)
        raise
    except BaseException as failure:
        _end(item, failure, last=last)
        raise
    _end(item, None, last=last)
    return result


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Fail the test with what nobody has seen."""
    cls = getattr(item, "cls", None)
    if not (isinstance(cls, type) and issubclass(cls, unittest.TestCase)):
        return (yield from _checked(item, last=False))
    from chanx_testing.core.trace.cases import cases_end

    # A failure of unittest is not raised here: each test case gets a cleanup.
    with cases_end():
        return (yield from _checked(item, last=False))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, Any, Any]:
    """Fail the teardown with what nobody has seen until then."""
    return (yield from _checked(item, last=True))
