"""Replace an attribute for a while, and put the identical object back.

An observable loop takes the place of asyncio's own, a consumer of another package is
made to report, a channel layer is counted, Channels is kept from closing database
connections. All of these replace an attribute of an object that is not ours. Several
tests and threads may do so with the same one at the same time, and so may other tools
(``unittest.mock``, a plugin). This package replaces attributes only by this module.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

_MISSING: Final = object()

# Re-entrant: a garbage collection while it is held may run a finalizer that replaces
# something itself, in the same thread.
_lock = threading.RLock()
# The replacements that are held now, and those of replaced() by what they are for.
_held: "list[Replacement]" = []
_shared: "dict[tuple[int, str, object], Replacement]" = {}


class Replacement:
    """A replacement of one attribute, in place while anybody holds it.

    Its holders are counted: any number, in any number of threads, may let go in any
    order, and the last one brings the original back, the identical object. Where the
    owner only inherited the attribute, it inherits it again.

    Several replacements of one attribute lie on top of each other. One that is let go
    from the middle is taken out: the one above it then calls what was below it.

    If something else has put an object of its own on top meanwhile, that object stays
    in any case. If it later puts ours back, when nobody holds ours any more, ours
    passes every call through (:attr:`active` is False then), and the next holder uses
    it again.

    Args:
        owner: The module, class or instance that has the attribute.
        name: The name of the attribute.
        make: Makes what is put in its place. It is called once, with this object, which
            gives the new function the :meth:`original`.
    """

    def __init__(
        self, owner: Any, name: str, make: Callable[["Replacement"], Any]
    ) -> None:
        self.owner = owner
        self.name = name
        self._holders = 0
        self._below: Any = _MISSING
        self._inherited: Any = _MISSING
        self.value: Any = make(self)
        """What is put in the place of the attribute."""

    @property
    def active(self) -> bool:
        """Whether anybody holds it."""
        return self._holders > 0

    def original(self, instance: Any = None, cls: type | None = None) -> Any:
        """Return what was replaced, ready to be called.

        Args:
            instance: Where the owner is a class: the object to bind a method to.
            cls: Where the owner is a class: the class to bind a class method to; None
                for that of ``instance``.
        """
        if not isinstance(self.owner, type):
            return self._inherited if self._below is _MISSING else self._below
        if self._below is _MISSING:
            start = cls if instance is None else instance
            return getattr(super(self.owner, start), self.name)
        if hasattr(self._below, "__get__"):
            return self._below.__get__(instance, cls)
        return self._below

    @contextmanager
    def held(self) -> Iterator["Replacement"]:
        """Keep the replacement in place while the block runs.

        Raises:
            AttributeError: The owner has no such attribute.
        """
        self.hold()
        try:
            yield self
        finally:
            self.let_go()

    def hold(self) -> None:
        """Put the replacement in place, or count one holder more.

        Raises:
            AttributeError: The owner has no such attribute.
        """
        with _lock:
            if not self._holders:
                current = vars(self.owner).get(self.name, _MISSING)
                # Already there where another tool has put it back: then what is below
                # it is known, and `current` would be this one itself.
                if current is not self.value:
                    self._inherited = getattr(self.owner, self.name)
                    self._below = current
                    setattr(self.owner, self.name, self.value)
                _held.append(self)
            self._holders += 1

    def let_go(self) -> None:
        """Undo one :meth:`hold`; the last one brings the original back."""
        with _lock:
            self._holders -= 1
            if self._holders:
                return
            _held.remove(self)
            for other in _held:
                if (
                    other.owner is self.owner
                    and other.name == self.name
                    and other._below is self.value
                ):
                    other._below, other._inherited = self._below, self._inherited
            if vars(self.owner).get(self.name, _MISSING) is not self.value:
                return
            if self._below is _MISSING:
                delattr(self.owner, self.name)
            else:
                setattr(self.owner, self.name, self._below)


@contextmanager
def replaced(
    owner: Any, name: str, purpose: object, make: Callable[[Replacement], Any]
) -> Iterator[Replacement]:
    """Hold a replacement for ``purpose``; all who hold it at one time share one.

    For owners that come and go. Where the owner always exists, make a
    :class:`Replacement` once and use :meth:`Replacement.held`.

    Args:
        owner: The module, class or instance that has the attribute.
        name: The name of the attribute.
        purpose: What distinguishes replacements of one attribute; hashable.
        make: Makes what is put in its place; not called where somebody holds it
        already.

    Yields:
        The replacement.

    Raises:
        AttributeError: The owner has no such attribute.
    """
    key = (id(owner), name, purpose)
    with _lock:
        replacement = _shared.get(key) or Replacement(owner, name, make)
        replacement.hold()
        # In the table it keeps its owner in memory, so that no other object can have
        # the id in the key.
        _shared[key] = replacement
    try:
        yield replacement
    finally:
        with _lock:
            replacement.let_go()
            if not replacement.active:
                del _shared[key]
