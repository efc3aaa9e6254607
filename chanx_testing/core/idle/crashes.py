"""What fails where nobody waits for it, told to the tests that listen.

An exception in a callback, in a future whose result nobody asks for, or in a thread
ends in a report: to the exception handler of its loop, or to ``threading.excepthook``.
Both print it, and the test passes. Here such a report becomes a :class:`Crash`, with
what is known of where it comes from: the contexts in which it was begun, its loop, and
whether it was begun while somebody listened.

While nobody listens nothing is noted and nothing is kept, so that the objects of an
exception live as long as without this package.
"""

import asyncio
import functools
import threading
import weakref
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import Context, copy_context
from dataclasses import dataclass, replace
from types import CodeType
from typing import Any, Final, Protocol

from chanx_testing.core.idle.sources.parked import exception_not_retrieved
from chanx_testing.core.idle.verdict import UnsafeLoopAccess, WrongVerdict
from chanx_testing.core.replacing import Replacement, replaced

_Contexts = tuple[Context, ...]


@dataclass(frozen=True, eq=False, slots=True)
class Crash:
    """One exception that nobody waited for.

    Attributes:
        error: The exception.
        place: What raised it, for a person to read.
        contexts: The contexts in which it was begun, the nearest first, as far as they
            are known.
        loop: The loop that reported it; None for a thread.
        mark: The latest :func:`mark` when it was begun; None where that is not known.
        asked: Returns whether somebody has asked for it meanwhile; None where nobody
            can any more.
    """

    error: BaseException
    place: str
    contexts: _Contexts
    loop: asyncio.AbstractEventLoop | None
    mark: int | None = None
    asked: Callable[[], bool] | None = None


class Listener(Protocol):
    """Whoever is to know of crashes."""

    def crashed(self, crash: Crash) -> bool:
        """Take a crash, in any thread; return whether it is the listener's."""

    def run_ended(self, loop: asyncio.AbstractEventLoop, *, closing: bool) -> None:
        """Note that a loop has run until something was done.

        Args:
            loop: The loop.
            closing: Whether it ran to end its tasks, as it does before it is closed.
        """


# Weak: a test without a runner that ends it listens for as long as its loop lives.
_listeners: "list[weakref.ref[Listener]]" = []
# How many listeners there have been: what was begun while one listened is told by it
# from what is older.
_mark = 0


def mark() -> int:
    """Return a number that grows with each listener that begins to listen."""
    return _mark


def is_anybody_listening() -> bool:
    """Return whether crashes are noted now."""
    return bool(_listeners)


@contextmanager
def told_to(listener: "weakref.ref[Listener]") -> Iterator[None]:
    """Tell crashes of loops and threads to a listener while the block runs.

    The one that began last is asked first.
    """
    global _mark
    _mark += 1
    # The block may end with the interpreter, when the names of this module are gone.
    listeners = _listeners
    with (
        replaced(threading.Thread, "start", "crashes", _make_start),
        replaced(threading, "excepthook", "crashes", _make_excepthook),
    ):
        listeners.append(listener)
        try:
            yield
        finally:
            listeners.remove(listener)


def tell(crash: Crash) -> None:
    """Tell a crash to the first listener whose it is.

    Called in the thread that reports it. Where nobody takes it, whoever started that
    thread, to run a loop in it, may have begun it.
    """
    if not _is_taken(crash):
        known = _starts.get(threading.current_thread())
        if known is not None:
            _is_taken(replace(crash, contexts=(known[0],)))


def _is_taken(crash: Crash) -> bool:
    for reference in reversed(tuple(_listeners)):
        listener = reference()
        if listener is not None and listener.crashed(crash):
            return True
    return False


