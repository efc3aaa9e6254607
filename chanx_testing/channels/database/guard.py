"""Database connections while an application runs inside a test.

Channels closes old database connections before each message that a consumer handles. In
a test that connection is the test's own: closed, it loses the transaction of a
``TestCase``, and a test without database access fails for touching it at all
(https://code.djangoproject.com/ticket/32798, django/channels#2118). Channels' own
communicator replaces the closing function during single calls; here one guard is open
for as long as any application runs.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from typing import Any, Final

from chanx_testing.core.replacing import Replacement


def _quiet(replacement: Replacement) -> Callable[[], None]:
    def close_old_connections() -> None:
        """Do nothing while a block is open, where Channels would close connections."""
        if not replacement.active:
            replacement.original()()

    return close_old_connections


def _aquiet(replacement: Replacement) -> Callable[[], Any]:
    async def aclose_old_connections() -> None:
        """Do nothing, and save the hop to a thread that doing it would take."""
        if not replacement.active:
            await replacement.original()()

    return aclose_old_connections


CLOSING: Final = {
    ("channels.db", "close_old_connections"): _quiet,
    ("channels.consumer", "aclose_old_connections"): _aquiet,
    ("channels.generic.websocket", "aclose_old_connections"): _aquiet,
}
"""The names that Channels calls; the first is the one that its own tests replace."""


@cache
def _replacements() -> tuple[Replacement, ...]:
    return tuple(
        Replacement(import_module(module), name, make)
        for (module, name), make in CLOSING.items()
    )


@contextmanager
def connections_kept_open() -> Iterator[None]:
    """Keep Channels from closing database connections while the block runs.

    Blocks may overlap in any order, also in several threads; when the last one ends the
    original functions are back. Where something else has put a function of its own in
    the place meanwhile (Channels' own communicator does, and ``mock.patch``), that one
    stays; should ours come back later, it closes connections as the original does.
    """
    # A later Channels may do without one of the names.
    there = [each for each in _replacements() if hasattr(each.owner, each.name)]
    for replacement in there:
        replacement.hold()
    try:
        yield
    finally:
        for replacement in there:
            replacement.let_go()
