"""What a consumer does with the frames of its client."""

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator

import pytest
from channels.exceptions import StopConsumer

from chanx_testing.channels.websocket import AsyncJsonWebsocketConsumer
from chanx_testing.core.decorators import ws_handler
from chanx_testing.messages.incoming import PingMessage
from tests.support.consumer import Chat, Consumer, Count, Crash, only
from tests.support.messages import Degrees, Echo
from tests.support.raw_client import Client


class TestHandlersThatRaise:
    async def test_the_client_learns_nothing_of_what_happened(self):
        async with Client(Consumer) as client:
            assert await client.ask({"action": "crash"}) == [
                {
                    "action": "error",
                    "payload": {"detail": "Failed to handle the message 'crash'"},
                }
            ]

    async def test_the_test_that_watches_is_told_before_the_client(self):
        async with Client(Consumer) as client:
            await client.send({"action": "crash"})
            await client.frame()
            error, doing = only(client.watcher.failures)
        assert isinstance(error, LookupError)
        assert doing == "Consumer: handle_crash() with the message 'crash'"

    async def test_the_traceback_is_logged_without_the_payload(self, caplog):
        async with Client(Consumer) as client:
            await client.ask({"action": "crash", "payload": "secret"})
        record = only(caplog.records)
        assert (record.name, record.levelname) == ("chanx_testing.websocket", "ERROR")
        assert record.exc_info[0] is LookupError
        assert (record.websocket_path, record.websocket_action) == ("/ws/", "crash")
        assert "secret" not in record.getMessage()

    async def test_the_connection_goes_on(self):
        async with Client(Consumer) as client:
            await client.ask({"action": "crash"})
            assert await client.ask({"action": "ping"})

    async def test_an_invalid_message_made_in_a_handler_is_no_fault_of_the_client(self):
        class Wrong(AsyncJsonWebsocketConsumer):
            send_completion = True

            @ws_handler
            async def handle(self, message: PingMessage) -> Chat:
                return Chat(payload="no line")

        async with Client(Wrong) as client:
            answer = only(await client.ask({"action": "ping"}))
            assert answer["payload"] == {
                "detail": "Failed to handle the message 'ping'"
            }
            assert len(client.watcher.failures) == 1

    @pytest.mark.parametrize("result", [{"action": "pong"}, "pong", 3])
    async def test_a_result_that_is_no_message_is_a_failure(self, result):
        class Wrong(AsyncJsonWebsocketConsumer):
            send_completion = True

            @ws_handler
            async def handle(self, message: PingMessage) -> None:
                return result

        async with Client(Wrong) as client:
            await client.ask({"action": "ping"})
            error, _ = only(client.watcher.failures)
        assert "return a message, a list or tuple of messages, or None" in str(error)

    async def test_a_result_that_is_no_json_is_a_failure(self):
        class Wrong(AsyncJsonWebsocketConsumer):
            send_completion = True

            @ws_handler
            async def handle(self, message: PingMessage) -> Degrees:
                return Degrees(payload=float("nan"))

        async with Client(Wrong) as client:
            await client.ask({"action": "ping"})
            assert len(client.watcher.failures) == 1

    async def test_the_answer_is_a_hook_and_the_report_is_not(self):
        class Quiet(Consumer):
            async def handle_handler_error(self, error, message):
                await self.send_json({"sorry": message.action})

        async with Client(Quiet) as client:
            await client.send({"action": "crash"})
            assert await client.frame() == {"sorry": "crash"}
            assert len(client.watcher.failures) == 1

    async def test_what_speaks_to_the_framework_passes(self):
        class Leaving(AsyncJsonWebsocketConsumer):
            @ws_handler
            async def handle(self, message: PingMessage) -> None:
                raise StopConsumer

        client = Client(Leaving)
        await client.start()
        await client.send({"action": "ping"})
        await client.task
        assert client.watcher.failures == []
        assert client.outbox.empty()

    async def test_cancellation_passes(self):
        started = asyncio.Event()

        class Slow(AsyncJsonWebsocketConsumer):
            @ws_handler
            async def handle(self, message: PingMessage) -> None:
                started.set()
                await asyncio.Event().wait()

        client = Client(Slow)
        await client.start()
        await client.send({"action": "ping"})
        await started.wait()
        client.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await client.task
        assert client.watcher.failures == []


