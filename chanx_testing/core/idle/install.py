"""Make the event loops observable that tests get from asyncio."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from chanx_testing.core.idle.loop import IdleEventLoop
from chanx_testing.core.replacing import Replacement, replaced

# What asyncio's own policy gives. A loop of any other class was chosen by the user.
_STOCK: tuple[type, ...] = tuple(
    cls
    for name in ("SelectorEventLoop", "ProactorEventLoop")
    if isinstance(cls := getattr(asyncio, name, None), type)
)


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Return a new :class:`IdleEventLoop`; a loop factory for any runner."""
    return IdleEventLoop()


def _make_new_event_loop(replacement: Replacement) -> Callable[..., Any]:
    def new_event_loop() -> asyncio.AbstractEventLoop:
        # Asked first: only the loop that it makes shows whether the user's policy
        # chooses another class.
        loop: asyncio.AbstractEventLoop = replacement.original()()
        if replacement.active and type(loop) in _STOCK:
            loop.close()
            return IdleEventLoop()
        return loop

    return new_event_loop


@contextmanager
def installed() -> Iterator[None]:
    """Make new asyncio loops observable while the block runs.

    Covers ``asyncio.run``, ``asyncio.Runner``, ``async_to_sync``,
    ``IsolatedAsyncioTestCase`` and everything else that asks asyncio for a new loop
    without a factory of its own. A loop that the user's own policy makes stays as it
    is.

    Re-entrant and thread-safe: it covers the loops of all threads. The identical
    functions are back at the end, whatever the order in which several blocks end.
    """
    # The two places where asyncio's factory is looked up.
    with (
        replaced(asyncio.events, "new_event_loop", IdleEventLoop, _make_new_event_loop),
        replaced(asyncio, "new_event_loop", IdleEventLoop, _make_new_event_loop),
    ):
        yield
