"""What a wait found out: the verdict, and the errors that a loop can prove.

Everything here is plain data: it pickles, so that ``manage.py test --parallel`` can
send it from a worker to the runner.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum


class VerdictKind(Enum):
    """How a wait ended when nobody completed it."""

    IDLE = "idle"
    """Proved: nothing can happen before the horizon."""
    QUIET = "quiet"
    """Not proved: the time of a wait for the loop to settle (horizon 0) is over, the
    loop is at rest, and only outside descriptors are open."""
    DEADLINE = "deadline"
    """Not proved: the time is over and something could still happen."""
    UNSUPPORTED = "unsupported"
    """Not proved: the running loop cannot be observed."""


_WORDS = {
    VerdictKind.IDLE: "idle",
    VerdictKind.QUIET: "quiet, not proved idle",
    VerdictKind.DEADLINE: "not idle at the deadline",
    VerdictKind.UNSUPPORTED: "cannot be proved idle",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer to "can anything more come?".

    True only when it is proved that nothing can.

    Attributes:
        kind: How the wait ended.
        reasons: For IDLE the number of blocked tasks and the next timer, otherwise what
            could still happen; one phrase each.
        at_work: For DEADLINE what is under way and must end, such as a job in a thread,
            in the words of the reasons. The rest of the reasons may come or not.
    """

    kind: VerdictKind
    reasons: tuple[str, ...] = ()
    at_work: tuple[str, ...] = field(default=(), compare=False, repr=False)

    def __bool__(self) -> bool:
        return self.kind is VerdictKind.IDLE

    def __str__(self) -> str:
        words = _WORDS[self.kind]
        return f"{words}: {'; '.join(self.reasons)}" if self.reasons else words


class Deadlock(RuntimeError):
    """The test waits for something that can never happen.

    Raised by the run of the loop (``asyncio.run``, ``Runner.run``,
    ``run_until_complete``) after its main task was cancelled where it waits, so that
    the cause in the traceback is that very ``await``.

    Attributes:
        tasks: Where each task was blocked, one phrase each.
    """

    def __init__(self, tasks: Iterable[str] = ()) -> None:
        self.tasks = tuple(tasks)
        super().__init__(self.tasks)

    def __reduce__(self) -> tuple[type["Deadlock"], tuple[tuple[str, ...]]]:
        return type(self), (self.tasks,)

    def __str__(self) -> str:
        first = (
            "this await can never end: no task can run, no timer is set, and no job,"
            " thread, child process or descriptor can wake the loop"
        )
        return "\n".join([first, *(f"  blocked: {task}" for task in self.tasks)])


class WrongVerdict(RuntimeError):
    """Something reached the loop though it was said that nothing comes.

    A wait had ended with an IDLE verdict, which was a mistake: a thread from before the
    test, which still was where it had always been, has acted by itself. Whatever the
    test has concluded from the verdict may be wrong. From now on the thread counts, so
    the next run waits for it.

    Attributes:
        thread: The name of the thread.
        where: Where it was, as ``function file:line``.
        after: How many seconds after the verdict it came.
    """

    def __init__(self, thread: str, where: str, after: float) -> None:
        self.thread = thread
        self.where = where
        self.after = after
        super().__init__(thread, where, after)

    def __str__(self) -> str:
        return (
            f"thread {self.thread} reached this event loop, from {self.where},"
            f" {self.after * 1000:.0f} ms after a wait had ended because nothing could"
            " come. The verdict was wrong: the thread was there before the test, was"
            " where it had always been, and was taken for one that has nothing to do"
            " with it. From now on it counts, and waits last while it may act. Start"
            " it in the test, or give it a rest while the test runs, if that takes too"
            " long"
        )


class UnsafeLoopAccess(RuntimeError):
    """Another thread used the loop without ``call_soon_threadsafe``.

    asyncio's own loop does not wake up for that: the message arrives whenever something
    else wakes the loop. The usual cause is an ``asyncio.Queue`` or an ``asyncio.Event``
    that a thread uses. (A channel layer in memory may be used by any thread while a
    test is connected.)

    Attributes:
        thread: The name of the thread. Where it called ``async_to_sync()``, which uses
            a thread of its own, the thread that waits there.
        where: The code of the user's that did it, as ``file:line``.
    """

    def __init__(self, thread: str, where: str) -> None:
        self.thread = thread
        self.where = where
        super().__init__(thread, where)

    def __str__(self) -> str:
        return (
            f"thread {self.thread} used this event loop without"
            f" call_soon_threadsafe(), at {self.where}: a loop does not wake up for"
            " that. What is asyncio's, such as a Queue, an Event or a Future, belongs"
            " to the loop that waits for it. Let that loop do it:"
            " loop.call_soon_threadsafe(queue.put_nowait, item), or"
            " asyncio.run_coroutine_threadsafe(queue.put(item), loop)"
        )


class UnsupportedLoopWarning(UserWarning):
    """The running event loop cannot be observed: waits last to their deadlines."""
