"""Calls of async functions of this package that a test forgot to await.

``communicator.receive_nothing()`` without ``await`` runs nothing and asserts nothing.
Python says so in a warning, which comes when the coroutine is collected and fails no
test. So the test itself keeps the coroutines of these functions until they have begun:
what has not begun when the test ends never ran, and fails it, with the line of the
call.

The functions return the coroutines themselves, and nothing is known of a coroutine
that was not known before: it may be given to a task, to ``gather()``, to
``wait_for()``, or be closed.
"""

import functools
import inspect
import re
import sys
import threading
import unittest
import warnings
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import CodeType, FrameType
from typing import Any, Final, NamedTuple, ParamSpec, TypeVar

from chanx_testing.core.thread_frames import collections_held

_P = ParamSpec("_P")
_T = TypeVar("_T")

FEW: Final = 64
"""How many calls are kept before those are let go that have begun."""

NOBODY_ELSE: Final = 3
"""References to a coroutine that only this module holds, where they are counted: that
of what was noted, that of the call, and that of the function that counts."""

MARK: Final = "chanx_testing_must_await"
"""An attribute of the functions that must be awaited."""


class NeverRan(AssertionError):
    """The body of a test, or a verb in it, was called and not awaited."""


class Call(NamedTuple):
    """One call of a function that must be awaited.

    Attributes:
        coroutine: What it returned.
        code: The code that called it.
        instruction: Which instruction of that code.
    """

    coroutine: Coroutine[Any, Any, Any]
    code: CodeType
    instruction: int

    @property
    def caller(self) -> str:
        """The name of the function that called it."""
        return self.code.co_qualname.rpartition("<locals>.")[2]

    @property
    def file(self) -> str:
        """The file that it was called in."""
        return self.code.co_filename

    def is_dropped(self) -> bool:
        """Return whether nobody can await the coroutine any more."""
        return sys.getrefcount(self.coroutine) <= NOBODY_ELSE

    def describe(self) -> str:
        """Return the function and the line: ``receive_nothing(): tests.py:12``."""
        line = self.code.co_firstlineno
        for start, end, number in self.code.co_lines():
            if start <= self.instruction < end and number is not None:
                line = number
        name = getattr(self.coroutine, "__name__", "a coroutine")
        return f"{name}() in {self.caller}, {self.file}:{line}"


# What is noted of each call, for each use of a verb, is no more than this: a Call is
# made of it, and its line is looked up, where one was forgotten.
_Noted = tuple[Any, CodeType, int]


class Calls:
    """The calls of one test that may not have begun yet.

    Attributes:
        open: Whether the test runs.
        outer: The calls of what runs the test, if that has an account of its own.
    """

    def __init__(self, outer: "Calls | None" = None) -> None:
        self.open = True
        self.outer = outer
        self._calls: list[_Noted] = []
        self._of_fixtures: list[_Noted] = []
        self._enough = FEW
        self._pruning = threading.Lock()

    def note(self, coroutine: Coroutine[Any, Any, Any], caller: FrameType) -> None:
        """Note a call, which happens in the frame ``caller``."""
        calls = self._calls
        # Calls may come from several threads. An append is one step.
        calls.append((coroutine, caller.f_code, caller.f_lasti))
        if len(calls) > self._enough and self._pruning.acquire(blocking=False):
            try:
                _let_go(calls)
                # A test may make any number of them, for one gather().
                self._enough = max(FEW, 2 * len(calls))
            finally:
                self._pruning.release()

    def end_of_setup(self) -> None:
        """Note that the fixtures have made what they make: what comes is the test's."""
        with self._pruning:
            _let_go(self._calls)
            self._of_fixtures += self._calls
            self._calls.clear()

    def hand_over(self, to: "Calls") -> None:
        """Give another test what a fixture made that goes on, and may await it later.

        Args:
            to: The calls of the test that comes next.
        """
        to._of_fixtures += self._of_fixtures
        self._of_fixtures.clear()

    def take_dropped(self) -> NeverRan | None:
        """Take the calls that were forgotten for certain: nobody holds the coroutine.

        Returns:
            What fails the test; None where there is none.
        """
        return self._take(Call.is_dropped)

    def take_all(self) -> NeverRan | None:
        """Take all calls of the test that have not begun, and those of its fixtures.

        Returns:
            What fails the test; None where there is none.
        """
        return self._take(lambda call: True)

    def take_own(self) -> NeverRan | None:
        """Take all calls that have not begun but those that a fixture made and holds.

        Returns:
            What fails the test; None where there is none.
        """
        of_fixtures = {id(noted[0]) for noted in self._of_fixtures}
        return self._take(
            lambda call: id(call.coroutine) not in of_fixtures or call.is_dropped()
        )

    def _take(self, wanted: Callable[[Call], bool]) -> NeverRan | None:
        with self._pruning:
            found = []
            for noted_here in (self._of_fixtures, self._calls):
                _let_go(noted_here)
                for noted in noted_here[:]:
                    call = Call(*noted)
                    if wanted(call):
                        found.append(call)
                        noted_here.remove(noted)
        for call in found:
            # Python has nothing to warn of then.
            call.coroutine.close()
        return _never_awaited(found) if found else None


