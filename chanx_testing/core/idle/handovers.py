"""What hands work over to a thread or another loop, noted while a claim may be tested.

A claim that nothing comes says nothing of what the test sets off itself afterwards. So
whatever may set something off makes a claim old: a client that sends, a thread that is
notified, a callback for another loop, a job for a pool, a call of native code.
"""

import asyncio
import functools
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from chanx_testing.core.idle.sources import submissions
from chanx_testing.core.replacing import Replacement, replaced

_number = 0
# The threads whose own doing does not count: a claim says that they do nothing.
_trusted: set[int] = set()


def note_act() -> None:
    """Note that something may have been set off."""
    global _number
    _number += 1


def trust(threads: Iterable[int]) -> None:
    """Leave out what threads do that a claim has taken for quiet, by their idents."""
    _trusted.update(threads)


def latest() -> tuple[int, int | None]:
    """Return what changes whenever something may have been set off."""
    return _number, submissions.latest()


def _make_noting(replacement: Replacement) -> Callable[..., Any]:
    @functools.wraps(replacement.below)
    def noting(self: Any, *args: Any, **kwargs: Any) -> Any:
        if replacement.active and threading.get_ident() not in _trusted:
            note_act()
        return replacement.original(self)(*args, **kwargs)

    return noting


@contextmanager
def noted() -> Iterator[None]:
    """Note what threads and loops are handed while the block runs."""
    with (
        replaced(threading.Condition, "notify", "handovers", _make_noting),
        replaced(
            asyncio.BaseEventLoop, "call_soon_threadsafe", "handovers", _make_noting
        ),
    ):
        yield
