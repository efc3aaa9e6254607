"""A lobby behind middleware: consumers, their routes, and a test case for them."""

import asyncio
from typing import Literal

from channels.auth import AuthMiddlewareStack
from channels.db import database_sync_to_async
from channels.routing import URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.contrib.auth import get_user_model
from django.urls import path

from chanx_testing.channels.testing import WebsocketTestCase
from chanx_testing.channels.websocket import AsyncJsonWebsocketConsumer
from chanx_testing.core.decorators import ws_handler
from chanx_testing.messages.base import BaseMessage
from chanx_testing.messages.incoming import PingMessage
from chanx_testing.messages.outgoing import PongMessage


class WhoAmI(BaseMessage):
    action: Literal["who_am_i"] = "who_am_i"
    payload: None = None


class YouAre(BaseMessage):
    action: Literal["you_are"] = "you_are"
    payload: str


class Fail(BaseMessage):
    action: Literal["fail"] = "fail"
    payload: None = None


class LobbyConsumer(AsyncJsonWebsocketConsumer):
    groups = ["lobby"]
    ended: list[int] = []

    @ws_handler
    async def ping(self, message: PingMessage) -> PongMessage:
        return PongMessage()

    @ws_handler
    async def who_am_i(self, message: WhoAmI) -> YouAre:
        return YouAre(payload=self.scope["user"].get_username())

    @ws_handler
    async def fail(self, message: Fail) -> None:
        raise LookupError("broken handler")

    async def disconnect(self, code):
        self.ended.append(code)


class CrashingConsumer(LobbyConsumer):
    async def post_authentication(self):
        raise LookupError("broken connect")


class HeartbeatConsumer(LobbyConsumer):
    async def post_authentication(self):
        self.task = asyncio.create_task(self.beat())

    async def beat(self):
        await asyncio.Event().wait()


class CountingConsumer(LobbyConsumer):
    @ws_handler
    async def who_am_i(self, message: WhoAmI) -> YouAre:
        count = await database_sync_to_async(get_user_model().objects.count)()
        return YouAre(payload=f"one of {count}")


application = AllowedHostsOriginValidator(
    AuthMiddlewareStack(
        URLRouter(
            [
                path("ws/lobby/", LobbyConsumer.as_asgi()),
                path("ws/crash/", CrashingConsumer.as_asgi()),
                path("ws/heart/", HeartbeatConsumer.as_asgi()),
                path("ws/count/", CountingConsumer.as_asgi()),
            ]
        )
    )
)


class Case(WebsocketTestCase):
    """What the cases below have in common; they run inside the tests of this module."""

    __test__ = False
    router = application
    ws_path = "/ws/lobby/"

    def get_ws_headers(self):
        self.user, headers = self.create_user_and_ws_headers()
        return headers
