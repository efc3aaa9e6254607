"""Which application created a task, told by the context of its creator."""

import asyncio
import weakref
from contextvars import Context, ContextVar, copy_context
from typing import Any

from chanx_testing.core.idle.describe import describe_task, short_name
from chanx_testing.core.idle.sources.parked import exception_not_retrieved

_MISSING = object()


class TaskRegistry:
    """The tasks that one loop created, each with a snapshot of its creator's context.

    It holds tasks weakly. Of a task that is gone, and whose exception nobody retrieved,
    it keeps the exception and the name of the coroutine.
    """

    def __init__(self) -> None:
        self._contexts: weakref.WeakKeyDictionary[asyncio.Task[Any], Context] = (
            weakref.WeakKeyDictionary()
        )
        # The finalizer of a task reports the exception that nobody retrieved. In a
        # reference cycle the weak references are cleared before the finalizers run, so
        # the context is found by the id of the task.
        self._by_id: dict[int, Context] = {}
        self._lost: list[tuple[Context, str, BaseException]] = []

    def add(self, task: "asyncio.Task[Any]", context: Context | None) -> None:
        """Note a new task and the context given for it, None for the current one."""
        snapshot = copy_context() if context is None else context.copy()
        self._contexts[task] = snapshot
        if len(self._by_id) > 4096:
            # The ids of tasks that are gone: nothing else takes them out.
            alive = {id(task) for task in self._contexts}
            self._by_id = {key: self._by_id[key] for key in alive & self._by_id.keys()}
        self._by_id[id(task)] = snapshot

    def note_failure(self, report: dict[str, Any]) -> None:
        """Look at what goes to the loop's exception handler."""
        task = report.get("task") or report.get("future")
        exception = report.get("exception")
        if isinstance(task, asyncio.Task) and isinstance(exception, BaseException):
            context = self._by_id.get(id(task))
            if context is not None and task.done():
                self._lost.append((context, _name(task), exception))

    def knows(self, task: "asyncio.Task[Any]") -> bool:
        """Return whether the loop created a task."""
        return task in self._contexts

    def created_by(
        self, var: ContextVar[Any], value: object
    ) -> "list[asyncio.Task[Any]]":
        """Return the tasks whose creator had ``var`` set to ``value``."""
        return [
            task
            for task, context in tuple(self._contexts.items())
            if _is_set(context, var, value)
        ]

    def failed(
        self, var: ContextVar[Any], value: object
    ) -> list[tuple[str, BaseException]]:
        """Return the exceptions of such tasks that nobody has retrieved, with names."""
        found = [
            (_name(task), exception)
            for task in self.created_by(var, value)
            if (exception := exception_not_retrieved(task)) is not None
        ]
        return found + [
            (name, exception)
            for context, name, exception in self._lost
            if _is_set(context, var, value)
        ]


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