def _let_go(calls: list[_Noted]) -> None:
    """Let those calls go that were awaited, or closed on purpose."""
    seen = calls[:]
    waiting = [
        noted
        for noted in seen
        if noted[0].cr_frame is not None
        and not noted[0].cr_suspended
        and not noted[0].cr_running
    ]
    # What another thread has appended meanwhile stands behind.
    calls[: len(seen)] = waiting


def _never_awaited(calls: list[Call]) -> NeverRan:
    shown = "".join(f"\n  {call.describe()}" for call in calls)
    return NeverRan(
        f"Called and never awaited, so it never ran:{shown}\n"
        + " ".join(dict.fromkeys(_advice(call) for call in calls))
    )


def _advice(call: Call) -> str:
    if call.file == unittest.case.__file__:
        return "addCleanup() does not await what it calls: use addAsyncCleanup()."
    if call.code.co_flags & inspect.CO_COROUTINE:
        return "Write 'await' before the call."
    return (
        f"{call.caller}() is not 'async def' and cannot await: make it 'async def' and "
        f"write 'await' before the call."
    )


# The calls of the test that runs in this context.
_calls: ContextVar[Calls | None] = ContextVar("chanx_testing_calls", default=None)
# Those of all tests that run now.
_running: list[Calls] = []


@contextmanager
def calls_of_test() -> Iterator[Calls]:
    """Keep the calls of the test that runs in the block until they have begun.

    Yields:
        The calls, for the runner to look at.
    """
    calls = Calls(_calls.get())
    _running.append(calls)
    token = _calls.set(calls)
    try:
        yield calls
    finally:
        _calls.reset(token)
        _running.remove(calls)
        calls.open = False


def watch_test_of_unittest() -> None:
    """Keep the calls of the test of ``unittest`` that runs, if nobody does so yet.

    Whoever makes a communicator asks for it: a runner of unittest asks no plugin, and
    only tests that have a communicator are to be looked at. The test is told by a
    cleanup, which unittest calls whatever the test did.
    """
    calls = _calls.get()
    if (calls is not None and calls.open) or _running:
        return
    case = _running_case()
    if case is None:
        return
    calls = Calls()
    _running.append(calls)

    def look() -> None:
        _running.remove(calls)
        calls.open = False
        if (forgotten := calls.take_all()) is not None:
            raise forgotten

    case.addCleanup(look)


def _running_case() -> unittest.TestCase | None:
    """Return the test case that is running, here or in the main thread.

    ``async_to_sync()`` runs Django's async tests in a thread, while the main thread
    stands in the test case.
    """
    with collections_held():
        here: FrameType | None = sys._getframe()
        main = sys._current_frames().get(threading.main_thread().ident or 0)
        for frame in (here, main):
            while frame is not None:
                if frame.f_code is unittest.TestCase.run.__code__:
                    case = frame.f_locals.get("self")
                    return case if isinstance(case, unittest.TestCase) else None
                frame = frame.f_back
    return None


def _calls_here() -> Calls | None:
    """Return the calls of the test that this code certainly belongs to, or None.

    Asked where the context does not say it: a thread of the test has a context of its
    own, and a loop that serves several tests has that of the first.
    """
    if not _running:
        return None
    outer = {id(calls.outer) for calls in _running}
    innermost = [calls for calls in _running if id(calls) not in outer]
    return innermost[0] if len(innermost) == 1 else None


PACKAGE: Final = f"{__name__.partition('.')[0]}."
# The namespaces of modules of this package that have called such a function.
_own_namespaces: set[int] = set()


def _is_own(namespace: dict[str, Any]) -> bool:
    """Return whether a module is of this package, where every call is awaited."""
    if not str(namespace.get("__name__")).startswith(PACKAGE):
        return False
    # By identity, for the next time: modules of this package live for ever.
    _own_namespaces.add(id(namespace))
    return True


