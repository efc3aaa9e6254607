"""Jobs handed to a thread pool that no thread has taken up yet.

A pool's thread takes an item from its queue a few instructions before the item shows
in its variables. If another thread runs in between, the queue is empty and the first
one looks parked, though it is about to run a job. So ``submit`` is replaced while an
observed loop runs: a job counts from before it is queued until its future says that it
is running, and from then on the thread's stack shows it.
"""

import functools
import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from chanx_testing.core.replacing import Replacement, replaced

_numbers = itertools.count(1)
_latest = 0
# The numbers of the jobs inside `submit`, which have no future yet.
_entering: set[int] = set()
# The futures of the jobs that have not ended.
_unfinished: "set[Future[Any]]" = set()


def latest() -> int | None:
    """Return the number of the latest submission; None while a job waits to start.

    If it is the same before and after a look at the threads, no job was between its
    queue and its thread meanwhile.
    """
    if _entering:
        return None
    for future in tuple(_unfinished):
        if not (future.running() or future.done()):
            return None
    return _latest


def is_counted(job: "Future[Any]") -> bool:
    """Return whether a job was submitted while an observed loop ran, and goes on."""
    return job in _unfinished


def _make_submit(replacement: Replacement) -> Callable[..., Any]:
    @functools.wraps(replacement.below)
    def submit(
        self: ThreadPoolExecutor, fn: Callable[..., Any], /, *args: Any, **kwargs: Any
    ) -> "Future[Any]":
        original = replacement.original(self)
        if not replacement.active:
            return original(fn, *args, **kwargs)  # type: ignore[no-any-return]
        global _latest
        number = next(_numbers)
        # In this order, or a look in between would find a new number and no job.
        _entering.add(number)
        _latest = number
        try:
            future: Future[Any] = original(fn, *args, **kwargs)
            _unfinished.add(future)
            future.add_done_callback(_unfinished.discard)
        finally:
            _entering.discard(number)
        return future

    return submit


@contextmanager
def counted() -> Iterator[None]:
    """Count the jobs of every thread pool while the block runs."""
    with replaced(ThreadPoolExecutor, "submit", "submissions", _make_submit):
        yield
