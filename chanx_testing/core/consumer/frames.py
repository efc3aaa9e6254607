"""Frames of the client: reading them, and describing what is wrong with them.

A client can send anything. Whatever it sends is either a JSON object that a handler can
work with, or a pydantic ``ValidationError`` that says where it is wrong: the same error
as for a wrong payload, so that one hook answers all of them.
"""

import json
import re
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError, to_jsonable_python

__all__ = ["check", "decode", "encode", "error_details", "frame_error"]

MAX_DEPTH: Final = 128
"""Levels of nested objects and arrays; pydantic cannot write many more."""

MAX_ERRORS: Final = 50
"""Most errors reported for one frame: a broken frame must not cause a huge reply."""

# Characters shown of a key: it is the client's, and may be as long as its frame.
_MAX_KEY_LENGTH: Final = 100

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def decode(text: str) -> Any:
    """Return the content of the JSON ``text``, which can be written as JSON again.

    Raises:
        ValueError: The text is not JSON. ``NaN``, ``Infinity`` and floats out of range,
            which Python would read, count as not JSON. Integers of thousands of digits
            are refused by Python itself.
        RecursionError: The text is nested too deeply.
    """
    if not text.isascii():
        text.encode()  # Refuses a lone surrogate, which a server may let through.
    return _decoder.decode(text)


def encode(content: Any) -> str:
    """Return ``content`` as JSON; UUIDs, dates, Decimals, models are converted.

    Raises:
        ValueError: It holds ``NaN`` or ``Infinity``, which no browser can read.
        PydanticSerializationError: It holds a value that has no JSON form.
    """
    return _encoder.encode(content)


def check(text: str, content: Any) -> None:
    """Refuse content that no handler could store or send on.

    Args:
        text: The frame; with it most contents need not be searched.
        content: The decoded frame.

    Raises:
        ValidationError: The content is not an object, is nested too deeply, or holds
            half of a surrogate pair, which is not text.
    """
    if not isinstance(content, dict):
        raise frame_error("object_expected", "A frame is a JSON object")
    if text.count("{") + text.count("[") > MAX_DEPTH and _deeper_than_allowed(content):
        raise frame_error(
            "too_deep", f"A frame may be nested {MAX_DEPTH} levels deep at most"
        )
    if _SURROGATE.search(text):
        # An escaped pair is an emoji; half of one cannot be encoded.
        try:
            json.dumps(content, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise frame_error(
                "lone_surrogate", "Text holds half of a surrogate pair"
            ) from None


def frame_error(kind: str, text: str, *location: str | int) -> ValidationError:
    """Return the error for one fault that pydantic does not find.

    Args:
        kind: The ``type`` of the fault.
        text: The ``msg``, for the client to read.
        location: The ``loc``; empty for the frame as a whole.
    """
    fault = PydanticCustomError(kind, "{text}", {"text": text})
    details = InitErrorDetails(type=fault, loc=location, input=None)
    return ValidationError.from_exception_data("frame", [details])


def error_details(error: ValidationError) -> list[dict[str, Any]]:
    """Return what a client may know of ``error``.

    Returns:
        One dict with ``type``, ``loc`` (a list) and ``msg`` for each fault, without the
        input and without the context, in a form that can be encoded whatever the client
        sent. After :data:`MAX_ERRORS` faults one more entry says how many were left
        out.
    """
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    details: list[dict[str, Any]] = [
        {
            "type": fault["type"],
            "loc": [
                _printable(part)[:_MAX_KEY_LENGTH] if isinstance(part, str) else part
                for part in fault["loc"]
            ],
            "msg": _printable(fault["msg"]),
        }
        for fault in faults[:MAX_ERRORS]
    ]
    if len(faults) > MAX_ERRORS:
        details.append(
            {
                "type": "too_many_errors",
                "loc": [],
                "msg": f"{len(faults) - MAX_ERRORS} more errors",
            }
        )
    return details


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _parse_float(digits: str) -> float:
    number = float(digits)
    if number in _INFINITIES:
        raise ValueError("A number is too large")
    return number


_INFINITIES = (float("inf"), float("-inf"))
_decoder = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_parse_float)
_encoder = json.JSONEncoder(allow_nan=False, default=to_jsonable_python)


def _deeper_than_allowed(content: Any) -> bool:
    level = [content]
    for _ in range(MAX_DEPTH):
        level = [
            child
            for node in level
            for child in (node.values() if isinstance(node, dict) else node)
            if isinstance(child, dict | list)
        ]
        if not level:
            return False
    return True


def _printable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
