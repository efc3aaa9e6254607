"""An asyncio loop that can be asked whether anything more can come."""

import asyncio
import concurrent.futures
import functools
import selectors
import signal
import sys
import threading
from collections.abc import Callable
from contextvars import Context
from threading import get_ident
from typing import Any, ClassVar

from chanx_testing.core.idle.clock import Clock
from chanx_testing.core.idle.describe import caller_place, describe_callable
from chanx_testing.core.idle.monitor import Monitor
from chanx_testing.core.idle.sources import garbage, submissions
from chanx_testing.core.idle.sources.threads import feeds
from chanx_testing.core.idle.tasks import TaskRegistry
from chanx_testing.core.idle.verdict import Deadlock, UnsafeLoopAccess

_Base = asyncio.SelectorEventLoop

# The overrides take `Any` where typeshed ties a callback to its arguments: the
# arguments are handed on as they are.


class IdleSelector(selectors.DefaultSelector):
    """The platform's selector, which asks the monitor before it sleeps."""

    monitor: Monitor | None = None

    def select(self, timeout: float | None = None) -> list[Any]:
        """As ``selectors.BaseSelector.select``; may return early, with nothing."""
        if self.monitor is None:
            return super().select(timeout)
        return self.monitor.select(super().select, timeout)


class _Catching(concurrent.futures.Executor):
    """Hands a job on to an executor and keeps the future that it gives.

    The asyncio future made from it is of no use: it is cancelled by a timeout while
    the job goes on.
    """

    def __init__(self, executor: concurrent.futures.Executor) -> None:
        self._executor = executor
        self.future: concurrent.futures.Future[Any] | None = None

    def submit(
        self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any
    ) -> "concurrent.futures.Future[Any]":
        self.future = self._executor.submit(fn, *args, **kwargs)
        return self.future


