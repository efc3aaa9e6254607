"""Frames of data, sent and received."""

import asyncio
import datetime
import decimal
import time
import uuid

import pytest

from chanx_testing.core.client import errors
from chanx_testing.core.client.communicator import WebsocketCommunicator
from tests.support import apps


def client(application, **options):
    return WebsocketCommunicator(application, "/ws/", **options)


class TestSending:
    async def test_text_and_bytes_also_empty(self):
        async with client(apps.echo) as connection:
            for data in ("hello", ""):
                await connection.send_to(data)
                assert await connection.receive_from() == data
            for data in (b"\x00\x01", b""):
                await connection.send_bytes(data)
                assert await connection.receive_from() == data

    async def test_json_carries_what_pydantic_can_write(self):
        async with client(apps.echo) as connection:
            await connection.send_json(
                {
                    "id": uuid.UUID(int=1),
                    "at": datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC),
                    "price": decimal.Decimal("1.50"),
                }
            )
            assert await connection.receive_json() == {
                "id": "00000000-0000-0000-0000-000000000001",
                "at": "2026-01-02T00:00:00Z",
                "price": "1.50",
            }

    @pytest.mark.parametrize("data", [(None, None), ("text", b"bytes")])
    async def test_needs_exactly_one_of_text_and_bytes(self, data):
        async with client(apps.silent) as connection:
            with pytest.raises(ValueError, match="either text_data or bytes_data"):
                await connection.send_to(*data)

    async def test_checks_the_type_of_the_data(self):
        async with client(apps.silent) as connection:
            with pytest.raises(TypeError, match="must be a str, not bytes"):
                await connection.send_to(b"hello")
            with pytest.raises(TypeError, match="must be bytes, not str"):
                await connection.send_bytes("hello")

    async def test_before_the_handshake_is_an_error(self):
        with pytest.raises(errors.NotConnected, match=r"await connect\(\) first"):
            await client(apps.echo).send_to("hello")

    async def test_after_a_close_of_the_application_says_code_and_reason(self):
        async with client(apps.closing(4001, "bye")) as connection:
            await connection.assert_closed()
            with pytest.raises(
                errors.ConnectionIsClosed,
                match=r"closed by the application with code 4001 \('bye'\)",
            ) as caught:
                await connection.send_json({})
            assert (caught.value.code, caught.value.reason) == (4001, "bye")

    @pytest.mark.parametrize("receive", ["receive_output", "assert_closed"])
    async def test_a_close_that_was_not_received_keeps_nobody_from_it(self, receive):
        """A real client does not know of it yet; what it sends reaches nobody."""
        async with client(apps.closing(4001, "bye")) as connection:
            await connection.send_to("lost")
            await connection.send_bytes(b"lost too")
            assert connection.input_queue.empty() or connection.future.done()
            await getattr(connection, receive)()
            with pytest.raises(errors.ConnectionIsClosed) as caught:
                await connection.send_to("late")
        (transcript,) = caught.value.__notes__
        assert "not delivered: 'lost' (the application had closed the" in transcript
        assert "not delivered: 8 bytes" in transcript

    async def test_what_came_before_the_close_is_received_after_sending(self):
        application = apps.closing(4001, before=[{"n": 1}])
        async with client(application) as connection:
            await connection.send_to("lost")
            assert await connection.receive_all_json() == [{"n": 1}]
            # The close is still to be received.
            await connection.send_to("lost")
            await connection.assert_closed(4001)

    async def test_a_crash_after_the_close_is_raised(self):
        async def application(scope, receive, send):
            await apps.accept(receive, send)
            await send({"type": "websocket.close"})
            raise LookupError("after the close")

        connection = client(application)
        await connection.connect()
        with pytest.raises(LookupError, match="after the close"):
            await connection.send_to("lost")

    async def test_after_a_refusal_is_an_error(self):
        for application in (apps.rejecting(4403), denying):
            connection = client(application)
            await connection.connect()
            with pytest.raises(errors.ConnectionIsClosed, match="rejected by the app"):
                await connection.send_to("hello")

    async def test_after_the_test_has_left_is_an_error(self):
        connection = client(apps.echo)
        await connection.connect()
        await connection.disconnect(4000)
        with pytest.raises(errors.ConnectionIsClosed, match="left by the test"):
            await connection.send_to("hello")

    async def test_after_the_application_returned_is_an_error(self):
        connection = client(apps.accept_and_return)
        await connection.connect()
        with pytest.raises(errors.ConnectionIsClosed, match="has returned"):
            await connection.send_to("hello")

    async def test_after_a_crash_raises_the_crash(self):
        connection = client(apps.crash_after_accept)
        await connection.connect()
        await connection.send_to("hello")
        await asyncio.wait([connection.future])
        with pytest.raises(LookupError):
            await connection.send_to("hello")


async def denying(scope, receive, send):
    """Answer the handshake by a denial response."""
    await receive()
    await send({"type": "websocket.http.response.start", "status": 403})
    await send({"type": "websocket.http.response.body", "body": b"no"})


