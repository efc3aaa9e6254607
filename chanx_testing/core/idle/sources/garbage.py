"""Finalizers: what a garbage collection could still bring to a loop.

An async generator or a communicator that was dropped inside a reference cycle acts on
the loop when the collector finds it. A collection before the verdict makes that happen
first. To collect a whole Django heap takes tens of milliseconds, so everything that is
older than the first connection of the test is frozen for the rest of the run: the
collection then sees only what the test itself has made, in tens of microseconds.

No collection finds what is frozen, so that cannot act on the loop while it runs. What
lives how long must not change for other tests:

* A run in which nobody uses a connection of ours freezes nothing.
* Young objects are collected before they are frozen. Otherwise the garbage of an
  earlier test would come back as old objects, which are looked at seldom.
* What the test has dropped is collected before the run ends, for the same reason: the
  collections before the verdicts have made old objects of it.
* Freezing hides the growth of the heap from the collector, which then never runs a full
  collection; that is done here instead.

https://docs.python.org/3/library/gc.html#gc.freeze
"""

import gc
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Final

from chanx_testing.core.thread_frames import collector_is_on

# Python 3.12 freezes a few hundred objects of its own at its start. A user who freezes
# does so with a whole heap, which has ten thousand objects and more.
_FROZEN_BY_PYTHON: Final = 2_000

# The rule of CPython's collector: a full collection when the heap has grown by a
# quarter. It counts objects that it tracks; to count those takes milliseconds, and the
# blocks of the allocator stand for them.
_GROWTH: Final = 1.25
_MARGIN: Final = 50_000  # blocks; spares small heaps
# Where the allocator does not count its blocks (PYTHONMALLOC=malloc), so often instead.
_FREEZES_PER_COLLECTION: Final = 100


class Collector:
    """What is done to Python's garbage collector while observed loops run.

    There is one for the process, as there is one collector. Thread-safe.
    """

    def __init__(self) -> None:
        # Re-entrant: a collection may run a finalizer that runs a loop.
        self._lock = threading.RLock()
        self._loops = 0  # that run now
        self._frozen_here = False
        self._freezes = 0  # since the last full collection
        self._heap_size = 0  # blocks, at the last full collection; 0: not counted yet
        self._collecting: set[int] = set()  # the threads in which a collection runs

    @contextmanager
    def older_objects_frozen(self, wanted: bool = True) -> Iterator[None]:
        """Keep what exists now out of collections, for the rest of a loop's run.

        Leaves the collector alone where the user has frozen objects or switched it off.

        Args:
            wanted: Whether to freeze. If not, the loop is still counted as one that
                runs.
        """
        with self._lock:
            self._loops += 1
            if self._loops == 1:
                gc.callbacks.append(self._note_collection)
            if wanted and not self._frozen_here and _may_freeze():
                self.freeze()
                self._frozen_here = True
        try:
            yield
        finally:
            with self._lock:
                self._loops -= 1
                # Not before the last loop has ended: unfreezing is for the whole heap.
                if not self._loops:
                    with suppress(ValueError):  # somebody may have emptied the list
                        gc.callbacks.remove(self._note_collection)
                    if self._frozen_here:
                        gc.collect()
                        gc.unfreeze()
                        self._frozen_here = False

    def freeze(self) -> None:
        """Freeze all objects, after a full collection if the heap has grown."""
        size = sys.getallocatedblocks()
        self._freezes += 1
        if not self._heap_size:
            self._heap_size = size
        if (
            size > self._heap_size * _GROWTH + _MARGIN
            if size
            else self._freezes >= _FREEZES_PER_COLLECTION
        ):
            gc.collect()
            self._heap_size = sys.getallocatedblocks()
            self._freezes = 0
        else:
            gc.collect(1)
        gc.freeze()

    def _note_collection(self, phase: str, _: object) -> None:
        if phase == "start":
            self._collecting.add(threading.get_ident())
        else:
            self._collecting.discard(threading.get_ident())

    def is_collecting(self) -> bool:
        """Return whether the calling thread is in a collection."""
        return threading.get_ident() in self._collecting


collector: Final = Collector()


def is_finalizing(frame: FrameType | None) -> bool:
    """Return whether the calling thread runs a finalizer, as any thread may have to.

    Args:
        frame: The frame in which the thread is.
    """
    if collector.is_collecting():
        return True
    while frame is not None:
        if frame.f_code.co_name == "__del__":
            return True
        frame = frame.f_back
    return False


def _may_freeze() -> bool:
    return collector_is_on() and gc.get_freeze_count() < _FROZEN_BY_PYTHON


def collect() -> None:
    """Run the finalizers that are due; do nothing where the collector is switched off.

    While it is off, no finalizer of a cycle runs by itself, so nothing can come of one.
    """
    if collector_is_on():
        gc.collect()
