"""Run async fixtures in the loop of their test, on Django's test cases.

Django runs an async test method with ``async_to_sync()``, whose loop has ended when it
returns, so that ``tearDown`` could not use it any more. So the test method is replaced
by one that runs ``asyncSetUp``, the test and ``asyncTearDown``, as
:class:`unittest.IsolatedAsyncioTestCase` does.
"""

import functools
import inspect
import sys
import threading
import traceback
import unittest
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, ParamSpec

from chanx_testing.core.client.errors import raise_first
from chanx_testing.core.idle.waiting import overdue_jobs
from chanx_testing.core.thread_frames import collections_held
from chanx_testing.core.unawaited import (
    Calls,
    NeverRan,
    await_overrides,
    body_that_never_ran,
    calls_of_test,
    dropped_body,
    must_await,
)

# Their frames say nothing to whoever reads a failure.
__tracebackhide__ = True

STUCK_SECONDS: Final = 1.0
"""Seconds a job must have run before it is reported."""

_P = ParamSpec("_P")
_EXPECTS_FAILURE: Final = "__unittest_expecting_failure__"
_NOT_ASYNC: Final = {
    "setUp": "Call it asyncSetUp, which is awaited in the loop of the test.",
    "tearDown": "Call it asyncTearDown, which is awaited in the loop of the test.",
    "setUpClass": "Make it 'def', and call async_to_sync() of what it awaits.",
    "tearDownClass": "Make it 'def', and call async_to_sync() of what it awaits.",
}
"""What unittest calls without ``await``, and what to do instead."""

if TYPE_CHECKING:
    _Base = unittest.TestCase
else:
    _Base = object


