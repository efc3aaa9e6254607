"""How long a verb waits: defaults that scale, limits that rest under a debugger."""

import asyncio
import bdb
import os
import sys
from typing import Final

from chanx_testing.core.observe.reports import ticks

SCALE_VARIABLE: Final = "CHANX_TEST_TIMEOUT_SCALE"


class DefaultSeconds(float):
    """A time limit that the caller did not choose; these alone are scaled."""


ONE_SECOND: Final = DefaultSeconds(1)
HALF_A_SECOND: Final = DefaultSeconds(0.5)
TENTH_OF_A_SECOND: Final = DefaultSeconds(0.1)


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

    Coverage tools and profilers trace as well; they do not stop the clock.
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
    """

    def __init__(self, seconds: float | None) -> None:
        self.seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._at = None if seconds is None else self._loop.time() + seconds
        self._passed_at: int | None = None

    def remaining(self) -> float | None:
        """Return the seconds left, never negative, or None for no limit."""
        if self._at is None:
            return None
        return max(0.0, self._at - self._loop.time())

    @property
    def over(self) -> bool:
        """Whether the moment has come."""
        return self.remaining() == 0

    def look(self) -> None:
        """Note, once, where in the order of the test the moment has come."""
        if self._passed_at is None and self.over:
            self._passed_at = ticks.next()

    def is_before(self, tick: int) -> bool:
        """Return whether the moment had been seen to come before ``tick``."""
        return self._passed_at is not None and self._passed_at < tick

    def __str__(self) -> str:
        return (
            "without a limit" if self.seconds is None else f"within {self.seconds:g} s"
        )