def tell_end_of_run(loop: asyncio.AbstractEventLoop, main: object) -> None:
    """Tell all listeners that a loop has run until ``main`` was done."""
    # asyncio ends the tasks of a loop with a gather() of them, where everybody else
    # runs a coroutine or a task.
    closing = asyncio.isfuture(main) and not isinstance(main, asyncio.Task)
    for reference in tuple(_listeners):
        if (listener := reference()) is not None:
            listener.run_ended(loop, closing=closing)


# Loops.


class Futures:
    """The futures of one loop that were made while somebody listened; held weakly."""

    def __init__(self) -> None:
        # By id, and not in a weak dictionary: in a reference cycle the weak references
        # are cleared before the finalizer runs that reports the exception.
        self._known: dict[int, tuple[weakref.ref[Any], int, _Contexts, str]] = {}
        self._limit = 1024

    def add(
        self,
        future: "asyncio.Future[Any]",
        contexts: _Contexts = (),
        place: str = "a future whose exception nobody asked for",
    ) -> None:
        """Note a future, and the contexts in which it was made where they are known."""
        if len(self._known) > self._limit:
            self._known = {
                key: entry
                for key, entry in self._known.items()
                if entry[0]() is not None
            }
            self._limit = max(1024, 2 * len(self._known))
        self._known[id(future)] = (weakref.ref(future), _mark, contexts, place)

    def crash(
        self,
        loop: asyncio.AbstractEventLoop,
        future: "asyncio.Future[Any]",
        error: BaseException,
    ) -> Crash | None:
        """Return the crash of a future, if it was noted."""
        known = self._known.get(id(future))
        if known is None:
            return None
        _, since, contexts, place = known
        return Crash(error, place, contexts, loop, since)

    def take_crashes(
        self,
        loop: asyncio.AbstractEventLoop,
        wanted: Callable[[Crash], bool],
    ) -> list[Crash]:
        """Return the crashes of futures that somebody still holds.

        Args:
            loop: The loop.
            wanted: Tells which of them. These are retrieved: asyncio is silent then.
        """
        found: list[Crash] = []
        for reference, *_ in tuple(self._known.values()):
            future = reference()
            # A task is in the registry of tasks, where it has a name.
            if future is None or isinstance(future, asyncio.Task):
                continue
            error = exception_not_retrieved(future)
            crash = error and self.crash(loop, future, error)
            if crash and wanted(crash):
                future.exception()
                found.append(crash)
        return found

    def forget(self) -> None:
        """Forget all of them."""
        self._known.clear()


def context_of_callback(handle: object) -> Context | None:
    """Return the context in which a callback runs; None where that is not known."""
    # Public since Python 3.12.
    get_context = getattr(handle, "get_context", None)
    context = getattr(handle, "_context", None) if get_context is None else None
    found = context if get_context is None else get_context()
    return found if isinstance(found, Context) else None


def crash_of_report(
    loop: asyncio.AbstractEventLoop,
    report: dict[str, Any],
    futures: Futures | None,
    kept: Collection[Exception] = (),
) -> Crash | None:
    """Return the crash in what a loop gives to its exception handler, if any.

    Args:
        loop: The loop.
        report: What ``call_exception_handler`` was given. The report of a task is for
            the registry of tasks.
        futures: The futures that the loop has noted; None where it notes none.
        kept: The errors of threads that no wait on the loop has raised yet.
    """
    error = report.get("exception")
    if not isinstance(error, BaseException):
        return None
    if isinstance(error, (UnsafeLoopAccess, WrongVerdict)):
        # The next wait raises it, if there is one.
        return Crash(
            error,
            "a thread that reached the event loop",
            (),
            loop,
            asked=lambda: error not in kept,
        )
    future = report.get("future")
    if isinstance(future, asyncio.Future) and futures is not None:
        return futures.crash(loop, future, error)
    if (handle := report.get("handle")) is not None:
        context = context_of_callback(handle)
        contexts = () if context is None else (context,)
        return Crash(error, "a callback of the event loop", contexts, loop)
    message = report.get("message")
    place = f"the event loop, which says {message!r}" if message else "the event loop"
    # Of a task, since Python 3.12.
    get_context = getattr(future or report.get("task"), "get_context", None)
    contexts = () if get_context is None else (get_context(),)
    return Crash(error, place, contexts, loop)


