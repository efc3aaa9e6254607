"""Who is in which room now.

It is kept in this process, as the in-memory channel layer is. A project with several
processes would keep it in Redis, as its channel layer.
"""

from collections import Counter, defaultdict


class Presence:
    """Counts the connections of each user in each room.

    A user with two open tabs is there once, and is gone when the second is closed.
    """

    def __init__(self) -> None:
        self._rooms: defaultdict[int, Counter[str]] = defaultdict(Counter)

    def enter(self, room_id: int, username: str) -> bool:
        """Count a connection and return whether it is the user's first."""
        self._rooms[room_id][username] += 1
        return self._rooms[room_id][username] == 1

    def leave(self, room_id: int, username: str) -> bool:
        """Discount a connection and return whether it was the user's last."""
        room = self._rooms[room_id]
        room[username] -= 1
        if room[username] > 0:
            return False
        del room[username]
        if not room:
            del self._rooms[room_id]
        return True

    def users(self, room_id: int) -> list[str]:
        """Return the names of those who are in the room, sorted."""
        return sorted(self._rooms[room_id]) if room_id in self._rooms else []


presence = Presence()
