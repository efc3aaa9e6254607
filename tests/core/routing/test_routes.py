"""The consumer behind a path is found without calling the application."""

import pickle
from typing import Any

import pytest
from channels.auth import AuthMiddlewareStack
from channels.consumer import AsyncConsumer
from channels.routing import ChannelNameRouter, ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application
from django.urls import path, re_path, register_converter
from fastapi import APIRouter, FastAPI, WebSocket
from starlette.applications import Starlette
from starlette.routing import Mount, Route, WebSocketRoute

from chanx_testing.channels.routing import ApplicationNotFoundError
from chanx_testing.core.routing.routes import (
    NoRouteError,
    NoWebsocketError,
    consumer_for,
    find_route,
    list_routes,
)
from tests.support.routers import Chat, Rooms, chat_router, function_middleware, opaque


class Upper:
    """Converts to upper case."""

    regex = "[a-z]+"

    def to_python(self, value: str) -> str:
        return value.upper()

    def to_url(self, value: str) -> str:
        return value.lower()


register_converter(Upper, "upper")


# Errors of the routing.


def test_error_lists_the_routes_and_suggests_the_nearest() -> None:
    application = URLRouter(
        [
            path("ws/chat/", Chat.as_asgi()),
            path("ws/rooms/<int:pk>/", Rooms.as_asgi()),
            re_path(r"^ws/old/(?P<name>\w+)/$", Rooms.as_asgi()),
        ]
    )
    with pytest.raises(NoRouteError) as caught:
        find_route(application, "/ws/chta/")
    assert str(caught.value) == (
        "No WebSocket route for '/ws/chta/'.\n"
        "The application has these routes:\n"
        "  /ws/chat/ -> Chat\n"
        "  /ws/rooms/<int:pk>/ -> Rooms\n"
        "  ^ws/old/(?P<name>\\w+)/$ -> Rooms\n"
        "Did you mean '/ws/chat/'?"
    )


def test_error_says_when_only_the_slash_is_missing() -> None:
    application = URLRouter(
        [path("ws/chat/", Chat.as_asgi()), path("ws/chats", Chat.as_asgi())]
    )
    with pytest.raises(NoRouteError) as caught:
        find_route(application, "/ws/chat")
    assert caught.value.nearest == "/ws/chat/"


def test_error_says_when_a_slash_is_too_many() -> None:
    application = URLRouter([path("ws/chat", Chat.as_asgi())])
    with pytest.raises(NoRouteError) as caught:
        find_route(application, "/ws/chat/")
    assert caught.value.nearest == "/ws/chat"


def test_error_suggests_a_pattern_whose_converter_refused() -> None:
    application = URLRouter(
        [path("a/", Chat.as_asgi()), path("ws/rooms/<int:pk>/", Rooms.as_asgi())]
    )
    with pytest.raises(NoRouteError) as caught:
        find_route(application, "/ws/rooms/blue/")
    assert caught.value.nearest == "/ws/rooms/<int:pk>/"


def test_error_suggests_nothing_where_nothing_is_near() -> None:
    with pytest.raises(NoRouteError) as caught:
        find_route(chat_router(), "/zzz")
    assert str(caught.value) == (
        "No WebSocket route for '/zzz'.\n"
        "The application has these routes:\n"
        "  /ws/chat/ -> Chat"
    )


def test_error_of_a_router_without_routes() -> None:
    with pytest.raises(NoRouteError, match="have no routes at all"):
        find_route(URLRouter([]), "/ws/")


def test_protocol_router_without_websocket_lists_its_protocols() -> None:
    application = function_middleware(
        ProtocolTypeRouter({"http": opaque, "channel": ChannelNameRouter({})})
    )
    with pytest.raises(NoWebsocketError) as caught:
        find_route(application, "/ws/")
    assert str(caught.value) == (
        'The application has no "websocket" among its protocols; it has: '
        "'http', 'channel'. Wrap it: ProtocolTypeRouter"
        '({"http": ..., "websocket": URLRouter([...])}).'
    )


def test_errors_survive_pickling() -> None:
    for error in (
        NoRouteError("/a", ("/b -> B",), "/b"),
        NoWebsocketError(("http",)),
        ApplicationNotFoundError("a.b", "a", "b", ""),
    ):
        copy = pickle.loads(pickle.dumps(error))
        assert str(copy) == str(error)
        assert type(copy) is type(error)


# Finding.


def test_path_gives_consumer_and_converted_kwargs() -> None:
    application = URLRouter(
        [path("ws/<int:pk>/<upper:name>/", Rooms.as_asgi(), {"mode": "fast"})]
    )
    route = find_route(application, "/ws/7/blue/")
    assert route is not None
    assert route.consumer is Rooms
    assert route.kwargs == {"pk": 7, "name": "BLUE", "mode": "fast"}


def test_re_path_gives_named_groups() -> None:
    application = URLRouter([re_path(r"^ws/(?P<name>\w+)/$", Rooms.as_asgi())])
    route = find_route(application, "/ws/blue/")
    assert route is not None
    assert route.kwargs == {"name": "blue"}
    assert str(route) == r"^ws/(?P<name>\w+)/$ -> Rooms"


def test_re_path_gives_unnamed_groups() -> None:
    application = URLRouter([re_path(r"^ws/(\d+)/$", Rooms.as_asgi())])
    route = find_route(application, "/ws/12/")
    assert route is not None
    assert route.args == ("12",)