@contextmanager
def reports_noted(loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    """Note the reports of a loop that is not ours while the block runs."""

    def make(replacement: Replacement) -> Callable[..., Any]:
        def call_exception_handler(report: dict[str, Any]) -> None:
            if replacement.active and (crash := crash_of_report(loop, report, None)):
                tell(crash)
            replacement.original()(report)

        return call_exception_handler

    with replaced(loop, "call_exception_handler", "crashes", make):
        yield


# Coroutines that other threads hand over.


class HandedOver(Future[Any]):
    """The future of ``run_coroutine_threadsafe()``, which notes whether it is asked.

    Unlike a future of asyncio, one of ``concurrent.futures`` says nothing of an
    exception that nobody looks at.
    """

    asked = False

    def result(self, timeout: float | None = None) -> Any:
        """Return the result, as the base class does."""
        self.asked = True
        try:
            return super().result(timeout)
        finally:
            self.asked = self.done()

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Return the exception, as the base class does."""
        self.asked = True
        try:
            return super().exception(timeout)
        finally:
            self.asked = self.done()


def _detect_handing_over() -> CodeType | None:
    code = getattr(asyncio.run_coroutine_threadsafe, "__code__", None)
    for inner in getattr(code, "co_consts", ()):
        if isinstance(inner, CodeType) and {"coro", "future"} <= {*inner.co_freevars}:
            return inner
    return None


HANDING_OVER: Final[CodeType | None] = _detect_handing_over()
"""The callback with which ``run_coroutine_threadsafe()`` hands a coroutine over."""


def note_handing_over(loop: asyncio.AbstractEventLoop, callback: Any) -> None:
    """Look at a callback that a thread hands to a loop, before it can run.

    The future that the thread gets is a variable of the callback, and known nowhere
    else: it is read there, while somebody listens.
    """
    code = getattr(callback, "__code__", None)
    if not isinstance(code, CodeType) or code is not HANDING_OVER:
        return
    future = callback.__closure__[code.co_freevars.index("future")].cell_contents
    if type(future) is not Future:
        return
    # Nobody has it yet. It has the same attributes, and two methods that note more.
    future.__class__ = HandedOver
    contexts, since = (copy_context(),), _mark

    def ended(future: "Future[Any]") -> None:
        if future.cancelled():
            return
        # Not by exception(): that would be taken for somebody's question.
        error = Future.exception(future)
        if error is not None:
            place = "a coroutine of run_coroutine_threadsafe() that nobody asked about"
            asked = functools.partial(getattr, future, "asked")
            tell(Crash(error, place, contexts, loop, since, asked))

    future.add_done_callback(ended)


# Threads.

_starts: "weakref.WeakKeyDictionary[threading.Thread, tuple[Context, int]]" = (
    weakref.WeakKeyDictionary()
)


def _make_start(replacement: Replacement) -> Callable[..., Any]:
    @functools.wraps(replacement.below)
    def start(self: threading.Thread) -> None:
        if replacement.active:
            _starts[self] = (copy_context(), _mark)
        replacement.original(self)()

    return start


def _make_excepthook(replacement: Replacement) -> Callable[..., Any]:
    def excepthook(args: Any, /) -> None:
        if replacement.active:
            _note_thread(args.thread, args.exc_value)
        replacement.original()(args)

    return excepthook


def _note_thread(thread: threading.Thread | None, error: object) -> None:
    known = None if thread is None else _starts.get(thread)
    # A thread that is older is not the test's. SystemExit is how a thread may end.
    if known is None or not isinstance(error, BaseException):
        return
    if not isinstance(error, SystemExit):
        context, since = known
        place = f"the thread {threading.current_thread().name}"
        tell(Crash(error, place, (context,), None, since))
