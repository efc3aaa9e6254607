"""A property that a subclass may shadow with an attribute of its own."""

from collections.abc import Callable
from typing import Any, Generic, Self, TypeVar, overload

_T = TypeVar("_T")


# `__set__` is missing on purpose: with it an assignment in a subclass would fail,
# without it an attribute of the instance comes first.
# https://docs.python.org/3/howto/descriptor.html#descriptor-protocol
class overridable_property(Generic[_T]):  # noqa: N801 - named as `property` is
    """A read-only property that gives way to an attribute of the same name.

    Subclasses in test suites have attributes of their own, and were written before the
    class of this package had its: ``self.closed = True`` must not be an error there.

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
        """Return the value for ``instance``, or the property itself for the class."""
        return self if instance is None else self._getter(instance)
