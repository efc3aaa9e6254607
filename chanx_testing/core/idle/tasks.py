"""Whose task is it: the tasks of a loop by the context that created them."""

import asyncio
import weakref
from contextvars import Context, ContextVar, copy_context
from typing import Any

from chanx_testing.core.idle.describe import describe_task, short_name
from chanx_testing.core.idle.sources.parked import exception_not_retrieved

_MISSING = object()


class TaskRegistry:
    """The tasks that one loop created, each with a snapshot of its creator's context.

    Holds tasks weakly. Of those that died with an exception that nobody retrieved it
    keeps the exception and the place.
    """

    def __init__(self) -> None:
        self._contexts: weakref.WeakKeyDictionary[asyncio.Task[Any], Context] = (
            weakref.WeakKeyDictionary()
        )
        # A cycle loses its weak references before its finalizers run, and it is the
        # finalizer of a task that reports the exception: by the task's id, then.
        self._by_id: dict[int, Context] = {}
        self._lost: list[tuple[Context, str, BaseException]] = []

    def add(self, task: "asyncio.Task[Any]", context: Context | None) -> None:
        """Note a new task and the context given for it, None for the current one."""
        snapshot = copy_context() if context is None else context.copy()
        self._contexts[task] = snapshot
        if len(self._by_id) > 4096:
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
        return task in self._contexts

    def created_by(
        self, var: ContextVar[Any], value: object
    ) -> "list[asyncio.Task[Any]]":
        return [
            task
            for task, context in tuple(self._contexts.items())
            if _is_set(context, var, value)
        ]

    def failed(
        self, var: ContextVar[Any], value: object
    ) -> list[tuple[str, BaseException]]:
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
    # Equality of the user's own classes is the user's code: not run.
    return type(found) is type(value) in (str, int) and found == value


def _name(task: "asyncio.Task[Any]") -> str:
    """The place where a failed task raised, or its coroutine."""
    coro = task.get_coro()
    name = getattr(coro, "__qualname__", None)
    return short_name(name) if isinstance(name, str) else describe_task(task)


def registry_of(loop: asyncio.AbstractEventLoop) -> TaskRegistry | None:
    registry = getattr(loop, "tasks_created", None)
    return registry if isinstance(registry, TaskRegistry) else None


def tasks_created_by(
    loop: asyncio.AbstractEventLoop, var: ContextVar[Any], value: object
) -> "list[asyncio.Task[Any]]":
    """The tasks of ``loop`` whose creator had ``var`` set to ``value``.

    Tasks are held weakly: a finished one is found while somebody else holds it. On a
    loop that is not ours: the unfinished tasks whose own context has the value, and on
    Python 3.11, which does not tell a task's context, none.
    """
    registry = registry_of(loop)
    found = [] if registry is None else registry.created_by(var, value)
    known = {id(task) for task in found}
    for task in asyncio.all_tasks(loop):
        # Made by `asyncio.Task()` itself, or on a loop that is not ours.
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
    """Exceptions of such tasks that nobody has retrieved, by the coroutine's name.

    Asking does not retrieve: asyncio still reports them. Empty on a loop that is not
    ours.
    """
    registry = registry_of(loop)
    return [] if registry is None else registry.failed(var, value)
