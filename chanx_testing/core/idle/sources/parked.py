"""Which threads are parked, and other details that libraries keep to themselves.

The private details of other libraries that a proof needs are read here, and nowhere
else in :mod:`chanx_testing.core.idle`. Each is looked up before it is used. Where one
has changed, a thread counts as busy and a timer as one that will fire, which makes a
wait longer and never wrong; only a task's exception that nobody retrieved would not be
found.

A thread is parked when it waits to be handed work and none is at hand. Then its
innermost frame is

* ``concurrent.futures.thread._worker`` with no work item and an empty queue,
* ``threading.Condition.wait`` without a timeout whose own lock is still among the
  condition's waiters: a thread that was notified is still *inside* ``wait`` until it
  runs, but its lock has left the waiters,
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
    """Return the code of a function, or None if it lacks one of these variables."""
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
    # Looked up each time and not imported here, since that would import
    # multiprocessing: while nobody has imported it, no process pool exists.
    module = sys.modules.get("concurrent.futures.process")
    manager = getattr(module, "_ExecutorManagerThread", None)
    wait = getattr(manager, "wait_result_broken_or_wakeup", None)
    return wait and _code_with(wait, {"self"})


def is_parked(frame: FrameType) -> bool:
    """Return whether the thread with this innermost frame waits to be handed work.

    False where there is any doubt.
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
            # An item that was taken from the queue, and is not in the variable yet, is
            # invisible here; `submissions` knows of it.
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
    """Return the future of the job that a pool's thread runs, None between two jobs.

    Raises:
        NotAPoolThread: It is another thread, or a detail has changed.
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
    """Return the task that an ``asyncio.timeout()`` or an anyio scope would cancel.

    None when the callback is something else, or would cancel other tasks too.
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
    """Return whether a timer is the limit of a ``wait_for`` of Python 3.11.

    Later versions build on ``asyncio.timeout()``.
    """
    return WAIT_FOR is not None and callback is RELEASE_WAITER


def guards(
    outer: "asyncio.Task[Any]", inner: "asyncio.Task[Any]", handle: object = None
) -> bool:
    """Return whether ``outer`` is in a ``wait_for`` of Python 3.11 around ``inner``.

    There the coroutine that is waited for runs in a task of its own, which ends with
    the ``wait_for``. Several of them may be nested.

    Args:
        outer: The task that may be in a ``wait_for``.
        inner: The task that it may wait for.
        handle: The timer that must be the limit of the outermost ``wait_for``; None for
            any.
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
    """Return the variables of the ``wait_for`` that a task is in; {} where in none."""
    link: object = task.get_coro()
    while WAIT_FOR is not None and isinstance(link, CoroutineType):
        frame = link.cr_frame
        if frame is not None and frame.f_code is WAIT_FOR:
            return frame.f_locals
        link = link.cr_await
    return {}


def exception_not_retrieved(task: "asyncio.Task[Any]") -> BaseException | None:
    """Return what a finished task raised, if nobody has asked for it yet.

    This does not retrieve it: asyncio still reports it. None also where the interpreter
    does not say.
    """
    if not task.done() or task.cancelled():
        return None
    if getattr(task, "_log_traceback", None) is not True:
        return None
    exception = getattr(task, "_exception", None)
    return exception if isinstance(exception, BaseException) else None


def was_retrieved(task: "asyncio.Task[Any]") -> bool:
    """Return whether somebody has asked a finished task for what it raised.

    False also where the interpreter does not say.
    """
    return task.done() and getattr(task, "_log_traceback", None) is False
