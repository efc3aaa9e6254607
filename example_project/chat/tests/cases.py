"""What the test cases of this project have in common."""

from chanx_testing.channels.testing import WebsocketCommunicator, WebsocketTestCase
from chanx_testing.messages.base import BaseMessage
from example_project.chat.messages import ChatMessage, ChatPayload, PresenceMessage
from example_project.chat.models import Room


class RoomTestCase(WebsocketTestCase):
    """Alice is the only member of a room; ``auth_communicator`` is her browser."""

    def get_ws_headers(self):
        self.alice, headers = self.create_user_and_ws_headers(username="alice")
        return headers

    def setUp(self):
        super().setUp()
        self.room = Room.objects.create(name="Lobby")
        self.room.members.add(self.alice)
        self.ws_path = f"/ws/rooms/{self.room.pk}/"

    async def create_member(self, username: str) -> WebsocketCommunicator:
        """Return a communicator of another member, not connected yet."""
        user, headers = await self.acreate_user_and_ws_headers(username=username)
        await self.room.members.aadd(user)
        return self.create_communicator(headers=headers)

    async def enter(self, communicator: WebsocketCommunicator) -> list[str]:
        """Connect and return the names of those who are in the room then."""
        await communicator.connect()
        await communicator.assert_authenticated_status_ok()
        presence = await communicator.receive_message()
        assert isinstance(presence, PresenceMessage), presence
        return presence.payload.users


def chat(text: str) -> BaseMessage:
    """Return the message by which a client says something."""
    return ChatMessage(payload=ChatPayload(text=text))
