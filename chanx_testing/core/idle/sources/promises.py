"""Futures of the loop that somebody elsewhere has promised to complete.

asyncio's own futures are completed by code of the loop: whether that can still run, the
other sources know. Two kinds are not:

* One made by native code, as an extension module on tokio does for each ``await``. Its
  threads are unknown to Python, so the future is all that shows that something is under
  way. It is recognised by who makes it: a Python frame that calls
  ``loop.create_future()`` has the name in its code; native code has no frame, and the
  frame that called it does not have the name.
* One made by ``asyncio.wrap_future``, for work in another thread, pool or loop, and one
  of a client that answers from a thread of its own (aiosqlite).
"""

import asyncio
import itertools
import weakref
from types import FrameType
from typing import Any, ClassVar, Final

from chanx_testing.core.idle.describe import caller_place
from chanx_testing.core.idle.sources.parked import RUN_IN_EXECUTOR, WRAP_FUTURE

MODULES_WITH_THREADS: Final = frozenset({"aiosqlite.core"})
"""Modules whose futures are completed by threads of their own.

Such a thread does nothing but that: while no such future is pending, it has nothing in
hand.
"""


class Promises:
    """The futures of one loop that come from elsewhere; a source."""

    wakes_the_loop: ClassVar[bool] = True
    is_outside: ClassVar[bool] = False

    def __init__(self) -> None:
        # By number. Looked at from other threads too: so one entry is added or taken
        # out at a time, and the whole is never put in the place of another.
        self._pending: dict[int, tuple[weakref.ref[asyncio.Future[Any]], str]] = {}
        self._numbers = itertools.count()
        self._limit = 64

    def note(self, future: "asyncio.Future[Any]", maker: FrameType) -> None:
        """Look at a new future of the loop.

        Args:
            future: The future.
            maker: The innermost Python frame of whoever calls ``create_future()``.
        """
        code = maker.f_code
        if code is WRAP_FUTURE:
            caller = maker.f_back
            if caller is not None and caller.f_code is RUN_IN_EXECUTOR:
                return  # one of the jobs of the loop, which count longer
            kind = "the future of work elsewhere"
        elif "create_future" not in code.co_names:
            kind = "a future of native code"
        elif maker.f_globals.get("__name__") in MODULES_WITH_THREADS:
            kind = f"a future of {maker.f_globals['__name__']}"
        else:
            return
        if len(self._pending) > self._limit:
            self._forget_done()
            self._limit = max(64, 2 * len(self._pending))
        self._pending[next(self._numbers)] = (
            weakref.ref(future),
            f"{kind}, awaited at {caller_place(maker)}",
        )

    def _forget_done(self) -> None:
        for number, (ref, _) in tuple(self._pending.items()):
            future = ref()
            if future is None or future.done():
                self._pending.pop(number, None)

    def forget(self) -> None:
        """Forget all: the loop is closed."""
        self._pending.clear()

    def is_open(self) -> bool:
        """Return whether one of them is not done."""
        if self._pending:
            self._forget_done()
        return bool(self._pending)

    may_end_a_deadlock = is_open

    def phrases(self) -> list[str]:
        """Return what each is, and where it was made."""
        if not self.is_open():
            return []
        return sorted({phrase for _, phrase in tuple(self._pending.values())})

    def at_work(self) -> list[str]:
        """Return what each is: somebody is about to complete it."""
        return self.phrases()
