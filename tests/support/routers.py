"""Consumers behind routers and middleware of many kinds, to be seen through."""

import functools
from collections.abc import Callable
from typing import Any

from channels.generic.websocket import AsyncWebsocketConsumer, JsonWebsocketConsumer
from channels.routing import URLRouter
from django.urls import path

Asgi = Callable[..., Any]


class Chat(AsyncWebsocketConsumer):
    """Any consumer."""


class Rooms(JsonWebsocketConsumer):
    """Another one, synchronous."""


class ClassMiddleware:
    """Keeps the application under a name of its own."""

    def __init__(self, next_one: Asgi) -> None:
        self.next_one = next_one

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.next_one(scope, receive, send)


class SlotsMiddleware:
    """Has no ``__dict__``, and a slot that is never filled."""

    __slots__ = ("app", "unused")

    def __init__(self, app: Asgi) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)


class ExplosiveMiddleware:
    """Everything that runs code when it is looked at raises."""

    def __init__(self, inner: Asgi) -> None:
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)

    @property
    def consumer_class(self) -> type:
        raise RuntimeError("a property was read")

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("compared")

    def __hash__(self) -> int:
        raise RuntimeError("hashed")

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        raise RuntimeError("called")


def function_middleware(inner: Asgi) -> Asgi:
    async def middleware(scope: Any, receive: Any, send: Any) -> None:
        await inner(scope, receive, send)

    return middleware


def wrapping_middleware(inner: Asgi) -> Asgi:
    @functools.wraps(inner)
    async def middleware(scope: Any, receive: Any, send: Any) -> None:
        await inner(scope, receive, send)

    return middleware


async def partial_middleware(inner: Asgi, scope: Any, receive: Any, send: Any) -> None:
    await inner(scope, receive, send)


async def opaque(scope: Any, receive: Any, send: Any) -> None:
    """Show nothing of what it does."""


def chat_router() -> URLRouter:
    return URLRouter([path("ws/chat/", Chat.as_asgi())])
