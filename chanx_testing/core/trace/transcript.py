"""What went over one connection, for a failure to show."""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from time import perf_counter
from typing import Any, Final, Literal

from chanx_testing.core.trace.showing import show_message, show_path
from chanx_testing.core.trace.timeline import (
    Timeline,
    running_timeline,
    timeline_here,
)

Direction = Literal["→", "←", "·"]
"""To the application, from the application, an event beside the wire."""

MAX_ENTRIES: Final = 60


class Transcript:
    """The latest events of one connection, rendered only when something failed.

    Args:
        path: The path of the connection.
        query: Its query string.

    Attributes:
        consumer: The name of the consumer, if it is known.
        user: The name of the user who is connected, if it is known.
        offered: The subprotocols that the client offers; a token among them is hidden.
    """

    def __init__(self, path: str, query: str = "") -> None:
        self._target = path, query
        self.consumer: str | None = None
        self.user: str | None = None
        self.offered: Sequence[str] = ()
        self._timeline: Timeline | None = None
        self._number = 0
        self._notes: list[str] = []
        self._start = perf_counter()
        self._entries: deque[tuple[float, Direction, str | Mapping[str, Any]]] = deque(
            maxlen=MAX_ENTRIES
        )
        self._count = 0

    @property
    def path(self) -> str:
        """The path with its query, as it is shown: without secrets."""
        return show_path(*self._target)

    @property
    def name(self) -> str:
        """A short name for this connection, unique in its test: ``ws#1``.

        The number is given when the connection opens or is first named, and again when
        a later test names it.
        """
        timeline = running_timeline() or self._timeline or timeline_here()
        if timeline is not self._timeline:
            self._timeline, self._number = timeline, timeline.number_connection()
        return f"ws#{self._number}"

    def begin(self) -> str:
        """Begin to count the time; return the name of the connection."""
        self._start = perf_counter()
        return self.name

    def elapsed(self) -> float:
        """Return the seconds since the connection began."""
        return perf_counter() - self._start

    def add(self, direction: Direction, event: str | Mapping[str, Any]) -> None:
        """Note an event: a sentence, or an ASGI message."""
        self._count += 1
        self._entries.append((self.elapsed(), direction, event))

    def note(self, sentence: str) -> None:
        """Note an event beside the wire."""
        self.add("·", sentence)

    def render(self, closing: Iterable[str] = ()) -> str:
        """Return the transcript as text of several lines.

        Args:
            closing: Sentences on the state of the connection now.
        """
        details = [self.path]
        if self.user:
            details.append(f"user {self.user}")
        if self.consumer:
            details.append(self.consumer)
        lines = [f"{self.name} {' · '.join(details)} (milliseconds since connect)"]
        if (hidden := self._count - len(self._entries)) > 0:
            lines.append(f"          … {hidden} earlier events")
        for at, direction, event in self._entries:
            text = event if isinstance(event, str) else self._show(event)
            lines.append(f"  {at * 1000:8.1f} {direction} {text}")
        lines.extend(f"           {sentence}" for sentence in closing)
        return "\n".join(lines)

    def _show(self, message: Mapping[str, Any]) -> str:
        return show_message(message, self.offered)

    def add_to(self, error: BaseException, closing: Iterable[str] = ()) -> None:
        """Add the transcript to ``error``, as a note, unless it has it already."""
        # By identity: connections of several tests may have the same name.
        notes = getattr(error, "__notes__", ())
        if not any(note is own for note in notes for own in self._notes):
            self._notes.append(self.render(closing))
            error.add_note(self._notes[-1])
