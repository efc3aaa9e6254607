"""Finalizers: what a garbage collection could still bring to a loop.

An async generator or a communicator that was dropped inside a reference cycle acts on
the loop when the collector finds it. A collection before the verdict makes that happen
first. Collecting a whole Django heap takes tens of milliseconds, so everything that is
older than the run of the loop is frozen for its duration: the collection then sees
only what the test itself has made.
"""

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

# Python 3.12 freezes a few hundred objects of its own at its start. A user who freezes
# freezes a whole heap, which is never below some ten thousand.
_FROZEN_BY_PYTHON = 2_000

_lock = threading.Lock()
_held = 0
_frozen_by_us = False


@contextmanager
def older_objects_frozen() -> Iterator[None]:
    """Keep what exists now out of collections; re-entrant and thread-safe.

    Leaves the collector alone where the user has frozen objects or switched it off.
    """
    global _held, _frozen_by_us
    with _lock:
        _held += 1
        if _held == 1 and gc.isenabled() and _may_freeze():
            gc.freeze()
            _frozen_by_us = True
    try:
        yield
    finally:
        with _lock:
            _held -= 1
            if not _held and _frozen_by_us:
                gc.unfreeze()
                _frozen_by_us = False


def _may_freeze() -> bool:
    return gc.get_freeze_count() < _FROZEN_BY_PYTHON


def collect() -> None:
    """Run the finalizers that are due; nothing where the collector is switched off.

    With the collector off no finalizer of a cycle can run by itself, so none can come.
    """
    if gc.isenabled():
        gc.collect()
