"""Litestar: websocket handlers and websocket_listener."""
# ruff: noqa: E402 - the package has to be there before its parts are imported

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from chanx_testing.core.client.communicator import WebsocketCommunicator
from chanx_testing.core.client.errors import ConnectionRejected, UnexpectedFrame
from chanx_testing.core.client.lifespan import lifespan as started_once
from tests.support.require import require

require("litestar")

from litestar import Litestar, WebSocket, websocket, websocket_listener
from litestar.channels import ChannelsPlugin
from litestar.channels.backends.memory import MemoryChannelsBackend
from litestar.exceptions import WebSocketDisconnect, WebSocketException


class Said(BaseModel):
    kind: Literal["said"] = "said"
    text: str


left: list[str] = []
channels = ChannelsPlugin(MemoryChannelsBackend(), channels=["room"])


@websocket("/room")
async def room(socket: WebSocket[Any, Any, Any]) -> None:
    """Publish to everybody in the room what one says."""
    if socket.query_params.get("as") == "banned":
        raise WebSocketException(detail="banned", code=4403)
    if socket.query_params.get("as") == "broken":
        raise LookupError("broken connect")
    await socket.accept(subprotocols="chat" if socket.scope["subprotocols"] else None)

    async def forward(data: bytes) -> None:
        await socket.send_text(data)

    try:
        async with (
            channels.start_subscription(["room"]) as subscriber,
            subscriber.run_in_background(forward),
        ):
            while True:
                match await socket.receive_json():
                    case "crash":
                        raise LookupError("broken handler")
                    case "leave":
                        await socket.close(4001, reason="as asked")
                        return
                    case text:
                        channels.publish(Said(text=text).model_dump(), ["room"])
    except WebSocketDisconnect as end:
        left.append(f"room {end.code}")


async def closing(socket: WebSocket[Any, Any, Any]) -> None:
    left.append("listener")
    if socket.query_params.get("careless"):
        raise LookupError("broken disconnect")


@websocket_listener("/double", on_disconnect=closing)
async def double(data: dict[str, int]) -> dict[str, int]:
    return {name: number * 2 for name, number in data.items()}


@websocket_listener("/bytes", receive_mode="binary", send_mode="binary")
async def reverse(data: bytes) -> bytes:
    return data[::-1]


@asynccontextmanager
async def lifespan(app: Litestar) -> AsyncIterator[None]:
    left.append("up")
    yield
    left.append("down")


async def surface(error: Exception, scope: Any) -> None:
    """Raise again what Litestar would turn into a close."""
    raise error


application = Litestar(
    [room, double, reverse],
    lifespan=[lifespan],
    plugins=[channels],
)


@contextmanager
def errors_surface() -> Iterator[None]:
    application.after_exception.append(surface)
    try:
        yield
    finally:
        application.after_exception.remove(surface)


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
    communicator = connection(subprotocols=["chat"])
    assert await communicator.connect() == (True, "chat")
    await communicator.disconnect()
    assert left == ["up", "room 1000", "down"]


async def test_handshake_is_rejected_with_code_and_reason() -> None:
    with pytest.raises(ConnectionRejected, match=r"4403.*banned"):
        async with connection("/room?as=banned"):
            pass


async def test_handshake_without_a_route_is_rejected() -> None:
    assert await handshake("/nowhere") == (False, 4500)


async def test_frames_of_json() -> None:
    async with connection("/double") as communicator:
        await communicator.send_json({"a": 1})
        assert await communicator.receive_json() == {"a": 2}


async def test_frames_of_bytes() -> None:
    async with connection("/bytes") as communicator:
        await communicator.send_bytes(b"abc")
        assert await communicator.receive_from() == b"cba"


async def test_frames_end_with_a_close() -> None:
    async with connection() as communicator:
        await communicator.send_json("leave")
        await communicator.assert_closed(4001, reason="as asked")


async def test_typed_messages_by_message_types() -> None:
    async with connection(message_types=[Said]) as communicator:
        await communicator.send_json("a")
        await communicator.send_json("b")
        assert await communicator.receive_all_messages() == [
            Said(text="a"),
            Said(text="b"),
        ]


async def test_groups_between_two_clients() -> None:
    async with started_once(application), connection() as ann, connection() as bob:
        await ann.send_json("hello")
        assert (await bob.receive_json())["text"] == "hello"
        assert (await ann.receive_json())["text"] == "hello"


async def test_crash_surfaces_through_a_hook_of_the_application() -> None:
    with errors_surface(), pytest.raises(LookupError, match="broken connect"):
        await handshake("/room?as=broken")
    with errors_surface(), pytest.raises(LookupError, match="broken handler"):
        async with connection() as communicator:
            await communicator.send_json("crash")
            await communicator.receive_json()


async def test_crash_is_a_close_with_a_code_without_the_hook() -> None:
    async with connection() as communicator:
        await communicator.send_json("crash")
        await communicator.assert_closed(4500, reason="Internal Server Error")


async def test_crash_on_disconnect_surfaces_through_the_hook() -> None:
    communicator = connection("/double?careless=1")
    await communicator.connect()
    with errors_surface(), pytest.raises(LookupError, match="broken disconnect"):
        await communicator.disconnect()


async def test_cleanup_runs_on_disconnect() -> None:
    communicator = connection()
    await communicator.connect()
    await communicator.disconnect(4000)
    assert left == ["up", "room 4000", "down"]


async def test_cleanup_of_a_listener_runs() -> None:
    async with connection("/double"):
        pass
    assert left == ["up", "listener", "down"]


async def test_nothing_more_is_proved() -> None:
    async with connection("/double") as communicator:
        assert await communicator.receive_nothing()
        verdict = await communicator.wait_until_idle()
        assert verdict, verdict


async def test_nothing_more_is_proved_beside_the_tasks_of_the_plugin() -> None:
    async with connection() as communicator:
        assert await communicator.receive_nothing()
        verdict = await communicator.wait_until_idle()
        assert verdict, verdict


async def test_nothing_more_is_refuted() -> None:
    async with connection() as communicator:
        await communicator.send_json("hello")
        with pytest.raises(UnexpectedFrame, match="hello"):
            await communicator.receive_nothing()
