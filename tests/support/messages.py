"""Messages that tests of many rooms send."""

from typing import Any, Literal

from chanx_testing.messages.base import BaseMessage


class Say(BaseMessage):
    action: Literal["say"] = "say"
    payload: str


class Said(BaseMessage):
    action: Literal["said"] = "said"
    payload: str


class Notice(BaseMessage):
    action: Literal["notice"] = "notice"
    payload: str


class Echo(BaseMessage):
    action: Literal["echo"] = "echo"
    payload: Any


class Degrees(BaseMessage):
    action: Literal["degrees"] = "degrees"
    payload: float
