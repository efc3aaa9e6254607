"""An error of pydantic says what is wrong where, and shows no secret of its input."""

from typing import Any

import pytest
from pydantic import BaseModel, ValidationError, field_validator

from chanx_testing.core.hiding.content import HIDDEN
from chanx_testing.core.hiding.faults import without_secrets


class Account(BaseModel):
    name: str
    password: int
    tags: list[int] = []

    @field_validator("name")
    @classmethod
    def known(cls, value: str) -> str:
        if value.startswith("{"):
            raise ValueError(f"{{braces}} and token={value}")
        return value


def error_of(**data: Any) -> ValidationError:
    with pytest.raises(ValidationError) as caught:
        Account(**data)
    return caught.value


def test_the_input_under_the_name_of_a_secret_is_hidden() -> None:
    error = error_of(name="ada", password="hunter2", tags=[1, "x"])
    shown = without_secrets(error)
    assert "hunter2" in str(error)
    assert "hunter2" not in str(shown)
    assert [(fault["type"], fault["loc"]) for fault in shown.errors()] == [
        ("int_parsing", ("password",)),
        ("int_parsing", ("tags", 1)),
    ]
    assert [fault["input"] for fault in shown.errors()] == [HIDDEN, "x"]
    assert [fault["msg"] for fault in shown.errors()] == [
        fault["msg"] for fault in error.errors()
    ]
    assert str(shown).startswith("2 validation errors for Account\npassword\n")


def test_a_missing_field_shows_the_whole_input_without_its_secrets() -> None:
    shown = without_secrets(error_of(password="hunter2", tags=[]))
    assert "hunter2" not in str(shown)
    assert shown.errors()[0]["input"] == {"password": HIDDEN, "tags": []}


def test_the_text_of_a_validator_is_hidden_too() -> None:
    shown = without_secrets(error_of(name="{hunter2", password=1))
    assert shown.errors()[0]["msg"] == f"Value error, {{braces}} and token={HIDDEN}"


def test_it_has_the_same_traceback_and_causes() -> None:
    error = error_of(password=1)
    error.__cause__ = cause = KeyError("x")
    shown = without_secrets(error)
    assert shown.__traceback__ is error.__traceback__
    assert shown.__cause__ is cause
    assert shown.__suppress_context__


def test_an_input_that_is_nested_too_deeply_is_hidden() -> None:
    deep: Any = "hunter2"
    for _ in range(5000):
        deep = [deep]
    assert (
        without_secrets(error_of(name=deep, password=1)).errors()[0]["input"] == HIDDEN
    )