def must_await(
    function: Callable[_P, Coroutine[Any, Any, _T]],
) -> Callable[_P, Coroutine[Any, Any, _T]]:
    """Note each call of an async function for the test that makes it.

    Outside a test nobody is there who could fail: then Python's own warning comes.

    Args:
        function: An ``async def``.

    Returns:
        A function that returns the same coroutines. Whoever asks ``inspect`` is told
        that it is an async function.
    """
    namespace: dict[str, Any] = function.__globals__
    home = namespace if _is_own(namespace) else None
    own_namespaces, frame_of = _own_namespaces, sys._getframe

    @functools.wraps(function)
    def call(*args: _P.args, **kwargs: _P.kwargs) -> Coroutine[Any, Any, _T]:
        caller = frame_of(1)
        namespace = caller.f_globals
        # Verbs call verbs, so this is asked several times for each that a test uses.
        if namespace is home or id(namespace) in own_namespaces or _is_own(namespace):
            return function(*args, **kwargs)
        calls = _calls.get()
        if calls is None or not calls.open:
            calls = _calls_here()
        coroutine = function(*args, **kwargs)
        if calls is not None:
            calls.note(coroutine, caller)
        return coroutine

    setattr(call, MARK, True)
    return _marked_as_async(call)


def await_overrides(cls: type) -> None:
    """Make the methods of a class, which override such functions, such functions too.

    Args:
        cls: A class that was just made.
    """
    for name, method in list(vars(cls).items()):
        if (
            inspect.isfunction(method)
            and inspect.iscoroutinefunction(method)
            and not hasattr(method, MARK)
            and hasattr(getattr(super(cls, cls), name, None), MARK)
        ):
            setattr(cls, name, must_await(method))


if sys.version_info >= (3, 12):
    _marked_as_async = inspect.markcoroutinefunction
else:
    _F = TypeVar("_F", bound=Callable[..., Any])

    def _marked_as_async(function: _F) -> _F:
        # Python 3.11 has no mark for inspect.iscoroutinefunction(), which asks the
        # code. What the code does is decided by its instructions: the flag itself does
        # nothing.
        code = function.__code__
        function.__code__ = code.replace(co_flags=code.co_flags | inspect.CO_COROUTINE)
        return function


# The bodies of tests.

DECORATOR: Final = (
    "A decorator over an 'async def' test has to put an 'async def' in its place, "
    "which awaits the test."
)


def body_that_never_ran(name: str, returned: object) -> NeverRan | None:
    """Return what fails a test that was called and returned something to be awaited.

    Args:
        name: The name of the test.
        returned: What it returned.
    """
    if inspect.isgenerator(returned) or inspect.isasyncgen(returned):
        returned_code = getattr(returned, "gi_code", getattr(returned, "ag_code", None))
        text = (
            f"{name}() returned a generator, and nobody iterates over it, so its body "
            f"never ran{_place(returned_code)}. Take the 'yield' out of the test."
        )
    elif inspect.isawaitable(returned):
        text = (
            f"{name}() returned {_kind(returned)}, and nobody awaits it, so what is in "
            f"it never ran{_place(getattr(returned, 'cr_code', None))}. {DECORATOR} "
            f"Where there is no decorator, await what the test returns."
        )
    else:
        return None
    close = getattr(returned, "close", None)
    if close is not None:
        # Python has nothing to warn of then.
        close()
    return NeverRan(text)


def runs_async_test(method: Callable[..., Any]) -> bool:
    """Return whether a test is not async, but stands for one that is."""
    inner = inspect.unwrap(method)
    return (
        inner is not method
        and inspect.iscoroutinefunction(inner)
        and not inspect.iscoroutinefunction(method)
    )


@contextmanager
def dropped_body(name: str, method: Callable[..., Any]) -> Iterator[list[NeverRan]]:
    """Find out whether a test is called in the block, and its coroutine thrown away.

    A decorator that is not async may call an ``async def`` test and return nothing, or
    run it in a loop of its own. Only Python knows which of the two, and says so in its
    warning.

    Args:
        name: The name of the test.
        method: The test, with its decorators.

    Yields:
        A list, which has what fails the test when the block has ended, or nothing.
    """
    found: list[NeverRan] = []
    if not runs_async_test(method):
        yield found
        return
    inner: Any = inspect.unwrap(method)
    said = f"coroutine '{inner.__qualname__}' was never awaited"
    with warnings.catch_warnings(record=True) as shown:
        warnings.filterwarnings("always", re.escape(said), RuntimeWarning)
        try:
            yield found
        finally:
            others = [each for each in shown if not str(each.message).startswith(said)]
    for other in others:
        warnings.showwarning(
            other.message, other.category, other.filename, other.lineno
        )
    if len(others) < len(shown):
        found.append(
            NeverRan(
                f"The body of {name}() never ran{_place(inner.__code__)}: a decorator "
                f"over it calls it and awaits nothing. {DECORATOR}"
            )
        )


def _kind(awaitable: object) -> str:
    if inspect.iscoroutine(awaitable):
        return f"the coroutine {awaitable.__qualname__}()"
    return f"an awaitable {type(awaitable).__qualname__}"


def _place(code: CodeType | None) -> str:
    return "" if code is None else f" ({code.co_filename}:{code.co_firstlineno})"
