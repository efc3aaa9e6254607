"""What is known of the keys that one or several layers write to."""

import threading
import weakref
from collections import Counter
from typing import Any

from chanx_testing.core.layers import redis
from chanx_testing.core.layers.channel import Channel
from chanx_testing.core.layers.groups import Group


class Ledger:
    """What layers that write to the same keys have in common.

    Attributes:
        lock: Held while anything here is looked at or changed.
        operations: How many calls of each method of the layers run.
        channels: The channels that were made while somebody watched.
        groups: The groups.
        groups_are_unsure: Whether the application may have changed groups by commands
            of its own.
        last_sent: When a command ended last, by the clock that orders messages.
        watchers: How many blocks watch the layers.
    """

    def __init__(self) -> None:
        # Re-entrant: a garbage collection may come in between and run a finalizer.
        self.lock = threading.RLock()
        self.operations: Counter[str] = Counter()
        self.channels: dict[str, Channel] = {}
        self.groups: dict[str, Group] = {}
        self.groups_are_unsure = False
        self.last_sent = 0.0
        self.watchers = 0

    def forget(self) -> None:
        """Forget what is known: what happens from now on is not seen."""
        self.channels.clear()
        self.groups.clear()
        self.groups_are_unsure = False


_ledgers: "weakref.WeakValueDictionary[object, Ledger]" = weakref.WeakValueDictionary()


def ledger_of(layer: Any) -> Ledger:
    """Return the ledger of a layer, the same for all that may write to its keys.

    Two aliases may name one server in two ways, so the prefix alone decides. Where it
    is not known, a layer has its own.
    """
    keys = redis.keys_of(layer)
    return Ledger() if keys is None else _ledgers.setdefault(keys, Ledger())
