"""The life of a connection: handshake, waits, errors, end."""

import asyncio
import contextvars
import gc
import time
import weakref
from contextlib import contextmanager

import pytest
from asgiref.sync import async_to_sync

from chanx_testing.core import idle
from chanx_testing.core.client import errors
from chanx_testing.core.client.communicator import WebsocketCommunicator
from tests.support import apps

PATH = "/ws/?room=1"


def client(application, **options):
    return WebsocketCommunicator(application, PATH, **options)


class TestConnect:
    async def test_gives_the_subprotocol_when_accepted(self):
        async def application(scope, receive, send):
            await apps.accept(receive, send, subprotocol=scope["subprotocols"][0])
            await receive()

        connection = client(application, subprotocols=["chat.v1"])
        assert await connection.connect() == (True, "chat.v1")
        await connection.disconnect()

    async def test_gives_the_close_code_when_rejected(self):
        connection = client(apps.rejecting(4403, "members only"))
        assert await connection.connect() == (False, 4403)
        assert connection.closed.reason == "members only"
        await connection.disconnect()

    async def test_gives_1000_when_rejected_without_a_code(self):
        connection = client(apps.rejecting())
        assert await connection.connect() == (False, 1000)

    async def test_gives_the_status_of_a_denial_response(self):
        async def application(scope, receive, send):
            await receive()
            await send(
                {"type": "websocket.http.response.start", "status": 401, "headers": []}
            )
            await send({"type": "websocket.http.response.body", "body": b"no"})
            await receive()

        connection = client(application)
        assert await connection.connect() == (False, 401)

    async def test_keeps_the_headers_of_the_answer(self):
        async def application(scope, receive, send):
            await receive()
            await send({"type": "websocket.accept", "headers": [(b"x-room", b"1")]})
            await receive()

        connection = client(application)
        await connection.connect()
        assert connection.response_headers == [(b"x-room", b"1")]

    async def test_raises_what_the_application_raises(self):
        async def application(scope, receive, send):
            raise LookupError("no such room")

        with pytest.raises(LookupError, match="no such room") as caught:
            await client(application).connect()
        assert "application raised LookupError" in caught.value.__notes__[0]

    async def test_says_that_the_application_returned_without_an_answer(self):
        began = time.perf_counter()
        with pytest.raises(errors.NothingCame, match="the application has ended"):
            await client(apps.return_at_once).connect(timeout=30)
        assert time.perf_counter() - began < 10

    async def test_says_that_no_answer_will_come(self):
        connection = client(apps.never_answer)
        with pytest.raises(TimeoutError, match="to accept or close") as caught:
            await connection.connect(timeout=0.05)
        assert "never_answer" in caught.value.__notes__[0]
        assert not connection.future.done()
        connection.stop()

    async def test_refuses_a_second_time(self):
        async with client(apps.silent) as connection:
            with pytest.raises(RuntimeError, match=r"connect\(\) was called twice"):
                await connection.connect()

    async def test_refuses_frames_before_the_accept(self):
        async def application(scope, receive, send):
            await receive()
            await apps.send_json(send, {})

        with pytest.raises(errors.ProtocolError, match="before it answered the hand"):
            await client(application).connect()

    def test_refuses_a_path_that_is_no_string(self):
        with pytest.raises(TypeError, match="path must be a str, not bytes"):
            WebsocketCommunicator(apps.silent, b"/ws/")


class TestScope:
    async def test_may_be_changed_until_the_application_starts(self):
        seen = {}

        async def application(scope, receive, send):
            seen.update(scope)
            await apps.silent(scope, receive, send)

        connection = client(application)
        connection.scope["user"] = "alice"
        async with connection:
            assert seen["user"] == "alice"

    async def test_is_all_the_application_sees_of_the_context_of_the_test(self):
        variable = contextvars.ContextVar("variable", default="unset")
        variable.set("set by the test")
        seen = []

        async def application(scope, receive, send):
            seen.append(variable.get())
            await apps.silent(scope, receive, send)

        async with client(application):
            assert seen == ["unset"]


