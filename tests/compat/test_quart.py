"""Quart: websocket routes."""
# ruff: noqa: E402 - the package has to be there before its parts are imported

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from chanx_testing.core.client.communicator import WebsocketCommunicator
from chanx_testing.core.client.errors import UnexpectedFrame
from chanx_testing.core.client.lifespan import lifespan
from tests.support.require import require

require("quart")

from quart import Quart, abort, websocket

application = Quart(__name__)
# Otherwise Quart turns an exception into a close with code 1000 and a line in the log.
application.config["PROPAGATE_EXCEPTIONS"] = True


class Said(BaseModel):
    kind: Literal["said"] = "said"
    text: str


clients: set["asyncio.Queue[str]"] = set()
left: list[str] = []


@application.before_serving
async def up() -> None:
    left.append("up")


@application.after_serving
async def down() -> None:
    left.append("down")


async def deliver(queue: "asyncio.Queue[str]") -> None:
    while True:
        await websocket.send_json({"kind": "said", "text": await queue.get()})


@application.websocket("/room")
async def room() -> None:
    """Repeat to everybody who is there what one says, as Quart's tutorial does."""
    offered = websocket.requested_subprotocols
    await websocket.accept(subprotocol=offered[-1] if offered else None)
    queue: asyncio.Queue[str] = asyncio.Queue()
    clients.add(queue)
    task = asyncio.create_task(deliver(queue))
    try:
        while True:
            match await websocket.receive_json():
                case "crash":
                    raise LookupError("broken handler")
                case "leave":
                    await websocket.close(4001, "as asked")
                    return
                case text:
                    for client in clients:
                        client.put_nowait(text)
    except asyncio.CancelledError:
        left.append("cancelled")
        raise
    finally:
        clients.discard(queue)
        task.cancel()


@application.websocket("/members")
async def members() -> None:
    match websocket.args.get("as"):
        case "banned":
            await websocket.close(4403, "banned")
        case "broken":
            raise LookupError("broken connect")
        case _:
            abort(401)


@application.websocket("/bytes")
async def reverse() -> None:
    while True:
        data = await websocket.receive()
        await websocket.send(data[::-1])


@application.websocket("/thread")
async def work() -> None:
    """Answer from a thread, where Quart runs what is synchronous."""
    while True:
        text = await websocket.receive()
        await websocket.send(await asyncio.to_thread(text.upper))


def connection(path: str = "/room", **options: Any) -> WebsocketCommunicator:
    return WebsocketCommunicator(application, path, **options)


@contextmanager
def lookup_error(text: str) -> Iterator[None]:
    """Expect a LookupError; some releases of Quart raise it in a group."""
    with pytest.raises((LookupError, ExceptionGroup)) as caught:
        yield
    error = caught.value
    if isinstance(error, ExceptionGroup):
        (error,) = error.exceptions
    assert (type(error), str(error)) == (LookupError, text)


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


async def test_handshake_is_rejected_with_its_code() -> None:
    assert await handshake("/members?as=banned") == (False, 4403)


async def test_handshake_is_denied_with_a_status() -> None:
    accepted, status = await handshake("/members")
    assert (accepted, status) == (False, 401)


async def test_handshake_without_a_route_is_denied() -> None:
    accepted, status = await handshake("/nowhere")
    assert (accepted, status) == (False, 404)


async def test_frames_of_json() -> None:
    async with connection() as communicator:
        await communicator.send_json("hello")
        assert await communicator.receive_json() == {"kind": "said", "text": "hello"}


async def test_frames_of_text_and_of_bytes() -> None:
    async with connection("/bytes") as communicator:
        # Quart accepts with the first send or receive.
        await communicator.send_bytes(b"abc")
        await communicator.send_to(text_data="abc")
        assert await communicator.receive_from() == b"cba"
        assert await communicator.receive_from() == "cba"


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
    async with lifespan(application), connection() as ann, connection() as bob:
        await ann.send_json("hello")
        assert (await bob.receive_json())["text"] == "hello"
        assert (await ann.receive_json())["text"] == "hello"


async def test_crash_before_the_handshake_surfaces() -> None:
    with lookup_error("broken connect"):
        await handshake("/members?as=broken")


async def test_crash_in_a_handler_surfaces() -> None:
    communicator = connection()
    await communicator.connect()
    await communicator.send_json("crash")
    with lookup_error("broken handler"):
        await communicator.receive_json()


async def test_cleanup_runs_on_disconnect() -> None:
    async with connection():
        assert len(clients) == 1
    assert (left, clients) == (["up", "cancelled", "down"], set())


async def test_nothing_more_is_proved() -> None:
    async with connection() as communicator:
        assert await communicator.receive_nothing()
        verdict = await communicator.wait_until_idle()
        assert verdict, verdict


async def test_nothing_more_is_refuted_by_the_work_of_a_thread() -> None:
    async with connection("/thread") as communicator:
        await communicator.send_to(text_data="hello")
        with pytest.raises(UnexpectedFrame, match="HELLO"):
            await communicator.receive_nothing()
