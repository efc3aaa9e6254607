"""Show values in a failure: short, on one line, with secrets hidden."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import ValidationError

from chanx_testing.core.hiding.content import (
    HIDDEN,
    conceal,
    conceal_text,
    has_secret,
)
from chanx_testing.core.hiding.faults import without_secrets
from chanx_testing.core.hiding.handshake import (
    conceal_path,
    conceal_query,
    conceal_subprotocol,
)

MAX_TEXT: Final = 300

_MAX_READ: Final = 10_000
"""Of larger data only so many characters are looked at: a failure is to come soon."""

_LONGEST_KNOWN: Final = 2000
_TOO_DEEP: Final = "nested too deeply to show"


def shorten(text: str, limit: int = MAX_TEXT) -> str:
    """Return ``text`` cut at ``limit`` characters, and how many more there were."""
    if len(text) <= limit:
        return text
    return f"{text[:limit]}… ({len(text) - limit} more characters)"


def show_path(path: str, query: str) -> str:
    """Return a path as a person would type it, secrets hidden."""
    shown = conceal_path(path)
    return f"{shown}?{conceal_query(query)}" if query else shown


def show_subprotocols(offered: Sequence[str]) -> str:
    """Return the subprotocols that a client offers, tokens hidden."""
    return ", ".join(conceal_subprotocol(each, offered) for each in offered)


def show_value(value: Any) -> str:
    """Return data like JSON, shortened, secrets hidden."""
    beginning = _Beginning()
    try:
        return beginning.shorten(repr(conceal(beginning.of(value))))
    except RecursionError:
        return f"{type(value).__name__}, {_TOO_DEEP}"


def show_data(message: Mapping[str, Any]) -> str:
    """Return the text or bytes of a frame, shortened, secrets hidden."""
    text, data = message.get("text"), message.get("bytes")
    if isinstance(text, str):
        return show_text(text)
    if isinstance(data, bytes):
        return f"{len(data)} bytes: {_show_bytes(data)}"
    return "neither text nor bytes"


def show_text(text: str) -> str:
    """Return the text of a frame, shortened, secrets hidden: its JSON, or a string."""
    beginning = _Beginning()
    try:
        content = beginning.of(json.loads(text))
        return beginning.shorten(json.dumps(conceal(content), ensure_ascii=False))
    except ValueError:
        return beginning.shorten(repr(conceal_text(beginning.of(text))))
    except RecursionError:
        return f"{len(text)} characters of JSON, {_TOO_DEEP}"


class _Beginning:
    """Takes the beginning of data like JSON."""

    def __init__(self) -> None:
        self._left = _MAX_READ

    def of(self, value: Any) -> Any:
        """Return the value, without what is too far from its beginning."""
        if isinstance(value, str):
            return self._of_text(value)
        self._left -= 5
        if isinstance(value, Mapping):
            return {
                self.of(key): self.of(item)
                for key, item in value.items()
                if self._left > 0
            }
        if isinstance(value, list | tuple):
            return [self.of(item) for item in value if self._left > 0]
        return value

    def _of_text(self, text: str) -> str:
        left, self._left = self._left, self._left - len(text)
        if self._left >= 0:
            return text
        # A secret that is cut may not be known any more.
        return conceal_text(text[: max(left, 0)])[:-_LONGEST_KNOWN] + "…"

    def shorten(self, shown: str) -> str:
        """Return what is shown of the beginning, shortened."""
        if self._left > 0:
            return shorten(shown)
        return f"{shown[:MAX_TEXT]}… (much longer)"


def _show_bytes(data: bytes) -> str:
    # Where a value ends in MessagePack and the like is not known. So all of it is
    # hidden, if there is a secret.
    if has_secret(data):
        return f"{HIDDEN}, for the sake of a secret among them"
    return repr(data[:40])


def show_message(message: Mapping[str, Any], offered: Sequence[str] = ()) -> str:
    """Return one ASGI message on one line.

    Args:
        message: The message.
        offered: The subprotocols that the client offers: they say which is a token.
    """
    kind = message.get("type")
    if kind in {"websocket.send", "websocket.receive"}:
        return show_data(message)
    shown = []
    for key in ("code", "reason", "subprotocol", "status"):
        value = message.get(key)
        if value in (None, ""):
            continue
        if isinstance(value, str):
            value = conceal_text(value)
            if key == "subprotocol":
                value = conceal_subprotocol(value, offered)
        shown.append(f"{key}={value!r}")
    return " ".join([conceal_text(str(kind)), *shown])


def show_error(error: BaseException) -> str:
    """Return the type and the text of an exception, whose ``__str__`` may be broken."""
    name = type(error).__name__
    try:
        if isinstance(error, ValidationError):
            error = without_secrets(error)
        return f"{name}: {conceal_text(str(error))}"
    except Exception as broken:
        return f"{name} (its text raises {type(broken).__name__})"