class IdleEventLoop(_Base):
    """asyncio's selector loop, overridden in public methods only.

    Use it through :func:`~chanx_testing.core.idle.installed`, or give it to
    ``asyncio.Runner(loop_factory=IdleEventLoop)``.
    """

    #: Whether a run whose main task waits for something that can never happen ends
    #: with :class:`~chanx_testing.core.idle.Deadlock` instead of hanging.
    detect_deadlocks: ClassVar[bool] = True

    #: Whether a wait with a horizon collects garbage before its verdict, and what is
    #: older than the run of the loop is frozen meanwhile. A test that looks at how the
    #: collector treats older objects switches it off.
    collects_garbage: ClassVar[bool] = True

    def __init__(self) -> None:
        selector = IdleSelector()
        self._owner: int | None = None
        self._pool: concurrent.futures.Executor | None = None
        self._pool_is_shut = False
        self._expecting_main = False
        self.last_time = Clock.now()
        self.tasks_created = TaskRegistry()
        self._watched = selector
        self.monitor = Monitor(self)
        super().__init__(selector)
        # What the constructor has registered is the loop's own wake-up pipe.
        self.monitor.own_descriptors.update(key.fd for key in self.watched_keys())
        selector.monitor = self.monitor

    def watched_keys(self) -> list[selectors.SelectorKey]:
        """Every descriptor that the loop watches."""
        mapping = self._watched.get_map()
        return [] if mapping is None else list(mapping.values())

    # -- running ------------------------------------------------------------------

    def run_forever(self) -> None:
        if self._owner is not None:
            super().run_forever()  # raises: it runs already
            return
        with garbage.older_objects_frozen(self.collects_garbage), submissions.watched():
            self._owner = get_ident()
            try:
                super().run_forever()
            finally:
                self._owner = None

    def run_until_complete(self, future: Any) -> Any:
        """As asyncio's.

        Raises:
            Deadlock: the future waits for something that can never happen.
        """
        monitor = self.monitor
        if self.is_running() or not self.detect_deadlocks:
            return super().run_until_complete(future)
        if asyncio.isfuture(future):
            monitor.main = future
        else:
            self._expecting_main = True
        try:
            result = super().run_until_complete(future)
        except (Exception, asyncio.CancelledError) as error:
            if monitor.deadlock is None:
                raise
            raise Deadlock(monitor.deadlock) from error
        else:
            # Somebody may have caught the cancellation that broke the deadlock, as
            # async_to_sync does to hand it over to its caller's thread.
            if monitor.deadlock is not None:
                raise Deadlock(monitor.deadlock)
            return result
        finally:
            self._expecting_main = False
            monitor.main = None
            monitor.deadlock = None
            monitor.cancels = 0

    def close(self) -> None:
        super().close()
        self.monitor.timers.forget_before(None)
        self.monitor.jobs.clear()
        self.monitor.children.clear()

    # -- time and callbacks -------------------------------------------------------

    def time(self) -> float:
        now = Clock.now()
        if get_ident() == self._owner:
            self.last_time = now
        return now

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        if self._owner is not None and get_ident() != self._owner:
            return self._call_soon_from_outside(callback, args, context)
        self.monitor.activity += 1
        return _Base.call_soon(self, callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self,
        when: float,
        callback: Callable[..., Any],
        *args: Any,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        handle = _Base.call_at(self, when, callback, *args, context=context)
        if self._owner is not None and get_ident() != self._owner:
            self._note_trespass()
        self.monitor.activity += 1
        self.monitor.timers.add(handle, callback)
        return handle

    def call_soon_threadsafe(  # type: ignore[override]
        self, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        if get_ident() == self._owner:
            self.monitor.activity += 1
        else:
            feeds()
        return _Base.call_soon_threadsafe(self, callback, *args, context=context)

    def _call_soon_from_outside(
        self,
        callback: Callable[..., Any],
        args: tuple[Any, ...],
        context: Context | None,
    ) -> asyncio.Handle:
        # Scheduled all the same, so that what the thread has changed has its effect
        # and the test can end; raised here, it would leave a future done whose waiter
        # nobody wakes, not even by cancelling it.
        handle = self.call_soon_threadsafe(callback, *args, context=context)
        self._note_trespass()
        return handle

    def _note_trespass(self) -> None:
        frame = sys._getframe(2)
        if garbage.is_finalizing(frame):
            return  # a finalizer does not choose its thread
        error = UnsafeLoopAccess(threading.current_thread().name, caller_place(frame))
        self.call_soon_threadsafe(self.monitor.report_trespass, error)

    # -- what may come from outside -----------------------------------------------

    def run_in_executor(  # type: ignore[override]
        self,
        executor: concurrent.futures.Executor | None,
        func: Callable[..., Any],
        *args: Any,
    ) -> "asyncio.Future[Any]":
        if executor is None:
            executor = self._default_pool()
        catching = _Catching(executor)
        token = object()
        monitor = self.monitor
        monitor.jobs[token] = (describe_callable(func), Clock.now())
        try:
            result = super().run_in_executor(catching, func, *args)
        except BaseException:
            del monitor.jobs[token]
            raise
        job = catching.future
        assert job is not None
        release = functools.partial(monitor.jobs.pop, token, None)

        def ended(_: object) -> None:
            try:
                self.call_soon_threadsafe(release)
            except RuntimeError:
                release()  # the loop is closed

        # Added after the callback that hands the result to the loop, and released on
        # the loop: whoever sees the job gone sees its result too.
        job.add_done_callback(ended)
        return result

    def _default_pool(self) -> concurrent.futures.Executor:
        if self._pool_is_shut:
            raise RuntimeError("Executor shutdown has been called")
        if self._pool is None:
            self.set_default_executor(
                concurrent.futures.ThreadPoolExecutor(thread_name_prefix="asyncio")
            )
        assert self._pool is not None
        return self._pool

    def set_default_executor(self, executor: Any) -> None:
        super().set_default_executor(executor)
        self._pool = executor

    async def shutdown_default_executor(self, *args: Any, **kwargs: Any) -> None:
        self._pool_is_shut = True
        await super().shutdown_default_executor(*args, **kwargs)

    async def subprocess_exec(self, *args: Any, **kwargs: Any) -> Any:
        return await self._watch_child(super().subprocess_exec(*args, **kwargs))

    async def subprocess_shell(self, *args: Any, **kwargs: Any) -> Any:
        return await self._watch_child(super().subprocess_shell(*args, **kwargs))

    async def _watch_child(self, starting: Any) -> Any:
        self.monitor.starting_children += 1
        try:
            transport, protocol = await starting
            self.monitor.children.append(transport)
        finally:
            self.monitor.starting_children -= 1
        return transport, protocol

    async def create_connection(self, *args: Any, **kwargs: Any) -> Any:
        transport, protocol = await super().create_connection(*args, **kwargs)
        self.monitor.connections.add(transport)
        return transport, protocol

    async def create_unix_connection(self, *args: Any, **kwargs: Any) -> Any:
        transport, protocol = await super().create_unix_connection(*args, **kwargs)
        self.monitor.connections.add(transport)
        return transport, protocol

    def add_signal_handler(  # type: ignore[override]
        self, sig: int, callback: Callable[..., object], *args: Any
    ) -> None:
        super().add_signal_handler(sig, callback, *args)
        self.monitor.signals[sig] = signal.Signals(sig).name

    def remove_signal_handler(self, sig: int) -> bool:
        removed = super().remove_signal_handler(sig)
        self.monitor.signals.pop(sig, None)
        return removed

    def signals_outside(self) -> bool:
        """Whether a signal may call Python code that is not the loop's.

        An armed interval timer, or a handler of the user's: either may wake the loop
        at any time. Handlers for the keyboard and of test timeouts do not count.
        """
        if hasattr(signal, "getitimer") and any(signal.getitimer(signal.ITIMER_REAL)):
            handler = signal.getsignal(signal.SIGALRM)
            if not _is_bystander(handler):
                return True
        for number in signal.valid_signals() - {signal.SIGINT}:
            handler = signal.getsignal(number)
            if callable(handler) and not _is_bystander(handler):
                return True
        return False

    # -- tasks --------------------------------------------------------------------

    def create_task(self, coro: Any, **kwargs: Any) -> "asyncio.Task[Any]":
        task = super().create_task(coro, **kwargs)
        if self._expecting_main:
            self._expecting_main = False
            self.monitor.main = task
        if isinstance(task, asyncio.Task):
            self.tasks_created.add(task, kwargs.get("context"))
        return task

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.tasks_created.note_failure(context)
        super().call_exception_handler(context)


def _is_bystander(handler: object) -> bool:
    """pytest-timeout's handler fails the test; it never wakes a loop."""
    return getattr(handler, "__module__", "").startswith("pytest_timeout")
