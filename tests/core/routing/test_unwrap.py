"""Middleware of any kind is seen through, and nothing of it is called."""

import functools
import types
from collections.abc import Callable
from typing import Any

import pytest
from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator, OriginValidator
from django.core.asgi import get_asgi_application
from django.urls import path

from chanx_testing.core.routing.routes import consumer_for, find_route
from tests.support.routers import (
    Chat,
    ClassMiddleware,
    ExplosiveMiddleware,
    Rooms,
    SlotsMiddleware,
    chat_router,
    function_middleware,
    opaque,
    partial_middleware,
    wrapping_middleware,
)


@pytest.mark.parametrize(
    "middleware",
    [
        AllowedHostsOriginValidator,
        AuthMiddlewareStack,
        ClassMiddleware,
        ExplosiveMiddleware,
        SlotsMiddleware,
        function_middleware,
        wrapping_middleware,
        functools.partial(functools.partial, partial_middleware),
        lambda app: ProtocolTypeRouter({"http": opaque, "websocket": app}),
        lambda app: ClassMiddleware(app).__call__,
        lambda app: function_middleware(SlotsMiddleware(ClassMiddleware(app))),
    ],
)
def test_middleware_is_seen_through(middleware: Callable[[Any], Any]) -> None:
    assert consumer_for(middleware(chat_router()), "/ws/chat/") is Chat


@pytest.mark.parametrize(
    "wrap", [function_middleware, wrapping_middleware, ClassMiddleware, SlotsMiddleware]
)
def test_consumer_is_seen_through_its_own_middleware(wrap: Callable[..., Any]) -> None:
    application = URLRouter([path("ws/", wrap(Chat.as_asgi()))])
    assert consumer_for(application, "/ws/") is Chat


def test_middleware_is_reported_outermost_first() -> None:
    inner = ClassMiddleware(chat_router())
    validator = OriginValidator(inner, ["*"])
    route = find_route(validator, "/ws/chat/")
    assert route is not None
    assert route.middleware == (validator, inner)


def test_dispatcher_written_by_hand_is_seen_through() -> None:
    module = types.ModuleType("by_hand")
    vars(module).update(
        websocket_app=chat_router(), django_app=get_asgi_application(), Rooms=Rooms
    )
    source = (
        "async def application(scope, receive, send):\n"
        "    if scope['type'] == 'http':\n"
        "        return await django_app(scope, receive, send)\n"
        "    await Rooms.broadcast()\n"
        "    return await websocket_app(scope, receive, send)\n"
    )
    exec(source, vars(module))
    assert consumer_for(module.application, "/ws/chat/") is Chat


def test_two_candidates_are_not_guessed_between() -> None:
    class Switch:
        def __init__(self) -> None:
            self.first = chat_router()
            self.second = URLRouter([path("ws/chat/", Rooms.as_asgi())])

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None: ...

    assert find_route(Switch(), "/ws/chat/") is None


def test_middleware_that_holds_itself_ends() -> None:
    middleware = ClassMiddleware(opaque)
    middleware.next_one = middleware
    assert find_route(middleware, "/ws/") is None


def test_router_under_a_thousand_layers_is_not_seen() -> None:
    application: Any = chat_router()
    for _ in range(1000):
        application = function_middleware(application)
    assert find_route(application, "/ws/chat/") is None


def test_application_that_holds_half_the_program_is_opaque() -> None:
    holder: Any = ClassMiddleware(opaque)
    vars(holder).update({f"hook_{n}": function_middleware(opaque) for n in range(3000)})
    holder.last = chat_router()
    assert find_route(holder, "/ws/chat/") is None


def test_middleware_with_an_empty_list_of_routes_is_no_router() -> None:
    middleware: Any = ClassMiddleware(chat_router())
    middleware.routes = []
    assert consumer_for(middleware, "/ws/chat/") is Chat


def test_opaque_application_has_no_route_and_no_consumer() -> None:
    assert find_route(opaque, "/ws/") is None
    assert consumer_for(opaque, "/ws/") is None
