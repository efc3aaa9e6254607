"""Where an event loop would sleep: the selector, which asks a judge first."""

import selectors
from collections.abc import Callable
from typing import Any

Events = list[Any]
Select = Callable[[float | None], Events]
Judge = Callable[[Select, float | None], Events]
"""Does what ``select(timeout)`` does, by the selector's own ``select``."""


class IdleSelector(selectors.DefaultSelector):
    """The platform's selector, which asks the monitor before it sleeps.

    A subclass that is given to the loop when that is made, and not a selector that is
    swapped in: so it sees every descriptor from the first one, the true timeout of each
    ``select`` (asyncio has worked it out from the ready queue and the next timer), and
    nothing has to be put back.
    """

    judge: Judge | None = None

    def select(self, timeout: float | None = None) -> Events:
        """Do what ``selectors.BaseSelector.select`` does.

        May return early, with nothing.
        """
        if self.judge is None:
            return super().select(timeout)
        return self.judge(super().select, timeout)

    def watched(self) -> list[selectors.SelectorKey]:
        """Return what the selector watches; [] when it is closed."""
        mapping = self.get_map()
        return [] if mapping is None else list(mapping.values())