class AsyncFixtures(_Base):
    """Async fixtures for a test case of Django; mixed over it."""

    def __init__(self, methodName: str = "runTest") -> None:  # noqa: N803 - unittest's
        super().__init__(methodName)
        self._async_cleanups: list[Callable[[], Awaitable[Any]]] = []

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        # A subclass of that one may forget to await super().asyncSetUp().
        await_overrides(cls)

    # What a test case may say of itself.

    @must_await
    async def asyncSetUp(self) -> None:
        """Prepare the test, in its own loop, after :meth:`setUp`."""

    @must_await
    async def asyncTearDown(self) -> None:
        """Clean up in the loop of the test, before its connections are closed."""

    def addAsyncCleanup(  # noqa: N802 - the name that unittest gives it
        self,
        func: Callable[_P, Awaitable[Any]],
        /,
        *args: _P.args,
        **kwargs: _P.kwargs,
    ) -> None:
        """Call an async function at the end, in the loop of the test.

        Cleanups run last in, first out, after :meth:`asyncTearDown` and before the
        connections are closed, whatever the test did.
        """
        self._async_cleanups.append(functools.partial(func, *args, **kwargs))

    # What a base class adds.

    @contextmanager
    def _around_test_method(self) -> Iterator[Any]:
        """Return a context for the test method and all that runs beside it.

        Yields:
            What :meth:`_after_async_test` and :meth:`_after_sync_test` are given.
        """
        yield None

    async def _before_async_test(self) -> None:
        """Prepare an async test, before :meth:`asyncSetUp`."""

    async def _after_async_test(self, state: Any) -> list[BaseException]:
        """Clean up after an async test, last of all; return what is to fail it."""
        return []

    def _after_sync_test(self, state: Any) -> list[BaseException]:
        """Return what is to fail a test that is not async, and has passed so far."""
        return []

    def _describe_failure(self, state: Any, error: BaseException) -> None:
        """Add to ``error``, with which an async test fails, what helps to read it."""

    # How a test runs.

    def __call__(self, result: unittest.TestResult | None = None) -> None:
        """Run the test."""
        with calls_of_test() as calls, self._method_with_fixtures(calls):
            super().__call__(result)

    def debug(self) -> None:
        """Run the test without collecting its result."""
        with calls_of_test() as calls, self._method_with_fixtures(calls):
            super().debug()

    @contextmanager
    def _method_with_fixtures(self, calls: Calls) -> Iterator[None]:
        name = self._testMethodName
        method = getattr(self, name)
        replacement = (
            self._async_method(method, calls)
            if inspect.iscoroutinefunction(method)
            else self._sync_method(method, calls)
        )
        # Cleanups run last in, first out: nothing of the test comes after this one.
        self.addCleanup(_look_at_the_end, calls)
        before = vars(self).get(name)
        setattr(self, name, replacement)
        # unittest asks the method, or the test case, for the mark of expectedFailure.
        # What Django's async_to_sync() makes of the method does not have it.
        if getattr(method, _EXPECTS_FAILURE, False):
            setattr(self, _EXPECTS_FAILURE, True)
        try:
            yield
        finally:
            vars(self).pop(_EXPECTS_FAILURE, None)
            if before is None:
                delattr(self, name)
            else:
                setattr(self, name, before)

    def _async_method(
        self, method: Callable[..., Any], calls: Calls
    ) -> Callable[..., Any]:
        @functools.wraps(method)
        async def run_async(*args: Any, **kwargs: Any) -> None:
            with self._around_test_method() as state:
                await self._run_with_fixtures(
                    functools.partial(method, *args, **kwargs), state, calls
                )

        return run_async

    def _sync_method(
        self, method: Callable[..., Any], calls: Calls
    ) -> Callable[..., Any]:
        @functools.wraps(method)
        def run_sync(*args: Any, **kwargs: Any) -> None:
            self._check_fixtures()
            with (
                self._around_test_method() as state,
                dropped_body(self._name_of_test(), method) as dropped,
            ):
                try:
                    returned = method(*args, **kwargs)
                except unittest.SkipTest:
                    raise
                except BaseException as error:
                    _note_forgotten(error, calls)
                    raise
            raise_first(
                [
                    *dropped,
                    *self._never_ran(returned),
                    *self._after_sync_test(state),
                    *_dropped(calls),
                ]
            )

        return run_sync

    def _check_fixtures(self) -> None:
        """Make sure that nothing is async which unittest calls without ``await``."""
        for name, advice in _NOT_ASYNC.items():
            method = getattr(self, name)
            if inspect.iscoroutinefunction(method) or inspect.isasyncgenfunction(
                method
            ):
                raise NeverRan(
                    f"{type(self).__name__}.{name} is 'async def', and unittest does "
                    f"not await it, so it never runs. {advice}"
                )

    def _name_of_test(self) -> str:
        return f"{type(self).__name__}.{self._testMethodName}"

    def _never_ran(self, returned: object) -> list[BaseException]:
        never_ran = body_that_never_ran(self._name_of_test(), returned)
        return [] if never_ran is None else [never_ran]

    async def _run_with_fixtures(
        self, method: Callable[[], Awaitable[Any]], state: Any, calls: Calls
    ) -> None:
        self._check_fixtures()
        found: list[BaseException] = []

        async def attempt(step: Callable[[], Awaitable[Any]]) -> bool:
            try:
                await step()
            # Everything: whatever ends a step, the next ones must clean up after it. It
            # is raised again in the end.
            except BaseException as error:
                found.append(error)
                return False
            return True

        async def body() -> None:
            raise_first(self._never_ran(await method()))

        if await attempt(self._before_async_test) and await attempt(self.asyncSetUp):
            await attempt(body)
            await attempt(self.asyncTearDown)
        while self._async_cleanups:
            await attempt(self._async_cleanups.pop())
        found += await self._after_async_test(state)
        if found and not isinstance(found[0], unittest.SkipTest):
            _note_forgotten(found[0], calls)
        else:
            found += _dropped(calls)
        # A skip does not hide what went wrong beside it.
        found.sort(key=lambda error: isinstance(error, unittest.SkipTest))
        if found and (jobs := overdue_jobs(STUCK_SECONDS)):
            report_stuck_jobs(self.id(), found[0], jobs)
        if found and not isinstance(found[0], unittest.SkipTest):
            self._describe_failure(state, found[0])
        raise_first(found)


def _note_forgotten(error: BaseException, calls: Calls) -> None:
    """Add to the failure of a test which calls were never awaited: perhaps its cause.

    The frames of the traceback hold coroutines, so all that have not begun are named.
    """
    if (forgotten := calls.take_all()) is not None:
        error.add_note(str(forgotten))


def _dropped(calls: Calls) -> list[BaseException]:
    forgotten = calls.take_dropped()
    return [] if forgotten is None else [forgotten]


def _look_at_the_end(calls: Calls) -> None:
    """Fail a test for calls that it never awaited, and that nothing follows."""
    if (forgotten := calls.take_all()) is not None:
        raise forgotten


def report_stuck_jobs(test: str, error: BaseException, jobs: list[str]) -> None:
    """Report thread jobs that keep a failed test from ending.

    A thread cannot be cancelled. The test ends only when its jobs do; if they never
    ended, nothing would say why.

    Args:
        test: The id of the test.
        error: What the test failed with.
        jobs: The jobs that go on.
    """
    with collections_held():
        frame = sys._current_frames().get(threading.main_thread().ident or 0)
        stack = "".join(traceback.format_stack(frame)) if frame is not None else ""
    print(
        f"\n{test} has failed and waits for work in a thread to end: {'; '.join(jobs)}."
        f"\n{type(error).__name__}: {error}\nThe main thread is at:\n{stack}",
        file=sys.__stderr__,
        flush=True,
    )
