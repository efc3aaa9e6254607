"""Keep database connections open while an application runs inside a test.

Channels closes old database connections before each message that a consumer handles. In
a test that connection is the test's own: when it is closed, the transaction of a
``TestCase`` is lost, and a test that may not use the database fails
(https://code.djangoproject.com/ticket/32798,
https://github.com/django/channels/issues/2118). Channels' own communicator replaces the
function that closes them during single calls; here it is replaced as long as any
application runs.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any, Final

from chanx_testing.core.replacing import Replacement, hold, let_go


def _quiet(replacement: Replacement) -> Callable[[], None]:
    def close_old_connections() -> None:
        """Do nothing while a block is open, where Channels would close connections."""
        if not replacement.active:
            replacement.original()()

    return close_old_connections


def _aquiet(replacement: Replacement) -> Callable[[], Any]:
    async def aclose_old_connections() -> None:
        """Do nothing, and save the change to a thread and back."""
        if not replacement.active:
            await replacement.original()()

    return aclose_old_connections


CLOSING: Final = {
    ("channels.db", "close_old_connections"): _quiet,
    ("channels.consumer", "aclose_old_connections"): _aquiet,
    ("channels.generic.websocket", "aclose_old_connections"): _aquiet,
}
"""The names that Channels calls; the first is the one that its own tests replace."""


def connections_kept_open() -> AbstractContextManager[Any]:
    """Return a context in which Channels closes no database connection.

    Blocks may overlap in any order, also in several threads; when the last one ends,
    the original functions are back. Where something else has replaced one of them
    meanwhile (as Channels' own communicator and ``mock.patch`` do), its function stays.
    If it puts ours back later, ours closes connections as the original does.

    The modules of Channels are imported at once, and not when the context is entered:
    that happens within the time limit of a verb.
    """
    return _kept_open([(import_module(path), name) for path, name in CLOSING])


@contextmanager
def _kept_open(names: list[tuple[ModuleType, str]]) -> Iterator[None]:
    held = [
        hold(module, name, "database", CLOSING[module.__name__, name])
        for module, name in names
        # A later Channels may do without one of the names.
        if hasattr(module, name)
    ]
    try:
        yield
    finally:
        for replacement in held:
            let_go(replacement)
