"""Endpoints of FastAPI as a client meets them."""

import asyncio
from contextlib import asynccontextmanager
from typing import Annotated

import anyio
import pytest
import starlette
from fastapi import (
    BackgroundTasks,
    Depends,
    FastAPI,
    Header,
    HTTPException,
    Query,
    WebSocket,
    WebSocketDisconnect,
    WebSocketException,
)
from pydantic import BaseModel
from starlette.responses import JSONResponse

from chanx_testing.core.client.errors import (
    ApplicationHangs,
    ConnectionIsClosed,
    ConnectionRejected,
    LifespanError,
    NothingCame,
    ProtocolError,
)
from chanx_testing.fast_channels.testing import WebsocketCommunicator, lifespan
from tests.support.http import http_get


def serving(endpoint, path="/ws", **options):
    """An application with one WebSocket endpoint."""
    app = FastAPI(**options)
    app.websocket(path)(endpoint)
    return app


def client(endpoint, path="/ws", **options):
    application = endpoint if isinstance(endpoint, FastAPI) else serving(endpoint)
    return WebsocketCommunicator(application, path, **options)


async def echo(websocket: WebSocket):
    await websocket.accept()
    while True:
        await websocket.send_text(await websocket.receive_text())


# The end of a connection.


async def test_an_endpoint_may_read_until_the_client_has_left():
    async with client(echo) as comm:
        await comm.send_to(text_data="hello")
        assert await comm.receive_from() == "hello"
    assert comm.future.exception() is None


async def test_a_disconnect_that_an_endpoint_makes_up_is_a_crash():
    async def endpoint(websocket: WebSocket):
        await websocket.accept()
        raise WebSocketDisconnect(code=4000)

    with pytest.raises(WebSocketDisconnect):
        async with client(endpoint):
            pass


async def test_a_disconnect_before_the_end_was_read_is_a_crash():
    async def endpoint(websocket: WebSocket):
        await websocket.accept()
        await websocket.receive_text()
        raise WebSocketDisconnect

    comm = client(endpoint)
    await comm.connect()
    await comm.send_to(text_data="go")
    with pytest.raises(WebSocketDisconnect):
        await comm.disconnect()


async def test_a_task_group_may_wrap_the_disconnect():
    async def endpoint(websocket: WebSocket):
        await websocket.accept()
        async with anyio.create_task_group() as group:
            group.start_soon(asyncio.Event().wait)
            await websocket.receive_text()

    async with client(endpoint) as comm:
        pass
    assert comm.future.exception() is None


async def test_what_else_a_task_group_raises_is_a_crash():
    async def endpoint(websocket: WebSocket):
        async def fail():
            raise LookupError("nothing there")

        await websocket.accept()
        async with anyio.create_task_group() as group:
            try:
                await websocket.receive_text()
            finally:
                group.start_soon(fail)
                with anyio.CancelScope(shield=True):
                    await anyio.lowlevel.checkpoint()

    with pytest.raises(ExceptionGroup) as caught:
        async with client(endpoint):
            pass
    assert caught.group_contains(LookupError, match="nothing there")


async def test_an_endpoint_may_catch_the_disconnect():
    seen = []

    async def endpoint(websocket: WebSocket):
        await websocket.accept()
        try:
            await websocket.receive_text()
        except WebSocketDisconnect as end:
            seen.append((end.code, end.reason))

    comm = client(endpoint)
    await comm.connect()
    await comm.disconnect(code=4001, reason="gone home")
    assert seen == [(4001, "gone home")]


async def test_an_error_of_the_clean_up_is_a_crash():
    async def endpoint(websocket: WebSocket):
        await websocket.accept()
        try:
            await websocket.receive_text()
        finally:
            raise LookupError("no such room")

    with pytest.raises(LookupError, match="no such room"):
        async with client(endpoint):
            pass


async def test_an_endpoint_closes_with_code_and_reason():
    async def endpoint(websocket: WebSocket):
        await websocket.accept()
        await websocket.send_text("bye")
        await websocket.close(code=4002, reason="too late")

    async with client(endpoint) as comm:
        closed = await comm.assert_closed(4002, "too late")
        assert [message["text"] for message in closed.messages] == ["bye"]
        with pytest.raises(ConnectionIsClosed) as caught:
            await comm.send_to(text_data="hello?")
        assert (caught.value.code, caught.value.reason) == (4002, "too late")


async def test_an_endpoint_that_ignores_the_end_hangs():
    async def endpoint(websocket: WebSocket):
        await websocket.accept()
        await asyncio.Event().wait()

    comm = client(endpoint)
    await comm.connect()
    with pytest.raises(ApplicationHangs):
        await comm.disconnect()


