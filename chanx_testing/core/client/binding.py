"""How a client and its subclasses, and what outlives it, hold on to each other."""

import weakref
from collections.abc import Callable
from typing import Any, Generic, ParamSpec, Self, TypeVar, overload

_P = ParamSpec("_P")
_T = TypeVar("_T")


class Yielding(Generic[_T]):
    """A property that gives way to an attribute of the same name.

    Subclasses in test suites have attributes of their own, and were written before
    this class had its: ``self.closed = True`` must not be an error there.

    Args:
        getter: What computes the value.
    """

    def __init__(self, getter: Callable[[Any], _T]) -> None:
        self._getter = getter
        self.__doc__ = getter.__doc__

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...

    @overload
    def __get__(self, instance: object, owner: type) -> _T: ...

    def __get__(self, instance: object | None, owner: type) -> Self | _T:
        """Return the value for ``instance``."""
        return self if instance is None else self._getter(instance)


def weakly(method: Callable[_P, None]) -> Callable[_P, None]:
    """Return a function that calls a bound method for as long as its object lives."""
    reference = weakref.WeakMethod(method)

    def call(*args: _P.args, **kwargs: _P.kwargs) -> None:
        if (alive := reference()) is not None:
            alive(*args, **kwargs)

    return call
