"""Which applications the communicator takes, and which consumers it finds."""

import pytest
from channels.generic.websocket import AsyncWebsocketConsumer as ChannelsConsumer
from fast_channels.consumer import AsyncWebsocketConsumer as FastConsumer
from fast_channels.middleware import BaseMiddleware
from fastapi import APIRouter, FastAPI, WebSocket
from starlette.applications import Starlette
from starlette.endpoints import WebSocketEndpoint
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Mount, Router, WebSocketRoute

from chanx_testing.core.client.errors import ConnectionRejected
from chanx_testing.core.decorators import ws_handler
from chanx_testing.fast_channels.testing import WebsocketCommunicator
from chanx_testing.fast_channels.websocket import AsyncJsonWebsocketConsumer
from chanx_testing.messages.incoming import PingMessage
from chanx_testing.messages.outgoing import PongMessage


class PingConsumer(AsyncJsonWebsocketConsumer):
    @ws_handler
    async def ping(self, message: PingMessage) -> PongMessage:
        return PongMessage()


class EchoEndpoint(WebSocketEndpoint):
    encoding = "text"

    async def on_receive(self, websocket, data):
        await websocket.send_text(data)


async def echo_function(websocket: WebSocket):
    await websocket.accept()
    async for text in websocket.iter_text():
        await websocket.send_text(text)


def fastapi_endpoint():
    app = FastAPI()
    app.websocket("/ws")(echo_function)
    return app


def fastapi_router():
    router = APIRouter(prefix="/ws")
    router.websocket("")(echo_function)
    app = FastAPI()
    app.include_router(router)
    return app


def asgi_2(scope):
    async def instance(receive, send):
        await EchoEndpoint(scope, receive, send)

    return instance


ECHOES = {
    "a FastAPI endpoint": fastapi_endpoint(),
    "a router of FastAPI": fastapi_router(),
    "Starlette": Starlette(routes=[WebSocketRoute("/ws", echo_function)]),
    "a router": Router([WebSocketRoute("/ws", EchoEndpoint)]),
    "a route": WebSocketRoute("/ws", EchoEndpoint),
    "a mount": Mount("/", routes=[WebSocketRoute("/ws", EchoEndpoint)]),
    "a class of endpoints": EchoEndpoint,
    "middleware": CORSMiddleware(fastapi_endpoint()),
    "an application of ASGI 2": asgi_2,
}


@pytest.mark.parametrize("app", ECHOES.values(), ids=ECHOES)
async def test_an_application_that_echoes(app):
    async with WebsocketCommunicator(app, "/ws") as comm:
        assert comm.consumer is None
        await comm.send_to(text_data="hello")
        assert await comm.receive_from() == "hello"


def starlette_with(target):
    return Starlette(routes=[WebSocketRoute("/ws", target)])


def fastapi_with(target):
    app = FastAPI()
    app.router.add_websocket_route("/ws", target)
    return app


def sub_application_with(target):
    inner, app = FastAPI(), FastAPI()
    inner.router.add_websocket_route("/", target)
    app.mount("/ws", inner)
    return app


def mounted_bare(target):
    app = FastAPI()
    app.mount("/ws", target)
    return app


def under_middleware(target):
    cors = Middleware(CORSMiddleware, allow_origins=["*"])
    inner = Starlette(routes=[WebSocketRoute("/ws", target)], middleware=[cors])
    return CORSMiddleware(inner)


def route_under_middleware(target):
    return starlette_with(BaseMiddleware(target))


PLACES = {
    "its class": ("/ws", lambda app: PingConsumer),
    "bare": ("/ws", lambda app: app),
    "a route of Starlette": ("/ws", starlette_with),
    "a route of FastAPI": ("/ws", fastapi_with),
    "a sub-application": ("/ws/", sub_application_with),
    "a mount": ("/ws/", mounted_bare),
    "middleware": ("/ws", under_middleware),
    "middleware of a route": ("/ws", route_under_middleware),
}


@pytest.mark.parametrize(("path", "place"), PLACES.values(), ids=PLACES)
async def test_a_consumer_is_found(path, place):
    app = place(PingConsumer.as_asgi())
    async with WebsocketCommunicator(app, path) as comm:
        assert comm.consumer is PingConsumer
        await comm.send_message(PingMessage())
        assert await comm.receive_all_messages() == [PongMessage()]


@pytest.mark.parametrize("base", [FastConsumer, ChannelsConsumer])
async def test_a_consumer_that_is_not_ours(base):
    class EchoConsumer(base):
        async def receive(self, text_data=None, bytes_data=None):
            await self.send(text_data=text_data, bytes_data=bytes_data)

    async with WebsocketCommunicator(EchoConsumer, "/ws") as comm:
        assert comm.consumer is EchoConsumer
        await comm.send_to(text_data="hello")
        assert await comm.receive_from() == "hello"
        with pytest.raises(TypeError, match="EchoConsumer declares no messages"):
            await comm.receive_message()


async def test_a_consumer_that_is_given_wins():
    class Other(PingConsumer):
        pass

    comm = WebsocketCommunicator(PingConsumer.as_asgi(), "/ws", consumer=Other)
    assert comm.consumer is Other


async def test_a_rejection_lists_the_routes_where_none_leads_to_the_path():
    app = sub_application_with(PingConsumer.as_asgi())
    with pytest.raises(ConnectionRejected) as caught:
        async with WebsocketCommunicator(app, "/ws"):
            pass
    assert (
        "No WebSocket route for '/ws'.\n"
        "The application has these routes:\n"
        "  /ws/ -> PingConsumer\n"
        "Did you mean '/ws/'?"
    ) in caught.value.__notes__


async def test_a_rejection_by_an_endpoint_has_nothing_to_do_with_routes():
    async def members_only(websocket: WebSocket):
        await websocket.close()

    with pytest.raises(ConnectionRejected) as caught:
        async with WebsocketCommunicator(starlette_with(members_only), "/ws"):
            pass
    assert not any("route" in note for note in caught.value.__notes__)


async def test_without_a_route_there_is_no_consumer_and_the_application_refuses():
    comm = WebsocketCommunicator(fastapi_with(PingConsumer.as_asgi()), "/nowhere")
    assert comm.consumer is None
    assert not (await comm.connect()).accepted
