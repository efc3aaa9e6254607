"""Jobs handed to a thread pool that no thread has taken up yet.

A pool's thread takes an item from its queue a few instructions before the item shows
in its variables. If it loses the interpreter in between, the queue is empty and the
thread looks parked, though it is about to run a job. So ``submit`` is watched while an
observed loop runs: a job counts from before it is queued until its future says that it
is running, and from there on the thread's stack shows it.
"""

import functools
import itertools
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final

from chanx_testing.core.replacing import Replacement

_numbers = itertools.count(1)
_last = 0
_entering: set[int] = set()
_waiting: "set[Future[Any]]" = set()


def mark() -> int | None:
    """A number that changes with every submission; None while a job waits to start.

    Two equal marks, one before and one after a look at the threads, mean that no job
    was between its queue and its thread at the time.
    """
    if _entering:
        return None
    for future in tuple(_waiting):
        if not (future.running() or future.done()):
            return None
    return _last


def is_watched(job: "Future[Any]") -> bool:
    """Whether the job was submitted while an observed loop ran, and has not ended."""
    return job in _waiting


def _make_submit(replacement: Replacement) -> Callable[..., Any]:
    @functools.wraps(vars(ThreadPoolExecutor)["submit"])
    def submit(
        self: ThreadPoolExecutor, fn: Callable[..., Any], /, *args: Any, **kwargs: Any
    ) -> "Future[Any]":
        original = replacement.original(self)
        if not replacement.active:
            return original(fn, *args, **kwargs)  # type: ignore[no-any-return]
        global _last
        number = next(_numbers)
        _entering.add(number)
        _last = number
        try:
            future: Future[Any] = original(fn, *args, **kwargs)
            _waiting.add(future)
            future.add_done_callback(_waiting.discard)
        finally:
            _entering.discard(number)
        return future

    return submit


watched: Final = Replacement(ThreadPoolExecutor, "submit", _make_submit).held