async def test_an_endpoint_that_crashes():
    async def endpoint(websocket: WebSocket):
        await websocket.accept()
        await websocket.send_text("so far")
        await websocket.receive_text()
        raise LookupError("no such room")

    async with client(endpoint) as comm:
        await comm.send_to(text_data="go")
        assert await comm.receive_from() == "so far"
        with pytest.raises(LookupError, match="no such room"):
            await comm.receive_from()


async def test_a_crash_that_no_verb_meets_fails_the_test():
    async def endpoint(websocket: WebSocket):
        await websocket.accept()
        await websocket.receive_text()
        raise LookupError("no such room")

    with pytest.raises(LookupError, match="no such room"):
        async with client(endpoint) as comm:
            await comm.send_to(text_data="go")


async def test_an_endpoint_that_does_not_answer_the_handshake():
    async def endpoint(websocket: WebSocket):
        await websocket.receive()

    with pytest.raises(NothingCame, match="to accept or close"):
        await client(endpoint).connect()


async def test_a_wait_in_vain_shows_where_the_endpoint_is():
    async with client(echo) as comm:
        with pytest.raises(NothingCame, match="none will come") as caught:
            await comm.receive_from(timeout=60)
        (note,) = caught.value.__notes__
        assert "application: waiting in echo test_fastapi.py:" in note


async def test_a_frame_after_the_close_breaks_a_rule():
    async def endpoint(websocket: WebSocket):
        await websocket.accept()
        await websocket.close()
        # Starlette itself refuses; straight on the wire, as middleware may do.
        await websocket._send({"type": "websocket.send", "text": "still here"})

    with pytest.raises(ProtocolError, match="after it had closed"):
        async with client(endpoint):
            pass


# Frames.


async def test_binary_and_empty_frames():
    async def endpoint(websocket: WebSocket):
        await websocket.accept()
        while True:
            message = await websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            if "text" in message:
                await websocket.send_text(message["text"])
            else:
                await websocket.send_bytes(message["bytes"])

    async with client(endpoint) as comm:
        for text in ("", "text", "\N{SNOWMAN}"):
            await comm.send_to(text_data=text)
            assert await comm.receive_from() == text
        for data in (b"", b"\x00\xff"):
            await comm.send_bytes(data)
            assert await comm.receive_from() == data


async def test_json_as_text_and_as_bytes():
    async def endpoint(websocket: WebSocket):
        await websocket.accept()
        content = await websocket.receive_json()
        await websocket.send_json(content)
        await websocket.send_json(content, mode="binary")

    async with client(endpoint) as comm:
        await comm.send_json({"a": [1]})
        assert await comm.receive_json() == {"a": [1]}
        with pytest.raises(AssertionError, match="Expected a text frame"):
            await comm.receive_json()


async def test_typed_messages_of_an_endpoint():
    class Greeting(BaseModel):
        hello: str

    async def endpoint(websocket: WebSocket):
        await websocket.accept()
        await websocket.send_json({"hello": "world"})
        await websocket.send_json({"hello": "there"})
        await websocket.receive_text()

    async with client(endpoint, message_types=[Greeting]) as comm:
        messages = await comm.receive_all_messages()
    assert messages == [Greeting(hello="world"), Greeting(hello="there")]


async def test_typed_messages_need_types():
    async with client(echo) as comm:
        assert comm.consumer is None
        with pytest.raises(TypeError, match="message_types="):
            await comm.receive_message()


async def test_nothing_more_can_come_of_an_endpoint_that_reads():
    async with client(echo) as comm:
        await comm.receive_nothing(timeout=60)


# The handshake.


async def test_the_subprotocol_that_the_endpoint_chooses():
    async def endpoint(websocket: WebSocket):
        offered = websocket.scope["subprotocols"]
        await websocket.accept(subprotocol=offered[-1], headers=[(b"x-a", b"1")])

    handshake = await client(endpoint, subprotocols=["v1", "v2"]).connect()
    assert handshake == (True, "v2")
    assert handshake.header("X-A") == "1"


async def test_a_subprotocol_that_was_not_offered():
    async def endpoint(websocket: WebSocket):
        await websocket.accept(subprotocol="v3")

    with pytest.raises(AssertionError, match="chose 'v3'"):
        await client(endpoint, subprotocols=["v1", "v2"]).connect()


async def test_what_the_client_sends_reaches_the_parameters():
    async def endpoint(
        websocket: WebSocket,
        room: int,
        tag: Annotated[list[str], Query()],
        token: Annotated[str, Header()],
    ):
        await websocket.accept()
        await websocket.send_json([room, tag, token, str(websocket.url)])

    app = serving(endpoint, "/rooms/{room}")
    headers = [(b"token", b"secret")]
    async with client(app, "/rooms/7?tag=a&tag=b", headers=headers) as comm:
        url = "ws://testserver/rooms/7?tag=a&tag=b"
        assert await comm.receive_json() == [7, ["a", "b"], "secret", url]


