"""Name tasks, jobs and places without running anybody's code.

``repr()`` of a job calls that of its arguments, and that of a queryset runs a query: on
the loop's thread, inside the application under test. Only code objects, types and the
names of plain functions are looked at.
"""

import asyncio
import functools
import gc
import os
import sys
import sysconfig
import threading
from collections.abc import Iterator
from contextvars import Context
from types import (
    AsyncGeneratorType,
    BuiltinFunctionType,
    CodeType,
    CoroutineType,
    FrameType,
    FunctionType,
    GeneratorType,
    MethodType,
)
from typing import Any

from asgiref.sync import AsyncToSync, SyncToAsync

from chanx_testing.core.thread_frames import collections_held

_PATHS = sysconfig.get_paths()
_LIBRARY = tuple(
    {
        os.path.normpath(_PATHS[name]) + os.sep
        for name in ("stdlib", "platstdlib", "purelib", "platlib")
    }
)
# The whole package, from chanx_testing/core/idle/ two folders up.
_OURS = os.path.dirname(os.path.dirname(os.path.dirname(__file__))) + os.sep
# Awaited by `async for`. The types have no name in Python.
_STEPS_OF_GENERATORS = ("async_generator_asend", "async_generator_athrow")
_MACHINERY = (_OURS, os.path.dirname(asyncio.__file__) + os.sep)


def is_library(code: CodeType) -> bool:
    """Return whether code is the standard library's, an installed package's or ours."""
    name = code.co_filename
    # What a .pth file or a parent environment brings in lies in none of the folders
    # that sysconfig names.
    installed = "site-packages" in name or "dist-packages" in name
    return installed or name.startswith((*_LIBRARY, _OURS, "<"))


def is_of_a_package(task: "asyncio.Task[Any]") -> bool:
    """Return whether the coroutine of a task is one of an installed package."""
    name = getattr(getattr(task.get_coro(), "cr_code", None), "co_filename", "")
    return "site-packages" in name or "dist-packages" in name


def describe_place(frame: FrameType) -> str:
    """Return where a frame is, as ``ChatConsumer.receive_json consumers.py:41``."""
    code = frame.f_code
    file = os.path.basename(code.co_filename)
    return f"{_owner(frame) or short_name(code.co_qualname)} {file}:{frame.f_lineno}"


def caller_place(frame: FrameType | None) -> str:
    """Return the first place outside asyncio and this package: ``heartbeat.py:12``."""
    while frame is not None:
        if not frame.f_code.co_filename.startswith(_MACHINERY):
            return f"{os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno}"
        frame = frame.f_back
    return "an unknown place"


def user_place(thread: str, frame: FrameType | None) -> tuple[str, str]:
    """Return which thread of the user's does something, and where.

    The first place that is not library code. A call through ``async_to_sync()`` is made
    on a thread of asgiref's, where there may be none: then it is that of the thread
    which waits for the call.

    Args:
        thread: The name of the thread that the frame belongs to.
        frame: Its innermost frame.

    Returns:
        The name of the thread, and a place as ``worker.py:12``.
    """
    place = caller_place(frame)
    with collections_held():
        for name, each in _and_who_waits(thread, frame):
            while each is not None:
                if not is_library(each.f_code):
                    file = os.path.basename(each.f_code.co_filename)
                    return name, f"{file}:{each.f_lineno}"
                each = each.f_back
    return thread, place


def _and_who_waits(
    thread: str, frame: FrameType | None
) -> Iterator[tuple[str, FrameType | None]]:
    """Yield a stack, and that of the thread which waits for it in asgiref."""
    yield thread, frame
    call: object = None
    while frame is not None:
        if frame.f_code is AsyncToSync.main_wrap.__code__:
            call = frame.f_locals.get("self")
        frame = frame.f_back
    if call is None:
        return
    names = {each.ident: each.name for each in threading.enumerate()}
    for ident, other in sys._current_frames().items():
        waits: FrameType | None = other
        while waits is not None:
            if (
                waits.f_code is AsyncToSync.__call__.__code__
                and waits.f_locals.get("self") is call
            ):
                yield names.get(ident, thread), waits.f_back
                return
            waits = waits.f_back


def describe_stack(frame: FrameType | None) -> str:
    """Return the innermost place of a stack that is not library code.

    Where there is only library code: the innermost place of all.
    """
    innermost = frame
    while frame is not None:
        if not is_library(frame.f_code):
            return describe_place(frame)
        frame = frame.f_back
    return "an unknown place" if innermost is None else describe_place(innermost)


