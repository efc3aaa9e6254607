"""A consumer that is silent, echoes or crashes, as the message has it."""

from typing import Any, Literal

from pydantic import BaseModel

from chanx_testing.channels.websocket import AsyncJsonWebsocketConsumer
from chanx_testing.core.decorators import ws_handler
from chanx_testing.messages.base import BaseMessage
from chanx_testing.messages.incoming import PingMessage
from chanx_testing.messages.outgoing import PongMessage
from tests.support.messages import Echo


class Line(BaseModel):
    text: str
    room: int


class Chat(BaseMessage):
    action: Literal["chat"] = "chat"
    payload: Line


class Crash(BaseMessage):
    action: Literal["crash"] = "crash"
    payload: str = ""


class Count(BaseMessage):
    action: Literal["count"] = "count"
    payload: Any = None


class Consumer(AsyncJsonWebsocketConsumer):
    send_completion = True

    @ws_handler
    async def handle_ping(self, message: PingMessage) -> PongMessage:
        return PongMessage()

    @ws_handler
    async def handle_chat(self, message: Chat) -> None: ...

    @ws_handler
    async def handle_echo(self, message: Echo) -> Echo:
        return message

    @ws_handler
    async def handle_crash(self, message: Crash) -> None:
        raise LookupError("the password is hunter2")


def only(frames):
    assert len(frames) == 1, frames
    return frames[0]