async def test_an_endpoint_closes_instead_of_accepting():
    async def endpoint(websocket: WebSocket):
        await websocket.close(code=4003, reason="members only")

    handshake = await client(endpoint).connect()
    assert handshake == (False, 4003)
    assert (handshake.reason, handshake.status) == ("members only", 403)


async def test_a_dependency_refuses_with_a_code():
    def members_only():
        raise WebSocketException(code=1008, reason="members only")

    async def endpoint(websocket: WebSocket, _: Annotated[None, Depends(members_only)]):
        await websocket.accept()

    with pytest.raises(ConnectionRejected, match="members only") as caught:
        async with client(endpoint):
            pass
    assert (caught.value.code, caught.value.reason) == (1008, "members only")


@pytest.mark.skipif(
    tuple(map(int, starlette.__version__.split(".")[:2])) < (0, 41),
    reason="Starlette drops the response that FastAPI makes of the exception",
)
async def test_a_dependency_refuses_with_a_response():
    async def members_only():
        raise HTTPException(402, "Pay first", headers={"x-price": "10"})

    async def endpoint(websocket: WebSocket, _: Annotated[None, Depends(members_only)]):
        await websocket.accept()

    handshake = await client(endpoint).connect()
    assert handshake == (False, 402)
    assert handshake.status == 402
    assert handshake.code is None
    assert handshake.header("X-Price") == "10"
    assert handshake.header("content-type") == "application/json"
    assert handshake.body == b'{"detail":"Pay first"}'


async def test_an_endpoint_answers_with_a_response():
    async def endpoint(websocket: WebSocket):
        response = JSONResponse({"detail": "Pay first"}, 402, {"x-price": "10"})
        await websocket.send_denial_response(response)

    handshake = await client(endpoint).connect()
    assert handshake == (False, 402)
    assert handshake.header("X-Price") == "10"
    assert handshake.body == b'{"detail":"Pay first"}'


async def test_a_denied_connection_does_not_enter():
    async def endpoint(websocket: WebSocket):
        await websocket.send_denial_response(JSONResponse({}, status_code=451))

    with pytest.raises(ConnectionRejected, match="451") as caught:
        async with client(endpoint):
            pass
    assert caught.value.code == 451


async def test_parameters_that_are_wrong_refuse():
    async def endpoint(websocket: WebSocket, number: int):
        await websocket.accept()

    handshake = await client(endpoint, "/ws?number=x").connect()
    assert handshake == (False, 1008)


async def test_a_path_without_an_endpoint_is_refused():
    handshake = await client(echo, "/nowhere").connect()
    assert not handshake.accepted


async def test_a_dependency_that_crashes():
    def broken():
        raise LookupError("no such table")

    async def endpoint(websocket: WebSocket, _: Annotated[None, Depends(broken)]):
        await websocket.accept()

    with pytest.raises(LookupError, match="no such table"):
        await client(endpoint).connect()


async def test_an_overridden_dependency():
    def user():
        return "somebody"

    async def endpoint(websocket: WebSocket, name: Annotated[str, Depends(user)]):
        await websocket.accept()
        await websocket.send_text(name)

    app = serving(endpoint)
    app.dependency_overrides[user] = lambda: "a test"
    async with client(app) as comm:
        assert await comm.receive_from() == "a test"


async def test_a_dependency_is_left_when_the_connection_ends():
    events = []

    async def session():
        events.append("begin")
        try:
            yield
        finally:
            events.append("end")

    async def endpoint(websocket: WebSocket, _: Annotated[None, Depends(session)]):
        await echo(websocket)

    async with client(endpoint) as comm:
        await comm.send_to(text_data="")
        await comm.receive_from()
        assert events == ["begin"]
    assert events == ["begin", "end"]


async def test_a_dependency_in_a_thread_is_waited_for():
    # It works on in a thread, which nobody but the loop hears of.
    def slow():
        return sum(range(200_000))

    async def endpoint(websocket: WebSocket, total: Annotated[int, Depends(slow)]):
        await websocket.accept()
        await websocket.send_json(total)

    async with client(endpoint) as comm:
        assert await comm.receive_json(timeout=60) == sum(range(200_000))


# The lifespan.


def with_lifespan(endpoint, events, *, fails=None):
    @asynccontextmanager
    async def life(app):
        events.append("startup")
        if fails == "startup":
            raise LookupError("no database")
        yield {"pool": {"size": 3}}
        events.append("shutdown")
        if fails == "shutdown":
            raise LookupError("not saved")

    return serving(endpoint, lifespan=life)


async def show_state(websocket: WebSocket):
    await websocket.accept()
    await websocket.send_json(websocket.state.pool)
    await websocket.receive_text()


