"""Which application created a task, told by the context of its creator.

Where a task was given a context of its own, that one says it if it says anything.
"""

import asyncio
import weakref
from collections.abc import Callable
from contextvars import Context, ContextVar, copy_context
from typing import Any

from chanx_testing.core.idle import crashes
from chanx_testing.core.idle.crashes import Crash
from chanx_testing.core.idle.describe import describe_task, short_name
from chanx_testing.core.idle.sources.parked import exception_not_retrieved

_MISSING = object()


class Origin:
    """Where a task comes from.

    Attributes:
        contexts: The context that was given for it, if one was, and its creator's.
        mark: The latest mark of :mod:`~chanx_testing.core.idle.crashes` at that time.
    """

    __slots__ = ("contexts", "mark")

    def __init__(self, contexts: tuple[Context, ...], mark: int) -> None:
        self.contexts = contexts
        self.mark = mark

    def is_set(self, var: ContextVar[Any], value: object) -> bool:
        """Return whether ``var`` is ``value``, in the first context that has it."""
        for context in self.contexts:
            if context.get(var) is not None:
                return _is_set(context, var, value)
        return False


class TaskRegistry:
    """The tasks that one loop created, each with a snapshot of its creator's context.

    It holds tasks weakly.
    """

    def __init__(self) -> None:
        self._origins: weakref.WeakKeyDictionary[asyncio.Task[Any], Origin] = (
            weakref.WeakKeyDictionary()
        )
        # The finalizer of a task reports the exception that nobody retrieved. In a
        # reference cycle the weak references are cleared before the finalizers run, so
        # the origin is found by the id of the task.
        self._by_id: dict[int, Origin] = {}

    def add(self, task: "asyncio.Task[Any]", context: Context | None) -> None:
        """Note a new task and the context given for it, None for the current one."""
        creator = copy_context()
        # A copy: what the task itself sets says nothing of where it comes from.
        contexts = (creator,) if context is None else (context.copy(), creator)
        self._origins[task] = origin = Origin(contexts, crashes.mark())
        if len(self._by_id) > 4096:
            # The ids of tasks that are gone: nothing else takes them out.
            alive = {id(task) for task in self._origins}
            self._by_id = {key: self._by_id[key] for key in alive & self._by_id.keys()}
        self._by_id[id(task)] = origin

    def crash(
        self, loop: asyncio.AbstractEventLoop, report: dict[str, Any]
    ) -> Crash | None:
        """Return the crash of a task in what goes to the loop's exception handler."""
        task = report.get("task") or report.get("future")
        error = report.get("exception")
        if not isinstance(task, asyncio.Task) or not isinstance(error, BaseException):
            return None
        origin = self._by_id.get(id(task)) or _unknown_origin(task)
        return _crash(loop, task, error, origin)

    def knows(self, task: "asyncio.Task[Any]") -> bool:
        """Return whether the loop created a task."""
        return task in self._origins

    def created_by(
        self, var: ContextVar[Any], value: object
    ) -> "list[asyncio.Task[Any]]":
        """Return the tasks whose creator had ``var`` set to ``value``."""
        return [
            task
            for task, origin in tuple(self._origins.items())
            if origin.is_set(var, value)
        ]

    def failed(
        self, var: ContextVar[Any], value: object
    ) -> list[tuple[str, BaseException]]:
        """Return the exceptions of such tasks that nobody has retrieved, with names."""
        return [
            (_name(task), exception)
            for task in self.created_by(var, value)
            if (exception := exception_not_retrieved(task)) is not None
        ]

    def take_crashes(
        self,
        loop: asyncio.AbstractEventLoop,
        wanted: Callable[[Crash], bool],
    ) -> list[Crash]:
        """Return the crashes of tasks that somebody still holds.

        Args:
            loop: The loop.
            wanted: Tells which of them. These are retrieved: asyncio is silent then.
        """
        found: list[Crash] = []
        for task, origin in tuple(self._origins.items()):
            if (error := exception_not_retrieved(task)) is not None:
                crash = _crash(loop, task, error, origin)
                if wanted(crash):
                    task.exception()
                    found.append(crash)
        return found


def _unknown_origin(task: "asyncio.Task[Any]") -> Origin:
    """Return what is known of a task that the loop did not create."""
    # Since Python 3.12.
    get_context = getattr(task, "get_context", None)
    return Origin(() if get_context is None else (get_context(),), 0)


def _crash(
    loop: asyncio.AbstractEventLoop,
    task: "asyncio.Task[Any]",
    error: BaseException,
    origin: Origin,
) -> Crash:
    place = f"{_name(task)}, a task that was left behind"
    return Crash(error, place, origin.contexts, loop, origin.mark)


def _is_set(context: Context, var: ContextVar[Any], value: object) -> bool:
    found = context.get(var, _MISSING)
    if found is value:
        return True
    # `==` of a user's class would run the user's code.
    return type(found) is type(value) in (str, int) and found == value


def _name(task: "asyncio.Task[Any]") -> str:
    """Return the name of a task's coroutine, or where the task is if it has none."""
    coro = task.get_coro()
    name = getattr(coro, "__qualname__", None)
    return short_name(name) if isinstance(name, str) else describe_task(task)


def registry_of(loop: asyncio.AbstractEventLoop) -> TaskRegistry | None:
    """Return the registry of a loop; None for one that is not ours."""
    registry = getattr(loop, "tasks_created", None)
    return registry if isinstance(registry, TaskRegistry) else None


def tasks_created_by(
    loop: asyncio.AbstractEventLoop, var: ContextVar[Any], value: object
) -> "list[asyncio.Task[Any]]":
    """Return the tasks of ``loop`` whose creator had ``var`` set to ``value``.

    Tasks are held weakly: a finished one is found only while something else holds it.
    On a loop that is not ours they are the unfinished tasks whose own context has the
    value; on Python 3.11, which does not say what the context of a task is, there are
    none.
    """
    registry = registry_of(loop)
    found = [] if registry is None else registry.created_by(var, value)
    known = {id(task) for task in found}
    for task in asyncio.all_tasks(loop):
        # Not in the registry: made by `asyncio.Task()` itself, or on another loop.
        get_context = getattr(task, "get_context", None)
        if (
            id(task) not in known
            and get_context is not None
            and (registry is None or not registry.knows(task))
            and _is_set(get_context(), var, value)
        ):
            found.append(task)
    return found


def failed_tasks(
    loop: asyncio.AbstractEventLoop, var: ContextVar[Any], value: object
) -> list[tuple[str, BaseException]]:
    """Return the exceptions of such tasks that nobody has retrieved.

    This does not retrieve them: asyncio still reports them.

    Returns:
        The name of the coroutine and its exception, for each; [] on a loop that is not
        ours.
    """
    registry = registry_of(loop)
    return [] if registry is None else registry.failed(var, value)