def describe_callable(target: object) -> str:
    """Return the name of a job, through partials and ``sync_to_async``."""
    for _ in range(10):  # more than anybody nests
        if isinstance(target, functools.partial):
            # asyncio.to_thread() runs the function in a context: partial(run, func).
            runs = isinstance(getattr(target.func, "__self__", None), Context)
            target = target.args[0] if runs and target.args else target.func
        elif isinstance(target, MethodType) and isinstance(
            target.__self__, SyncToAsync
        ):
            target = target.__self__.func
        else:
            break
    if isinstance(target, MethodType):
        function = target.__func__
        if isinstance(function, FunctionType):
            owner = target.__self__
            cls = owner if isinstance(owner, type) else type(owner)
            return f"{short_name(cls.__qualname__)}.{function.__name__}"
        return short_name(type(target.__self__).__qualname__)
    if isinstance(target, FunctionType | BuiltinFunctionType | type):
        return short_name(target.__qualname__)
    return short_name(type(target).__qualname__)


def short_name(qualname: str) -> str:
    """Return a qualified name without the functions that it is local to."""
    return qualname.rpartition("<locals>.")[2]


def describe_task(task: "asyncio.Future[Any]") -> str:
    """Return where a task is blocked: ``ChatConsumer.receive_json consumers.py:41``.

    The chain of awaits is followed to its end. The innermost place that is not library
    code is named, or else the innermost place, or else the coroutine.
    """
    if not isinstance(task, asyncio.Task):
        return f"a {type(task).__qualname__}"
    coro = task.get_coro()
    frames = frames_of(task)
    if not frames:
        code = getattr(coro, "cr_code", None)
        name = short_name(code.co_qualname) if isinstance(code, CodeType) else "a task"
        return name if task.done() else f"{name} (not started)"
    for frame in reversed(frames):
        if _is_users(frame):
            return describe_place(frame)
    return describe_place(frames[-1])


def task_is_runnable(task: "asyncio.Task[Any]") -> bool:
    """Return whether a task waits only for its turn, as after ``sleep(0)``.

    False where that cannot be seen.
    """
    inner: object = task.get_coro()
    while isinstance(inner, CoroutineType | GeneratorType | AsyncGeneratorType):
        following = awaited(inner)
        if following is None:
            return True
        inner = following
    return False


def awaited(link: object) -> object:
    """Return what a coroutine or a generator waits for; None for anything else."""
    if isinstance(link, CoroutineType):
        return link.cr_await
    if isinstance(link, GeneratorType):
        return link.gi_yieldfrom
    if isinstance(link, AsyncGeneratorType):
        return link.ag_await
    return None


def frames_of(task: "asyncio.Task[Any]") -> list[FrameType]:
    """Return the frames of a task that is blocked, the outermost first."""
    link: object = task.get_coro()
    frames: list[FrameType] = []
    while link is not None and len(frames) < 200:
        frame: FrameType | None = None
        if isinstance(link, CoroutineType):
            frame = link.cr_frame
        elif isinstance(link, GeneratorType):
            frame = link.gi_frame
        elif isinstance(link, AsyncGeneratorType):
            frame = link.ag_frame
        elif type(link).__name__ in _STEPS_OF_GENERATORS:
            # The step holds the generator.
            held = gc.get_referents(link)
            link = next((x for x in held if isinstance(x, AsyncGeneratorType)), None)
            continue
        if frame is not None:
            frames.append(frame)
        link = awaited(link)
    return frames


def _owner(frame: FrameType) -> str | None:
    """Return ``ChatConsumer.dispatch`` for a method, whichever base defines it."""
    code = frame.f_code
    if code.co_argcount and code.co_varnames[0] == "self":
        receiver = frame.f_locals.get("self")
        if receiver is not None:
            return f"{short_name(type(receiver).__qualname__)}.{code.co_name}"
    return None


def _is_users(frame: FrameType) -> bool:
    if not is_library(frame.f_code):
        return True
    code = frame.f_code
    if code.co_argcount and code.co_varnames[0] == "self":
        # A library's method that runs for a class of the user's, as
        # AsyncConsumer.__call__ for a consumer, says more than the library's innermost
        # place does.
        cls = type(frame.f_locals.get("self"))
        for method in vars(cls).values():
            if isinstance(method, FunctionType):
                return not is_library(method.__code__)
    return False
