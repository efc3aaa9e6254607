"""The life of a connection: handshake, waits, errors, end."""

import asyncio
import contextvars
import pickle
import time

import pytest
from asgiref.sync import async_to_sync

from chanx_testing.core import idle
from chanx_testing.core.client import errors
from chanx_testing.core.client.communicator import WebsocketCommunicator
from chanx_testing.core.client.connection import connections_kept
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


class TestReceiveOutput:
    async def test_leaves_the_application_alive_after_a_timeout(self):
        async with client(apps.echo) as connection:
            with pytest.raises(asyncio.TimeoutError):
                await connection.receive_output(timeout=0.01)
            await connection.send_to("still there")
            assert await connection.receive_from() == "still there"

    async def test_ends_with_the_exception_of_the_application_not_the_timeout(self):
        connection = client(apps.crash_after_accept)
        await connection.connect()
        await connection.send_to("hello")
        began = time.perf_counter()
        with pytest.raises(LookupError):
            await connection.receive_output(timeout=30)
        assert time.perf_counter() - began < 10

    async def test_gives_the_frames_before_the_crash(self):
        connection = client(apps.three_frames_then_crash)
        await connection.connect()
        await connection.send_to("go")
        assert [(await connection.receive_json())["payload"] for _ in range(3)] == [
            0,
            1,
            2,
        ]
        with pytest.raises(LookupError):
            await connection.receive_json()

    async def test_says_how_the_connection_was_closed(self):
        connection = client(apps.closing(4001, "bye"))
        await connection.connect()
        assert (await connection.receive_output())["code"] == 4001
        with pytest.raises(errors.NothingCame, match=r"code 4001 \('bye'\)"):
            await connection.receive_output(timeout=30)

    async def test_loses_no_frame_when_cancelled(self):
        async with client(apps.echo) as connection:
            for _ in range(10):
                with pytest.raises(asyncio.TimeoutError):
                    async with asyncio.timeout(0.001):
                        await connection.receive_output(timeout=10)
            await connection.send_to("hello")
            assert await connection.receive_from() == "hello"

    async def test_lets_a_cancellation_pass_and_leaves_no_trace_of_it(self):
        async with client(apps.silent) as connection:
            task = asyncio.create_task(connection.receive_output(timeout=None))
            await connection.wait_until_idle(timeout=0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert asyncio.current_task().cancelling() == 0

    async def test_leaves_the_task_fit_for_a_task_group_after_timeouts(self):
        async with client(apps.silent) as connection:
            with pytest.raises(asyncio.TimeoutError):
                async with asyncio.timeout(0.001):
                    await connection.receive_output()
            async with asyncio.TaskGroup() as group:
                group.create_task(connection.send_to("hello"))
            assert asyncio.current_task().cancelling() == 0

    async def test_serves_two_receivers_at_once(self):
        async with client(apps.echo) as connection:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(connection.receive_from()) for _ in "ab"]
                await connection.send_to("a")
                await connection.send_to("b")
            assert sorted(task.result() for task in tasks) == ["a", "b"]

    async def test_takes_frames_in_bulk(self):
        async with client(apps.echo) as connection:
            for number in range(1000):
                await connection.send_to(str(number))
            assert [await connection.receive_from() for _ in range(1000)] == [
                str(number) for number in range(1000)
            ]


