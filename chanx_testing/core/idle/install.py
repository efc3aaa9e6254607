"""Making new loops observable where tests run."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from .loop import IdleEventLoop
from .patching import Patch

# What asyncio's own policy gives. A loop of any other class was chosen by the user.
_STOCK: tuple[type, ...] = tuple(
    cls
    for name in ("SelectorEventLoop", "ProactorEventLoop")
    if isinstance(cls := getattr(asyncio, name, None), type)
)


def new_event_loop() -> asyncio.AbstractEventLoop:
    """A new :class:`IdleEventLoop`: a loop factory for any runner."""
    return IdleEventLoop()


def _make_new_event_loop(patch: Patch) -> Callable[..., Any]:
    def new_event_loop() -> asyncio.AbstractEventLoop:
        loop: asyncio.AbstractEventLoop = patch.original()
        if patch.active and type(loop) in _STOCK:
            loop.close()
            return IdleEventLoop()
        return loop

    return new_event_loop


def make_patches() -> tuple[Patch, Patch]:
    """Patches of the two places where asyncio's factory is looked up."""
    return (
        Patch(asyncio.events, "new_event_loop", _make_new_event_loop),
        Patch(asyncio, "new_event_loop", _make_new_event_loop),
    )


_patches = make_patches()


@contextmanager
def installed() -> Iterator[None]:
    """While open, new asyncio loops are observable.

    Covers ``asyncio.run``, ``asyncio.Runner``, ``async_to_sync``,
    ``IsolatedAsyncioTestCase`` and whatever else asks asyncio for a new loop without a
    factory of its own. A loop that the user's own policy makes stays as it is.

    Re-entrant, and thread-safe: loops of all threads are concerned. The identical
    functions are back at the end, whatever the order in which several are closed.
    """
    events, package = _patches
    with events.held(), package.held():
        yield