class TestAsyncWith:
    async def test_opens_and_ends_the_connection(self):
        async with client(apps.echo) as connection:
            await connection.send_to("hello")
            assert await connection.receive_from() == "hello"
        assert connection.future.done()

    async def test_raises_on_a_rejected_handshake_with_code_and_reason(self):
        with pytest.raises(
            errors.ConnectionRejected,
            match=r"rejected by the application with code 4403 \('members only'\)",
        ) as caught:
            async with client(apps.rejecting(4403, "members only")):
                pytest.fail("the body must not run")
        assert (caught.value.code, caught.value.reason) == (4403, "members only")

    async def test_keeps_the_failure_of_the_body_as_the_headline(self):
        async def application(scope, receive, send):
            await apps.silent(scope, receive, send)
            raise LookupError("on leaving")

        with pytest.raises(ZeroDivisionError) as caught:
            async with client(application):
                raise ZeroDivisionError
        notes = "\n".join(caught.value.__notes__)
        assert "ws#" in notes
        assert "disconnected afterwards: LookupError: on leaving" in notes

    async def test_raises_what_the_application_raised_unseen(self):
        with pytest.raises(LookupError, match="no such room"):
            async with client(apps.crash_after_accept) as connection:
                await connection.send_to("hello")


class TestDisconnect:
    async def test_is_idempotent(self):
        connection = client(apps.silent)
        await connection.connect()
        await connection.disconnect()
        await connection.disconnect()

    async def test_does_nothing_without_a_connection(self):
        await client(apps.silent).disconnect()

    async def test_tells_the_application_the_code(self):
        codes = []

        async def application(scope, receive, send):
            await apps.accept(receive, send)
            codes.append((await receive())["code"])

        connection = client(application)
        await connection.connect()
        await connection.disconnect(4000)
        assert codes == [4000]

    async def test_fails_when_the_application_hangs(self):
        connection = client(apps.hang_on_disconnect)
        await connection.connect()
        with pytest.raises(errors.ApplicationHangs, match="hang_on_disconnect"):
            await connection.disconnect(timeout=0.05)
        assert connection.future.cancelled()

    async def test_works_after_a_close_of_the_application(self):
        connection = client(apps.closing(4001))
        await connection.connect()
        await connection.disconnect()
        assert connection.future.done()

    async def test_names_the_tasks_that_outlive_the_application(self):
        async def heartbeat():
            await asyncio.Event().wait()

        async def application(scope, receive, send):
            await apps.accept(receive, send)
            scope["beat"] = asyncio.create_task(heartbeat())
            await receive()

        connection = client(application)
        await connection.connect()
        await connection.disconnect()
        (task,) = connection.leftover_tasks()
        assert task is connection.scope["beat"]
        task.cancel()


@pytest.fixture
def provable_loops():
    """Let the loops of async_to_sync() be ones that can tell when they are idle."""
    with idle.installed():
        yield


@pytest.mark.usefixtures("provable_loops")
class TestLoops:
    def test_is_made_without_a_loop(self):
        connection = client(apps.echo)

        async def scenario():
            async with connection:
                await connection.send_to("hello")
                return await connection.receive_from()

        assert async_to_sync(scenario)() == "hello"

    def test_says_that_a_second_loop_cannot_work(self):
        connection = client(apps.echo)
        first, second = asyncio.new_event_loop(), asyncio.new_event_loop()
        try:
            first.run_until_complete(connection.connect())
            with pytest.raises(errors.WrongEventLoop, match="one async_to_sync"):
                second.run_until_complete(connection.send_to("hello"))
            first.run_until_complete(connection.disconnect())
        finally:
            first.close()
            second.close()

    def test_gives_frames_that_are_there_to_a_second_loop(self):
        connection = client(apps.closing(4000, before=[{"n": 1}]))
        assert async_to_sync(connection.connect)() == (True, None)
        assert async_to_sync(connection.receive_json)() == {"n": 1}
        async_to_sync(connection.disconnect)()


