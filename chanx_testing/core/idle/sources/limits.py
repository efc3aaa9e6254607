"""Limits that a test puts around its waits, and which waits each of them would end.

``asyncio.timeout(5)`` around a wait sets a timer. All it can do is to cancel the wait,
so nothing that the wait could miss comes of it: it is not an event of the application,
but one more deadline of the wait. Otherwise a test with such a limit would have to wait
five seconds for every proof.

The rule. A timer is a limit of waits if all that it does is to cancel, and the
cancellation ends at waits of this loop and nowhere else. It is followed from task to
task, for as long as each one waits for others in a way that hands the cancellation on
to them: the ``await`` of a task, ``gather()``, the end of a ``TaskGroup``,
``wait_for()``.

If one of these ways ends anywhere else, there is a task which could do something when
it is cancelled, in its ``except`` or ``finally``, and the timer counts. It counts too
where a task is behind ``shield()``, ``asyncio.wait()`` or ``as_completed()``, which
hand no cancellation on: then the task in front of it goes on, and the wait as well.

What the tasks themselves do when the limit has ended their waits is done by the test,
as what they do after a deadline is. So they are released in the order in which their
waits would end, by a limit or by a deadline.

The private details of asyncio and anyio that this needs are read here. Where one has
changed, a timer counts as one that will fire, which makes a wait longer and never
wrong.
"""

import asyncio
import sys
import weakref
from collections.abc import Iterable
from types import CodeType, CoroutineType, FrameType
from typing import Any, Protocol

from chanx_testing.core.idle.describe import awaited

# The wait_for() of Python 3.11 has a timer and a task of its own; later versions build
# on asyncio.timeout(), and await what they are given.
_WAIT_FOR = asyncio.wait_for.__code__
WAIT_FOR: CodeType | None = (
    _WAIT_FOR
    if {"fut", "waiter", "timeout_handle"} <= set(_WAIT_FOR.co_varnames)
    else None
)
RELEASE_WAITER: object = getattr(asyncio.tasks, "_release_waiter", None)
GATHERING: Any = getattr(asyncio.tasks, "_GatheringFuture", None)
GROUP_EXIT: CodeType = asyncio.TaskGroup.__aexit__.__code__


class Wait(Protocol):
    """A pending wait of the loop.

    Attributes:
        future: What it waits for.
    """

    future: "asyncio.Future[None]"


class _CannotTell(Exception):
    """It would cancel what may do something then, or that cannot be seen."""


class Limit:
    """What a timer would do that only cancels.

    Args:
        owner: The ``asyncio.Timeout``, the anyio scope, or the task in a ``wait_for``
            of Python 3.11.
    """

    __slots__ = ("_owner",)

    def __init__(self, owner: object) -> None:
        # Weak: a timer that was cancelled is kept for a while, and must not keep a
        # finished task in memory.
        self._owner = weakref.ref(owner)

    def waits_ended(
        self, waits: Iterable[Wait], handle: asyncio.TimerHandle
    ) -> "set[asyncio.Future[Any]]":
        """Return the futures of the waits that it ends, if it ends nothing else.

        Args:
            waits: All waits of the loop.
            handle: The timer.

        Returns:
            An empty set where it would cancel what may do something then, or where that
            cannot be seen.
        """
        try:
            ended = _ended_with(_cancelled_by(self._owner(), handle))
        except (_CannotTell, AttributeError, KeyError):
            return set()
        return ended if ended <= {each.future for each in waits} else set()


def limit_of(callback: object) -> Limit | None:
    """Return what a timer would do, None where that may be more than to cancel.

    Args:
        callback: What the timer calls. The current task has just set it.
    """
    owner = getattr(callback, "__self__", None)
    if isinstance(owner, asyncio.Timeout) or _is_of_anyio(owner, "CancelScope"):
        return Limit(owner)
    if WAIT_FOR is not None and callback is RELEASE_WAITER:
        task = asyncio.current_task()
        return None if task is None else Limit(task)
    return None


def _cancelled_by(
    owner: Any, handle: asyncio.TimerHandle
) -> "list[asyncio.Future[Any]]":
    """Return what the limit itself cancels."""
    if isinstance(owner, asyncio.Timeout):
        return [owner._task]  # type: ignore[attr-defined]
    if _is_of_anyio(owner, "CancelScope"):
        return _tasks_of_scope(owner)
    if isinstance(owner, asyncio.Task):
        for frame in _frames(owner):
            values = frame.f_locals if frame.f_code is WAIT_FOR else {}
            # Several wait_for() in one task: the outermost one that waits.
            if values.get("timeout_handle") is handle and not values["waiter"].done():
                return [values["fut"]]
    raise _CannotTell


def _ended_with(
    cancelled: "list[asyncio.Future[Any]]",
) -> "set[asyncio.Future[Any]]":
    """Return the futures at which the cancellation comes to its end."""
    found: set[asyncio.Future[Any]] = set()
    seen: set[asyncio.Future[Any]] = set()
    following = list(cancelled)
    while following:
        future: Any = following.pop()
        if future in seen or future.done():
            continue
        seen.add(future)
        if isinstance(future, asyncio.Task):
            following += _cancelled_with(future)
        elif GATHERING is not None and isinstance(future, GATHERING):
            following += future._children
        else:
            found.add(future)
    return found


def _cancelled_with(task: Any) -> "list[asyncio.Future[Any]]":
    """Return what is cancelled when a task is cancelled where it waits."""
    waiter = task._fut_waiter
    if waiter is None or waiter.done():
        raise _CannotTell  # it is about to run
    frames = _frames(task)
    frame = frames[-1] if frames else None
    if frame is None:
        return [waiter]
    if frame.f_code is WAIT_FOR and frame.f_locals.get("waiter") is waiter:
        return [frame.f_locals["fut"]]
    group: Any = frame.f_locals.get("self") if _is_end_of_group(frame) else None
    if group is None or group._on_completed_fut is not waiter:
        return [waiter]
    if isinstance(group, asyncio.TaskGroup):
        if group._aborting:  # type: ignore[attr-defined]
            raise _CannotTell  # it has cancelled its tasks, and does so only once
        return list(group._tasks)
    return [each for each in _tasks_of_scope(group.cancel_scope) if each is not task]


def _is_end_of_group(frame: FrameType) -> bool:
    """Return whether this is the ``__aexit__`` of a task group of asyncio or anyio."""
    if frame.f_code is GROUP_EXIT:
        return True
    return frame.f_code.co_name == GROUP_EXIT.co_name and _is_of_anyio(
        frame.f_locals.get("self"), "TaskGroup"
    )


def _tasks_of_scope(scope: Any) -> "list[asyncio.Future[Any]]":
    """Return the tasks that an anyio scope would cancel."""
    found: list[asyncio.Future[Any]] = []
    following = [scope]
    while following:
        each = following.pop()
        if each._cancel_called:
            raise _CannotTell
        found += each._tasks
        following += [inner for inner in each._child_scopes if not inner._shield]
    return found


def _is_of_anyio(owner: object, name: str) -> bool:
    # Not imported here: while nobody has, there are no objects of its classes.
    module = sys.modules.get("anyio._backends._asyncio")
    cls = getattr(module, name, None)
    return isinstance(cls, type) and isinstance(owner, cls)


def _frames(task: "asyncio.Task[Any]") -> list[FrameType]:
    """Return the frames of the coroutines that a task is in, outermost first."""
    frames: list[FrameType] = []
    link: object = task.get_coro()
    while link is not None:
        if isinstance(link, CoroutineType) and link.cr_frame is not None:
            frames.append(link.cr_frame)
        link = awaited(link)
    return frames
