"""Signals: a handler may wake the loop at any time."""

import signal
from typing import ClassVar


class Signals:
    """The signal handlers of one loop; a source."""

    wakes_the_loop: ClassVar[bool] = True
    is_outside: ClassVar[bool] = False

    def __init__(self) -> None:
        self._names: dict[int, str] = {}

    def add(self, number: int) -> None:
        """Note that the loop handles a signal."""
        self._names[number] = signal.Signals(number).name

    def remove(self, number: int) -> None:
        """Note that the loop no longer handles a signal."""
        self._names.pop(number, None)

    def is_open(self) -> bool:
        """Return whether the loop handles a signal."""
        return bool(self._names)

    def may_end_a_deadlock(self) -> bool:
        """Return whether a signal may call Python code, the loop's or any other.

        An interval timer that is set, or a handler of the user's, may wake the loop at
        any time. The handler for Ctrl-C and those of test timeouts do not count.
        """
        if self._names:
            return True
        if hasattr(signal, "getitimer") and any(signal.getitimer(signal.ITIMER_REAL)):
            handler = signal.getsignal(signal.SIGALRM)
            if not _is_bystander(handler):
                return True
        for number in signal.valid_signals() - {signal.SIGINT}:
            handler = signal.getsignal(number)
            if callable(handler) and not _is_bystander(handler):
                return True
        return False

    def phrases(self) -> list[str]:
        """Return the name of each signal that the loop handles."""
        return [f"signal handler {name}" for name in self._names.values()]

    def at_work(self) -> list[str]:
        """Return nothing: a signal may never come."""
        return []


def _is_bystander(handler: object) -> bool:
    # pytest-timeout's handler fails the test; it never wakes a loop.
    return getattr(handler, "__module__", "").startswith("pytest_timeout")
