"""Reports on behalf of the consumers of other packages.

A consumer of this package reports what it broadcasts and which exceptions it caught;
see :mod:`chanx_testing.core.observe.reports`. A consumer of another package does not.
If it has a method of a known name, that method is replaced while a test watches, by one
that reports and then calls it; see :mod:`chanx_testing.core.replacing`.
"""

import inspect
from collections.abc import Callable, Collection, Iterator
from contextlib import (
    AbstractContextManager,
    ExitStack,
    contextmanager,
    nullcontext,
)
from contextvars import ContextVar
from typing import Any, Final

from chanx_testing.core.idle import background
from chanx_testing.core.observe import reports
from chanx_testing.core.observe.reports import Broadcast, BroadcastMethod
from chanx_testing.core.replacing import Replacement, replaced

FAILURE_HOOKS: Final = {
    "handle_message_handler_error": "handling a message",
    "handle_json_processing_error": "processing a message",
    "handle_event_handler_error": "handling an event",
}
"""Methods that a consumer calls with an exception it caught, and what it was doing."""

_announced: ContextVar[tuple[type, object] | None] = ContextVar(
    "chanx_testing_announced", default=None
)


def offers_async(consumer: object, name: str) -> bool:
    """Return whether ``consumer`` is a class with an async method called ``name``."""
    return isinstance(consumer, type) and inspect.iscoroutinefunction(
        getattr(consumer, name, None)
    )


def is_class_method(consumer: object, name: str) -> bool:
    """Return whether ``name`` is an async class method of the class ``consumer``."""
    return offers_async(consumer, name) and isinstance(
        inspect.getattr_static(consumer, name), classmethod
    )


@contextmanager
def failures_reported(consumer: Any) -> Iterator[None]:
    """Report the exceptions that a foreign consumer catches while the block runs.

    Args:
        consumer: A consumer class, or None; a class without :data:`FAILURE_HOOKS` is
            left alone.
    """
    with ExitStack() as stack:
        for name, doing in FAILURE_HOOKS.items():
            if offers_async(consumer, name):
                stack.enter_context(
                    replaced(
                        consumer, name, "failures", _reporting_failure(consumer, doing)
                    )
                )
        yield


@contextmanager
def broadcasts_announced(consumer: type, method: BroadcastMethod) -> Iterator[None]:
    """Announce the broadcasts of a foreign consumer while the block runs.

    Args:
        consumer: A class for which :func:`is_class_method` is true. Its subclasses are
            covered, also if they override the method.
        method: The name of its class method.
    """
    with ExitStack() as stack:
        for owner in (consumer, *_subclasses(consumer)):
            if owner is consumer or method in vars(owner):
                stack.enter_context(
                    replaced(owner, method, "broadcasts", _announcing(method))
                )
        yield


@contextmanager
def methods_in_background(consumer: Any, names: Collection[str]) -> Iterator[None]:
    """Make these methods of a consumer run in the background while the block runs.

    The timers that they set, and those of tasks that they start, do not keep a test
    from being idle; see :func:`chanx_testing.core.idle.background`.

    Args:
        consumer: A consumer class, or None.
        names: The names of its methods, sync or async.

    Raises:
        TypeError: The consumer has no such method.
    """
    with ExitStack() as stack:
        for name in names:
            method = getattr(consumer, name, None)
            if not callable(method):
                raise TypeError(
                    f"background_methods names {name!r}, and "
                    f"{getattr(consumer, '__name__', consumer)} has no such method."
                )
            is_async = inspect.iscoroutinefunction(method)
            stack.enter_context(
                replaced(
                    consumer, name, "background", _in_background(is_async=is_async)
                )
            )
        yield


def _in_background(*, is_async: bool) -> Callable[[Replacement], Callable[..., Any]]:
    def make(replacement: Replacement) -> Callable[..., Any]:
        def context() -> AbstractContextManager[None]:
            return background() if replacement.active else nullcontext()

        async def run_async(self: Any, *args: Any, **kwargs: Any) -> Any:
            with context():
                return await replacement.original(self)(*args, **kwargs)

        def run(self: Any, *args: Any, **kwargs: Any) -> Any:
            with context():
                return replacement.original(self)(*args, **kwargs)

        return run_async if is_async else run

    return make


def _subclasses(owner: type[Any]) -> Iterator[type[Any]]:
    for child in owner.__subclasses__():
        yield child
        yield from _subclasses(child)


def _reporting_failure(
    owner: type, doing: str
) -> Callable[[Replacement], Callable[..., Any]]:
    def make(replacement: Replacement) -> Callable[..., Any]:
        async def hook(self: Any, error: Exception, *args: Any, **kwargs: Any) -> Any:
            # Called from a subclass that is watched as well, which has reported it.
            if not (type(self) is owner and replacement.active):
                return await replacement.original(self)(error, *args, **kwargs)
            which = f" {args[0]!r}" if args else ""
            with reports.answered(error, f"{doing}{which}"):
                return await replacement.original(self)(error, *args, **kwargs)

        return hook

    return make


def _announcing(method: BroadcastMethod) -> Callable[[Replacement], Any]:
    def make(replacement: Replacement) -> Any:
        async def broadcast(cls: type, event: Any, *args: Any, **kwargs: Any) -> Any:
            forward = replacement.original(None, cls)
            # A subclass calls the method of its base: one broadcast, not two.
            if not replacement.active or _announced.get() == (cls, event):
                return await forward(event, *args, **kwargs)
            target = args[0] if args else None
            to_groups = method == "broadcast_event"
            announcement = Broadcast(
                method,
                cls,
                event,
                groups=kwargs.get("groups", target) if to_groups else None,
                channel_name=None if to_groups else kwargs.get("channel_name", target),
            )
            if not reports.announce(announcement):
                return None
            token = _announced.set((cls, event))
            try:
                return await forward(event, *args, **kwargs)
            finally:
                _announced.reset(token)

        return classmethod(broadcast)

    return make