def test_nested_routers_join_patterns_and_kwargs() -> None:
    inner = URLRouter([path("rooms/<int:pk>/", Rooms.as_asgi())])
    route = find_route(URLRouter([path("<slug:team>/", inner)]), "/blue-team/rooms/3/")
    assert route is not None
    assert route.pattern == "/<slug:team>/rooms/<int:pk>/"
    assert route.kwargs == {"team": "blue-team", "pk": 3}


def test_next_route_is_tried_where_a_nested_router_has_no_match() -> None:
    nested = URLRouter([path("other/", Chat.as_asgi())])
    application = URLRouter([path("ws/", nested), path("ws/rooms/", Rooms.as_asgi())])
    assert consumer_for(application, "/ws/rooms/") is Rooms


def test_first_matching_route_wins() -> None:
    application = URLRouter(
        [path("ws/<str:any>/", Chat.as_asgi()), path("ws/rooms/", Rooms.as_asgi())]
    )
    assert consumer_for(application, "/ws/rooms/") is Chat


@pytest.mark.parametrize(
    "given",
    [
        "ws/chat/",
        "/ws/chat/?room=1",
        "ws://testserver/ws/chat/",
        "/ws/ch%61t/",
    ],
)
def test_paths_are_read_as_a_communicator_reads_them(given: str) -> None:
    assert consumer_for(chat_router(), given) is Chat


def test_root_path_is_taken_off() -> None:
    route = find_route(chat_router(), "/mysite/ws/chat/", root_path="/mysite")
    assert route is not None
    assert route.consumer is Chat


def test_path_outside_the_root_path_has_no_route() -> None:
    with pytest.raises(NoRouteError):
        find_route(chat_router(), "/ws/chat/", root_path="/mysite")


def test_opaque_application_behind_a_route_is_the_end_of_it() -> None:
    route = find_route(URLRouter([path("ws/", opaque)]), "/ws/")
    assert route is not None
    assert route.consumer is None
    assert route.application is opaque
    assert str(route) == "/ws/ -> opaque"


@pytest.mark.parametrize("application", [Chat.as_asgi(), Chat(), Chat])
def test_consumer_without_a_router_answers_every_path(application: Any) -> None:
    route = find_route(application, "/any/path/")
    assert route is not None
    assert route.consumer is Chat
    assert str(route) == "(every path) -> Chat"


def test_consumer_that_is_no_websocket_consumer_is_found_too() -> None:
    class Plain(AsyncConsumer):
        async def websocket_connect(self, message: Any) -> None: ...

    assert consumer_for(Plain.as_asgi(), "/") is Plain


def test_route_is_shown_without_running_code_of_the_application() -> None:
    class Explosive:
        @property
        def __name__(self) -> str:
            raise RuntimeError("a property was read")

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None: ...

    endpoint: Any = Explosive()
    route = find_route(URLRouter([path("ws/", endpoint)]), "/ws/")
    assert str(route) == "/ws/ -> Explosive"


def test_routes_are_listed_through_all_layers() -> None:
    application = AuthMiddlewareStack(
        URLRouter(
            [
                path("a/", function_middleware(Chat.as_asgi())),
                path("b/", URLRouter([path("c/", Rooms.as_asgi())])),
            ]
        )
    )
    shown = [str(route) for route in list_routes(application)]
    assert shown == ["/a/ -> Chat", "/b/c/ -> Rooms"]


# Starlette and FastAPI.


def starlette() -> Starlette:
    return Starlette(
        routes=[
            Route("/page", opaque),
            WebSocketRoute("/chat/{room:int}", Chat.as_asgi()),
            Mount("/sub/{team}", routes=[WebSocketRoute("/rooms", Rooms.as_asgi())]),
        ]
    )


def test_starlette_route_gives_consumer_and_parameters() -> None:
    route = find_route(starlette(), "/chat/3")
    assert route is not None
    assert route.consumer is Chat
    assert route.kwargs == {"room": 3}
    assert route.pattern == "/chat/{room:int}"


def test_starlette_mount_is_followed() -> None:
    route = find_route(starlette(), "/sub/blue/rooms")
    assert route is not None
    assert route.consumer is Rooms
    assert route.kwargs == {"team": "blue"}


def test_starlette_routes_of_http_are_not_listed() -> None:
    with pytest.raises(NoRouteError) as caught:
        find_route(starlette(), "/page")
    assert caught.value.routes == (
        "/chat/{room:int} -> Chat",
        "/sub/{team}/rooms -> Rooms",
    )


def test_fastapi_routes_of_included_routers_are_found() -> None:
    router = APIRouter(prefix="/api")

    @router.websocket("/ws/{room}")
    async def endpoint(websocket: WebSocket, room: int) -> None:
        """Handle a connection."""

    application = FastAPI()
    application.include_router(router, prefix="/v1")
    route = find_route(application, "/v1/api/ws/3")
    assert route is not None
    assert route.application is endpoint
    assert route.consumer is None
    assert route.pattern == "/v1/api/ws/{room}"


def test_rest_of_the_site_is_no_route() -> None:
    application = Starlette(
        routes=[
            WebSocketRoute("/chat", Chat.as_asgi()),
            Mount("/", get_asgi_application()),
        ]
    )
    with pytest.raises(NoRouteError) as caught:
        find_route(application, "/chta")
    assert caught.value.nearest == "/chat"


def test_channels_behind_fastapi_is_followed() -> None:
    application = FastAPI()
    application.mount("/live", Chat.as_asgi())
    assert consumer_for(application, "/live/") is Chat
