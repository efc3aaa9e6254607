"""Which threads are parked: waiting to be handed work, with none at hand.

The only module that reads private details of other libraries. Each detail is looked
up when this module is imported; where one has changed, the threads that it is about
count as busy, which makes a wait longer and never wrong.

A thread is parked when its innermost frame is

* ``concurrent.futures.thread._worker`` with no work item and an empty queue,
* ``threading.Condition.wait`` without a timeout whose own lock is still among the
  condition's waiters: a thread that was notified is still *inside* ``wait`` until it
  runs, and its lock has left the waiters,
* inside the manager of a process pool that has no pending work.
"""

import asyncio
import inspect
import sys
import threading
from concurrent.futures import Future
from concurrent.futures import thread as pool_thread
from types import CodeType, CoroutineType, FrameType
from typing import Any


def _code_with(function: object, names: set[str]) -> CodeType | None:
    code = getattr(inspect.unwrap(function), "__code__", None)  # type: ignore[arg-type]
    if isinstance(code, CodeType) and names <= set(code.co_varnames):
        return code
    return None


def _detect_worker() -> CodeType | None:
    worker = getattr(pool_thread, "_worker", None)
    return worker and _code_with(worker, {"work_queue", "work_item"})


def _detect_condition() -> CodeType | None:
    if not hasattr(threading.Condition(), "_waiters"):
        return None
    return _code_with(threading.Condition.wait, {"self", "timeout", "waiter"})


WORKER: CodeType | None = _detect_worker()
CONDITION_WAIT: CodeType | None = _detect_condition()
ITEM_RUN: CodeType | None = _code_with(
    getattr(getattr(pool_thread, "_WorkItem", None), "run", None), {"self"}
)


def _manager_code() -> CodeType | None:
    # Not imported for its own sake: it pulls in multiprocessing.
    module = sys.modules.get("concurrent.futures.process")
    manager = getattr(module, "_ExecutorManagerThread", None)
    wait = getattr(manager, "wait_result_broken_or_wakeup", None)
    return wait and _code_with(wait, {"self"})


def is_parked(frame: FrameType) -> bool:
    """Whether the thread whose innermost frame this is waits to be handed work.

    Every doubt is False.
    """
    code = frame.f_code
    try:
        if code is WORKER:
            values = frame.f_locals
            item = values.get("work_item")
            if isinstance(values, dict):
                # Before Python 3.13 this is a copy that lives as long as the thread,
                # and would keep the job's arguments alive.
                values.pop("work_item", None)
            # An item that was taken from the queue and is not yet in the variable is
            # invisible here: `submissions` knows of it.
            return item is None and values["work_queue"].qsize() == 0
        if code is CONDITION_WAIT:
            values = frame.f_locals
            return (
                values["timeout"] is None
                and values["waiter"] in values["self"]._waiters
            )
        return _is_idle_process_manager(frame)
    except (AttributeError, KeyError, RuntimeError):
        # A detail has changed, or the thread moved on while it was looked at.
        return False


class NotAPoolThread(Exception):
    """The frame is not one of a thread pool's threads."""


def pool_job(frame: FrameType | None) -> "Future[Any] | None":
    """The future of the job that a pool's thread runs, None between two jobs.

    Raises:
        NotAPoolThread: it is another thread, or a detail has changed.
    """
    inner: FrameType | None = None
    while frame is not None and frame.f_code is not WORKER:
        inner, frame = frame, frame.f_back
    if frame is None or WORKER is None or ITEM_RUN is None:
        raise NotAPoolThread
    if inner is None or inner.f_code is not ITEM_RUN:
        return None
    future = getattr(inner.f_locals.get("self"), "future", None)
    return future if isinstance(future, Future) else None


def _is_idle_process_manager(frame: FrameType | None) -> bool:
    manager = _manager_code()
    if manager is None:
        return False
    for _ in range(4):  # wait_result... -> connection.wait -> selector.select
        if frame is None:
            return False
        if frame.f_code is manager:
            return not frame.f_locals["self"].pending_work_items
        frame = frame.f_back
    return False


def task_of_timeout(callback: object) -> "asyncio.Task[Any] | None":
    """The task that an ``asyncio.timeout()`` or an anyio scope would cancel.

    None when the callback is something else, or when more than that task would feel
    it.
    """
    owner = getattr(callback, "__self__", None)
    if isinstance(owner, asyncio.Timeout):
        task = getattr(owner, "_task", None)
        return task if isinstance(task, asyncio.Task) else None
    anyio = sys.modules.get("anyio._backends._asyncio")
    scope = getattr(anyio, "CancelScope", None)
    if isinstance(scope, type) and isinstance(owner, scope):
        task = getattr(owner, "_host_task", None)
        alone = getattr(owner, "_tasks", None) == {task}
        if isinstance(task, asyncio.Task) and alone:
            return task
    return None


RELEASE_WAITER: object = getattr(asyncio.tasks, "_release_waiter", None)
WAIT_FOR: CodeType | None = _code_with(asyncio.wait_for, {"fut", "timeout_handle"})


def is_wait_for_timer(callback: object) -> bool:
    """Whether a timer is the limit of Python 3.11's ``wait_for``.

    Later versions build on ``asyncio.timeout()``.
    """
    return WAIT_FOR is not None and callback is RELEASE_WAITER


def guards(
    outer: "asyncio.Task[Any]", inner: "asyncio.Task[Any]", handle: object = None
) -> bool:
    """Whether ``outer`` is in a ``wait_for`` of Python 3.11 that guards ``inner``.

    There the guarded coroutine runs in a task of its own, which ends with the
    ``wait_for``; through several of them too.

    Args:
        outer: the task that may be in a ``wait_for``.
        inner: the task that it may guard.
        handle: if given, the timer must be the limit of that very ``wait_for``.
    """
    for _ in range(20):
        values = _wait_for_values(outer)
        if handle is not None and values.get("timeout_handle") is not handle:
            return False
        guarded = values.get("fut")
        if guarded is inner:
            return True
        if not isinstance(guarded, asyncio.Task):
            return False
        outer, handle = guarded, None
    return False


def _wait_for_values(task: "asyncio.Task[Any]") -> dict[str, Any]:
    link: object = task.get_coro()
    while WAIT_FOR is not None and isinstance(link, CoroutineType):
        frame = link.cr_frame
        if frame is not None and frame.f_code is WAIT_FOR:
            return frame.f_locals
        link = link.cr_await
    return {}


def exception_not_retrieved(task: "asyncio.Task[Any]") -> BaseException | None:
    """What a finished task raised, if nobody has asked for it yet. Retrieves nothing.

    None too where the interpreter does not tell.
    """
    if not task.done() or task.cancelled():
        return None
    if getattr(task, "_log_traceback", None) is not True:
        return None
    exception = getattr(task, "_exception", None)
    return exception if isinstance(exception, BaseException) else None
