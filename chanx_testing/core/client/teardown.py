"""Close every connection of a test at its end, in the loop of the test."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol

from chanx_testing.core.client.ending_tasks import end_tasks
from chanx_testing.core.idle.describe import describe_task
from chanx_testing.core.trace.showing import show_error

# Their frames say nothing to whoever reads a failure.
__tracebackhide__ = True


class Closable(Protocol):
    """What the end of a test needs of a communicator."""

    async def disconnect(self) -> None:
        """Leave, and raise what nobody has seen yet."""

    def unseen_errors(self) -> list[BaseException]:
        """Take the errors of the application that the test has not seen."""

    def leftover_tasks(self) -> "list[asyncio.Task[Any]]":
        """Return the tasks that the application started and that outlive it."""

    def add_transcript(self, error: BaseException) -> None:
        """Add what was said on its connection to ``error``, as a note."""


# The communicators of the test that runs in this context. None where nobody closes
# them: then nothing holds them but the test.
_started: ContextVar["list[Any] | None"] = ContextVar(
    "chanx_testing_started", default=None
)


@contextmanager
def connections_of_test() -> Iterator[list[Any]]:
    """Hold every communicator that starts while the block runs, whoever made it.

    A dropped communicator is collected at once, and its application cancelled rather
    than disconnected. A test case that ends its connections itself needs them.

    Yields:
        The communicators, in the order in which they started.
    """
    communicators: list[Any] = []
    token = _started.set(communicators)
    try:
        yield communicators
    finally:
        _started.reset(token)


def note_started(communicator: object) -> None:
    """Note that the application of a communicator was started just now."""
    if (communicators := _started.get()) is not None:
        communicators.append(communicator)


async def leave_after(
    communicator: Closable, name: str, headline: BaseException
) -> None:
    """Disconnect after a failure, which stays the headline.

    Args:
        communicator: The communicator.
        name: The name of its connection.
        headline: What the test fails with.
    """
    try:
        await communicator.disconnect()
    except asyncio.CancelledError:
        raise
    # disconnect() raises whatever the application raised, SystemExit too.
    except BaseException as error:
        if error is not headline:
            headline.add_note(
                f"While {name} was disconnected afterwards: {show_error(error)}"
            )


async def close_all(communicators: Sequence[Closable]) -> list[BaseException]:
    """Disconnect communicators, whatever each of them raises.

    Returns:
        What nobody has seen: what came out of ``disconnect()``, and what the end of one
        connection has caused on another.
    """
    found: list[BaseException] = []
    for communicator in communicators:
        try:
            await communicator.disconnect()
        except asyncio.CancelledError:
            raise
        # SystemExit of an application too, or the other connections would stay open.
        except BaseException as error:
            found.append(error)
    # Only when all are closed: the end of a later one may have broken an earlier one.
    for communicator in communicators:
        found += communicator.unseen_errors()
    return found


async def end_leftovers(communicators: Sequence[Closable]) -> list[str]:
    """End the tasks that go on after the applications that started them.

    Returns:
        Where each of them was, sorted; [] where there was none.
    """
    leftover = {task for each in communicators for task in each.leftover_tasks()}
    if not leftover:
        return []
    # Named while they run: a task that has ended is nowhere any more.
    named = sorted(describe_task(task) for task in leftover)
    await end_tasks(leftover)
    return named
