"""Who gets in: by session, by token, and who does not."""

from django.urls import reverse

from chanx_testing.channels.login import TokenLogin
from chanx_testing.channels.testing import WebsocketTestCase
from chanx_testing.constants import EVENT_ACTION_COMPLETE
from example_project.chat.consumers import NotificationConsumer, RoomConsumer
from example_project.chat.tests.cases import RoomTestCase


class RefusedTests(RoomTestCase):
    consumer = RoomConsumer

    async def test_a_stranger_is_refused(self):
        # The same headers as those of auth_communicator, without the session.
        await self.communicator.connect()

        refusal = await self.communicator.wait_for_auth()
        self.assertEqual(refusal.payload.status_code, 401)
        await self.communicator.assert_closed(4401)

    async def test_a_user_who_is_no_member_is_refused(self):
        _, headers = await self.acreate_user_and_ws_headers()
        outsider = self.create_communicator(headers=headers)
        await outsider.connect()

        refusal = await outsider.wait_for_auth()
        self.assertEqual(refusal.payload.status_code, 403)
        self.assertEqual(
            refusal.payload.data, {"detail": "You are not a member of this room."}
        )
        await outsider.assert_closed(4403)

    async def test_a_room_that_does_not_exist_is_not_found(self):
        lost = self.create_communicator(ws_path="/ws/rooms/999999/")
        await lost.connect()

        refusal = await lost.wait_for_auth()
        self.assertEqual(refusal.payload.status_code, 404)
        await lost.assert_closed(4404)

    async def test_who_is_refused_enters_no_room(self):
        await self.communicator.connect()
        await self.communicator.assert_closed(4401)

        self.assertEqual(await self.enter(self.auth_communicator), ["alice"])

    async def test_a_page_of_another_site_cannot_connect(self):
        headers = [
            (name, b"https://evil.example" if name == b"origin" else value)
            for name, value in self.ws_headers
        ]
        accepted, _ = await self.create_communicator(headers=headers).connect()

        self.assertFalse(accepted)

    async def test_a_member_who_leaves_is_disconnected(self):
        await self.enter(self.auth_communicator)
        await self.async_client.aforce_login(self.alice)

        await self.async_client.post(reverse("leave-room", args=[self.room.pk]))

        await self.auth_communicator.assert_closed(4403)

    async def test_a_member_who_leaves_does_not_take_others_along(self):
        bob = await self.create_member("bob")
        await self.enter(bob)
        await self.async_client.aforce_login(self.alice)

        await self.async_client.post(reverse("leave-room", args=[self.room.pk]))

        nothing = await bob.receive_all_messages(stop_action=EVENT_ACTION_COMPLETE)
        self.assertEqual(nothing, [])
        self.assertIsNone(bob.closed)


class TokenTests(WebsocketTestCase):
    """API clients log in with a token, in the ``authorization`` header."""

    ws_login = TokenLogin()
    ws_path = "/ws/notifications/"
    consumer = NotificationConsumer

    def get_ws_headers(self):
        self.user, headers = self.create_user_and_ws_headers()
        return headers

    async def test_a_client_with_a_token_gets_in(self):
        await self.auth_communicator.connect()
        await self.auth_communicator.assert_authenticated_status_ok()

    async def test_the_token_of_the_api_is_the_one_to_connect_with(self):
        await self.acreate_user_and_ws_headers(username="bob", password="secret")
        response = await self.async_client.post(
            reverse("api-token"), {"username": "bob", "password": "secret"}
        )
        token = response.json()["token"]

        communicator = self.create_communicator(
            headers=[
                (b"origin", b"http://localhost"),
                (b"authorization", f"Token {token}".encode()),
            ]
        )
        await communicator.connect()

        await communicator.assert_authenticated_status_ok()

    async def test_a_client_without_a_token_is_refused(self):
        await self.communicator.connect()

        await self.communicator.assert_closed(4401)

    async def test_a_wrong_token_is_refused(self):
        communicator = self.create_communicator(
            headers=[
                (b"origin", b"http://localhost"),
                (b"authorization", b"Token wrong"),
            ]
        )
        await communicator.connect()

        refusal = await communicator.wait_for_auth()
        self.assertEqual(refusal.payload.status_code, 401)
        self.assertEqual(refusal.payload.data, {"detail": "Invalid token."})
        await communicator.assert_closed(4401)
