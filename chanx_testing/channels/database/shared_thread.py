"""The database connections of asgiref's shared thread, closed when their time is over.

Outside ``async_to_sync()``, so in tests that pytest-asyncio and anyio run and in
``IsolatedAsyncioTestCase``, ``sync_to_async()`` runs all that is sensitive to threads
in one thread that the whole process shares. Django connects there a second time, beside
the connection of the main thread. Nobody owns that connection: no test case knows it,
and Django closes only those of the thread that asks. While it is open, PostgreSQL does
not drop the database.

In production Channels closes it after each message. In a test that waits, see
:mod:`chanx_testing.channels.database.guard`; here it is caught up on.

Connections of other threads, the main thread's among them, are not touched.
"""

import asyncio
import concurrent.futures
import functools
import threading
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from asgiref.sync import AsyncToSync, SyncToAsync
from django.db import connections
from django.db.backends.base.creation import BaseDatabaseCreation

from chanx_testing.core.replacing import Replacement, hold

PATIENCE: Final = 1.0
"""Seconds that a database is not destroyed for, because the thread is still at work."""


def is_used_by_this_loop() -> bool:
    """Return whether the thread works for the running loop.

    Otherwise that is done by the thread that has called ``async_to_sync()``.
    """
    elsewhere = getattr(AsyncToSync, "loop_thread_executors", {})
    return asyncio.get_running_loop() not in elsewhere


def is_current() -> bool:
    """Return whether this is the thread; also where that cannot be told."""
    threads = getattr(_executor(), "_threads", None)
    return threads is None or threading.current_thread() in threads


def close_unless_atomic(close: Callable[[], Any]) -> None:
    """Let Channels close the connections of the calling thread.

    Where one is inside ``atomic()``, all stay open: a fixture may have entered it, and
    the test goes on in it.

    Args:
        close: What Channels calls, or whatever a test has put in its place.
    """
    # It fails where the database may not be used any more, because the test has ended
    # meanwhile. What is open then is closed before the database is destroyed.
    with suppress(Exception):
        open_ones = connections.all(initialized_only=True)
        if not any(each.in_atomic_block for each in open_ones):
            close()


def close_there(close: Callable[[], Any]) -> None:
    """Let the thread do :func:`close_unless_atomic`; do not wait for it."""
    _submit(functools.partial(close_unless_atomic, close))


def closed_before_databases_are_destroyed() -> None:
    """See to it that the thread has no connection when a test database is destroyed.

    From the first call to the end of the process: what comes later in the test than
    the end of the last application connects again, and so may a fixture.
    """
    global _destroying
    if _destroying is None:
        _destroying = hold(
            BaseDatabaseCreation, "destroy_test_db", "database", _closing_first
        )


_destroying: Replacement | None = None


def _closing_first(replacement: Replacement) -> Callable[..., Any]:
    def destroy_test_db(self: Any, *args: Any, **kwargs: Any) -> Any:
        """Close the connections of the shared thread, and destroy the database."""
        close_all_there()
        return replacement.original(self)(*args, **kwargs)

    return destroy_test_db


def close_all_there() -> None:
    """Close every connection of the thread, and wait until it is done."""
    job = _submit(connections.close_all)
    if job is None:
        return
    try:
        job.result(PATIENCE)
    except concurrent.futures.TimeoutError:
        job.cancel()
        warnings.warn(
            f"asgiref's thread is still at work {PATIENCE:g} s after the tests, so its "
            f"database connections stay open, and a server may refuse to drop the "
            f"database: a synchronous handler, or a function that sync_to_async() "
            f"runs, does not return.",
            RuntimeWarning,
            stacklevel=3,
        )


def _submit(job: Callable[[], Any]) -> "concurrent.futures.Future[Any] | None":
    executor = _executor()
    if executor is None:
        return None
    # It takes no job any more when the interpreter ends.
    with suppress(RuntimeError):
        return executor.submit(job)
    return None


def _executor() -> concurrent.futures.Executor | None:
    return getattr(SyncToAsync, "single_thread_executor", None)
