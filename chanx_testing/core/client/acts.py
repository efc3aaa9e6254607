"""What a test does beside the wire: its broadcasts, put into the order of the test."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from chanx_testing.core.idle.handovers import note_act
from chanx_testing.core.observe import reports
from chanx_testing.core.observe.reports import Broadcast, HandledKind
from chanx_testing.core.trace.timeline import (
    Timeline,
    next_number,
    running_timeline,
    running_timelines,
)

# Re-entrant: a garbage collection may come in between and end an application.
_lock = threading.RLock()
# How many applications run that were started on each timeline.
_open: Counter[Timeline] = Counter()
# When something of each kind was last broadcast to nobody knows whom.
_last_broadcasts: dict[HandledKind, int] = {}


def note_broadcast(kind: HandledKind) -> None:
    """Note a broadcast whose receivers are not known."""
    _last_broadcasts[kind] = next_number()


def last_broadcast(kind: HandledKind) -> int:
    """Return the place of the last such broadcast in the order of the test, or 0."""
    return _last_broadcasts.get(kind, 0)


@contextmanager
def broadcasts_are_acts(timeline: Timeline) -> Iterator[None]:
    """Note the broadcasts of tests in their order while the block runs.

    A broadcast of an application is not an act of the test. One that comes from a
    thread which knows of no test counts for every test that runs. In doubt this fails a
    test, whose completion signal is passed over; otherwise a signal could be taken for
    the answer to a later step, and the test would pass.

    Args:
        timeline: That of the test whose application runs.
    """
    with _lock:
        if not _open:
            reports.add_listener(_note)
        _open[timeline] += 1
    try:
        yield
    finally:
        with _lock:
            _open[timeline] -= 1
            if not _open[timeline]:
                del _open[timeline]
            if not _open:
                reports.remove_listener(_note)


def _note(broadcast: Broadcast) -> None:
    # Inside an application: the broadcast is the application's.
    inside = reports.watcher.get() is not None
    # A consumer of this package reports whom its broadcasts go to.
    if not (inside and getattr(broadcast.consumer, "announces_broadcasts", False)):
        note_broadcast(broadcast.kind)
    if inside:
        return
    note_act()
    if (running := running_timeline()) is not None:
        running.test_acted()
        return
    # Its loop alone says little: a thread may have one of its own, and work for a test.
    with _lock:
        timelines = {*_open, *running_timelines()}
    for timeline in timelines:
        timeline.test_acted()
