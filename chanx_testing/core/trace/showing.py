"""Show values in a failure: short, on one line, with secrets hidden."""

import json
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

MAX_TEXT: Final = 300
HIDDEN: Final = "…hidden…"

_SECRET = re.compile(
    r"pass(word|phrase|wd)?$|secret|token|authori[sz]ation|cookie|credential"
    r"|api[-_]?key|session[-_]?(id|key)|^(jwt|csrf|sid)",
    re.IGNORECASE,
)


def shorten(text: str, limit: int = MAX_TEXT) -> str:
    """Return ``text`` cut at ``limit`` characters, and how many more there were."""
    if len(text) <= limit:
        return text
    return f"{text[:limit]}… ({len(text) - limit} more characters)"


def conceal(value: Any) -> Any:
    """Return data like JSON, with each text replaced whose key suggests a secret."""
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
