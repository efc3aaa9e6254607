"""What the monitor asks everything that may still wake a loop."""

from typing import ClassVar, Protocol


class Source(Protocol):
    """One kind of thing that may still wake a loop.

    Its methods are called on the loop's thread, whenever the loop would sleep and
    somebody waits. They must return at once, and never run code of the application.
    What cannot be seen counts as open.

    Attributes:
        wakes_the_loop: Whether the loop is woken when a thing of this kind ends. If
            not, the monitor has to look again after a while.
        is_outside: Whether what it brings comes from outside the process. A loop at
            rest for which nothing else is open is QUIET.
    """

    wakes_the_loop: ClassVar[bool]
    is_outside: ClassVar[bool]

    def is_open(self) -> bool:
        """Return whether something may still come of it."""

    def may_end_a_deadlock(self) -> bool:
        """Return whether it might wake a loop that otherwise sleeps forever.

        More things may do so than count for a verdict: a wrong deadlock would end the
        whole run.
        """

    def phrases(self) -> list[str]:
        """Return what may still come of it, one phrase each; [] if it is not open."""

    def at_work(self) -> list[str]:
        """Return what is under way and must end, one phrase each.

        A job ends, and a request is answered. A connection that is open, a timer or a
        signal handler may bring something, and may just as well never do so.
        """
