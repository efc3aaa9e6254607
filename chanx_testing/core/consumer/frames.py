"""Frames of the client: what is read from them, and what is said of the bad ones.

A client can send anything. Whatever it sends is either a JSON object that a handler can
work with, or a pydantic ``ValidationError`` that says where it is wrong: the same error
that a wrong payload gives, so that one hook answers all of them.
"""

import json
import re
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError, to_jsonable_python

__all__ = ["check", "decode", "encode", "error_details", "frame_error"]

MAX_DEPTH: Final = 128
"""Objects and arrays inside each other; pydantic cannot write much deeper ones."""

MAX_ERRORS: Final = 50
"""Faults of one frame that are told; a frame of faults must not make a huge answer."""

_MAX_NAME: Final = 100

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def decode(text: str) -> Any:
    """Return what the JSON ``text`` says, for all JSON that can be written again.

    Raises:
        ValueError: When it is not JSON. ``NaN``, ``Infinity``, numbers beyond all range
            and integers of thousands of digits, which Python would read, are not.
        RecursionError: When it is nested beyond all measure.
    """
    if not text.isascii():
        text.encode()  # A lone surrogate is no UTF-8, whoever let it through.
    return _decoder.decode(text)


def encode(content: Any) -> str:
    """Return ``content`` as JSON; UUID, datetime, Decimal, models and the like travel.

    Raises:
        ValueError: When it holds ``NaN`` or ``Infinity``, which no browser can read.
        PydanticSerializationError: When it holds what has no JSON form.
    """
    return _encoder.encode(content)


def check(text: str, content: Any) -> None:
    """Refuse content that no handler could store or send on.

    Args:
        text: The frame; saves a look at most contents.
        content: What it says.

    Raises:
        ValidationError: When it is no object, nested too deeply, or holds half of a
            surrogate pair, which is no text.
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
    """Return the error of one fault that pydantic does not find itself.

    Args:
        kind: The ``type`` of the fault.
        text: The ``msg``, for the client to read.
        location: The ``loc``; none for the frame as a whole.
    """
    fault = PydanticCustomError(kind, "{text}", {"text": text})
    details = InitErrorDetails(type=fault, loc=location, input=None)
    return ValidationError.from_exception_data("frame", [details])


def error_details(error: ValidationError) -> list[dict[str, Any]]:
    """Return what a client may know of ``error``.

    Returns:
        One dict with ``type``, ``loc`` (a list) and ``msg`` for each fault, without the
        input and without the context, in a form that can be encoded whatever the client
        sent. After :data:`MAX_ERRORS` faults one more tells how many were left out.
    """
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    details: list[dict[str, Any]] = [
        {
            "type": fault["type"],
            "loc": [
                _printable(part)[:_MAX_NAME] if isinstance(part, str) else part
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
    raise ValueError(f"{name} is no JSON")


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
