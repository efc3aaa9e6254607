"""Consumers of other packages: what they do beside the wire.

A consumer of this package says what it broadcasts and which exceptions it caught, see
:mod:`chanx_testing.core.observe`. One of another package does not. Where it has a
method of a known name, that method is replaced while somebody watches: by one that
says so, and then calls it. Watchers may come and go in any order, from any thread; when
the last one has gone the class holds what it held before, the identical object.
"""

import inspect
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from typing import Any, Final

from chanx_testing.core import observe
from chanx_testing.core.idle import background
from chanx_testing.core.observe import Broadcast, BroadcastMethod

_MISSING: Final = object()

FAILURE_HOOKS: Final = {
    "handle_message_handler_error": "handling a message",
    "handle_json_processing_error": "processing a message",
    "handle_event_handler_error": "handling an event",
}
"""The methods that a consumer calls with an exception that it caught, and when."""

_lock = threading.Lock()
_replaced: dict[tuple[type, str], list[Any]] = {}  # how many watch, and the original

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
        consumer: A consumer class, or None; only one with :data:`FAILURE_HOOKS` is
            touched.
    """
    with ExitStack() as stack:
        for name, doing in FAILURE_HOOKS.items():
            if offers_async(consumer, name):
                stack.enter_context(
                    _replacing(consumer, name, _reporting_failure(consumer, doing))
                )
        yield


@contextmanager
def broadcasts_announced(consumer: type, method: BroadcastMethod) -> Iterator[None]:
    """Announce the broadcasts of a foreign consumer while the block runs.

    Args:
        consumer: A class for which :func:`is_class_method` is true; its subclasses are
            covered, those with a method of their own too.
        method: The name of its class method.
    """
    with ExitStack() as stack:
        for owner in (consumer, *_subclasses(consumer)):
            if owner is consumer or method in vars(owner):
                stack.enter_context(
                    _replacing(owner, method, _announcing(owner, method))
                )
        yield


@contextmanager
def methods_in_background(consumer: Any, names: Collection[str]) -> Iterator[None]:
    """Have these methods of a consumer run in the background while the block runs.

    The timers that they set, and those of tasks that they start, keep no test from
    being idle; see :func:`chanx_testing.core.idle.background`.

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
                _replacing(consumer, name, _in_background(is_async=is_async))
            )
        yield


def _in_background(
    *, is_async: bool
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def make(bind: Callable[..., Any]) -> Callable[..., Any]:
        async def run_async(self: Any, *args: Any, **kwargs: Any) -> Any:
            with background():
                return await bind(self, type(self))(*args, **kwargs)

        def run(self: Any, *args: Any, **kwargs: Any) -> Any:
            with background():
                return bind(self, type(self))(*args, **kwargs)

        return run_async if is_async else run

    return make


def _subclasses(owner: type[Any]) -> Iterator[type[Any]]:
    for child in owner.__subclasses__():
        yield child
        yield from _subclasses(child)


@contextmanager
def _replacing(
    owner: type, name: str, replacement: Callable[[Callable[..., Any]], Any]
) -> Iterator[None]:
    """Hold a replacement in place of ``owner.name``.

    Args:
        owner: The class; where it only inherits the method, it inherits it again
            afterwards.
        name: The method.
        replacement: Makes what is put there, from a function that binds the original
            to an instance and its class, or to None and the class.
    """
    key = (owner, name)
    with _lock:
        if key in _replaced:
            _replaced[key][0] += 1
        else:
            original = vars(owner).get(name, _MISSING)

            def bind(instance: Any, cls: type) -> Any:
                if original is _MISSING:
                    return getattr(super(owner, instance or cls), name)
                return original.__get__(instance, cls)

            _replaced[key] = [1, original]
            setattr(owner, name, replacement(bind))
    try:
        yield
    finally:
        with _lock:
            _replaced[key][0] -= 1
            if _replaced[key][0] == 0:
                original = _replaced.pop(key)[1]
                if original is _MISSING:
                    delattr(owner, name)
                else:
                    setattr(owner, name, original)


def _reporting_failure(
    owner: type, doing: str
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def make(bind: Callable[..., Any]) -> Callable[..., Any]:
        async def hook(self: Any, error: Exception, *args: Any, **kwargs: Any) -> Any:
            # A subclass that is watched as well has reported already.
            if type(self) is owner:
                which = f" {args[0]!r}" if args else ""
                observe.report_failure(error, f"{doing}{which}")
            return await bind(self, type(self))(error, *args, **kwargs)

        return hook

    return make


def _announcing(
    owner: type, method: BroadcastMethod
) -> Callable[[Callable[..., Any]], Any]:
    def make(bind: Callable[..., Any]) -> Any:
        async def broadcast(cls: type, event: Any, *args: Any, **kwargs: Any) -> Any:
            forward = bind(None, cls)
            if _announced.get() == (cls, event):
                # A subclass calls the method of its base: one broadcast, not two.
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
            if not observe.announce(announcement):
                return None
            token = _announced.set((cls, event))
            try:
                return await forward(event, *args, **kwargs)
            finally:
                _announced.reset(token)

        return classmethod(broadcast)

    return make
