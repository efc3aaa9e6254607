"""Keep database connections open while an application runs inside a test.

Channels closes old database connections before each message that a consumer handles. In
a test that connection is the test's own: when it is closed, the transaction of a
``TestCase`` is lost, and a test that may not use the database fails
(https://code.djangoproject.com/ticket/32798,
https://github.com/django/channels/issues/2118). Channels' own communicator replaces the
function that closes them during single calls; here it is replaced as long as any
application runs. The connections of asgiref's shared thread are not the test's: what
would have been closed there is closed when the last application has ended.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any, Final

import channels.db

from chanx_testing.channels.database import shared_thread
from chanx_testing.core.replacing import Replacement, hold, let_go

# Whether Channels would have closed connections of asgiref's shared thread.
_postponed = False


def _postpone() -> None:
    global _postponed
    _postponed = True


def _quiet(replacement: Replacement) -> Callable[[], None]:
    def close_old_connections() -> None:
        """Do nothing while a block is open, where Channels would close connections."""
        if not replacement.active:
            replacement.original()()
        elif threading.current_thread() is threading.main_thread():
            pass
        elif shared_thread.is_current():
            _postpone()
        else:
            # A thread of a pool, whose connection the test cannot have: when the pool
            # ends, it would stay open until a garbage collection.
            shared_thread.close_unless_atomic(replacement.original())

    return close_old_connections


def _aquiet(replacement: Replacement) -> Callable[[], Any]:
    async def aclose_old_connections() -> None:
        """Do nothing, and save the change to a thread and back."""
        if not replacement.active:
            await replacement.original()()
        elif shared_thread.is_used_by_this_loop():
            _postpone()

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
    shared_thread.closed_before_databases_are_destroyed()
    collected = False
    try:
        yield
    except GeneratorExit:
        # A garbage collection ends the application, in the middle of anything: whoever
        # it interrupts may hold the locks that a job for a thread needs.
        collected = True
        raise
    finally:
        for replacement in held:
            let_go(replacement)
        if not collected and not any(each.active for each in held):
            _catch_up()


def _catch_up() -> None:
    """Close what Channels would have closed meanwhile, in asgiref's shared thread."""
    global _postponed
    if _postponed:
        _postponed = False
        # Looked up when it is its turn: a test may have put another function in its
        # place, and if the next application runs by then, it is postponed once more.
        shared_thread.close_there(lambda: channels.db.close_old_connections())
