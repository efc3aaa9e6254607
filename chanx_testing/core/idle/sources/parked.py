"""Which threads are parked, and other details that libraries keep to themselves.

The private details of other libraries that a proof needs are read here, and nowhere
else in :mod:`chanx_testing.core.idle` but for those of limits, in
:mod:`~chanx_testing.core.idle.sources.limits`. Each is looked up before it is used.
Where one has changed, a thread counts as busy, which makes a wait longer and never
wrong; only a task's exception that nobody retrieved would not be found.

A thread is parked when it waits to be handed work and none is at hand. Then its
innermost frame is

* ``concurrent.futures.thread._worker`` with no work item and an empty queue,
* ``threading.Condition.wait`` without a timeout whose own lock is still among the
  condition's waiters: a thread that was notified is still *inside* ``wait`` until it
  runs, but its lock has left the waiters,
* inside the manager of a process pool that has no pending work,
* ``Thread.join`` without a timeout, of a thread that has not run its last instruction.
"""

import asyncio
import inspect
import select
import socketserver
import sys
import threading
from collections import deque
from concurrent.futures import Future
from concurrent.futures import thread as pool_thread
from types import CodeType, FrameType
from typing import Any, NamedTuple


def _code_with(function: object, names: set[str]) -> CodeType | None:
    """Return the code of a function, or None if it lacks one of these variables."""
    if function is None:
        return None
    code = getattr(inspect.unwrap(function), "__code__", None)  # type: ignore[arg-type]
    if isinstance(code, CodeType) and names <= set(code.co_varnames):
        return code
    return None


def _detect_worker() -> CodeType | None:
    return _code_with(
        getattr(pool_thread, "_worker", None), {"work_queue", "work_item"}
    )


def _detect_condition() -> CodeType | None:
    if not hasattr(threading.Condition(), "_waiters"):
        return None
    return _code_with(threading.Condition.wait, {"self", "timeout", "waiter"})


WORKER: CodeType | None = _detect_worker()
CONDITION_WAIT: CodeType | None = _detect_condition()
ITEM_RUN: CodeType | None = _code_with(
    getattr(getattr(pool_thread, "_WorkItem", None), "run", None), {"self"}
)
RUN_ONCE: CodeType | None = _code_with(
    getattr(asyncio.BaseEventLoop, "_run_once", None), {"self"}
)
# Where a thread is that joins another. Python 3.11 and 3.12 have a method for the wait.
JOIN: CodeType | None = _code_with(
    getattr(threading.Thread, "_wait_for_tstate_lock", None),
    {"self", "block", "timeout"},
) or _code_with(threading.Thread.join, {"self", "timeout"})
SERVE_FOREVER: CodeType | None = _code_with(
    socketserver.BaseServer.serve_forever, {"self"}
)


def _manager_code() -> CodeType | None:
    return _code_of_manager("wait_result_broken_or_wakeup")


def _code_of_manager(method: str) -> CodeType | None:
    # Looked up each time and not imported here, since that would import
    # multiprocessing: while nobody has imported it, no process pool exists.
    module = sys.modules.get("concurrent.futures.process")
    manager = getattr(module, "_ExecutorManagerThread", None)
    return _code_with(getattr(manager, method, None), {"self"})


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
        return _is_joining(frame) or _is_idle_process_manager(frame)
    except (AttributeError, KeyError, RuntimeError):
        # A detail has changed, or the thread moved on while it was looked at.
        return False


def _is_joining(frame: FrameType) -> bool:
    """Return whether a thread waits, without a limit, for one that has not ended."""
    if frame.f_code is not JOIN:
        return False
    values = frame.f_locals
    if values["timeout"] not in (None, -1) or not values.get("block", True):
        return False
    # Not the lock or the handle of the thread: for a moment after its last instruction
    # it has no frame, and then the lock is held by whoever joins it and has not run
    # yet. It leaves the list of threads before that.
    return values["self"] in threading.enumerate()


class TimedWait(NamedTuple):
    """A wait with a limit that nobody has ended yet.

    Attributes:
        lock: The lock that ``notify`` would release; each wait has one of its own.
        timeout: The limit, in seconds from the beginning of the wait.
    """

    lock: Any
    timeout: float


def timed_wait(frame: FrameType) -> TimedWait | None:
    """Return the wait with a limit that a thread is in, if it was not notified.

    Args:
        frame: The innermost frame of the thread.
    """
    if frame.f_code is not CONDITION_WAIT:
        return None
    try:
        values = frame.f_locals
        timeout, lock = values["timeout"], values["waiter"]
        if timeout is None or lock not in values["self"]._waiters:
            return None
        return TimedWait(lock, float(timeout))
    except (AttributeError, KeyError, RuntimeError, TypeError, ValueError):
        return None


def server_is_idle(frame: FrameType) -> bool | None:
    """Return whether nobody has connected to the server that a thread is in.

    One in ``serve_forever``: Django's live server, wsgiref, ``http.server``. It is not
    idle while it is asked to end, nor where it does something of its own between two
    looks at its socket.

    Args:
        frame: The innermost frame of the thread.

    Returns:
        None where the thread does not wait in such a server.
    """
    link: FrameType | None = frame
    while link is not None and link.f_globals.get("__name__") == "selectors":
        link = link.f_back
    if link is None or link is frame or link.f_code is not SERVE_FOREVER:
        return None
    try:
        server = link.f_locals["self"]
        if type(server).service_actions is not socketserver.BaseServer.service_actions:
            return False
        # By its mangled name.
        if server._BaseServer__shutdown_request:
            return False
        return not select.select([server.fileno()], [], [], 0)[0]
    except (AttributeError, KeyError, OSError, ValueError):
        return False


def ready_callbacks(loop: asyncio.AbstractEventLoop) -> int | None:
    """Return how many callbacks of a loop wait for their turn; None if unknown."""
    ready = getattr(loop, "_ready", None)
    return len(ready) if isinstance(ready, deque) else None


WRAP_FUTURE: CodeType | None = _code_with(asyncio.wrap_future, {"future"})
RUN_IN_EXECUTOR: CodeType | None = _code_with(
    asyncio.BaseEventLoop.run_in_executor, {"executor"}
)


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


def pool_is_at_work(frame: FrameType | None) -> bool | None:
    """Return whether the pool of processes has work that a thread serves.

    The thread is the manager of one of ``concurrent.futures``, or one of those that
    keep a pool of ``multiprocessing`` going. Where it waits it waits in the same way
    with work and without.

    Args:
        frame: The innermost frame of the thread.

    Returns:
        None where it serves no pool, or where a manager has no work: then only where
        it is tells whether it has just taken a result.
    """
    pool = getattr(sys.modules.get("multiprocessing.pool"), "Pool", None)
    names = ("_handle_results", "_handle_workers", "_handle_tasks")
    serving = [_code_with(getattr(pool, name, None), {"cache"}) for name in names]
    managing = _code_of_manager("run")
    if managing is None and not any(serving):
        return None
    while frame is not None:
        code = frame.f_code
        try:
            if code is managing:
                return bool(frame.f_locals["self"].pending_work_items) or None
            if code in serving:
                return bool(frame.f_locals["cache"])
        except (AttributeError, KeyError):
            return True
        frame = frame.f_back
    return None


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
