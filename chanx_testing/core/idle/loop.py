"""An asyncio loop that can be asked whether anything more can come."""

import asyncio
import concurrent.futures
import functools
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from contextvars import Context, copy_context
from threading import get_ident
from typing import Any, ClassVar

from chanx_testing.core.idle import crashes
from chanx_testing.core.idle.callers import Callers, call_in, is_call
from chanx_testing.core.idle.clock import Clock, LoopClock
from chanx_testing.core.idle.current_test import Engagement
from chanx_testing.core.idle.describe import user_place
from chanx_testing.core.idle.handovers import noted
from chanx_testing.core.idle.monitor import Monitor
from chanx_testing.core.idle.selector import IdleSelector
from chanx_testing.core.idle.sources import submissions
from chanx_testing.core.idle.sources.accounts import Accounts
from chanx_testing.core.idle.sources.children import Children
from chanx_testing.core.idle.sources.connections import Connections
from chanx_testing.core.idle.sources.descriptors import Descriptors
from chanx_testing.core.idle.sources.garbage import collector, is_finalizing
from chanx_testing.core.idle.sources.jobs import Jobs
from chanx_testing.core.idle.sources.natives import (
    Natives,
    is_native,
    note_uncalled_for,
)
from chanx_testing.core.idle.sources.promises import Promises
from chanx_testing.core.idle.sources.signals import Signals
from chanx_testing.core.idle.sources.threads import (
    Threads,
    distrust_this_thread,
    note_waking_thread,
)
from chanx_testing.core.idle.tasks import TaskRegistry
from chanx_testing.core.idle.verdict import Deadlock, UnsafeLoopAccess

_Base = asyncio.SelectorEventLoop

# The overrides take `Any` where typeshed ties a callback to its arguments: the
# arguments are handed on as they are.


