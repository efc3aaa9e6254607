"""Typed messages, completion signals, authentication."""

import time
import uuid

import pytest

from chanx_testing.channels.testing import WebsocketCommunicator
from chanx_testing.constants import EVENT_ACTION_COMPLETE, GROUP_ACTION_COMPLETE
from chanx_testing.core.client import errors
from chanx_testing.core.client.communicator import (
    WebsocketCommunicator as AnyCommunicator,
)
from chanx_testing.core.client.communicator import WebsocketCommunicatorMixin
from chanx_testing.core.decorators import ws_handler
from chanx_testing.messages.incoming import PingMessage
from chanx_testing.messages.outgoing import PongMessage
from tests.support import apps
from tests.support.rooms import (
    BadgeConsumer,
    Count,
    CountDone,
    Counted,
    Identify,
    QuietConsumer,
    RoomConsumer,
    Said,
    Say,
    Tell,
    client,
)


class TestSendMessage:
    async def test_travels_in_json_mode(self):
        async with client() as connection:
            await connection.send_message(Identify(payload=uuid.UUID(int=1)))
            assert (await connection.receive_message()).payload.endswith("01")

    async def test_takes_messages_only(self):
        async with client() as connection:
            with pytest.raises(TypeError, match=r"send_json\(\) takes plain data"):
                await connection.send_message({"action": "ping"})


class TestReceiveMessage:
    async def test_gives_one_typed_message_and_skips_completions(self):
        async with client() as connection:
            await connection.send_message(PingMessage())
            await connection.send_message(Count(payload=1))
            assert await connection.receive_message() == PongMessage()
            assert await connection.receive_message() == Counted(payload=0)
            assert await connection.receive_message() == CountDone()

    async def test_fails_at_once_where_none_will_come(self):
        async with client() as connection:
            began = time.perf_counter()
            with pytest.raises(errors.NothingCame, match="Expected a message"):
                await connection.receive_message(timeout=30)
            assert time.perf_counter() - began < 10
            await connection.send_message(PingMessage())
            assert await connection.receive_message() == PongMessage()

    async def test_says_that_a_message_is_not_declared(self):
        async def application(scope, receive, send):
            await apps.accept(receive, send)
            await apps.send_json(send, {"action": "mystery", "payload": 1})
            await receive()

        connection = AnyCommunicator(application, "/ws/", consumer=RoomConsumer)
        async with connection:
            with pytest.raises(
                errors.UndeclaredMessage, match=r"(?s)actions .*pong.*'mystery'.*emits"
            ):
                await connection.receive_message()

    async def test_needs_to_know_the_types(self):
        async with AnyCommunicator(apps.echo, "/ws/") as connection:
            with pytest.raises(TypeError, match=r"Pass consumer=.*message_types="):
                await connection.receive_message()

    async def test_decodes_with_message_types(self):
        connection = AnyCommunicator(apps.echo, "/ws/", message_types=[Say, Count])
        async with connection:
            await connection.send_message(Count(payload=3))
            assert await connection.receive_message() == Count(payload=3)


class TestReceiveAllMessages:
    async def test_collects_up_to_the_completion_and_drops_it(self):
        async with client() as connection:
            await connection.send_message(Count(payload=2))
            assert await connection.receive_all_messages() == [
                Counted(payload=0),
                Counted(payload=1),
                CountDone(),
            ]

    async def test_keeps_a_stop_action_of_the_test(self):
        async with client() as connection:
            await connection.send_message(Count(payload=1))
            messages = await connection.receive_all_messages(stop_action="count_done")
            assert messages == [Counted(payload=0), CountDone()]

    async def test_gives_one_list_for_each_message_sent(self):
        async with client() as connection:
            await connection.send_message(PingMessage())
            await connection.send_message(Count(payload=0))
            assert await connection.receive_all_messages() == [PongMessage()]
            assert await connection.receive_all_messages() == [CountDone()]

    async def test_collects_a_group_message_on_every_member(self):
        async with client() as first, client() as second:
            await first.send_message(Say(payload="hello"))
            for connection in (first, second):
                messages = await connection.receive_all_messages(
                    stop_action=GROUP_ACTION_COMPLETE
                )
                assert messages == [Said(payload="hello")]

    async def test_collects_an_event(self):
        async with client() as connection:
            await RoomConsumer.broadcast_event(Tell(payload="all"))
            assert await connection.receive_all_messages(EVENT_ACTION_COMPLETE) == [
                Said(payload="told all")
            ]

    async def test_answer_through_the_group_is_not_lost_to_the_default_stop(self):
        # The completion of the message overtakes the broadcast that its handler made.
        for _ in range(30):
            async with client() as connection:
                await connection.send_message(Say(payload="hello"))
                assert await connection.receive_all_messages() == [
                    Said(payload="hello")
                ]
                await connection.send_message(PingMessage())
                assert await connection.receive_all_messages() == [PongMessage()]

    async def test_reply_and_broadcast_are_collected_one_after_the_other(self):
        class Both(RoomConsumer):
            @ws_handler(output_type=[Said])
            async def say(self, message: Say) -> PongMessage:
                await self.broadcast_message(Said(payload=message.payload))
                return PongMessage()

        async with client(Both) as connection:
            await connection.send_message(Say(payload="hello"))
            assert await connection.receive_all_messages() == [PongMessage()]
            assert await connection.receive_all_messages(GROUP_ACTION_COMPLETE) == [
                Said(payload="hello")
            ]

    async def test_completion_of_an_earlier_step_does_not_end_a_later_one(self):
        async with client() as connection:
            await connection.send_message(PingMessage())
            assert await connection.receive_message() == PongMessage()
            await connection.wait()
            # The completion of the ping lies there, unread.
            await connection.send_message(Count(payload=0))
            assert await connection.receive_all_messages() == [CountDone()]

    async def test_completion_that_is_left_over_ends_an_empty_rest(self):
        async with client() as connection:
            await connection.send_message(PingMessage())
            assert await connection.receive_message() == PongMessage()
            assert await connection.receive_all_messages() == []

    async def test_collects_until_idle_where_no_completion_is_sent(self):
        async with client(QuietConsumer) as connection:
            began = time.perf_counter()
            await connection.send_message(Count(payload=2))
            messages = await connection.receive_all_messages(timeout=30)
            assert messages == [Counted(payload=0), Counted(payload=1), CountDone()]
            assert await connection.receive_all_messages(timeout=30) == []
            assert time.perf_counter() - began < 10