class TestGuard:
    """What surrounds an application is entered where the application runs."""

    async def test_is_entered_and_left_in_the_context_of_the_application(self):
        variable = contextvars.ContextVar("variable", default="test")
        seen = []

        @contextmanager
        def guard():
            token = variable.set("application")
            yield
            variable.reset(token)

        class Guarded(WebsocketCommunicator):
            def application_guard(self):
                return guard()

        async def application(scope, receive, send):
            seen.append(variable.get())
            await apps.silent(scope, receive, send)

        async with Guarded(application, PATH):
            assert variable.get() == "test"
        assert seen == ["application"]

    async def test_is_not_entered_where_the_application_never_runs(self):
        entered = []

        @contextmanager
        def guard():
            entered.append(True)
            yield

        class Guarded(WebsocketCommunicator):
            def application_guard(self):
                return guard()

        communicator = Guarded(apps.silent, PATH)
        communicator.future.cancel()
        await asyncio.wait([communicator.future])
        assert entered == []


class TestEnd:
    """An application is told of the end also where it has refused the handshake."""

    @pytest.mark.parametrize(
        "answer",
        [
            [{"type": "websocket.close", "code": 4403}],
            [
                {"type": "websocket.http.response.start", "status": 403},
                {"type": "websocket.http.response.body"},
            ],
        ],
        ids=["closed", "denied"],
    )
    async def test_with_the_code_of_a_server(self, answer):
        told = []

        async def application(scope, receive, send):
            await receive()
            for message in answer:
                await send(message)
            told.append(await receive())

        connection = client(application)
        accepted, _ = await connection.connect()
        assert not accepted
        await connection.disconnect()
        assert [(event["type"], event["code"]) for event in told] == [
            ("websocket.disconnect", 1006)
        ]

    async def test_a_close_that_the_test_puts_there_is_a_close(self):
        connection = client(apps.silent)
        await connection.connect()
        connection.output_queue.put_nowait({"type": "websocket.close", "code": 4001})
        assert connection.closed.code == 4001
        await connection.assert_closed(4001)
        await connection.disconnect()


class TestNeglect:
    async def test_warns_of_nothing_when_it_is_never_disconnected(self):
        ends = []

        async def application(scope, receive, send):
            try:
                await apps.silent(scope, receive, send)
            except asyncio.CancelledError:
                ends.append("cancelled")
                raise

        # Warnings are errors in this suite.
        connection = client(application)
        await connection.connect()
        del connection
        assert await idle.wait_until_idle()
        assert ends == ["cancelled"]

    async def test_a_dropped_communicator_is_gone_without_a_collection(self):
        """Nothing below the communicator holds it."""
        gc.collect()
        gc.disable()
        try:
            connection = client(apps.silent)
            await connection.connect()
            await connection.send_to("hello")
            gone, task = weakref.ref(connection), connection.future
            del connection
            assert gone() is None
            await asyncio.wait([task])
            assert task.cancelled()
        finally:
            gc.enable()

    async def test_a_connection_that_has_ended_is_gone_without_a_collection(self):
        """Nothing is left in a circle."""
        gc.collect()
        gc.disable()
        try:
            async with client(apps.silent) as connection:
                gone = [weakref.ref(connection._chanx), weakref.ref(connection.future)]
            del connection
            await asyncio.sleep(0)
            assert [reference() for reference in gone] == [None] * 2
        finally:
            gc.enable()

    def test_there_is_one_private_attribute_and_no_private_method(self):
        """Every other private name is free for subclasses."""
        connection = client(apps.silent)
        assert [name for name in vars(connection) if name[0] == "_"] == ["_chanx"]
        private = [
            name
            for owner in type(connection).__mro__[:-1]
            for name in vars(owner)
            if name.startswith("_") and not name.startswith("__")
        ]
        assert private == []

    async def test_stop_cancels_the_application(self):
        connection = client(apps.silent)
        await connection.connect()
        connection.stop()
        await asyncio.wait([connection.future])
        assert connection.future.cancelled()
        await connection.disconnect()

    async def test_stop_raises_what_the_application_raised(self):
        connection = client(apps.crash_after_accept)
        await connection.connect()
        await connection.send_to("go")
        await asyncio.wait([connection.future])
        connection.stop(exceptions=False)
        with pytest.raises(LookupError):
            connection.stop()
