"""The clock of the loop, out of reach of tools that freeze time.

freezegun replaces ``time.monotonic`` in every module that holds it, and a loop whose
clock stands still never fires a timer. It leaves the attributes of classes alone, so
the reference is kept in a class.

https://github.com/spulec/freezegun
"""

import time
from collections.abc import Callable
from types import BuiltinFunctionType


def _real_monotonic() -> Callable[[], float]:
    if isinstance(time.monotonic, BuiltinFunctionType):
        return time.monotonic
    # Imported while time is frozen: ask the system behind the patched function.
    return lambda: time.clock_gettime(time.CLOCK_MONOTONIC)


class Clock:
    """A namespace for ``now()``, in monotonic seconds that are never frozen."""

    now: Callable[[], float] = staticmethod(_real_monotonic())
    sleep: Callable[[float], None] = staticmethod(time.sleep)


class LoopClock:
    """What one loop has read last from the clock.

    A deadline is compared with the moment that the loop itself has used. Read again,
    the time is some microseconds later, and a timer that is due at the deadline would
    look as if it came after it.

    Attributes:
        last: That moment, in monotonic seconds.
    """

    def __init__(self) -> None:
        self.last = Clock.now()
