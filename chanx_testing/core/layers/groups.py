"""Who is a member of a group while members join and leave.

A server takes one command after the other, in an order that its clients do not see. So
of a broadcast it is known who got it only where nobody joined or left at the same time.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager


class Group:
    """What is known of the members of one group; used under a lock of its owner."""

    def __init__(self) -> None:
        self.members: set[str] = set()
        # Who may be a member, and may not: a command about them was broken off, or two
        # of them ran at the same time.
        self._doubtful: set[str] = set()
        self._changing: Counter[str] = Counter()
        self._crossed: set[str] = set()
        # For each broadcast under way: of whom it is not known whether they get it.
        self._broadcasts: list[set[str]] = []
        self.was_sent_to = False

    def begin_change(self, channel: str) -> None:
        """Note that a channel is about to join or to leave."""
        self._changing[channel] += 1
        if self._changing[channel] > 1:
            self._crossed.add(channel)
        for unsure in self._broadcasts:
            unsure.add(channel)

    def end_change(self, channel: str, is_member: bool | None) -> None:
        """Note that it has; None where it is not known whether it did."""
        self._changing[channel] -= 1
        if self._changing[channel]:
            self._crossed.add(channel)
            return
        del self._changing[channel]
        if channel in self._crossed:
            self._crossed.discard(channel)
            is_member = None
        self.members.discard(channel)
        self._doubtful.discard(channel)
        if is_member is None:
            self._doubtful.add(channel)
        elif is_member:
            self.members.add(channel)

    @contextmanager
    def broadcast(self) -> Iterator[tuple[frozenset[str], set[str]]]:
        """Note a broadcast, while the block runs.

        Yields:
            Who certainly gets it, unless they leave meanwhile; and of whom that is not
            known. The second grows while the block runs, and wins over the first.
        """
        self.was_sent_to = True
        unsure = {*self._doubtful, *self._changing}
        self._broadcasts.append(unsure)
        try:
            yield frozenset(self.members - unsure), unsure
        finally:
            # By identity: two broadcasts may be unsure of the same channels.
            self._broadcasts = [each for each in self._broadcasts if each is not unsure]
