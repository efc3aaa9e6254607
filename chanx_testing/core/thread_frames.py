"""Look at the frames of other threads, with no garbage collection in between.

A frame that is asked for its caller or for its variables makes objects. In Python 3.11
a new object may start a collection at once, which runs finalizers and
``gc.callbacks``. Meanwhile the other thread goes on: the frame that was asked about
returns, and what is made for it is written into the memory of another one. The
interpreter crashes, there or much later. From Python 3.12 on a collection waits for
the end of the instruction, and nothing is done here.

The price, on Python 3.11: for the microseconds of a look ``gc.isenabled()`` is false,
and a thread that switches the collector off in just that moment finds it on again.

https://docs.python.org/3.12/whatsnew/3.12.html
"""

import contextlib
import gc
import sys
import threading
from contextlib import AbstractContextManager
from typing import Final


class _Held:
    """Keeps the collector off while a block runs, in one thread or in several."""

    def __init__(self) -> None:
        # Re-entrant: an object that is dropped in a block may run anything.
        self._lock = threading.RLock()
        self._blocks = 0
        self._was_on = False

    def __enter__(self) -> None:
        with self._lock:
            if not self._blocks:
                self._was_on = gc.isenabled()
                gc.disable()
            self._blocks += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._blocks -= 1
            if not self._blocks and self._was_on:
                gc.enable()

    def collector_is_on(self) -> bool:
        """Return whether the collector would be on without the blocks."""
        with self._lock:
            return self._was_on if self._blocks else gc.isenabled()


_held: Final = _Held()
COLLECTS_ANYWHERE: Final = sys.version_info < (3, 12)
"""Whether a new object may start a collection in the middle of an instruction."""


def collections_held() -> AbstractContextManager[None]:
    """Return a block in which other threads' frames are safe to look at.

    Blocks may be nested, and overlap in several threads. What looks at frames runs
    whole in one of them: the frames are taken from ``sys._current_frames()`` there too.
    """
    return _held if COLLECTS_ANYWHERE else contextlib.nullcontext()


def collector_is_on() -> bool:
    """Return whether automatic collections are on, apart from those blocks."""
    return _held.collector_is_on() if COLLECTS_ANYWHERE else gc.isenabled()