class TestReceiveAllJson:
    async def test_gives_every_frame_completions_too(self):
        async with client() as connection:
            await connection.send_message(PingMessage())
            assert await connection.receive_all_json(timeout=30) == [
                {"action": "pong", "payload": None},
                {"action": "complete", "payload": None},
            ]
            assert await connection.receive_all_json(timeout=30) == []

    async def test_gives_what_came_before_a_crash_and_then_the_crash(self):
        connection = AnyCommunicator(apps.three_frames_then_crash, "/ws/")
        await connection.connect()
        await connection.send_to("go")
        assert len(await connection.receive_all_json()) == 3
        with pytest.raises(LookupError):
            await connection.receive_all_json()

    async def test_stops_at_a_close_and_leaves_it(self):
        async with AnyCommunicator(
            apps.closing(4001, before=[{"n": 1}]), "/ws/"
        ) as connection:
            assert await connection.receive_all_json() == [{"n": 1}]
            await connection.assert_closed(4001)


class TestReceiveNothing:
    async def test_does_not_count_completions(self):
        async with client() as connection:
            await connection.send_message(PingMessage())
            await connection.receive_message()
            assert await connection.receive_nothing()
            assert await connection.receive_json() == {
                "action": "complete",
                "payload": None,
            }


class TestAuthentication:
    def connect(self, query=""):
        return WebsocketCommunicator(
            BadgeConsumer.as_asgi(), f"/ws/{query}", consumer=BadgeConsumer
        )

    async def test_gives_the_message_and_settles(self):
        async with self.connect() as connection:
            message = await connection.wait_for_auth()
            assert message.payload.status_code == 200
            # The groups are joined by now: a broadcast reaches the connection.
            await BadgeConsumer.broadcast_event(Tell(payload="you"))
            assert await connection.receive_all_messages(EVENT_ACTION_COMPLETE)

    async def test_gives_a_refusal_and_the_close_after_it(self):
        async with self.connect("?403") as connection:
            message = await connection.wait_for_auth()
            assert message.payload.status_code == 403
            await connection.assert_closed(4403)

    async def test_status_ok_fails_with_the_status_seen(self):
        async with self.connect("?403") as connection:
            with pytest.raises(errors.AuthenticationFailed, match="it is 403 …"):
                await connection.assert_authenticated_status_ok()

    async def test_says_that_the_consumer_has_no_authenticator(self):
        async with client() as connection:
            with pytest.raises(TimeoutError, match="has no authenticator_class"):
                await connection.wait_for_auth()

    async def test_says_what_came_first_instead(self):
        async with client() as connection:
            await connection.send_message(PingMessage())
            with pytest.raises(AssertionError, match=r'first came .*"pong"'):
                await connection.wait_for_auth()

    async def test_gives_none_where_no_message_is_to_come(self):
        async with client() as connection:
            assert await connection.wait_for_auth(False) is None


class TestMixin:
    async def test_takes_the_place_of_the_verbs_of_another_communicator(self):
        class Theirs:
            def __init__(self, *args, **kwargs):
                raise AssertionError("not needed")

            async def receive_output(self, timeout=1):
                raise AssertionError("not ours")

        class Both(WebsocketCommunicatorMixin, Theirs):
            pass

        async with Both(apps.echo, "/ws/", consumer=RoomConsumer) as connection:
            await connection.send_message(PongMessage())
            assert await connection.receive_message() == PongMessage()

    async def test_verbs_go_through_the_ones_that_a_subclass_overrides(self):
        calls = []

        class Logging(WebsocketCommunicator):
            async def send_input(self, message):
                calls.append(message["type"])
                await super().send_input(message)

            async def receive_output(self, timeout=1):
                calls.append("output")
                return await super().receive_output(timeout)

        connection = Logging(RoomConsumer.as_asgi(), "/", consumer=RoomConsumer)
        await connection.connect()
        await connection.send_message(PingMessage())
        await connection.receive_message()
        await connection.disconnect()
        assert calls == [
            "websocket.connect",
            "output",
            "websocket.receive",
            "output",
            "websocket.disconnect",
        ]
