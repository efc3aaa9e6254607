"""Wait for a future, or for the proof that nobody will complete it."""

import asyncio
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Protocol

from chanx_testing.core.idle.current_test import running_test
from chanx_testing.core.idle.loop import IdleEventLoop
from chanx_testing.core.idle.verdict import UnsupportedLoopWarning, Verdict, VerdictKind
from chanx_testing.core.unawaited import must_await

_warned = False


class FileObject(Protocol):
    """An object with a descriptor, as :mod:`selectors` takes it."""

    def fileno(self) -> int:
        """Return the descriptor."""


def is_supported(loop: asyncio.AbstractEventLoop) -> bool:
    """Return whether waits on this loop can end with a proof."""
    return isinstance(loop, IdleEventLoop)


async def wait(
    waiter: "asyncio.Future[None]",
    timeout: float | None,
    *,
    horizon: float | None = None,
) -> Verdict | None:
    """Wait until somebody completes ``waiter``, or nobody will.

    Safe to cancel: a wait that is cancelled cancels ``waiter`` and nothing more.
    Several waits may be pending at once: they are released one at a time, first the one
    that would end first, and what it does counts for the others.

    Args:
        waiter: A pending future of the running loop. Look first at what is there
            already: the wait itself looks only at what is still to come.
        timeout: Seconds until the wait ends without a proof; None for no limit.
        horizon: How many seconds ahead nothing may happen. None means up to the
            deadline, or forever without one. 0 means that the loop has settled: timers
            that are still to fire do not count then.

    Returns:
        None when ``waiter`` was completed by somebody; an IDLE verdict when it is
        proved that nothing can happen before the horizon; a DEADLINE verdict when the
        time is over; a QUIET verdict when the time is over, the horizon is 0, and a
        loop at rest has nothing open but outside descriptors; an UNSUPPORTED verdict
        when the time is over on a loop that cannot be observed.

    Raises:
        UnsafeLoopAccess: Another thread used the loop without
            ``call_soon_threadsafe``.
        WrongVerdict: A thread has come though an earlier verdict said that nothing
            would.
        Exception: The exception that was set on ``waiter``.
    """
    loop = asyncio.get_running_loop()
    if not isinstance(loop, IdleEventLoop):
        return await _wait_for_deadline(loop, waiter, timeout)
    loop.engage()
    loop.callers.are_ours = True
    monitor = loop.monitor
    if monitor.errors:
        raise monitor.errors.pop(0)
    entry = monitor.add(waiter, timeout, horizon)
    try:
        await waiter
    finally:
        monitor.remove(entry)
    return entry.verdict


@must_await
async def wait_until_idle(
    timeout: float | None = 1, *, horizon: float | None = None
) -> Verdict:
    """Wait until nothing more can come.

    Args:
        timeout: Seconds until the wait ends without a proof; None for no limit.
        horizon: How many seconds ahead nothing may happen, as for :func:`wait`.

    Returns:
        A verdict, true when it is proved that nothing can happen before the horizon.

    Raises:
        UnsafeLoopAccess: Another thread used the loop without
            ``call_soon_threadsafe``.
        WrongVerdict: A thread has come though an earlier verdict said that nothing
            would.
    """
    nobody = asyncio.get_running_loop().create_future()
    verdict = await wait(nobody, timeout, horizon=horizon)
    assert verdict is not None
    return verdict


def engage() -> None:
    """Note that the test is one of ours, before something of it begins.

    Only then do its loops do what a test could notice: end a deadlock, freeze older
    objects, list the tasks that are created. May be called before there is a loop.
    """
    if (test := running_test()) is not None:
        test.is_ours = True
    with suppress(RuntimeError):
        loop = asyncio.get_running_loop()
        if isinstance(loop, IdleEventLoop):
            loop.engage()


@contextmanager
def exempt_descriptor(fileobj: "int | FileObject") -> Iterator[None]:
    """Leave a descriptor of the running loop out of every proof while the block runs.

    For one that is known to bring nothing from outside the test: the listening socket
    of a server that only this test talks to, a connection that only answers. Its data
    is still handled normally.

    It is the open file that is left out. Another one that is given the same number,
    after the first one was closed, counts.

    Args:
        fileobj: A descriptor, or an object with ``fileno()``.

    Raises:
        ValueError: It is closed.
    """
    fd = fileobj if isinstance(fileobj, int) else fileobj.fileno()
    loop = asyncio.get_running_loop()
    if not isinstance(loop, IdleEventLoop):
        yield
        return
    ignored = loop.descriptors.ignored
    try:
        file = ignored.add(fd)
    except OSError as error:
        raise ValueError(
            f"exempt_descriptor() was given the descriptor {fd}, which is not open. "
            f"Enter it after the file or the socket was opened."
        ) from error
    try:
        yield
    finally:
        ignored.remove(file)


async def _wait_for_deadline(
    loop: asyncio.AbstractEventLoop,
    waiter: "asyncio.Future[None]",
    timeout: float | None,
) -> Verdict | None:
    reason = (
        f"the event loop {type(loop).__module__}.{type(loop).__qualname__} cannot be"
        " observed, so waits last to their deadlines. Let the tests run on"
        " chanx_testing.core.idle.IdleEventLoop: use the pytest plugin or"
        " WebsocketTestCase, remove an event loop policy or a loop factory that chooses"
        " another loop, or make the loop inside chanx_testing.core.idle.installed() or"
        " with loop_factory=chanx_testing.core.idle.new_event_loop"
    )
    # Once for each process: every wait of a run on such a loop would say the same.
    global _warned
    if not _warned:
        _warned = True
        warnings.warn(reason, UnsupportedLoopWarning, stacklevel=3)
    verdict: Verdict | None = None

    def end() -> None:
        nonlocal verdict
        if not waiter.done():
            verdict = Verdict(VerdictKind.UNSUPPORTED, (reason,))
            waiter.set_result(None)

    timer = None if timeout is None else loop.call_later(timeout, end)
    try:
        await waiter
    finally:
        if timer is not None:
            timer.cancel()
    return verdict


def overdue_jobs(seconds: float) -> list[str]:
    """Return the jobs in threads that this loop waits for, if they take long.

    Args:
        seconds: How long a job must have run to be named.

    Returns:
        A phrase for each, with its name and age; [] on a loop that cannot be observed.
    """
    loop = asyncio.get_running_loop()
    return loop.jobs.overdue(seconds) if isinstance(loop, IdleEventLoop) else []
