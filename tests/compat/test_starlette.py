"""Starlette: function endpoints and WebSocketEndpoint."""
# ruff: noqa: E402 - the package has to be there before its parts are imported

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from chanx_testing.core.client.communicator import WebsocketCommunicator
from chanx_testing.core.client.errors import ConnectionRejected, UnexpectedFrame
from tests.support.require import require

require("starlette")

import starlette
from starlette.applications import Starlette
from starlette.endpoints import WebSocketEndpoint
from starlette.exceptions import HTTPException, WebSocketException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect


class Said(BaseModel):
    kind: Literal["said"] = "said"
    text: str


clients: set[WebSocket] = set()
left: list[tuple[int, str]] = []


async def room(websocket: WebSocket) -> None:
    """Repeat to everybody who is there what one says."""
    subprotocols = websocket.scope["subprotocols"]
    await websocket.accept(subprotocol=subprotocols[-1] if subprotocols else None)
    clients.add(websocket)
    try:
        while True:
            content = await websocket.receive_json()
            if content == "crash":
                raise LookupError("broken handler")
            if content == "leave":
                await websocket.close(4001, reason="as asked")
                break
            for client in list(clients):
                await client.send_json({"kind": "said", "text": content})
    except WebSocketDisconnect as end:
        left.append((end.code, end.reason))
    finally:
        clients.discard(websocket)


async def members(websocket: WebSocket) -> None:
    match websocket.query_params.get("as"):
        case None:
            await websocket.close(4401, reason="who are you?")
        case "denied":
            await websocket.send_denial_response(PlainTextResponse("no", 402))
        case "banned":
            raise WebSocketException(4403, reason="banned")
        case "lost":
            raise HTTPException(404)
        case "broken":
            raise LookupError("broken connect")


class Bytes(WebSocketEndpoint):
    encoding = "bytes"

    async def on_receive(self, websocket: WebSocket, data: Any) -> None:
        await websocket.send_bytes(data[::-1])

    async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
        left.append((close_code, "on_disconnect"))
        if websocket.query_params.get("careless"):
            raise LookupError("broken disconnect")


async def counter(websocket: WebSocket) -> None:
    await websocket.accept()
    state = websocket.state.started
    await websocket.send_json([state, websocket.path_params["name"]])
    await websocket.close()


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[dict[str, Any]]:
    yield {"started": "yes"}


application = Starlette(
    routes=[
        WebSocketRoute("/room", room),
        WebSocketRoute("/members", members),
        WebSocketRoute("/bytes", Bytes),
        Mount("/inner", routes=[WebSocketRoute("/{name}", counter)]),
    ],
    middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=["*"])],
    lifespan=lifespan,
)


def connection(path: str = "/room", **options: Any) -> WebsocketCommunicator:
    return WebsocketCommunicator(application, path, **options)


async def handshake(path: str, **options: Any) -> tuple[bool, Any]:
    """Connect, end the connection again, and return how the handshake was answered."""
    communicator = connection(path, **options)
    try:
        return tuple(await communicator.connect())
    finally:
        await communicator.disconnect()


@pytest.fixture(autouse=True)
def nobody_left() -> None:
    left.clear()


async def test_handshake_is_accepted_with_a_subprotocol() -> None:
    communicator = connection(subprotocols=["a", "b"])
    assert await communicator.connect() == (True, "b")
    await communicator.disconnect()


async def test_handshake_is_rejected_with_code_and_reason() -> None:
    communicator = connection("/members")
    assert await communicator.connect() == (False, 4401)
    assert communicator.closed is not None
    assert communicator.closed.reason == "who are you?"


async def test_handshake_is_rejected_by_an_exception() -> None:
    with pytest.raises(ConnectionRejected, match=r"4403.*banned"):
        async with connection("/members?as=banned"):
            pass


DROPS_EXCEPTIONS = pytest.mark.skipif(
    tuple(map(int, starlette.__version__.split(".")[:2])) < (0, 41),
    reason="Starlette drops the response that it makes of the exception",
)


@pytest.mark.parametrize(
    ("who", "status"),
    [("denied", 402), pytest.param("lost", 404, marks=DROPS_EXCEPTIONS)],
)
async def test_handshake_is_denied_with_a_status(who: str, status: int) -> None:
    accepted, seen = await handshake(f"/members?as={who}")
    assert (accepted, seen) == (False, status)


async def test_handshake_without_a_route_is_rejected() -> None:
    accepted, _ = await handshake("/nowhere")
    assert not accepted


async def test_frames_of_json() -> None:
    async with connection() as communicator:
        await communicator.send_json("hello")
        assert await communicator.receive_json() == {"kind": "said", "text": "hello"}


async def test_frames_of_bytes() -> None:
    async with connection("/bytes") as communicator:
        await communicator.send_bytes(b"abc")
        assert await communicator.receive_from() == b"cba"


async def test_frames_end_with_a_close() -> None:
    async with connection() as communicator:
        await communicator.send_json("leave")
        await communicator.assert_closed(4001, reason="as asked")


async def test_frames_with_state_of_the_lifespan_and_path_parameters() -> None:
    async with connection("/inner/ann") as communicator:
        assert await communicator.receive_json() == ["yes", "ann"]


async def test_typed_messages_by_message_types() -> None:
    async with connection(message_types=[Said]) as communicator:
        await communicator.send_json("a")
        await communicator.send_json("b")
        assert await communicator.receive_all_messages() == [
            Said(text="a"),
            Said(text="b"),
        ]


async def test_groups_between_two_clients() -> None:
    async with connection() as ann, connection() as bob:
        await ann.send_json("hello")
        assert (await bob.receive_json())["text"] == "hello"
        assert (await ann.receive_json())["text"] == "hello"


async def test_crash_before_the_handshake_surfaces() -> None:
    with pytest.raises(LookupError, match="broken connect"):
        await handshake("/members?as=broken")


async def test_crash_in_a_handler_surfaces() -> None:
    communicator = connection()
    await communicator.connect()
    await communicator.send_json("crash")
    with pytest.raises(LookupError, match="broken handler"):
        await communicator.receive_json()


async def test_crash_on_disconnect_surfaces() -> None:
    communicator = connection("/bytes?careless=1")
    await communicator.connect()
    with pytest.raises(LookupError, match="broken disconnect"):
        await communicator.disconnect()


async def test_cleanup_of_a_function_runs_with_code_and_reason() -> None:
    communicator = connection()
    await communicator.connect()
    assert len(clients) == 1
    await communicator.disconnect(4000, reason="bye")
    assert (left, clients) == ([(4000, "bye")], set())


async def test_cleanup_of_an_endpoint_runs() -> None:
    async with connection("/bytes"):
        pass
    assert left == [(1000, "on_disconnect")]


def test_cleanup_where_the_test_leaves_is_quiet(
    caplog: pytest.LogCaptureFixture,
) -> None:
    asyncio.run(connection().connect())
    gc.collect()
    assert caplog.text == ""


async def test_nothing_more_is_proved() -> None:
    async with connection() as communicator, connection("/bytes") as other:
        assert await communicator.receive_nothing()
        assert await other.receive_nothing()
        verdict = await communicator.wait_until_idle()
        assert verdict, verdict


async def test_nothing_more_is_refuted() -> None:
    async with connection() as communicator:
        await communicator.send_json("hello")
        with pytest.raises(UnexpectedFrame, match="hello"):
            await communicator.receive_nothing()
