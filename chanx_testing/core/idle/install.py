"""Making new loops observable where tests run."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final

from chanx_testing.core.idle.loop import IdleEventLoop
from chanx_testing.core.replacing import Replacement

# What asyncio's own policy gives. A loop of any other class was chosen by the user.
_STOCK: tuple[type, ...] = tuple(
    cls
    for name in ("SelectorEventLoop", "ProactorEventLoop")
    if isinstance(cls := getattr(asyncio, name, None), type)
)


def new_event_loop() -> asyncio.AbstractEventLoop:
    """A new :class:`IdleEventLoop`: a loop factory for any runner."""
    return IdleEventLoop()


def _make_new_event_loop(replacement: Replacement) -> Callable[..., Any]:
    def new_event_loop() -> asyncio.AbstractEventLoop:
        loop: asyncio.AbstractEventLoop = replacement.original()()
        if replacement.active and type(loop) in _STOCK:
            loop.close()
            return IdleEventLoop()
        return loop

    return new_event_loop


# The two places where asyncio's factory is looked up.
_factories: Final = tuple(
    Replacement(module, "new_event_loop", _make_new_event_loop)
    for module in (asyncio.events, asyncio)
)


@contextmanager
def installed() -> Iterator[None]:
    """While open, new asyncio loops are observable.

    Covers ``asyncio.run``, ``asyncio.Runner``, ``async_to_sync``,
    ``IsolatedAsyncioTestCase`` and whatever else asks asyncio for a new loop without a
    factory of its own. A loop that the user's own policy makes stays as it is.

    Re-entrant, and thread-safe: loops of all threads are concerned. The identical
    functions are back at the end, whatever the order in which several are closed.
    """
    with ExitStack() as stack:
        for factory in _factories:
            stack.enter_context(factory.held())
        yield
