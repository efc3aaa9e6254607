"""What the monitor asks of everything that may still wake a loop."""

from typing import ClassVar, Protocol


class Source(Protocol):
    """One kind of thing that may still wake a loop.

    Its methods are called on the loop's thread, whenever the loop would sleep and
    somebody waits: they return at once, and never run code of the application.
    Whatever cannot be seen counts as open.

    Attributes:
        wakes_the_loop: Whether the loop is woken when a thing of this kind ends. If
            not, the monitor has to look again after a while.
        is_outside: Whether it is all about what comes from outside of the process. A
            loop that is at rest but for this is QUIET.
    """

    wakes_the_loop: ClassVar[bool]
    is_outside: ClassVar[bool]

    def is_open(self) -> bool:
        """Return whether anything may still come of it."""

    def may_end_a_deadlock(self) -> bool:
        """Return whether it might wake a loop that otherwise waits forever.

        More may do so than counts for a verdict: a deadlock fails the whole run.
        """

    def phrases(self) -> list[str]:
        """Return what may still come, a phrase for each; [] where it is not open."""
