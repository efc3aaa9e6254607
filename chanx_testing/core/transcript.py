"""What was said on one connection, for a failure to show."""

import itertools
import json
import re
from collections import deque
from collections.abc import Iterable, Mapping
from time import perf_counter
from typing import Any, Final, Literal
from urllib.parse import parse_qsl

Direction = Literal["→", "←", "·"]
"""To the application, from the application, an event beside the wire."""

MAX_ENTRIES: Final = 60
MAX_TEXT: Final = 300
HIDDEN: Final = "…hidden…"

_SECRET = re.compile(
    r"pass(word|phrase|wd)?$|secret|token|authori[sz]ation|cookie|credential"
    r"|api[-_]?key|session[-_]?(id|key)|^(jwt|csrf|sid)",
    re.IGNORECASE,
)

_numbers = itertools.count(1)


def shorten(text: str, limit: int = MAX_TEXT) -> str:
    """Cut ``text`` at ``limit`` characters and say how many are gone."""
    if len(text) <= limit:
        return text
    return f"{text[:limit]}… ({len(text) - limit} more characters)"


def conceal(value: Any) -> Any:
    """Return JSON-like ``value`` with what looks like a secret replaced, by its key."""
    if isinstance(value, Mapping):
        return {
            key: HIDDEN
            if isinstance(key, str) and isinstance(item, str) and _SECRET.search(key)
            else conceal(item)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [conceal(item) for item in value]
    return value


def show_path(path: str, query: str) -> str:
    """Return a path as a person would type it, secrets in the query hidden."""
    if not query:
        return path
    pairs = parse_qsl(query, keep_blank_values=True)
    shown = "&".join(
        f"{name}={HIDDEN if _SECRET.search(name) else value}" for name, value in pairs
    )
    return f"{path}?{shown}"


def show_data(message: Mapping[str, Any]) -> str:
    """Return the text or bytes of a frame, shortened, secrets hidden."""
    text, data = message.get("text"), message.get("bytes")
    if isinstance(text, str):
        try:
            return shorten(json.dumps(conceal(json.loads(text)), ensure_ascii=False))
        except ValueError:
            return shorten(repr(text))
        except RecursionError:
            return f"{len(text)} characters of JSON, nested too deeply to show"
    if isinstance(data, bytes):
        return shorten(f"{len(data)} bytes: {data[:40]!r}")
    return "neither text nor bytes"


def show_message(message: Mapping[str, Any]) -> str:
    """Return one ASGI message on one line."""
    kind = message.get("type")
    if kind in {"websocket.send", "websocket.receive"}:
        return show_data(message)
    details = {
        key: message[key]
        for key in ("code", "reason", "subprotocol", "status")
        if message.get(key) not in (None, "")
    }
    shown = " ".join(f"{key}={value!r}" for key, value in details.items())
    return f"{kind} {shown}".rstrip()


def show_error(error: BaseException) -> str:
    """Return the type and the text of an exception, whose ``__str__`` may be broken."""
    try:
        return f"{type(error).__name__}: {error}"
    except Exception as broken:
        return f"{type(error).__name__} (its text raises {type(broken).__name__})"


class Transcript:
    """The latest events of one connection, rendered only when something failed.

    Args:
        path: The path of the connection, as shown.
    """

    def __init__(self, path: str) -> None:
        self.number = next(_numbers)
        self.path = path
        self.consumer: str | None = None
        self.user: str | None = None
        self._start = perf_counter()
        self._entries: deque[tuple[float, Direction, str | Mapping[str, Any]]] = deque(
            maxlen=MAX_ENTRIES
        )
        self._count = 0

    @property
    def name(self) -> str:
        """A short name for this connection, unique in the process."""
        return f"ws#{self.number}"

    def restart(self) -> None:
        """Count the time from now."""
        self._start = perf_counter()

    def elapsed(self) -> float:
        """Return the seconds since the connection began."""
        return perf_counter() - self._start

    def add(self, direction: Direction, event: str | Mapping[str, Any]) -> None:
        """Note an event: a sentence, or an ASGI message."""
        self._count += 1
        self._entries.append((self.elapsed(), direction, event))

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
            text = event if isinstance(event, str) else show_message(event)
            lines.append(f"  {at * 1000:8.1f} {direction} {text}")
        lines.extend(f"           {sentence}" for sentence in closing)
        return "\n".join(lines)


def add_transcript(error: BaseException, transcript: Transcript, text: str) -> None:
    """Add ``text``, the rendered ``transcript``, to ``error`` unless it is there."""
    notes = getattr(error, "__notes__", ())
    if not any(note.startswith(f"{transcript.name} ") for note in notes):
        error.add_note(text)
