"""The threads that were there before a test, and where each of them was.

A thread that a test did not start has its own business, unless the test hands it some.
Whether it was handed some shows in where it is now: a worker that still waits where it
waited before the test has nothing in hand. Only numbers and code objects are kept: a
frame that is held keeps its variables in memory.
"""

import sys
import threading
import weakref
from dataclasses import dataclass
from types import CodeType, FrameType

from chanx_testing.core.idle.clock import Clock
from chanx_testing.core.idle.sources import other_loops
from chanx_testing.core.thread_frames import collections_held

# The modules of the standard library in which a thread waits for somebody else. What
# says where it waits is the frame that has called them.
_WAITING = frozenset({"threading", "queue", "concurrent.futures._base"})

Place = tuple[int, int, CodeType]


def place_of(frame: FrameType) -> Place:
    """Return where a thread waits: the innermost frame outside the waiting itself.

    Args:
        frame: The innermost frame of the thread.

    Returns:
        The identity of the frame, its instruction and its code. A frame that has ended
        and another of the same code may have the same identity.
    """
    while is_waiting_code(frame) and frame.f_back is not None:
        frame = frame.f_back
    return id(frame), frame.f_lasti, frame.f_code


def is_waiting_code(frame: FrameType) -> bool:
    """Return whether a frame is of the standard library's queues and locks.

    A thread that is there, and not in a wait, may have just taken what it waited for.
    """
    return frame.f_globals.get("__name__") in _WAITING


def outermost(frame: FrameType) -> FrameType:
    """Return the frame in which a thread began."""
    while frame.f_back is not None:
        frame = frame.f_back
    return frame


@dataclass(frozen=True, slots=True)
class _Known:
    """One thread at the moment of the baseline.

    Attributes:
        thread: The thread object; None for one that ``threading`` does not know.
        root: The outermost frame of such a one. It is held, since another thread may
            have a frame of the same identity later, with the same code.
        place: Where it was; None for the thread that took the baseline.
        descriptors: What its event loop watched, if it waited in one.
        tasks: Where the tasks of that loop waited.
    """

    thread: "weakref.ref[threading.Thread] | None"
    root: FrameType | None
    place: Place | None
    descriptors: frozenset[other_loops.Descriptor]
    tasks: frozenset[other_loops.TaskPlace]


class Baseline:
    """All threads at one moment.

    Attributes:
        taken_at: That moment, in monotonic seconds.
    """

    def __init__(self) -> None:
        self._threads: dict[int, _Known] = {}
        with collections_held():
            self._look_at_all()
        self.taken_at = Clock.now()

    def _look_at_all(self) -> None:
        mine = threading.get_ident()
        frames = sys._current_frames()
        named = {thread.ident: thread for thread in threading.enumerate()}
        for ident, frame in frames.items():
            thread = named.get(ident)
            here = ident == mine
            self._threads[ident] = _Known(
                None if thread is None else weakref.ref(thread),
                outermost(frame) if thread is None and not here else None,
                None if here else place_of(frame),
                frozenset() if here else other_loops.watched_descriptors(frame),
                frozenset() if here else other_loops.waiting_tasks(frame),
            )
        # This very frame is among them, and holds the variable.
        del frames, frame

    def knows(self, ident: int, frame: FrameType) -> bool:
        """Return whether a thread was there.

        Args:
            ident: Its identity, which a later thread may have again.
            frame: Its innermost frame.
        """
        return self._find(ident, frame) is not None

    def is_where_it_was(self, ident: int, frame: FrameType) -> bool:
        """Return whether a thread was there, and is at the same place now.

        It may be on its way in or out: it waits there only if it is in a
        :func:`~chanx_testing.core.idle.sources.parked.timed_wait`, or blocked in native
        code that was called from that very place (see :func:`is_waiting_code`).
        """
        known = self._find(ident, frame)
        return known is not None and known.place == place_of(frame)

    def native_id(self, ident: int, frame: FrameType) -> int | None:
        """Return the kernel's number of a thread; None where it is not known."""
        known = self._find(ident, frame)
        thread = known and known.thread and known.thread()
        return thread.native_id if thread else None

    def descriptors(
        self, ident: int, frame: FrameType
    ) -> frozenset[other_loops.Descriptor]:
        """Return the descriptors that the event loop of a thread watched then.

        None of them if one of its tasks waits elsewhere now: that one was handed
        something, and what it waits for may come over an old connection.
        """
        known = self._find(ident, frame)
        if known is None or not known.tasks >= other_loops.waiting_tasks(frame):
            return frozenset()
        return known.descriptors

    def _find(self, ident: int, frame: FrameType) -> _Known | None:
        known = self._threads.get(ident)
        if known is None:
            return None
        if known.thread is not None:
            thread = known.thread()
            if thread is not None and thread.ident == ident and thread.is_alive():
                return known
        elif outermost(frame) is known.root:
            return known
        # The thread has ended, and a new one has its identity.
        del self._threads[ident]
        return None
