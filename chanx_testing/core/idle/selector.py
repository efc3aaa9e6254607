"""The place where an event loop would sleep: a selector that asks a judge first."""

import selectors
from collections.abc import Callable
from typing import Any

Events = list[Any]
Select = Callable[[float | None], Events]
Judge = Callable[[Select, float | None], Events]
"""Does what ``select(timeout)`` does, by the selector's own ``select``."""


class IdleSelector(selectors.DefaultSelector):
    """The platform's selector, which asks the monitor before it sleeps.

    The loop is given it when the loop is made; nothing is swapped in later. So it sees
    every descriptor from the first one on and the true timeout of each ``select``,
    which asyncio has computed from the ready queue and the next timer. And nothing has
    to be put back.

    Attributes:
        judge: Is called in the place of ``select``, and is given the real one.
    """

    judge: Judge | None = None

    def select(self, timeout: float | None = None) -> Events:
        """Do what ``selectors.BaseSelector.select`` does.

        May return early, with no event.
        """
        if self.judge is None:
            return super().select(timeout)
        return self.judge(super().select, timeout)

    def watched(self) -> list[selectors.SelectorKey]:
        """Return what the selector watches; [] when it is closed."""
        mapping = self.get_map()
        return [] if mapping is None else list(mapping.values())
