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


def _keep_open() -> None:
    """Do nothing, where Channels would close old connections."""


async def _akeep_open() -> None:
    """Do nothing, and save the hop to a thread that doing it would take."""


REPLACED: Final[tuple[tuple[str, str, Callable[..., Any]], ...]] = (
    ("channels.db", "close_old_connections", _keep_open),
    ("channels.consumer", "aclose_old_connections", _akeep_open),
    ("channels.generic.websocket", "aclose_old_connections", _akeep_open),
)
"""The names that Channels calls; the first is the one that its own tests replace."""

_lock = threading.Lock()
_open = 0
_originals: list[tuple[Any, str, Any]] = []


@contextmanager
def connections_kept_open() -> Iterator[None]:
    """Keep Channels from closing database connections while the block runs.

    Blocks may overlap in any order, also in several threads; when the last one ends the
    original functions are back.
    """
    global _open
    with _lock:
        if _open == 0:
            for module_name, name, replacement in REPLACED:
                module = importlib.import_module(module_name)
                # A later Channels may do without one of the names.
                if (original := getattr(module, name, None)) is not None:
                    _originals.append((module, name, original))
                    setattr(module, name, replacement)
        _open += 1
    try:
        yield
    finally:
        with _lock:
            _open -= 1
            if _open == 0:
                while _originals:
                    module, name, original = _originals.pop()
                    setattr(module, name, original)
