"""A collection that did not reach its stop action says why."""

import asyncio
import pickle

import pytest

from chanx_testing.constants import GROUP_ACTION_COMPLETE
from chanx_testing.core.client import errors
from chanx_testing.core.client.communicator import (
    WebsocketCommunicator as AnyCommunicator,
)
from chanx_testing.core.decorators import ws_handler
from chanx_testing.messages.incoming import PingMessage
from tests.support import apps
from tests.support.rooms import Count, QuietConsumer, RoomConsumer, Said, Say, client


class TestIncompleteMessages:
    async def test_says_what_came_and_that_the_action_cannot_come(self):
        async with client() as connection:
            await connection.send_message(Count(payload=1))
            with pytest.raises(errors.IncompleteMessages) as caught:
                await connection.receive_all_messages(stop_action="count_don")
        text = str(caught.value)
        assert "'counted'" in text
        assert "'count_don' is not an action that RoomConsumer can send" in text
        assert "Did you mean 'count_done'?" in text
        assert caught.value.messages[0] == {"action": "counted", "payload": 0}

    async def test_suggests_the_completion_that_came(self):
        async with client() as connection:
            await connection.send_message(PingMessage())
            with pytest.raises(
                errors.IncompleteMessages, match="did you mean stop_action='complete'"
            ):
                await connection.receive_all_messages(GROUP_ACTION_COMPLETE)

    async def test_says_that_completions_are_off(self):
        async with client(QuietConsumer) as connection:
            await connection.send_message(PingMessage())
            with pytest.raises(
                errors.IncompleteMessages, match="SEND_COMPLETION is off"
            ):
                await connection.receive_all_messages(GROUP_ACTION_COMPLETE)

    async def test_says_that_the_connection_was_closed(self):
        application = apps.closing(4001, before=[{"action": "pong", "payload": None}])
        connection = AnyCommunicator(application, "/ws/", consumer=RoomConsumer)
        async with connection:
            with pytest.raises(
                errors.IncompleteMessages, match=r"came websocket\.close code=4001"
            ):
                await connection.receive_all_messages()
            await connection.assert_closed(4001)

    async def test_raises_a_crash_with_what_came_before(self):
        connection = AnyCommunicator(
            apps.three_frames_then_crash, "/ws/", message_types=[Count]
        )
        await connection.connect()
        await connection.send_to("go")
        with pytest.raises(LookupError, match="no fourth") as caught:
            await connection.receive_all_messages(stop_action="count_done")
        assert any("'payload': 2" in note for note in caught.value.__notes__)

    async def test_lets_a_cancellation_pass(self):
        class Slow(RoomConsumer):
            @ws_handler
            async def say(self, message: Say) -> Said:
                await asyncio.sleep(60)
                return Said(payload=message.payload)

        connection = client(Slow)
        await connection.connect()
        await connection.send_message(Say(payload="hello"))
        with pytest.raises(TimeoutError) as caught:
            async with asyncio.timeout(0.001):
                await connection.receive_all_messages(timeout=None)
        assert not isinstance(caught.value, errors.NothingCame)
        connection.stop()

    async def test_can_be_pickled(self):
        async with client() as connection:
            with pytest.raises(errors.IncompleteMessages) as caught:
                await connection.receive_all_messages(timeout=0.01)
        assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
