"""The application and the consumer behind a path are found without calling them."""

import functools
import pickle
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from channels.auth import AuthMiddlewareStack
from channels.consumer import AsyncConsumer
from channels.generic.websocket import AsyncWebsocketConsumer, JsonWebsocketConsumer
from channels.routing import ChannelNameRouter, ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator, OriginValidator
from django.core.asgi import get_asgi_application
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings
from django.urls import path, re_path, register_converter
from fastapi import APIRouter, FastAPI, WebSocket
from starlette.applications import Starlette
from starlette.routing import Mount, Route, WebSocketRoute

from chanx_testing.channels.routing import (
    ApplicationNotCallableError,
    ApplicationNotConfiguredError,
    ApplicationNotFoundError,
    ApplicationNotImportableError,
    NoRouteError,
    NoWebsocketError,
    consumer_for,
    find_route,
    get_websocket_application,
    list_routes,
)
from tests.support import asgi

Asgi = Callable[..., Any]


class Chat(AsyncWebsocketConsumer):
    """Any consumer."""


class Rooms(JsonWebsocketConsumer):
    """Another one, synchronous."""


class Upper:
    """Converts to upper case."""

    regex = "[a-z]+"

    def to_python(self, value: str) -> str:
        return value.upper()

    def to_url(self, value: str) -> str:
        return value.lower()


register_converter(Upper, "upper")


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


# The application of the settings.


@pytest.fixture
def module() -> Iterator[types.ModuleType]:
    """A module that can be imported as ``some_asgi``."""
    made = types.ModuleType("some_asgi")
    sys.modules["some_asgi"] = made
    yield made
    del sys.modules["some_asgi"]


def test_application_is_not_configured() -> None:
    with (
        override_settings(ASGI_APPLICATION=None),
        pytest.raises(ApplicationNotConfiguredError) as caught,
    ):
        get_websocket_application()
    assert str(caught.value) == (
        "settings.ASGI_APPLICATION is not set. Set it to the path of the application, "
        "such as 'mysite.asgi.application', or give the test a router of its own."
    )
    assert isinstance(caught.value, ImproperlyConfigured)


@pytest.mark.parametrize("setting", ["application", "mysite.asgi:application", "a."])
def test_application_is_no_dotted_path(setting: str) -> None:
    with (
        override_settings(ASGI_APPLICATION=setting),
        pytest.raises(ApplicationNotConfiguredError) as caught,
    ):
        get_websocket_application()
    assert str(caught.value).startswith(
        f"settings.ASGI_APPLICATION is {setting!r}, not a dotted path."
    )


def test_application_module_does_not_exist() -> None:
    with (
        override_settings(ASGI_APPLICATION="no_such_module.application"),
        pytest.raises(ApplicationNotImportableError) as caught,
    ):
        get_websocket_application()
    assert str(caught.value) == (
        "settings.ASGI_APPLICATION is 'no_such_module.application', but importing "
        "'no_such_module' raised ModuleNotFoundError: No module named 'no_such_module'"
    )


def test_application_module_that_raises_keeps_its_cause(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_asgi.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    with (
        override_settings(ASGI_APPLICATION="broken_asgi.application"),
        pytest.raises(ApplicationNotImportableError) as caught,
    ):
        get_websocket_application()
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_application_attribute_is_missing(module: types.ModuleType) -> None:
    module.application = opaque  # type: ignore[attr-defined]
    with (
        override_settings(ASGI_APPLICATION="some_asgi.aplication"),
        pytest.raises(ApplicationNotFoundError) as caught,
    ):
        get_websocket_application()
    assert str(caught.value) == (
        "settings.ASGI_APPLICATION is 'some_asgi.aplication', but the module "
        "'some_asgi' has no 'aplication'. Did you mean 'some_asgi.application'?"
    )


def test_application_is_not_callable(module: types.ModuleType) -> None:
    module.application = {"websocket": opaque}  # type: ignore[attr-defined]
    with (
        override_settings(ASGI_APPLICATION="some_asgi.application"),
        pytest.raises(ApplicationNotCallableError) as caught,
    ):
        get_websocket_application()
    assert str(caught.value) == (
        "settings.ASGI_APPLICATION is 'some_asgi.application', which is a dict: an "
        "ASGI application is called with scope, receive and send."
    )


@pytest.mark.parametrize(
    "application",
    [
        get_asgi_application(),
        ProtocolTypeRouter({"http": opaque}),
        ClassMiddleware(ProtocolTypeRouter({"http": opaque})),
    ],
)
def test_application_answers_no_websocket(
    module: types.ModuleType, application: Any
) -> None:
    module.application = application  # type: ignore[attr-defined]
    with (
        override_settings(ASGI_APPLICATION="some_asgi.application"),
        pytest.raises(NoWebsocketError, match="it has: 'http'"),
    ):
        get_websocket_application()


def test_application_is_returned_whole() -> None:
    assert get_websocket_application() is asgi.application


def test_opaque_application_is_returned_as_it_is(module: types.ModuleType) -> None:
    module.application = opaque  # type: ignore[attr-defined]
    with override_settings(ASGI_APPLICATION="some_asgi.application"):
        assert get_websocket_application() is opaque
