"""A room seen by one user: asking, saying, and what is kept of it."""

from chanx_testing.constants import GROUP_ACTION_COMPLETE
from chanx_testing.messages.incoming import PingMessage
from chanx_testing.messages.outgoing import PongMessage
from example_project.chat.consumers import HISTORY_LENGTH, RoomConsumer
from example_project.chat.messages import HistoryPayload, HistoryRequest
from example_project.chat.models import Message
from example_project.chat.tests.cases import RoomTestCase, chat


class RoomTests(RoomTestCase):
    consumer = RoomConsumer

    async def test_a_ping_is_answered_by_a_pong(self):
        await self.enter(self.auth_communicator)

        await self.auth_communicator.send_message(PingMessage())

        messages = await self.auth_communicator.receive_all_messages()
        self.assertEqual(messages, [PongMessage()])

    async def test_what_a_user_says_comes_back_with_their_name(self):
        await self.enter(self.auth_communicator)

        await self.auth_communicator.send_message(chat("Hello"))

        # It comes through the group, as it does for everyone else.
        [posted] = await self.auth_communicator.receive_all_messages(
            stop_action=GROUP_ACTION_COMPLETE
        )
        self.assertEqual(posted.action, "posted")
        self.assertEqual(posted.payload.author, "alice")
        self.assertEqual(posted.payload.text, "Hello")

    async def test_what_is_said_is_kept_in_the_database(self):
        await self.enter(self.auth_communicator)

        await self.auth_communicator.send_message(chat("  Hello  "))
        await self.auth_communicator.receive_all_messages()

        row = await Message.objects.aget()
        self.assertEqual(row.text, "Hello")
        self.assertEqual(row.room_id, self.room.pk)
        self.assertEqual(row.author_id, self.alice.pk)

    async def test_history_tells_what_was_said_since(self):
        seen = await self.room.messages.acreate(author=self.alice, text="Seen")
        await self.room.messages.acreate(author=self.alice, text="Missed")
        await self.enter(self.auth_communicator)

        await self.auth_communicator.send_message(
            HistoryRequest(payload=HistoryPayload(after=seen.pk))
        )

        [history] = await self.auth_communicator.receive_all_messages()
        texts = [message.text for message in history.payload.messages]
        self.assertEqual(texts, ["Missed"])
        self.assertFalse(history.payload.more)

    async def test_history_comes_in_pages(self):
        await Message.objects.abulk_create(
            Message(room=self.room, author=self.alice, text=str(number))
            for number in range(HISTORY_LENGTH + 1)
        )
        await self.enter(self.auth_communicator)

        await self.auth_communicator.send_message(
            HistoryRequest(payload=HistoryPayload())
        )

        [history] = await self.auth_communicator.receive_all_messages()
        self.assertEqual(len(history.payload.messages), HISTORY_LENGTH)
        self.assertTrue(history.payload.more)
