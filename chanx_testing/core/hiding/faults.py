"""Errors of pydantic, whose text shows the input that they are about."""

from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from chanx_testing.core.hiding.content import HIDDEN, conceal, conceal_text


def without_secrets(error: ValidationError) -> ValidationError:
    """Return the same error, with the same traceback and causes, secrets hidden."""
    faults = []
    for fault in error.errors(include_url=False, include_context=False):
        text = {"text": conceal_text(fault["msg"])}
        place = fault["loc"]
        faults.append(
            InitErrorDetails(
                type=PydanticCustomError(fault["type"], "{text}", text),
                loc=tuple(map(conceal, place)),
                input=_input_of(place, fault["input"]),
            )
        )
    shown = ValidationError.from_exception_data(error.title, faults)
    shown.__context__, shown.__cause__ = error.__context__, error.__cause__
    shown.__suppress_context__ = error.__suppress_context__
    return shown.with_traceback(error.__traceback__)


def _input_of(place: Sequence[str | int], value: Any) -> Any:
    try:
        return conceal({"loc": list(place), "input": value})["input"]
    except RecursionError:
        return HIDDEN