async def test_the_lifespan_surrounds_a_connection():
    events = []
    async with client(with_lifespan(show_state, events)) as comm:
        assert await comm.receive_json() == {"size": 3}
        assert events == ["startup"]
    assert events == ["startup", "shutdown"]


async def test_the_lifespan_by_hand():
    events = []
    comm = client(with_lifespan(show_state, events))
    assert events == []
    await comm.connect()
    assert events == ["startup"]
    await comm.disconnect()
    assert events == ["startup", "shutdown"]


async def test_the_lifespan_is_shared_inside_a_block():
    events = []
    app = with_lifespan(show_state, events)
    async with lifespan(app) as state:
        assert state == {"pool": {"size": 3}}
        async with client(app) as first, client(app) as second:
            assert await first.receive_json() == {"size": 3}
            state["pool"]["size"] = 4
            assert await second.receive_json() == {"size": 3}
        async with client(app) as third:
            assert await third.receive_json() == {"size": 4}
        assert events == ["startup"]
    assert events == ["startup", "shutdown"]


@pytest.fixture
async def app_that_is_up():
    events = []
    app = with_lifespan(show_state, events)
    async with lifespan(app):
        yield app, events
    assert events == ["startup", "shutdown"]


async def test_the_lifespan_is_shared_by_a_fixture(app_that_is_up):
    app, events = app_that_is_up
    async with client(app) as comm:
        assert await comm.receive_json() == {"size": 3}
    assert events == ["startup"]


async def test_the_lifespan_under_middleware():
    class Middleware:
        def __init__(self, app):
            self.app = app

        async def __call__(self, scope, receive, send):
            await self.app(scope, receive, send)

    events = []
    app = Middleware(with_lifespan(show_state, events))
    async with WebsocketCommunicator(app, "/ws") as comm:
        assert await comm.receive_json() == {"size": 3}
    assert events == ["startup", "shutdown"]


async def test_a_startup_that_fails():
    events = []
    with pytest.raises(LookupError, match="no database"):
        await client(with_lifespan(echo, events, fails="startup")).connect()
    assert events == ["startup"]


async def test_a_startup_that_fails_in_a_shared_block():
    with pytest.raises(LookupError, match="no database"):
        async with lifespan(with_lifespan(echo, [], fails="startup")):
            pytest.fail("the block was entered")


async def test_a_shutdown_that_fails():
    comm = client(with_lifespan(echo, [], fails="shutdown"))
    await comm.connect()
    with pytest.raises(LookupError, match="not saved"):
        await comm.disconnect()


async def test_a_shutdown_that_fails_in_a_shared_block():
    with pytest.raises(LookupError, match="not saved"):
        async with lifespan(with_lifespan(echo, [], fails="shutdown")):
            pass


async def test_a_shutdown_that_fails_leaves_the_failure_of_the_block_on_top():
    with pytest.raises(AssertionError, match="what the test found") as caught:
        async with lifespan(with_lifespan(echo, [], fails="shutdown")):
            raise AssertionError("what the test found")
    note = "While the application was shut down afterwards: LookupError: not saved"
    assert caught.value.__notes__ == [note]


async def test_connections_in_a_block_that_ended_have_their_own_again():
    events = []
    app = with_lifespan(show_state, events)
    with pytest.raises(AssertionError):
        async with lifespan(app):
            raise AssertionError
    async with client(app):
        assert events == ["startup", "shutdown", "startup"]


async def test_an_application_that_says_no_more_than_that_it_failed():
    class App(FastAPI):
        async def __call__(self, scope, receive, send):
            await receive()
            await send({"type": "lifespan.startup.failed", "message": "no disk"})

    with pytest.raises(LifespanError, match="no disk"):
        await client(App()).connect()


# HTTP beside it.


async def test_a_background_task_reaches_a_connection():
    queue = asyncio.Queue()
    app = FastAPI()

    @app.websocket("/ws")
    async def endpoint(websocket: WebSocket):
        await websocket.accept()
        await websocket.send_text(await queue.get())
        await websocket.receive_text()

    @app.get("/announce")
    async def announce(tasks: BackgroundTasks):
        tasks.add_task(queue.put, "news")

    async with client(app) as comm:
        await comm.receive_nothing()
        assert await http_get(app, "/announce") == 200
        assert await comm.receive_from() == "news"


async def test_the_state_of_a_shared_lifespan_reaches_a_connection():
    async def count(websocket: WebSocket):
        await websocket.accept()
        websocket.state.pool["size"] += 1
        await websocket.send_json(websocket.state.pool["size"])

    app = with_lifespan(count, [])
    async with lifespan(app):
        async with client(app) as comm:
            assert await comm.receive_json() == 4
        async with client(app) as comm:
            assert await comm.receive_json() == 5
