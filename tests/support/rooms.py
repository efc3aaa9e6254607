"""A room: a consumer with messages of every kind, and a client of it."""

import uuid
from typing import Literal

from chanx_testing.channels.testing import WebsocketCommunicator
from chanx_testing.channels.websocket import AsyncJsonWebsocketConsumer
from chanx_testing.core.authenticator import BaseAuthenticator
from chanx_testing.core.decorators import event_handler, ws_handler
from chanx_testing.messages.base import BaseMessage
from chanx_testing.messages.incoming import PingMessage
from chanx_testing.messages.outgoing import (
    AuthenticationMessage,
    AuthenticationPayload,
    PongMessage,
)
from tests.support.messages import Said, Say


class Tell(BaseMessage):
    action: Literal["tell"] = "tell"
    payload: str


class Count(BaseMessage):
    action: Literal["count"] = "count"
    payload: int


class Counted(BaseMessage):
    action: Literal["counted"] = "counted"
    payload: int


class CountDone(BaseMessage):
    action: Literal["count_done"] = "count_done"
    payload: None = None


class Break(BaseMessage):
    action: Literal["break"] = "break"
    payload: None = None


class Identify(BaseMessage):
    action: Literal["identify"] = "identify"
    payload: uuid.UUID


class RoomConsumer(AsyncJsonWebsocketConsumer):
    groups = ["room"]
    send_completion = True

    @ws_handler
    async def ping(self, message: PingMessage) -> PongMessage:
        return PongMessage()

    @ws_handler(output_type=Said)
    async def say(self, message: Say) -> None:
        """Answer through the group alone."""
        await self.broadcast_message(Said(payload=message.payload))

    @ws_handler(output_type=[Counted, CountDone])
    async def count(self, message: Count) -> None:
        for number in range(message.payload):
            await self.send_message(Counted(payload=number))
        await self.send_message(CountDone())

    @ws_handler
    async def break_(self, message: Break) -> None:
        raise LookupError("no such thing")

    @ws_handler
    async def identify(self, message: Identify) -> Said:
        return Said(payload=str(message.payload))

    @event_handler
    async def tell(self, event: Tell) -> Said:
        return Said(payload=f"told {event.payload}")


class QuietConsumer(RoomConsumer):
    send_completion = False


def client(consumer=RoomConsumer, **options):
    return WebsocketCommunicator(
        consumer.as_asgi(), "/ws/", consumer=consumer, **options
    )


class Badge(BaseAuthenticator):
    async def authenticate(self, scope):
        self.status_code = int(scope["query_string"] or 200)
        await self.send_message(
            AuthenticationMessage(
                payload=AuthenticationPayload(
                    status_code=self.status_code, status_text="…", data={"detail": "?"}
                )
            )
        )
        return self.status_code == 200


class BadgeConsumer(RoomConsumer):
    authenticator_class = Badge
