"""Replacing an attribute for a while, and putting the identical object back.

An observable loop takes the place of asyncio's own, a consumer of another package is
made to report, a channel layer is counted, Channels is kept from closing database
connections. All of these replace an attribute of somebody else's object. Several tests
and threads may want the same one at the same time, and other tools (``unittest.mock``,
a plugin) may do so as well. This module is the one way in which it is done here.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

_MISSING: Final = object()

# Re-entrant: a garbage collection may come in between and run a finalizer that replaces
# something itself.
_lock = threading.RLock()
_held: "list[Replacement]" = []
# Let go while something else was on top of them: they may come back.
_left: "list[Replacement]" = []


class Replacement:
    """A replacement of one attribute, in place while anybody holds it.

    Made by :func:`replaced`; a function that is put in the place of another one finds
    here what it stands for.

    Args:
        owner: The module, class or instance that has the attribute.
        name: The name of the attribute.
        purpose: What it is good for.

    Attributes:
        value: What is put in the place of the attribute.
    """

    def __init__(self, owner: Any, name: str, purpose: object) -> None:
        self.owner = owner
        self.name = name
        self.purpose = purpose
        self.holders = 0
        self.value: Any = None
        self.below: Any = _MISSING
        self.inherited: Any = _MISSING

    @property
    def active(self) -> bool:
        """Whether anybody holds it. If not, it passes every call through."""
        return self.holders > 0

    @property
    def is_alone(self) -> bool:
        """Whether the owner only inherits what this one stands for."""
        return self.below is _MISSING

    def original(self, instance: Any = None, cls: type | None = None) -> Any:
        """Return what this one stands for, ready to be called.

        Args:
            instance: Where the owner is a class: the object to bind a method to.
            cls: Where the owner is a class: the class to bind a class method to; None
                for that of ``instance``.
        """
        if not isinstance(self.owner, type):
            return self.inherited if self.below is _MISSING else self.below
        if self.below is _MISSING:
            start = cls if instance is None else instance
            return getattr(super(self.owner, start), self.name)
        if hasattr(self.below, "__get__"):
            return self.below.__get__(instance, cls)
        return self.below

    def is_for(self, owner: Any, name: str, purpose: object) -> bool:
        """Return whether it is the one of an attribute and a purpose."""
        return self.owner is owner and self.name == name and self.purpose == purpose


def hold(
    owner: Any, name: str, purpose: object, make: Callable[[Replacement], Any]
) -> Replacement:
    """Put a replacement in place, or count one holder more; see :func:`replaced`."""
    with _lock:
        for replacement in _held:
            if replacement.is_for(owner, name, purpose):
                replacement.holders += 1
                return replacement
        current = vars(owner).get(name, _MISSING)
        for replacement in _left:
            if replacement.value is current and replacement.is_for(
                owner, name, purpose
            ):
                _left.remove(replacement)
                break
        else:
            replacement = Replacement(owner, name, purpose)
            replacement.inherited = getattr(owner, name)
            replacement.below = current
            replacement.value = make(replacement)
            setattr(owner, name, replacement.value)
        replacement.holders = 1
        _held.append(replacement)
        return replacement


def let_go(replacement: Replacement) -> None:
    """Undo one :func:`hold`; the last one brings the original back."""
    with _lock:
        replacement.holders -= 1
        if replacement.holders:
            return
        _held.remove(replacement)
        owner, name, value = replacement.owner, replacement.name, replacement.value
        if vars(owner).get(name, _MISSING) is value:
            if replacement.below is _MISSING:
                delattr(owner, name)
            else:
                setattr(owner, name, replacement.below)
        elif not _take_out(replacement):
            # Something else is on top, and may call ours, or put it back, at any time.
            # What it calls must not change: held once more, ours would lie below
            # itself.
            _left.append(replacement)
            return
        # The function holds the replacement: without this, it would take a garbage
        # collection to be rid of both, and of the owner.
        replacement.value = None


def _take_out(replacement: Replacement) -> bool:
    """Take a replacement out from under another one of ours, if it lies there."""
    found = False
    for other in _held:
        if other.below is replacement.value and (
            other.owner is replacement.owner and other.name == replacement.name
        ):
            other.below, other.inherited = replacement.below, replacement.inherited
            found = True
    return found


@contextmanager
def replaced(
    owner: Any, name: str, purpose: object, make: Callable[[Replacement], Any]
) -> Iterator[Replacement]:
    """Replace an attribute while the block runs.

    The holders of one attribute for one purpose share a replacement. They are counted:
    any number, in any number of threads, may let go in any order, and the last one
    brings the original back, the identical object. Where the owner only inherited the
    attribute, it inherits it again.

    Replacements for several purposes lie on top of each other. One that is let go from
    the middle is taken out: the one above it then calls what was below it.

    If something else has put an object of its own on top meanwhile, that object stays
    in any case. If it later puts ours back, when nobody holds ours any more, ours
    passes every call through, and the next holder uses it again.

    Args:
        owner: The module, class or instance that has the attribute.
        name: The name of the attribute.
        purpose: What makes replacements of the same attribute different.
        make: Makes what is put in its place, from the replacement, which gives the new
            function the :meth:`~Replacement.original`. Not called where somebody
            already holds one.

    Yields:
        The replacement.

    Raises:
        AttributeError: The owner has no such attribute.
    """
    replacement = hold(owner, name, purpose, make)
    try:
        yield replacement
    finally:
        let_go(replacement)
