"""A room with several users: who hears what, and who is there."""

from chanx_testing.constants import GROUP_ACTION_COMPLETE
from example_project.chat.consumers import RoomConsumer
from example_project.chat.messages import JoinedMessage, LeftMessage, User
from example_project.chat.models import Room
from example_project.chat.tests.cases import RoomTestCase, chat


class BroadcastTests(RoomTestCase):
    consumer = RoomConsumer

    async def test_everyone_in_the_room_hears_what_is_said(self):
        alice, bob = self.auth_communicator, await self.create_member("bob")
        await self.enter(bob)
        await self.enter(alice)
        await bob.receive_all_messages(stop_action=GROUP_ACTION_COMPLETE)

        await alice.send_message(chat("Hello, Bob"))

        for communicator in (alice, bob):
            [posted] = await communicator.receive_all_messages(
                stop_action=GROUP_ACTION_COMPLETE
            )
            self.assertEqual(posted.payload.author, "alice")
            self.assertEqual(posted.payload.text, "Hello, Bob")

    async def test_two_users_answer_each_other(self):
        alice, bob = self.auth_communicator, await self.create_member("bob")
        await self.enter(alice)
        await self.enter(bob)
        await alice.receive_all_messages(stop_action=GROUP_ACTION_COMPLETE)

        await alice.send_message(chat("Tea?"))
        await bob.receive_message()
        await bob.send_message(chat("Coffee!"))

        said = [await alice.receive_message(), await alice.receive_message()]
        self.assertEqual(
            [(message.payload.author, message.payload.text) for message in said],
            [("alice", "Tea?"), ("bob", "Coffee!")],
        )

    async def test_another_room_hears_nothing(self):
        bob, headers = await self.acreate_user_and_ws_headers(username="bob")
        other_room = await Room.objects.acreate(name="Kitchen")
        await other_room.members.aadd(bob)
        kitchen = self.create_communicator(
            ws_path=f"/ws/rooms/{other_room.pk}/", headers=headers
        )
        await self.enter(kitchen)
        await self.enter(self.auth_communicator)

        await self.auth_communicator.send_message(chat("Hello"))

        await kitchen.receive_nothing()


class PresenceTests(RoomTestCase):
    consumer = RoomConsumer

    async def test_a_user_who_comes_is_told_who_is_there(self):
        bob = await self.create_member("bob")
        self.assertEqual(await self.enter(self.auth_communicator), ["alice"])
        self.assertEqual(await self.enter(bob), ["alice", "bob"])

    async def test_the_others_are_told_who_comes(self):
        await self.enter(self.auth_communicator)

        await self.enter(await self.create_member("bob"))

        joined = await self.auth_communicator.receive_message()
        self.assertEqual(joined, JoinedMessage(payload=User(user="bob")))

    async def test_the_others_are_told_who_goes(self):
        bob = await self.create_member("bob")
        await self.enter(bob)
        await self.enter(self.auth_communicator)

        await bob.disconnect()

        left = await self.auth_communicator.receive_message()
        self.assertEqual(left, LeftMessage(payload=User(user="bob")))

    async def test_a_second_tab_neither_comes_nor_goes(self):
        bob = await self.create_member("bob")
        await self.enter(bob)
        await self.enter(self.auth_communicator)
        await bob.receive_all_messages(stop_action=GROUP_ACTION_COMPLETE)

        second_tab = self.create_communicator()
        await self.enter(second_tab)
        await second_tab.disconnect()

        await bob.receive_nothing()
