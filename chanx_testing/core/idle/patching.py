"""Replacing one attribute of a module or class for a while, and putting it back."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

# Re-entrant: a collection may come in between and run a finalizer that runs a loop.
_lock = threading.RLock()


class Patch:
    """A replacement that any number of threads may hold open, in any order.

    The identical original is back when the last one closes. If another tool has put
    its own replacement on top meanwhile, that stays in place; ours then passes every
    call through, and the next opening takes it up again.
    """

    def __init__(
        self, target: object, name: str, make: Callable[["Patch"], Callable[..., Any]]
    ) -> None:
        self._target = target
        self._name = name
        self._open = 0
        self.original: Callable[..., Any] = vars(target)[name]
        self._replacement = make(self)

    @property
    def active(self) -> bool:
        """Whether somebody holds it open."""
        return self._open > 0

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep the replacement in place; re-entrant and thread-safe."""
        with _lock:
            self._open += 1
            current = vars(self._target)[self._name]
            if self._open == 1 and current is not self._replacement:
                self.original = current
                setattr(self._target, self._name, self._replacement)
        try:
            yield
        finally:
            with _lock:
                self._open -= 1
                current = vars(self._target)[self._name]
                if not self._open and current is self._replacement:
                    setattr(self._target, self._name, self.original)
