"""Events that HTTP views and other consumers send to a user, wherever they are."""

from asgiref.sync import sync_to_async
from django.urls import reverse

from chanx_testing.channels.testing import WebsocketTestCase
from chanx_testing.constants import EVENT_ACTION_COMPLETE
from chanx_testing.core.testing import capture_broadcast_events
from example_project.chat.consumers import NotificationConsumer
from example_project.chat.messages import Notification, NotificationMessage, NotifyEvent
from example_project.chat.models import Room
from example_project.chat.tests.cases import RoomTestCase, chat


class InvitationTests(WebsocketTestCase):
    """Alice invites Bob, by HTTP; Bob listens."""

    ws_path = "/ws/notifications/"
    consumer = NotificationConsumer

    def get_ws_headers(self):
        self.bob, headers = self.create_user_and_ws_headers(username="bob")
        return headers

    def setUp(self):
        super().setUp()
        self.alice, _ = self.create_user_and_ws_headers(username="alice")
        self.room = Room.objects.create(name="Lobby")
        self.room.members.add(self.alice)
        self.url = reverse("api-invitations", args=[self.room.pk])
        self.client.force_login(self.alice)
        self.async_client.force_login(self.alice)

    @property
    def invitation(self):
        return Notification(
            kind="invitation",
            sender="alice",
            room_id=self.room.pk,
            room_name="Lobby",
        )

    async def listen(self):
        await self.auth_communicator.connect()
        await self.auth_communicator.assert_authenticated_status_ok()

    async def test_a_user_is_notified_of_an_invitation(self):
        await self.listen()

        response = await self.async_client.post(self.url, {"username": "bob"})

        self.assertEqual(response.status_code, 201)
        messages = await self.auth_communicator.receive_all_messages(
            stop_action=EVENT_ACTION_COMPLETE
        )
        self.assertEqual(messages, [NotificationMessage(payload=self.invitation)])

    async def test_the_synchronous_client_does_as_well(self):
        await self.listen()

        await sync_to_async(self.client.post)(self.url, {"username": "bob"})

        notification = await self.auth_communicator.receive_message()
        self.assertEqual(notification.payload, self.invitation)

    async def test_nobody_else_is_notified(self):
        _, headers = await self.acreate_user_and_ws_headers(username="carol")
        carol = self.create_communicator(headers=headers)
        await carol.connect()
        await carol.assert_authenticated_status_ok()

        await self.async_client.post(self.url, {"username": "bob"})

        await carol.receive_nothing()

    def test_inviting_sends_one_event_to_the_group_of_the_user(self):
        # No connection, no event loop: what is sent is recorded, and not sent.
        with capture_broadcast_events(NotificationConsumer) as captured:
            self.client.post(self.url, {"username": "bob"})

        self.assertEqual(len(captured), 1)
        self.assertEqual(captured[0]["event"], NotifyEvent(payload=self.invitation))
        self.assertEqual(captured[0]["groups"], f"user_{self.bob.pk}")

    def test_inviting_a_member_again_sends_nothing(self):
        self.room.members.add(self.bob)

        with capture_broadcast_events(NotificationConsumer) as captured:
            response = self.client.post(self.url, {"username": "bob"})

        self.assertEqual(response.status_code, 200)
        self.assertEqual(captured, [])

    def test_only_members_invite(self):
        self.client.force_login(self.bob)

        with capture_broadcast_events(NotificationConsumer) as captured:
            response = self.client.post(self.url, {"username": "bob"})

        self.assertEqual(response.status_code, 403)
        self.assertEqual(captured, [])

    async def test_an_event_that_is_captured_is_not_delivered(self):
        await self.listen()

        with capture_broadcast_events(NotificationConsumer) as captured:
            await self.async_client.post(self.url, {"username": "bob"})

        self.assertEqual(len(captured), 1)
        await self.auth_communicator.receive_nothing()

    async def test_an_event_can_be_captured_and_delivered(self):
        await self.listen()

        with capture_broadcast_events(NotificationConsumer, suppress=False) as captured:
            await self.async_client.post(self.url, {"username": "bob"})

        self.assertEqual(captured[0].event.payload, self.invitation)
        notification = await self.auth_communicator.receive_message()
        self.assertEqual(notification.payload, self.invitation)


class MentionTests(RoomTestCase):
    """What is said in a room reaches another socket of those who are named."""

    async def test_a_member_who_is_named_is_notified(self):
        bob, headers = await self.acreate_user_and_ws_headers(username="bob")
        await self.room.members.aadd(bob)
        bobs_notifications = self.create_communicator(
            ws_path="/ws/notifications/", headers=headers
        )
        await bobs_notifications.connect()
        await bobs_notifications.assert_authenticated_status_ok()
        await self.enter(self.auth_communicator)

        await self.auth_communicator.send_message(chat("Where is @bob?"))

        notification = await bobs_notifications.receive_message()
        self.assertEqual(notification.payload.kind, "mention")
        self.assertEqual(notification.payload.sender, "alice")
        self.assertEqual(notification.payload.text, "Where is @bob?")

    async def test_who_is_no_member_is_not_notified(self):
        await self.acreate_user_and_ws_headers(username="carol")
        await self.enter(self.auth_communicator)

        with capture_broadcast_events(NotificationConsumer) as captured:
            await self.auth_communicator.send_message(chat("Where is @carol?"))
            await self.auth_communicator.receive_all_messages()

        self.assertEqual(captured, [])
