"""Messages in a module whose annotations are all strings."""

from __future__ import annotations

from typing import Literal

import pytest

from chanx_testing.messages.base import BaseMessage, actions_of


class Chat(BaseMessage):
    action: Literal["chat"] = "chat"
    payload: Line


class Line(BaseMessage):
    action: Literal["line"] = "line"


def test_string_annotations_are_resolved():
    assert actions_of(Chat) == ("chat",)


def test_names_of_the_surrounding_function_are_resolved():
    kind = Literal["local"]

    class Local(BaseMessage):
        action: kind = "local"

    assert actions_of(Local) == ("local",)


def test_a_string_that_is_no_literal_is_refused():
    with pytest.raises(TypeError, match="'str', where a Literal is needed"):

        class Wrong(BaseMessage):
            action: str
