"""Finalizers: what a garbage collection could still bring to a loop.

An async generator or a communicator that was dropped inside a reference cycle acts on
the loop when the collector finds it. A collection before the verdict makes that happen
first. Collecting a whole Django heap takes tens of milliseconds, so everything that is
older than the run of the loop is frozen for its duration: the collection then sees
only what the test itself has made, in tens of microseconds.

What is frozen cannot be found by a collection either, so it is no source of events
while the loop runs. Freezing hides the growth of the heap from the collector, which
then never runs a full collection: that duty is taken over here.
"""

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

# Python 3.12 freezes a few hundred objects of its own at its start. A user who freezes
# freezes a whole heap, which is never below some ten thousand.
_FROZEN_BY_PYTHON = 2_000

# Re-entrant: a collection may run a finalizer that runs a loop.
_lock = threading.RLock()
_collecting: set[int] = set()  # the threads in which a collection runs
_held = 0
_frozen_by_us = False
_freezes = 0
_heap_size = 0  # objects, at the last full collection; 0 before the first count

# Counting the heap takes milliseconds: not at every freeze.
_FREEZES_PER_COUNT = 16
# CPython's own rule: a full collection when the heap has grown by a quarter.
_GROWTH = 1.25
_MARGIN = 20_000  # objects; spares small heaps


@contextmanager
def older_objects_frozen(wanted: bool = True) -> Iterator[None]:
    """Keep what exists now out of collections; re-entrant and thread-safe.

    Leaves the collector alone where the user has frozen objects or switched it off.

    Args:
        wanted: False changes nothing, and takes part in the count.
    """
    global _held, _frozen_by_us
    with _lock:
        _held += 1
        if _held == 1:
            gc.callbacks.append(_note_collection)
        if wanted and not _frozen_by_us and gc.isenabled() and _may_freeze():
            _freeze()
            _frozen_by_us = True
    try:
        yield
    finally:
        with _lock:
            _held -= 1
            if not _held:
                with suppress(ValueError):  # somebody may have emptied the list
                    gc.callbacks.remove(_note_collection)
            if not _held and _frozen_by_us:
                gc.unfreeze()
                _frozen_by_us = False


def _note_collection(phase: str, _: object) -> None:
    if phase == "start":
        _collecting.add(threading.get_ident())
    else:
        _collecting.discard(threading.get_ident())


def is_collecting() -> bool:
    """Whether the calling thread is in a collection, which may run in any thread."""
    return threading.get_ident() in _collecting


def is_finalizing(frame: FrameType | None) -> bool:
    """Whether the calling thread runs a finalizer, which may run in any thread.

    Args:
        frame: where the thread is.
    """
    if is_collecting():
        return True
    while frame is not None:
        if frame.f_code.co_name == "__del__":
            return True
        frame = frame.f_back
    return False


def _freeze() -> None:
    global _freezes, _heap_size
    gc.freeze()
    _freezes += 1
    if _freezes % _FREEZES_PER_COUNT != 1:
        return
    size = gc.get_freeze_count()
    if not _heap_size:
        _heap_size = size
    elif size > _heap_size * _GROWTH + _MARGIN:
        gc.unfreeze()
        gc.collect()
        gc.freeze()
        _heap_size = gc.get_freeze_count()


def _may_freeze() -> bool:
    return gc.get_freeze_count() < _FROZEN_BY_PYTHON


def collect() -> None:
    """Run the finalizers that are due; nothing where the collector is switched off.

    With the collector off no finalizer of a cycle can run by itself, so none can come.
    """
    if gc.isenabled():
        gc.collect()
