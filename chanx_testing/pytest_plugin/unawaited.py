"""Fail the tests of pytest that forgot to await: a verb, or their own body.

A test that calls no verb of this package notices nothing.
"""

import inspect
from collections.abc import Generator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    # Not at run time: plugins are loaded before coverage is measured.
    from chanx_testing.core.unawaited import Calls, NeverRan

# Their frames say nothing to whoever reads a failure.
__tracebackhide__ = True

CALLS: "Final[pytest.StashKey[Calls]]" = pytest.StashKey()
NOT_RUN: Final = "Tests based on asynchronous generators"
"""How pytest-asyncio begins its reason not to run such a test, which never fails."""

Phase = Generator[None, object, object]


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Phase:
    """Keep the calls of verbs that a test and its fixtures have not awaited yet."""
    from chanx_testing.core.unawaited import calls_of_test

    before = item.session.stash.get(CALLS, None)
    with calls_of_test() as calls:
        if before is not None:
            before.hand_over(calls)
        item.session.stash[CALLS] = calls
        return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Phase:
    """Look at what the fixtures forgot, and have a test run that never would."""
    if _is_generator_of_ours(item):
        item.own_markers[:] = [
            mark for mark in item.own_markers if not _says_not_run(mark)
        ]
    result = yield from _phase(item)
    _calls_of(item).end_of_setup()
    return result


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Phase:
    """Look at what the test forgot, and could not await any more."""
    from chanx_testing.core.unawaited import dropped_body, runs_async_test

    if _is_generator_of_ours(item):
        raise _generator(item)
    if not (
        isinstance(item, pytest.Function)
        and runs_async_test(item.obj)
        and _is_of_ours(item)
    ):
        return (yield from _phase(item))
    with dropped_body(item.name, item.obj) as dropped:
        result = yield from _phase(item)
    if dropped:
        raise dropped[0]
    return result


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Phase:
    """Look at all that was forgotten, but what a fixture holds that goes on."""
    result = yield from _phase(item)
    calls = _calls_of(item)
    forgotten = calls.take_all() if nextitem is None else calls.take_own()
    if forgotten is not None:
        raise forgotten
    return result


def _calls_of(item: pytest.Item) -> "Calls":
    from chanx_testing.core.unawaited import Calls

    # There is none where a tool runs the phases of a test by itself.
    return item.session.stash.setdefault(CALLS, Calls())


def _phase(item: pytest.Item) -> Phase:
    calls = _calls_of(item)
    try:
        result = yield
    except pytest.skip.Exception as skip:
        # A skip does not hide what went wrong beside it.
        if (forgotten := calls.take_dropped()) is not None:
            raise forgotten from skip
        raise
    except BaseException as error:
        # The failure stays the headline; this may be its cause.
        if (forgotten := calls.take_all()) is not None:
            error.add_note(str(forgotten))
        raise
    # One that somebody still holds may be awaited by a fixture.
    if (forgotten := calls.take_dropped()) is not None:
        raise forgotten
    return result


# Tests whose body never runs. What they would use is not known, so a test counts as one
# that uses this package where its module has something of it, or a conftest.py above.


def _is_generator_of_ours(item: pytest.Item) -> bool:
    """Return whether a test has ``yield`` in its ``async def``, and is one of ours."""
    return (
        isinstance(item, pytest.Function)
        and inspect.isasyncgenfunction(item.obj)
        and _is_of_ours(item)
    )


def _is_of_ours(item: pytest.Function) -> bool:
    modules = [item.module] + [
        plugin
        for plugin in item.config.pluginmanager.get_plugins()
        if isinstance(plugin, ModuleType) and _is_conftest_of(plugin, item.path)
    ]
    return any(map(_uses_this_package, modules))


def _is_conftest_of(module: ModuleType, test: Path) -> bool:
    file = Path(getattr(module, "__file__", None) or "")
    return file.name == "conftest.py" and file.parent in test.parents


def _uses_this_package(module: ModuleType) -> bool:
    for value in vars(module).values():
        name = value.__name__ if isinstance(value, ModuleType) else ""
        owners = value.__mro__ if isinstance(value, type) else [value]
        names = [name, *(str(getattr(owner, "__module__", "")) for owner in owners)]
        if any(f"{name}.".startswith("chanx_testing.") for name in names):
            return True
    return False


def _says_not_run(mark: pytest.Mark) -> bool:
    reason = str(mark.kwargs.get("reason", ""))
    return mark.name == "xfail" and reason.startswith(NOT_RUN)


def _generator(item: pytest.Item) -> "NeverRan":
    from chanx_testing.core.unawaited import NeverRan

    return NeverRan(
        f"{item.name}() has 'yield' in its 'async def', which makes it an async "
        f"generator: nobody iterates over it, so it never ran. Take the 'yield' out "
        f"of the test."
    )
