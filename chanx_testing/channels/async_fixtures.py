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

# Their frames say nothing to whoever reads a failure.
__tracebackhide__ = True

STUCK_SECONDS: Final = 1.0
"""Seconds a job must have run before it is reported."""

_P = ParamSpec("_P")
_EXPECTS_FAILURE: Final = "__unittest_expecting_failure__"

if TYPE_CHECKING:
    _Base = unittest.TestCase
else:
    _Base = object


class AsyncFixtures(_Base):
    """Async fixtures for a test case of Django; mixed over it."""

    def __init__(self, methodName: str = "runTest") -> None:  # noqa: N803 - unittest's
        super().__init__(methodName)
        self._async_cleanups: list[Callable[[], Awaitable[Any]]] = []

    # What a test case may say of itself.

    async def asyncSetUp(self) -> None:
        """Prepare the test, in its own loop, after :meth:`setUp`."""

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
        with self._method_with_fixtures():
            super().__call__(result)

    def debug(self) -> None:
        """Run the test without collecting its result."""
        with self._method_with_fixtures():
            super().debug()

    @contextmanager
    def _method_with_fixtures(self) -> Iterator[None]:
        name = self._testMethodName
        method = getattr(self, name)
        replacement = (
            self._async_method(method)
            if inspect.iscoroutinefunction(method)
            else self._sync_method(method)
        )
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

    def _async_method(self, method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        async def run_async(*args: Any, **kwargs: Any) -> None:
            with self._around_test_method() as state:
                await self._run_with_fixtures(
                    functools.partial(method, *args, **kwargs), state
                )

        return run_async

    def _sync_method(self, method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        def run_sync(*args: Any, **kwargs: Any) -> None:
            with self._around_test_method() as state:
                method(*args, **kwargs)
            raise_first(self._after_sync_test(state))

        return run_sync

    async def _run_with_fixtures(
        self, method: Callable[[], Awaitable[Any]], state: Any
    ) -> None:
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

        if await attempt(self._before_async_test) and await attempt(self.asyncSetUp):
            await attempt(method)
            await attempt(self.asyncTearDown)
        while self._async_cleanups:
            await attempt(self._async_cleanups.pop())
        found += await self._after_async_test(state)
        # A skip does not hide what went wrong beside it.
        found.sort(key=lambda error: isinstance(error, unittest.SkipTest))
        if found and (jobs := overdue_jobs(STUCK_SECONDS)):
            report_stuck_jobs(self.id(), found[0], jobs)
        if found and not isinstance(found[0], unittest.SkipTest):
            self._describe_failure(state, found[0])
        raise_first(found)


def report_stuck_jobs(test: str, error: BaseException, jobs: list[str]) -> None:
    """Report thread jobs that keep a failed test from ending.

    A thread cannot be cancelled. The test ends only when its jobs do; if they never
    ended, nothing would say why.

    Args:
        test: The id of the test.
        error: What the test failed with.
        jobs: The jobs that go on.
    """
    frame = sys._current_frames().get(threading.main_thread().ident or 0)
    stack = "".join(traceback.format_stack(frame)) if frame is not None else ""
    print(
        f"\n{test} has failed and waits for work in a thread to end: {'; '.join(jobs)}."
        f"\n{type(error).__name__}: {error}\nThe main thread is at:\n{stack}",
        file=sys.__stderr__,
        flush=True,
    )
