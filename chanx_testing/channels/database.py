"""Database connections while an application runs inside a test.

Channels closes old database connections before each message that a consumer handles. In
a test that connection is the test's own: closed, it loses the transaction of a
``TestCase``, and a test without database access fails for touching it at all
(https://code.djangoproject.com/ticket/32798, django/channels#2118). Channels' own
communicator replaces the closing function during single calls; here one guard is open
for as long as any application runs.
"""

import importlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

_lock = threading.Lock()
_open = 0
_originals: dict[tuple[str, str], Callable[..., Any]] = {}


def _quiet(module_name: str, name: str) -> Callable[[], None]:
    def close_old_connections() -> None:
        """Do nothing while a block is open, where Channels would close connections."""
        if not _open:
            _originals[module_name, name]()

    return close_old_connections


def _aquiet(module_name: str, name: str) -> Callable[[], Any]:
    async def aclose_old_connections() -> None:
        """Do nothing, and save the hop to a thread that doing it would take."""
        if not _open:
            await _originals[module_name, name]()

    return aclose_old_connections


REPLACED: Final[tuple[tuple[str, str, Callable[..., Any]], ...]] = tuple(
    (module_name, name, make(module_name, name))
    for module_name, name, make in (
        ("channels.db", "close_old_connections", _quiet),
        ("channels.consumer", "aclose_old_connections", _aquiet),
        ("channels.generic.websocket", "aclose_old_connections", _aquiet),
    )
)
"""The names that Channels calls; the first is the one that its own tests replace."""


@contextmanager
def connections_kept_open() -> Iterator[None]:
    """Keep Channels from closing database connections while the block runs.

    Blocks may overlap in any order, also in several threads; when the last one ends the
    original functions are back. Where something else has put a function of its own in
    the place meanwhile (Channels' own communicator does, and ``mock.patch``), that one
    stays; should ours come back later, it closes connections as the original does.
    """
    global _open
    with _lock:
        if _open == 0:
            _replace()
        _open += 1
    try:
        yield
    finally:
        with _lock:
            _open -= 1
            if _open == 0:
                _restore()


def _replace() -> None:
    for module_name, name, replacement in REPLACED:
        module = importlib.import_module(module_name)
        # A later Channels may do without one of the names.
        current = getattr(module, name, None)
        if current is not None and current is not replacement:
            _originals[module_name, name] = current
            setattr(module, name, replacement)


def _restore() -> None:
    for module_name, name, replacement in REPLACED:
        module = importlib.import_module(module_name)
        if getattr(module, name, None) is replacement:
            setattr(module, name, _originals[module_name, name])
