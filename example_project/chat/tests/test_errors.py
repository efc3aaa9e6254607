"""What a room does with frames it cannot handle, and with handlers that fail."""

from django.db import IntegrityError

from chanx_testing.messages.incoming import PingMessage
from chanx_testing.messages.outgoing import ErrorMessage, PongMessage
from example_project.chat.consumers import RoomConsumer
from example_project.chat.models import Message, Room
from example_project.chat.tests.cases import RoomTestCase, chat


class InvalidFrameTests(RoomTestCase):
    consumer = RoomConsumer

    async def test_an_unknown_action_is_answered_by_an_error(self):
        await self.enter(self.auth_communicator)

        await self.auth_communicator.send_json({"action": "shout"})

        error = await self.auth_communicator.receive_message()
        self.assertIsInstance(error, ErrorMessage)
        self.assertEqual(error.payload[0]["loc"], ["action"])

    async def test_an_error_names_the_field_that_is_wrong(self):
        await self.enter(self.auth_communicator)

        await self.auth_communicator.send_json(
            {"action": "chat", "payload": {"text": "   "}}
        )

        error = await self.auth_communicator.receive_message()
        self.assertIsInstance(error, ErrorMessage)
        self.assertEqual(error.payload[0]["loc"], ["payload", "text"])
        self.assertEqual(error.payload[0]["type"], "string_too_short")

    async def test_a_frame_that_is_refused_stores_nothing(self):
        await self.enter(self.auth_communicator)

        await self.auth_communicator.send_json({"action": "chat", "payload": None})
        await self.auth_communicator.receive_all_messages()

        self.assertFalse(await Message.objects.aexists())

    async def test_the_connection_outlives_what_is_no_message_at_all(self):
        await self.enter(self.auth_communicator)

        await self.auth_communicator.send_to(text_data="{ this is no JSON")
        await self.auth_communicator.send_bytes(b"\x00\xff")
        await self.auth_communicator.send_message(PingMessage())

        actions = [
            (await self.auth_communicator.receive_message()).action for _ in range(3)
        ]
        self.assertEqual(actions, ["error", "error", "pong"])


class FailingHandlerTests(RoomTestCase):
    """A room that is deleted while somebody is in it makes the database refuse."""

    consumer = RoomConsumer

    async def test_the_client_is_told_without_internals(self):
        await self.enter(self.auth_communicator)
        await Room.objects.all().adelete()

        with self.assertLogs("chanx_testing.websocket", "ERROR"):
            await self.auth_communicator.send_message(chat("Anybody?"))
            # A test that receives the error has seen it. One that does not, fails.
            error = await self.auth_communicator.receive_message()

        self.assertEqual(
            error,
            ErrorMessage(payload={"detail": "Failed to handle the message 'chat'"}),
        )

    async def test_the_connection_goes_on(self):
        await self.enter(self.auth_communicator)
        await Room.objects.all().adelete()

        with self.assertLogs("chanx_testing.websocket", "ERROR"):
            await self.auth_communicator.send_message(chat("Anybody?"))
            await self.auth_communicator.send_message(PingMessage())
            error = await self.auth_communicator.receive_message()
            pong = await self.auth_communicator.receive_message()

        self.assertIsInstance(error, ErrorMessage)
        self.assertEqual(pong, PongMessage())

    async def test_nothing_is_stored(self):
        await self.enter(self.auth_communicator)
        await Room.objects.all().adelete()
        # The other way to have seen it: to say so beforehand.
        self.auth_communicator.expect_errors(IntegrityError)

        with self.assertLogs("chanx_testing.websocket", "ERROR"):
            await self.auth_communicator.send_message(chat("Anybody?"))
            await self.auth_communicator.wait_until_idle()

        self.assertFalse(await Message.objects.aexists())