class IdleEventLoop(_Base):
    """asyncio's selector loop, overridden in public methods only.

    Use it through :func:`~chanx_testing.core.idle.installed`, or give it to
    ``asyncio.Runner(loop_factory=IdleEventLoop)``.
    """

    detect_deadlocks: ClassVar[bool] = True
    """Whether the run of a test that uses the loop, by a connection or a wait of ours,
    ends with :class:`~chanx_testing.core.idle.Deadlock` where its main task waits for
    something that can never happen; otherwise it hangs."""

    collects_garbage: ClassVar[bool] = True
    """Whether garbage is collected before a verdict, except for that of a wait for the
    loop to settle. What is older than the first connection of a test is frozen for the
    rest of the run. A subclass for tests that look at how the collector treats older
    objects sets it to False."""

    def __init__(self) -> None:
        selector = IdleSelector()
        self._owner: int | None = None
        self._pool: concurrent.futures.Executor | None = None
        self._pool_is_shut = False
        self._expecting_main = False
        self._run: ExitStack | None = None
        self._acting = False
        self.engagement = Engagement()
        self._clock = LoopClock()
        self.tasks_created = TaskRegistry()
        self.callers = Callers()
        self.futures_created = crashes.Futures()
        self.jobs = Jobs()
        self.children = Children()
        self.signals = Signals()
        self.accounts = Accounts()
        self.promises = Promises()
        self.connections = Connections()
        self.descriptors = Descriptors(
            selector.watched, self.accounts, self.connections
        )
        self.monitor = Monitor(
            self,
            self._clock,
            self.engagement,
            [
                self.jobs,
                self.children,
                self.signals,
                self.promises,
                self.accounts,
                self.descriptors,
                Natives(),
            ],
            Threads(self.jobs),
            collects_garbage=self.collects_garbage,
        )
        super().__init__(selector)
        # What the constructor has registered is the loop's own wake-up pipe.
        for key in selector.watched():
            self.descriptors.ignored.add(key.fd)
        selector.judge = self.monitor.select
        self._judged = selector

    # Running.

    def run_forever(self) -> None:
        """Run until the loop is stopped, in the calling thread."""
        if self._owner is not None:
            super().run_forever()  # raises: it runs already
            return
        with submissions.counted(), ExitStack() as self._run:
            self._owner = get_ident()
            try:
                if self.engagement.is_on():
                    self._act()
                super().run_forever()
            finally:
                self._owner = None
                self._run = None
                # A task that goes on may be in a cycle that nobody holds. It is for the
                # end of the test to say so, and not for the collection that comes now.
                _going_on = asyncio.all_tasks(self) if self._acting else None
                self._acting = False

    def engage(self) -> None:
        """Note that the test uses the loop, from now on to its end.

        Until then the loop only observes, and a test can notice nothing of it.
        """
        self.engagement.begin()
        self._act()

    def _act(self) -> None:
        """Do for the rest of the run what only a test of ours asks for."""
        if self._run is not None and not self._acting:
            self._acting = True
            self._run.enter_context(noted())
            self._run.enter_context(
                collector.older_objects_frozen(self.collects_garbage)
            )

    def run_until_complete(self, future: Any) -> Any:
        """Run until a future or a coroutine is done, and return its result.

        Raises:
            Deadlock: It waits for something that can never happen.
            Exception: What the future or the coroutine raised.
        """
        monitor = self.monitor
        if self.is_running() or not self.detect_deadlocks:
            return super().run_until_complete(future)
        if asyncio.isfuture(future):
            monitor.main = future
        else:
            # asyncio makes the task inside, by create_task().
            self._expecting_main = True
        try:
            result = super().run_until_complete(future)
        except (Exception, asyncio.CancelledError) as error:
            if monitor.deadlock is None:
                raise
            raise Deadlock(monitor.deadlock) from error
        else:
            # The cancellation that broke the deadlock may have been caught on its way,
            # as async_to_sync does to hand it over to its caller's thread.
            if monitor.deadlock is not None:
                raise Deadlock(monitor.deadlock)
            return result
        finally:
            self._expecting_main = False
            monitor.main = None
            monitor.deadlock = None
            monitor.cancels = 0
            if crashes.is_anybody_listening():
                crashes.tell_end_of_run(self, future)

    def close(self) -> None:
        """Close the loop, and forget what could have woken it."""
        self.callers.close(self, super().close)
        self.monitor.timers.forget_before(None)
        # The judge knows of the selector, through what it asks.
        self._judged.judge = None
        self.jobs.forget()
        self.children.forget()
        self.promises.forget()

    # Time and callbacks.

    def time(self) -> float:
        """Return the time of the loop, which no tool can freeze, in seconds."""
        now = Clock.now()
        if get_ident() == self._owner:
            self._clock.last = now
        return now

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        """Schedule a callback; report a thread that is not the loop's own."""
        if self._acting and get_ident() != self._owner:
            return self._call_soon_from_outside(callback, args, context)
        self.monitor.activity += 1
        # Not super(): this is called for each step of each task, and super() costs
        # more.
        return _Base.call_soon(self, callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self,
        when: float,
        callback: Callable[..., Any],
        *args: Any,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Set a timer; report a thread that is not the loop's own."""
        handle = _Base.call_at(self, when, callback, *args, context=context)
        if self._acting and get_ident() != self._owner:
            self._note_unsafe_access()
        self.monitor.activity += 1
        self.monitor.timers.add(handle, callback)
        return handle

    def call_soon_threadsafe(  # type: ignore[override]
        self, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        """Schedule a callback from any thread; note a thread that may do so again."""
        ident = get_ident()
        if ident == self._owner:
            self.monitor.activity += 1
        else:
            note_waking_thread()
            if self._acting:
                self._look_for_contradiction(ident)
        if crashes.is_anybody_listening():
            crashes.note_handing_over(self, callback)
        if ident != self._owner and (call := call_in(callback, args)) is not None:
            post = functools.partial(_Base.call_soon_threadsafe, self, callback)
            return self.callers.post(
                call, functools.partial(post, *args, context=context)
            )
        return _Base.call_soon_threadsafe(self, callback, *args, context=context)

    def _call_soon_from_outside(
        self,
        callback: Callable[..., Any],
        args: tuple[Any, ...],
        context: Context | None,
    ) -> asyncio.Handle:
        # Scheduled nevertheless, so that what the thread has changed has its effect and
        # the test can end. An error raised here would leave a future that is done and
        # whose waiter nobody wakes, not even by cancelling it.
        handle = self.call_soon_threadsafe(callback, *args, context=context)
        self._note_unsafe_access()
        return handle

    def _note_unsafe_access(self) -> None:
        # The public method or its caller; user_place() passes over our own frames.
        frame = sys._getframe(2)
        if is_finalizing(frame):
            return  # a finalizer does not choose its thread
        place = user_place(threading.current_thread().name, frame)
        error = UnsafeLoopAccess(*place)
        self.call_soon_threadsafe(self.monitor.report, error)

    def _look_for_contradiction(self, ident: int) -> None:
        frame = sys._getframe(1)
        if is_native(frame):
            if not self.promises.is_open():
                note_uncalled_for()
            return
        error = self.monitor.wrong_claim(ident, frame)
        if error is not None and not is_finalizing(frame):
            distrust_this_thread()
            _Base.call_soon_threadsafe(self, self.monitor.report, error)

    # What may come from outside.

    def create_future(self) -> "asyncio.Future[Any]":
        """Make a future, and note one that is completed from elsewhere.

        While somebody wants to know of crashes, the context of its maker is noted, too.
        """
        future: asyncio.Future[Any] = asyncio.Future(loop=self)
        self.promises.note(future, sys._getframe(1))
        if crashes.is_anybody_listening():
            self.futures_created.add(future, (copy_context(),))
        return future

    def run_in_executor(  # type: ignore[override]
        self,
        executor: concurrent.futures.Executor | None,
        func: Callable[..., Any],
        *args: Any,
    ) -> "asyncio.Future[Any]":
        """Run a function in an executor, and count it until its result is here."""
        if self.is_closed():
            raise RuntimeError("Event loop is closed")
        if executor is None:
            executor = self._default_pool()
        result = self.jobs.run(self, super().run_in_executor, executor, func, args)
        if crashes.is_anybody_listening():
            place = "a job in an executor whose result nobody asked for"
            self.futures_created.add(result, (copy_context(),), place)
        return result

    def _default_pool(self) -> concurrent.futures.Executor:
        # As asyncio makes it, and made here: the executor has to be known in order to
        # keep the future of its job.
        if self._pool_is_shut:
            raise RuntimeError("Executor shutdown has been called")
        if self._pool is None:
            self.set_default_executor(
                concurrent.futures.ThreadPoolExecutor(thread_name_prefix="asyncio")
            )
        assert self._pool is not None
        return self._pool

    def set_default_executor(self, executor: Any) -> None:
        """Set the executor for jobs that name none."""
        super().set_default_executor(executor)
        self._pool = executor

    async def shutdown_default_executor(self, *args: Any, **kwargs: Any) -> None:
        """Shut the default executor down, and wait for its jobs."""
        self._pool_is_shut = True
        await super().shutdown_default_executor(*args, **kwargs)

    async def subprocess_exec(self, *args: Any, **kwargs: Any) -> Any:
        """Start a child process, and count it until it has ended."""
        return await self.children.start(super().subprocess_exec(*args, **kwargs))

    async def subprocess_shell(self, *args: Any, **kwargs: Any) -> Any:
        """Start a child process by a shell, and count it until it has ended."""
        return await self.children.start(super().subprocess_shell(*args, **kwargs))

    async def create_connection(self, *args: Any, **kwargs: Any) -> Any:
        """Connect to a server, and note the account that the context names."""
        transport, protocol = await super().create_connection(*args, **kwargs)
        self.accounts.add(transport)
        self.connections.add(transport)
        return transport, protocol

    async def create_unix_connection(self, *args: Any, **kwargs: Any) -> Any:
        """Connect to a Unix socket, and note the account that the context names."""
        transport, protocol = await super().create_unix_connection(*args, **kwargs)
        self.accounts.add(transport)
        self.connections.add(transport)
        return transport, protocol

    async def start_tls(self, *args: Any, **kwargs: Any) -> Any:
        """Encrypt a connection, whose transport is another one from then on."""
        transport: Any = await super().start_tls(*args, **kwargs)
        self.connections.add(transport)
        return transport

    def add_signal_handler(  # type: ignore[override]
        self, sig: int, callback: Callable[..., object], *args: Any
    ) -> None:
        """Handle a signal, and note that it may come at any time."""
        super().add_signal_handler(sig, callback, *args)
        self.signals.add(sig)

    def remove_signal_handler(self, sig: int) -> bool:
        """Handle a signal no longer; return whether there was a handler."""
        removed = super().remove_signal_handler(sig)
        self.signals.remove(sig)
        return removed

    # Tasks and futures.

    def create_task(self, coro: Any, **kwargs: Any) -> "asyncio.Task[Any]":
        """Create a task, and note the context of its creator."""
        task = super().create_task(coro, **kwargs)
        if self._expecting_main:
            self._expecting_main = False
            self.monitor.main = task
        if isinstance(task, asyncio.Task):
            if self.engagement.is_on():
                self.tasks_created.add(task, kwargs.get("context"))
            if is_call(coro):
                self.callers.watch(task)
        return task

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Report an error, and tell it to the test that is to know of it."""
        if crashes.is_anybody_listening():
            crash = self.tasks_created.crash(self, context) or crashes.crash_of_report(
                self, context, self.futures_created, self.monitor.errors
            )
            if crash is not None:
                crashes.tell(crash)
        super().call_exception_handler(context)