class TestResults:
    class Counter(AsyncJsonWebsocketConsumer):
        send_completion = True
        closed = False

        @ws_handler
        async def several(self, message: PingMessage) -> list[Count]:
            return [Count(payload=1), Count(payload=2)]

        @ws_handler
        async def stream(self, message: Chat) -> AsyncIterator[Count]:
            try:
                for number in range(message.payload.room):
                    if number == 3:
                        raise ValueError
                    yield Count(payload=number)
            finally:
                type(self).closed = True

        @ws_handler
        async def stream_later(self, message: Echo) -> AsyncIterator[Count]:
            async def stream():
                yield Count(payload="later")

            return stream()

        @ws_handler
        async def nothing(self, message: Crash) -> None: ...

    async def test_none_sends_the_completion_alone(self):
        async with Client(self.Counter) as client:
            assert await client.ask({"action": "crash"}) == []

    async def test_a_list_is_sent_in_order(self):
        async with Client(self.Counter) as client:
            frames = await client.ask({"action": "ping"})
        assert [frame["payload"] for frame in frames] == [1, 2]

    async def test_a_generator_sends_what_it_yields(self):
        async with Client(self.Counter) as client:
            frames = await client.ask(
                {"action": "chat", "payload": {"text": "", "room": 2}}
            )
        assert [frame["payload"] for frame in frames] == [0, 1]

    async def test_a_generator_that_raises_has_sent_what_it_yielded(self):
        async with Client(self.Counter) as client:
            frames = await client.ask(
                {"action": "chat", "payload": {"text": "", "room": 9}}
            )
            assert [frame["action"] for frame in frames] == [*["count"] * 3, "error"]
            assert len(client.watcher.failures) == 1

    async def test_a_generator_may_be_returned(self):
        async with Client(self.Counter) as client:
            frames = await client.ask({"action": "echo", "payload": 1})
        assert [frame["payload"] for frame in frames] == ["later"]

    async def test_any_async_iterator_will_do(self):
        class Two:
            def __init__(self):
                self.left = [Count(payload=2), Count(payload=1)]

            def __aiter__(self):
                return self

            async def __anext__(self):
                if not self.left:
                    raise StopAsyncIteration
                return self.left.pop()

        class Streaming(AsyncJsonWebsocketConsumer):
            send_completion = True

            @ws_handler
            async def handle(self, message: PingMessage) -> AsyncIterator[Count]:
                return Two()

        async with Client(Streaming) as client:
            frames = await client.ask({"action": "ping"})
        assert [frame["payload"] for frame in frames] == [1, 2]

    async def test_a_generator_is_closed_when_sending_fails(self):
        class Broken(self.Counter):
            async def send_message(self, message):
                if message.action == "count":
                    raise OSError
                await super().send_message(message)

        async with Client(Broken) as client:
            await client.ask({"action": "chat", "payload": {"text": "", "room": 2}})
            assert Broken.closed

    async def test_what_json_has_no_word_for_travels(self):
        identity = uuid.uuid4()

        class Typed(AsyncJsonWebsocketConsumer):
            @ws_handler
            async def handle(self, message: PingMessage) -> None:
                await self.send_message(Echo(payload={"id": identity}))
                await self.send_json({"id": identity})

        async with Client(Typed) as client:
            await client.send({"action": "ping"})
            assert (await client.frame())["payload"] == {"id": str(identity)}
            assert await client.frame() == {"id": str(identity)}

    async def test_a_dict_is_no_message(self):
        class Wrong(AsyncJsonWebsocketConsumer):
            async def post_authentication(self):
                await self.send_message({"action": "pong"})

        client = Client(Wrong)
        await client.start()
        with pytest.raises(TypeError, match="takes a BaseMessage, not dict"):
            await client.task


