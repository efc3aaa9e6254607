"""Reports on behalf of code that does not report: other packages', and overrides.

A consumer of this package reports what it broadcasts and which exceptions it caught;
see :mod:`chanx_testing.core.observe.reports`. A consumer of another package does not.
If it has a method of a known name, that method is replaced while a test watches, by one
that reports and then calls it; see :mod:`chanx_testing.core.replacing`. The same goes
for a method of a consumer of this package that a subclass overrides: it reports only as
far as it calls the one that it overrides.
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
from dataclasses import dataclass
from types import CodeType
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
def overrides_announced(consumer: type, method: BroadcastMethod) -> Iterator[None]:
    """Announce what overrides broadcast without ``super()`` while the block runs.

    Args:
        consumer: A consumer class of this package.
        method: The name of a class method of it. Overrides are looked for in its own
            class, in those that it derives from, and in its subclasses.
    """
    owners = [
        owner
        for owner in (*consumer.__mro__, *_subclasses(consumer))
        # The class of this package that announces has both.
        if method in vars(owner) and "announces_broadcasts" not in vars(owner)
    ]
    with ExitStack() as stack:
        for owner in owners:
            if is_class_method(owner, method):
                stack.enter_context(
                    replaced(
                        owner, method, "overrides", _announcing_override(owner, method)
                    )
                )
        if owners:
            reports.add_interceptor(_note_announced)
            stack.callback(reports.remove_interceptor, _note_announced)
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
            announcement = _broadcast(method, cls, event, *args, **kwargs)
            if not reports.announce(announcement):
                return None
            token = _announced.set((cls, event))
            try:
                return await forward(event, *args, **kwargs)
            finally:
                _announced.reset(token)

        return classmethod(broadcast)

    return make


# Overrides.


@dataclass
class _Override:
    """One call of an override, and of those that it calls by ``super()``.

    Attributes:
        method: The name of the method.
        cls: The class that it was called on.
        announced: Whether the broadcast was announced.
    """

    method: BroadcastMethod
    cls: type
    announced: bool = False


_overriding: ContextVar[_Override | None] = ContextVar(
    "chanx_testing_overriding", default=None
)


def _note_announced(broadcast: Broadcast) -> bool:
    call = _overriding.get()
    if call is not None and (
        (call.method, call.cls) == (broadcast.method, broadcast.consumer)
    ):
        call.announced = True
    return False


def _may_call_base(override: Any, method: str) -> bool:
    """Return whether an override calls what it overrides, as far as its code says."""
    pending = [getattr(inspect.unwrap(override), "__code__", None)]
    while pending:
        code = pending.pop()
        if code is None or not {"super", method}.isdisjoint(code.co_names):
            return True
        # A function inside it may do so.
        pending += [each for each in code.co_consts if isinstance(each, CodeType)]
    return False


def _announcing_override(
    owner: type, method: BroadcastMethod
) -> Callable[[Replacement], Any]:
    may_call_base = _may_call_base(vars(owner)[method].__func__, method)

    def make(replacement: Replacement) -> Any:
        async def broadcast(cls: type, event: Any, *args: Any, **kwargs: Any) -> Any:
            forward = replacement.original(None, cls)
            if not replacement.active:
                return await forward(event, *args, **kwargs)
            announcement = _broadcast(method, cls, event, *args, **kwargs)
            if not may_call_base:
                # Announced before it is sent, so that it can be kept from it.
                if reports.announce(announcement):
                    return await forward(event, *args, **kwargs)
                return None
            outer = _overriding.get()
            if outer is not None and (outer.method, outer.cls) == (method, cls):
                return await forward(event, *args, **kwargs)
            # It may pass on another event than it was given: that one counts.
            call = _Override(method, cls)
            token = _overriding.set(call)
            try:
                return await forward(event, *args, **kwargs)
            finally:
                _overriding.reset(token)
                if not call.announced:
                    reports.announce(announcement)

        return classmethod(broadcast)

    return make


def _broadcast(
    method: BroadcastMethod, cls: type, event: Any, *args: Any, **kwargs: Any
) -> Broadcast:
    target = args[0] if args else None
    to_groups = method == "broadcast_event"
    return Broadcast(
        method,
        cls,
        event,
        groups=kwargs.get("groups", target) if to_groups else None,
        channel_name=None if to_groups else kwargs.get("channel_name", target),
    )
