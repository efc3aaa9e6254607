"""FastAPI: endpoints with parameters, dependencies and background work."""
# ruff: noqa: E402 - the package has to be there before its parts are imported

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel

from chanx_testing.core.client.communicator import WebsocketCommunicator
from chanx_testing.core.client.errors import ConnectionRejected, UnexpectedFrame
from tests.support.require import require

require("fastapi")

from fastapi import (
    APIRouter,
    Depends,
    FastAPI,
    Header,
    Query,
    WebSocket,
    WebSocketDisconnect,
    WebSocketException,
)
from fastapi.concurrency import run_in_threadpool


class Said(BaseModel):
    kind: Literal["said"] = "said"
    room: int
    text: str


class Manager:
    """Who is in which room, as the tutorial of FastAPI has it."""

    def __init__(self) -> None:
        self.clients: dict[int, set[WebSocket]] = {}

    async def broadcast(self, room: int, text: str) -> None:
        for client in list(self.clients[room]):
            await client.send_json(Said(room=room, text=text).model_dump())


manager = Manager()
closed: list[str] = []


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.pool = "open"
    yield
    app.state.pool = "closed"


application = FastAPI(lifespan=lifespan)
router = APIRouter(prefix="/v1")


async def user(token: Annotated[str | None, Query()] = None) -> str:
    if token is None:
        raise WebSocketException(4401, reason="no token")
    return token


async def resource() -> AsyncIterator[str]:
    yield "resource"
    closed.append("resource")


@router.websocket("/rooms/{room}")
async def rooms(
    websocket: WebSocket, room: int, name: Annotated[str, Depends(user)]
) -> None:
    await websocket.accept()
    manager.clients.setdefault(room, set()).add(websocket)
    try:
        while True:
            match await websocket.receive_json():
                case "crash":
                    raise LookupError("broken handler")
                case "leave":
                    await websocket.close(4001, reason="as asked")
                    return
                case text:
                    await manager.broadcast(room, f"{name}: {text}")
    except WebSocketDisconnect as end:
        closed.append(f"{name} {end.code}")
    finally:
        manager.clients[room].discard(websocket)


@router.websocket("/work")
async def work(
    websocket: WebSocket,
    thing: Annotated[str, Depends(resource)],
    x_team: Annotated[str, Header()] = "none",
) -> None:
    """Answer from a task, after a thread has done the work."""

    async def answer() -> None:
        text = await run_in_threadpool(lambda: f"{thing} of {x_team}")
        await websocket.send_text(text)

    await websocket.accept()
    tasks = [asyncio.create_task(answer()) async for _ in websocket.iter_text()]
    await asyncio.gather(*tasks)


@router.websocket("/broken")
async def broken(websocket: WebSocket) -> None:
    raise LookupError("broken connect")


application.include_router(router)


def connection(
    path: str = "/v1/rooms/1?token=ann", **options: Any
) -> WebsocketCommunicator:
    return WebsocketCommunicator(application, path, **options)


async def handshake(path: str, **options: Any) -> tuple[bool, Any]:
    """Connect, end the connection again, and return how the handshake was answered."""
    communicator = connection(path, **options)
    try:
        return tuple(await communicator.connect())
    finally:
        await communicator.disconnect()


@pytest.fixture(autouse=True)
def nobody_there() -> None:
    closed.clear()
    manager.clients.clear()


async def test_handshake_is_accepted() -> None:
    async with connection() as communicator:
        assert communicator.closed is None
        assert application.state.pool == "open"
    assert application.state.pool == "closed"


async def test_handshake_is_rejected_by_a_dependency() -> None:
    assert await handshake("/v1/rooms/1") == (False, 4401)
    with pytest.raises(ConnectionRejected, match="no token"):
        async with connection("/v1/rooms/1"):
            pass


async def test_handshake_with_a_wrong_parameter_is_rejected() -> None:
    assert await handshake("/v1/rooms/one?token=ann") == (False, 1008)


async def test_frames_of_json() -> None:
    async with connection() as communicator:
        await communicator.send_json("hello")
        assert (await communicator.receive_json())["text"] == "ann: hello"


async def test_frames_of_text_from_a_thread() -> None:
    async with connection("/v1/work", headers=[(b"x-team", b"red")]) as communicator:
        await communicator.send_to(text_data="go")
        assert await communicator.receive_from() == "resource of red"


async def test_frames_end_with_a_close() -> None:
    async with connection() as communicator:
        await communicator.send_json("leave")
        await communicator.assert_closed(4001, reason="as asked")


async def test_typed_messages_by_message_types() -> None:
    async with connection(message_types=[Said]) as communicator:
        await communicator.send_json("hello")
        assert await communicator.receive_message() == Said(room=1, text="ann: hello")


async def test_groups_between_two_clients() -> None:
    async with (
        connection() as ann,
        connection("/v1/rooms/1?token=bob") as bob,
        connection("/v1/rooms/2?token=eve") as eve,
    ):
        await ann.send_json("hello")
        assert (await bob.receive_json())["text"] == "ann: hello"
        assert (await ann.receive_json())["text"] == "ann: hello"
        assert await eve.receive_nothing()


async def test_crash_before_the_handshake_surfaces() -> None:
    with pytest.raises(LookupError, match="broken connect"):
        await handshake("/v1/broken")


async def test_crash_in_a_handler_surfaces() -> None:
    communicator = connection()
    await communicator.connect()
    await communicator.send_json("crash")
    with pytest.raises(LookupError, match="broken handler"):
        await communicator.receive_json()


async def test_cleanup_runs_on_disconnect() -> None:
    communicator = connection()
    await communicator.connect()
    await communicator.disconnect(4000)
    assert (closed, manager.clients) == (["ann 4000"], {1: set()})


async def test_cleanup_of_dependencies_runs() -> None:
    async with connection("/v1/work"):
        pass
    assert closed == ["resource"]


async def test_nothing_more_is_proved() -> None:
    async with connection() as communicator, connection("/v1/work") as worker:
        assert await communicator.receive_nothing()
        await worker.send_to(text_data="go")
        await worker.receive_from()
        verdict = await worker.wait_until_idle()
        assert verdict, verdict


async def test_nothing_more_is_refuted_by_the_work_of_a_thread() -> None:
    async with connection("/v1/work") as communicator:
        await communicator.send_to(text_data="go")
        with pytest.raises(UnexpectedFrame, match="resource of none"):
            await communicator.receive_nothing()