class TestCompletion:
    async def test_each_frame_gets_exactly_one(self):
        async with Client(Consumer) as client:
            for frame in ["{", b"", "[]", '{"action": "ping"}', '{"action": "crash"}']:
                await client.send(frame)
            await client.send({"action": "echo", "payload": "end"})
            frames = await client.until("echo")
        assert [frame["action"] for frame in frames] == [
            *["error", "complete"] * 3,
            *["pong", "complete"],
            *["error", "complete"],
        ]

    async def test_none_is_sent_unless_asked_for(self):
        class Silent(Consumer):
            send_completion = False

        async with Client(Silent) as client:
            await client.send({"action": "ping"})
            await client.send({"action": "echo", "payload": 1})
            assert [(await client.frame())["action"] for _ in "ab"] == ["pong", "echo"]

    async def test_the_attribute_of_an_instance_counts(self):
        class Switching(Consumer):
            send_completion = False

            async def post_authentication(self):
                self.send_completion = True

        async with Client(Switching) as client:
            assert await client.ask({"action": "ping"})

    async def test_none_follows_a_close(self):
        class Closing(AsyncJsonWebsocketConsumer):
            send_completion = True

            @ws_handler
            async def handle(self, message: PingMessage) -> None:
                await self.close(4321)

        async with Client(Closing) as client:
            await client.send({"action": "ping"})
            await client.send({"action": "ping"})
            assert (await client.event())["code"] == 4321
        assert client.outbox.empty()


class TestOrder:
    async def test_one_message_is_handled_at_a_time(self):
        """A slow handler is done before the next one starts, whatever each sends."""
        log = []

        class Slow(AsyncJsonWebsocketConsumer):
            send_completion = True

            @ws_handler
            async def handle(self, message: Echo) -> None:
                log.append(("start", message.payload))
                await asyncio.sleep(0)
                log.append(("end", message.payload))

        async with Client(Slow) as client:
            for number in range(3):
                await client.send({"action": "echo", "payload": number})
            for _ in range(3):
                await client.until("complete")
        assert log == [(step, n) for n in range(3) for step in ("start", "end")]


class TestLogging:
    @pytest.fixture(autouse=True)
    def _all(self, caplog):
        caplog.set_level(logging.INFO, "chanx_testing.websocket")

    async def test_actions_are_logged_with_path_and_direction(self, caplog):
        class Logged(Consumer):
            log_websocket_message = True

        async with Client(Logged) as client:
            await client.ask({"action": "echo", "payload": "secret"})
        assert [
            (r.websocket_direction, r.websocket_action, r.websocket_path)
            for r in caplog.records
        ] == [("in", "echo", "/ws/"), ("out", "echo", "/ws/")]
        assert all("secret" not in r.getMessage() for r in caplog.records)

    async def test_ignored_actions_are_left_out(self, caplog):
        class Logged(Consumer):
            log_websocket_message = True
            log_ignored_actions = ["ping", "pong"]

        async with Client(Logged) as client:
            await client.ask({"action": "ping"})
        assert caplog.records == []

    async def test_nothing_is_logged_where_it_is_off(self, caplog):
        class Silent(Consumer):
            log_websocket_message = False

        async with Client(Silent) as client:
            await client.ask({"action": "ping"})
        assert caplog.records == []

    async def test_what_a_client_invents_is_not_logged(self, caplog):
        class Logged(Consumer):
            log_websocket_message = True

        async with Client(Logged) as client:
            await client.ask({"action": "evil\nINFO forged"})
        assert [r.websocket_action for r in caplog.records] == [None, "error"]
