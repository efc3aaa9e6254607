"""Jobs in executors: a thread or a process works for the loop and answers it."""

import asyncio
import concurrent.futures
import functools
from collections.abc import Callable
from typing import Any, ClassVar

from chanx_testing.core.idle.clock import Clock
from chanx_testing.core.idle.describe import describe_callable


class _FutureKeeper(concurrent.futures.Executor):
    """Hands a job on to an executor and keeps the future that it returns.

    The asyncio future that is made from it does not do: a timeout cancels that one
    while the job goes on.
    """

    def __init__(self, executor: concurrent.futures.Executor) -> None:
        self._executor = executor
        self.future: concurrent.futures.Future[Any] | None = None

    def submit(
        self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any
    ) -> "concurrent.futures.Future[Any]":
        """Submit a job to the executor."""
        self.future = self._executor.submit(fn, *args, **kwargs)
        return self.future


class Jobs:
    """The jobs that one loop has given to executors; a source."""

    wakes_the_loop: ClassVar[bool] = True
    is_outside: ClassVar[bool] = False

    def __init__(self) -> None:
        self._running: dict[object, tuple[str, float]] = {}

    def run(
        self,
        loop: asyncio.AbstractEventLoop,
        start: Callable[..., "asyncio.Future[Any]"],
        executor: concurrent.futures.Executor,
        func: Callable[..., Any],
        args: tuple[Any, ...],
    ) -> "asyncio.Future[Any]":
        """Start a job, and count it until its result has reached the loop.

        Args:
            loop: The loop.
            start: asyncio's ``run_in_executor``.
            executor: The executor.
            func: The job.
            args: Its arguments.
        """
        keeper = _FutureKeeper(executor)
        token = object()
        self._running[token] = (describe_callable(func), Clock.now())
        try:
            result = start(keeper, func, *args)
        except BaseException:
            del self._running[token]
            raise
        assert keeper.future is not None
        release = functools.partial(self._running.pop, token, None)

        def ended(_: object) -> None:
            try:
                loop.call_soon_threadsafe(release)
            except RuntimeError:
                release()  # the loop is closed

        # Added after the callback that hands the result to the loop, and released on
        # the loop: whoever sees the job gone sees its result too. If it were released
        # in the worker, it would be gone before its result is there; if with the
        # asyncio future, it would be gone while it still runs, where a timeout has
        # cancelled that future.
        keeper.future.add_done_callback(ended)
        return result

    def forget(self) -> None:
        """Forget all jobs: the loop is closed."""
        self._running.clear()

    def is_open(self) -> bool:
        """Return whether a job has not answered yet."""
        return bool(self._running)

    may_end_a_deadlock = is_open

    def phrases(self) -> list[str]:
        """Return the name and the age of each job."""
        now = Clock.now()
        return [
            f"executor {name} {round((now - since) * 1000)} ms"
            for name, since in tuple(self._running.values())
        ]

    def at_work(self) -> list[str]:
        """Return the name and the age of each job: it ends, and its end is told."""
        return self.phrases()

    def overdue(self, seconds: float) -> list[str]:
        """Return the name and the age of each job that has run so long or longer."""
        now = Clock.now()
        return [
            f"{name} has run for {now - since:.1f} s"
            for name, since in tuple(self._running.values())
            if now - since >= seconds
        ]
