"""How long a verb waits: defaults can be scaled, and a debugger stops all limits."""

import asyncio
import bdb
import os
import sys
from collections.abc import Callable
from typing import Any, Final

from chanx_testing.core.trace.timeline import next_number

SCALE_VARIABLE: Final = "CHANX_TEST_TIMEOUT_SCALE"


class DefaultSeconds(float):
    """A time limit that the caller did not choose; these alone are scaled."""


ANSWER_SECONDS: Final = DefaultSeconds(1)
"""How long, in seconds, a verb waits for what an application is to do."""

AUTH_SECONDS: Final = DefaultSeconds(0.5)
"""How long, in seconds, a verb waits for the authentication message."""

QUIET_SECONDS: Final = DefaultSeconds(0.1)
"""How long, in seconds, nothing may come, and a consumer may take to settle."""


def environment_scale() -> float | None:
    """Return the factor for default limits that the environment sets, or None.

    Raises:
        ValueError: The variable is not a positive number.
    """
    text = os.environ.get(SCALE_VARIABLE)
    if text is None:
        return None
    try:
        scale = float(text)
    except ValueError:
        scale = 0.0
    if not 0 < scale < float("inf"):
        raise ValueError(
            f"The environment variable {SCALE_VARIABLE} is {text!r}; it must be a "
            f"positive number, for example 2 to double every default timeout."
        )
    return scale


def debugging() -> bool:
    """Return whether a debugger is attached (pdb, pydevd or debugpy).

    Tools for coverage and profilers trace as well, and stop no limit.
    """
    if sys.version_info >= (3, 12):
        if sys.monitoring.get_tool(sys.monitoring.DEBUGGER_ID) is not None:
            return True
    trace = sys.gettrace()
    if trace is None:
        return False
    if isinstance(getattr(trace, "__self__", None), bdb.Bdb):
        return True
    module = getattr(trace, "__module__", None) or type(trace).__module__
    return module.startswith(("pydevd", "_pydevd", "debugpy"))


class Deadline:
    """The moment a verb gives up, on the clock of the running loop.

    Args:
        seconds: From now; None for no limit.

    Attributes:
        asked: The verb's place in the order of the test. Frames are given to verbs in
            this order.
    """

    def __init__(self, seconds: float | None) -> None:
        self.seconds = seconds
        self.asked = next_number()
        self._loop = asyncio.get_running_loop()
        self._at = None if seconds is None else self._loop.time() + seconds
        self._passed_at: int | None = None

    def remaining(self) -> float | None:
        """Return the seconds left, never negative, or None for no limit."""
        if self._at is None:
            return None
        return max(0.0, self._at - self._loop.time())

    def sooner(self, seconds: float) -> "Deadline":
        """Return a deadline in so many seconds, or this moment if it is earlier."""
        left = self.remaining()
        return Deadline(seconds if left is None else min(seconds, left))

    def look(self) -> bool:
        """Return whether the moment has come; note where in the order of the test."""
        if self._passed_at is None and self.remaining() == 0:
            self._passed_at = next_number()
        return self._passed_at is not None

    def was_over_at(self, number: int) -> bool:
        """Return whether it was seen to be over before ``number`` in that order."""
        return self.look() and (self._passed_at or 0) < number

    def __str__(self) -> str:
        return (
            "without a limit" if self.seconds is None else f"within {self.seconds:g} s"
        )


def deadline_after(timeout: Any, scale: Callable[[], float]) -> Deadline:
    """Return the deadline of a verb that begins now.

    Args:
        timeout: Seconds, as the verb was given them; None for no limit.
        scale: Returns the factor for time limits that the caller did not choose.

    Raises:
        TypeError: ``timeout`` is neither a number nor None.
    """
    if timeout is not None and not isinstance(timeout, int | float):
        raise TypeError(f"A timeout is a number of seconds or None, not {timeout!r}.")
    if timeout is None or debugging():
        return Deadline(None)
    if isinstance(timeout, DefaultSeconds):
        timeout *= scale()
    return Deadline(timeout)