class TestReceiving:
    async def test_a_close_instead_of_data_names_both_types(self):
        async with client(apps.closing(4001)) as connection:
            with pytest.raises(AssertionError) as caught:
                await connection.receive_from()
        # The very text of channels.testing; what is added is a note.
        assert str(caught.value) == (
            "Expected type 'websocket.send', but was 'websocket.close'"
        )
        assert "code=4001" in caught.value.__notes__[0]

    async def test_a_frame_with_a_none_beside_its_data_is_fine(self):
        async def application(scope, receive, send):
            await apps.accept(receive, send)
            await send({"type": "websocket.send", "text": None, "bytes": b"x"})
            await receive()

        async with client(application) as connection:
            assert await connection.receive_from() == b"x"

    @pytest.mark.parametrize("frame", [{}, {"text": "a", "bytes": b"b"}])
    async def test_a_frame_has_exactly_one_of_text_and_bytes(self, frame):
        async def application(scope, receive, send):
            await apps.accept(receive, send)
            await send({"type": "websocket.send", **frame})
            await receive()

        async with client(application) as connection:
            with pytest.raises(AssertionError, match="exactly one of 'text' and"):
                await connection.receive_from()

    async def test_json_that_is_none_shows_the_text(self):
        async with client(apps.echo) as connection:
            await connection.send_to("hello")
            with pytest.raises(AssertionError, match=r"Expected JSON .*'hello'"):
                await connection.receive_json()

    async def test_json_in_bytes_is_refused(self):
        async with client(apps.echo) as connection:
            await connection.send_bytes(b"{}")
            with pytest.raises(AssertionError, match="but got 2 bytes"):
                await connection.receive_json_from()

    async def test_frames_are_left_in_the_queue_as_they_were_sent(self):
        async with client(apps.echo) as connection:
            await connection.send_to("hello")
            await connection.wait()
            assert connection.output_queue.qsize() == 1
            message = await connection.output_queue.get()
            assert message == {"type": "websocket.send", "text": "hello"}
            assert connection.output_queue.empty()


class TestReceiveNothing:
    async def test_is_true_where_nothing_comes_and_costs_no_time(self):
        async with client(apps.silent) as connection:
            began = time.perf_counter()
            assert await connection.receive_nothing(30) is True
            assert time.perf_counter() - began < 10

    async def test_fails_with_what_is_there_and_takes_nothing(self):
        async with client(apps.echo) as connection:
            await connection.send_json({"text": "surprise"})
            with pytest.raises(errors.UnexpectedFrame, match="surprise") as caught:
                await connection.receive_nothing()
            assert caught.value.frames[0]["type"] == "websocket.send"
            assert await connection.receive_json() == {"text": "surprise"}

    async def test_counts_a_close(self):
        async with client(apps.closing(4001)) as connection:
            with pytest.raises(errors.UnexpectedFrame, match=r"websocket\.close"):
                await connection.receive_nothing()

    async def test_raises_a_crash(self):
        async with client(apps.crash_after_accept) as connection:
            await connection.send_to("go")
            with pytest.raises(LookupError):
                await connection.receive_nothing(timeout=0.5, interval=0.1)

    async def test_answers_a_question_where_a_subclass_says_so(self):
        class Asking(WebsocketCommunicator):
            receive_nothing_raises = False

        async with Asking(apps.echo, "/ws/") as connection:
            assert await connection.receive_nothing() is True
            await connection.send_to("hello")
            assert await connection.receive_nothing(0.1, 0.01) is False
            assert await connection.receive_from() == "hello"

    async def test_waits_for_what_a_timer_will_send(self):
        async def application(scope, receive, send):
            await apps.accept(receive, send)
            await receive()
            await asyncio.sleep(0.02)
            await apps.send_json(send, {"late": True})
            await receive()

        async with client(application) as connection:
            await connection.send_to("go")
            with pytest.raises(errors.UnexpectedFrame, match="late"):
                await connection.receive_nothing(timeout=5)
            await connection.receive_json()


class TestAssertClosed:
    async def test_gives_the_close_and_what_came_before(self):
        async with client(apps.closing(4001, "bye", before=[{"n": 1}])) as connection:
            closed = await connection.assert_closed(code=4001, reason="bye")
        assert (closed.code, closed.reason, closed.accepted) == (4001, "bye", True)
        assert closed.messages == ({"type": "websocket.send", "text": '{"n": 1}'},)

    async def test_holds_for_a_rejected_handshake(self):
        connection = client(apps.rejecting(4403))
        await connection.connect()
        assert not (await connection.assert_closed(4403)).accepted

    async def test_fails_with_the_other_code_and_what_came_before(self):
        async with client(apps.closing(4001, before=[{"n": 1}])) as connection:
            with pytest.raises(
                AssertionError, match=r'(?s)code 4000, but it was .*4001.*"n": 1'
            ):
                await connection.assert_closed(4000)

    async def test_fails_with_the_other_reason(self):
        async with client(apps.closing(4001, "bye")) as connection:
            with pytest.raises(AssertionError, match="reason 'no', but it was"):
                await connection.assert_closed(reason="no")

    async def test_fails_where_the_connection_stays_open(self):
        async with client(apps.silent) as connection:
            with pytest.raises(AssertionError, match="but it did not"):
                await connection.assert_closed(timeout=0.01)

    async def test_raises_a_crash_instead(self):
        async with client(apps.crash_after_accept) as connection:
            await connection.send_to("go")
            with pytest.raises(LookupError):
                await connection.assert_closed()


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