class TestBeforeConnect:
    async def test_nothing_can_come_and_every_verb_says_so(self):
        connection = client(apps.echo)
        for verb in (
            connection.receive_output,
            connection.receive_from,
            connection.receive_json,
            connection.receive_all_json,
            connection.receive_nothing,
            connection.assert_closed,
        ):
            with pytest.raises(errors.NotConnected, match=r"await connect\(\) first"):
                await verb()

    async def test_a_timeout_is_a_number_of_seconds(self):
        with pytest.raises(TypeError, match="number of seconds or None, not '1'"):
            await client(apps.echo).connect(timeout="1")

    @pytest.mark.parametrize("headers", [{"a": "b"}, [("a", "b")], "a: b", [b"a"]])
    def test_headers_are_pairs_of_bytes(self, headers):
        with pytest.raises(TypeError, match="of bytes, such as"):
            client(apps.echo, headers=headers)


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

    async def test_raises_a_crash_once(self):
        connection = client(apps.crash_after_accept)
        await connection.connect()
        await connection.send_to("hello")
        with pytest.raises(LookupError):
            await connection.disconnect()
        await connection.disconnect()

    async def test_is_silent_about_a_crash_that_the_test_has_seen(self):
        connection = client(apps.crash_after_accept)
        await connection.connect()
        await connection.send_to("hello")
        with pytest.raises(LookupError):
            await connection.receive_output()
        await connection.disconnect()

    async def test_lets_an_expected_error_pass(self):
        connection = client(apps.crash_after_accept)
        connection.expect_errors(LookupError)
        await connection.connect()
        await connection.send_to("hello")
        await connection.disconnect()

    async def test_lets_only_errors_of_the_expected_type_pass(self):
        connection = client(apps.crash_after_accept)
        connection.expect_errors(ValueError)
        await connection.connect()
        await connection.send_to("hello")
        with pytest.raises(LookupError):
            await connection.disconnect()

    async def test_fails_where_errors_were_expected_and_none_came(self):
        connection = client(apps.silent)
        connection.expect_errors(LookupError)
        await connection.connect()
        with pytest.raises(AssertionError, match=r"\(LookupError\), but none came"):
            await connection.disconnect()
        await connection.disconnect()

    async def test_expects_classes_of_exceptions_only(self):
        with pytest.raises(TypeError, match="takes classes of exceptions, not 'Look"):
            client(apps.silent).expect_errors("LookupError")

    async def test_works_after_a_close_of_the_application(self):
        connection = client(apps.closing(4001))
        await connection.connect()
        await connection.disconnect()
        assert connection.future.done()

    async def test_raises_what_a_task_raised_that_the_application_left(self):
        async def broken():
            raise LookupError("in the background")

        async def application(scope, receive, send):
            await apps.accept(receive, send)
            await receive()
            # Nobody keeps it, as happens to fire-and-forget tasks.
            asyncio.get_running_loop().create_task(broken())
            await receive()

        connection = client(application)
        await connection.connect()
        await connection.send_to("go")
        with pytest.raises(LookupError, match="in the background") as caught:
            await connection.disconnect()
        assert any("left behind" in note for note in caught.value.__notes__)

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


class TestWait:
    async def test_returns_when_the_application_has_ended(self):
        connection = client(apps.closing(1000))
        await connection.connect()
        await connection.wait()
        assert connection.future.done()

    async def test_raises_what_the_application_raised(self):
        connection = client(apps.crash_after_accept)
        await connection.connect()
        await connection.send_to("hello")
        with pytest.raises(LookupError):
            await connection.wait()

    async def test_leaves_an_application_at_rest_alive(self):
        async with client(apps.silent) as connection:
            await connection.wait()
            assert not connection.future.done()


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

    async def test_a_test_case_can_keep_what_starts_in_it(self):
        with connections_kept() as kept:
            await client(apps.silent).connect()
            async with client(apps.silent) as second:
                client(apps.silent)
        first, other = kept
        assert other is second
        assert not first.future.done()
        await first.disconnect()


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


class TestErrors:
    async def test_can_be_pickled_with_their_data_and_notes(self):
        with pytest.raises(errors.ConnectionRejected) as caught:
            await client(apps.rejecting(4403, "no")).__aenter__()
        copy = pickle.loads(pickle.dumps(caught.value))
        assert (str(copy), copy.code, copy.reason, copy.__notes__) == (
            str(caught.value),
            4403,
            "no",
            caught.value.__notes__,
        )

    async def test_never_show_secrets(self):
        connection = WebsocketCommunicator(
            apps.silent,
            "/ws/?token=s3cret&page=2",
            headers=[(b"cookie", b"sessionid=s3cret")],
        )
        await connection.connect()
        await connection.send_json({"password": "s3cret", "name": "alice"})
        with pytest.raises(TimeoutError) as caught:
            await connection.receive_output(timeout=0.01)
        text = str(caught.value) + "".join(caught.value.__notes__)
        assert "s3cret" not in text
        assert "page=2" in text
        assert "alice" in text
        await connection.disconnect()
