"""Native threads: an extension module has them, and Python knows nothing of them.

Nearly every process has some that never reach a loop. So they count only after one of
them did so where nothing of its kind was under way: from then on for as long as there
are more threads in the process than Python knows.
"""

import os
import sys
from types import FrameType
from typing import ClassVar, Final

from chanx_testing.core.thread_frames import collections_held

_TASKS: Final = "/proc/self/task"
_has_come = False


def is_native(frame: FrameType) -> bool:
    """Return whether the calling thread was not started by Python.

    Args:
        frame: Its first Python frame, which native code has called.
    """
    return frame.f_back is None


def note_uncalled_for() -> None:
    """Count native threads from now on: one has come though nothing was under way."""
    global _has_come
    _has_come = True


class Natives:
    """The native threads of the process; a source."""

    # Nothing wakes the loop when a thread ends.
    wakes_the_loop: ClassVar[bool] = False
    is_outside: ClassVar[bool] = False

    def is_open(self) -> bool:
        """Return whether there are native threads, and one of them may reach a loop."""
        return _has_come and _exist()

    may_end_a_deadlock = is_open

    def phrases(self) -> list[str]:
        """Return a phrase for all of them."""
        if not self.is_open():
            return []
        return ["native threads, one of which has reached an event loop before"]

    def at_work(self) -> list[str]:
        """Return nothing: they may never come."""
        return []


def _exist() -> bool:
    try:
        number = len(os.listdir(_TASKS))
    except OSError:
        return True  # not Linux: they cannot be counted
    with collections_held():
        return number > len(sys._current_frames())
