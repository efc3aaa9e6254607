"""The documented Django snippets, one test each."""

from chanx_testing.channels.testing import WebsocketTestCase
from chanx_testing.constants import (
    EVENT_ACTION_COMPLETE,
    GROUP_ACTION_COMPLETE,
    MESSAGE_ACTION_COMPLETE,
)
from chanx_testing.core.testing import capture_broadcast_events
from chanx_testing.messages.incoming import PingMessage
from chanx_testing.messages.outgoing import PongMessage
from tests.support.snippets import django_app
from tests.support.snippets.django_app import (
    ChatConsumer,
    LenientConsumer,
    OpenConsumer,
)
from tests.support.snippets.messages import (
    ChatMessage,
    EchoMessage,
    NotificationEvent,
    ProtectedMessage,
    StartProcessMessage,
    TestMessage,
)


class TestChatConsumer(WebsocketTestCase):
    """Basic setup, several users, life of a connection."""

    consumer = ChatConsumer
    router = django_app.application

    def setUp(self):
        super().setUp()
        self.ws_path = "/ws/chat/"

    def get_ws_headers(self):
        self.user, headers = self.create_user_and_ws_headers()
        return headers

    async def test_authenticated_chat(self):
        await self.auth_communicator.connect()
        await self.auth_communicator.assert_authenticated_status_ok()

        await self.auth_communicator.send_message(
            ChatMessage(payload={"message": "Hello"})
        )

        messages = await self.auth_communicator.receive_all_messages()
        assert len(messages) >= 1

    async def test_multi_user_chat(self):
        await self.auth_communicator.connect()
        await self.auth_communicator.assert_authenticated_status_ok()

        second_user, second_headers = await self.acreate_user_and_ws_headers()
        second_comm = self.create_communicator(headers=second_headers)
        await second_comm.connect()
        await second_comm.assert_authenticated_status_ok()

        await self.auth_communicator.send_message(
            ChatMessage(payload={"message": "Hello"})
        )
        for comm in (self.auth_communicator, second_comm):
            replies = await comm.receive_all_messages(stop_action=GROUP_ACTION_COMPLETE)
            assert len(replies) == 1
        assert second_user != self.user

    async def test_connection_lifecycle(self):
        await self.auth_communicator.connect()
        await self.auth_communicator.assert_authenticated_status_ok()

        await self.auth_communicator.send_message(TestMessage())
        messages = await self.auth_communicator.receive_all_messages()
        assert messages == [PongMessage()]

    async def test_primary_and_additional_communicators(self):
        await self.auth_communicator.connect()
        await self.auth_communicator.assert_authenticated_status_ok()

        _, different_headers = await self.acreate_user_and_ws_headers()
        second_comm = self.create_communicator(headers=different_headers)
        await second_comm.connect()

        await ChatConsumer.broadcast_event(
            NotificationEvent(payload={"message": "test"}),
            groups=[f"user_{self.user.id}"],
        )
        assert await self.auth_communicator.receive_all_messages(EVENT_ACTION_COMPLETE)
        await second_comm.assert_authenticated_status_ok()
        await second_comm.receive_nothing()

    async def test_manual_connection(self):
        comm = self.create_communicator()
        await comm.connect()
        await comm.assert_authenticated_status_ok()
        await comm.send_message(PingMessage())
        messages = await comm.receive_all_messages()
        assert isinstance(messages[0], PongMessage)
        await comm.disconnect()

    async def test_authentication_success(self):
        comm = self.auth_communicator
        await comm.connect()
        await comm.assert_authenticated_status_ok()

    async def test_authentication_failure(self):
        comm = self.communicator
        await comm.connect()
        auth_msg = await comm.wait_for_auth()
        assert auth_msg.payload.status_code == 403


class TestMethods(WebsocketTestCase):
    """The verbs of a communicator."""

    consumer = ChatConsumer
    router = django_app.application
    ws_path = "/ws/chat/"

    def get_ws_headers(self):
        self.user, headers = self.create_user_and_ws_headers()
        return headers

    async def asyncSetUp(self):
        self.comm = self.auth_communicator
        await self.comm.connect()
        await self.comm.assert_authenticated_status_ok()

    async def test_raw_json(self):
        comm = self.comm
        await comm.send_json({"action": "custom", "payload": {"data": "test"}})
        json_response = await comm.receive_json(timeout=1.0)
        assert json_response == {"action": "custom_action", "payload": {"data": "test"}}

    async def test_one_message(self):
        comm = self.comm
        await comm.send_message(PingMessage())
        single_message = await comm.receive_message(timeout=1.0)
        assert single_message == PongMessage()

    async def test_nothing(self):
        await self.comm.receive_nothing(timeout=0.5)

    async def test_all_json(self):
        comm = self.comm
        await comm.send_message(PingMessage())
        all_json = await comm.receive_all_json(timeout=2.0)
        assert [item["action"] for item in all_json] == ["pong", "complete"]

    async def test_completion_constants(self):
        assert (
            MESSAGE_ACTION_COMPLETE,
            GROUP_ACTION_COMPLETE,
            EVENT_ACTION_COMPLETE,
        ) == ("complete", "group_complete", "event_complete")

    async def test_default_completion(self):
        comm = self.comm
        await comm.send_message(PingMessage())
        messages = await comm.receive_all_messages(stop_action="complete")
        assert messages == [PongMessage()]

    async def test_group_completion(self):
        comm = self.comm
        await comm.send_message(ChatMessage(payload={"message": "Hello"}))
        messages = await comm.receive_all_messages(
            stop_action=GROUP_ACTION_COMPLETE, timeout=2.0
        )
        assert [message.action for message in messages] == ["chat_notice"]

    async def test_event_completion(self):
        comm = self.comm
        await ChatConsumer.broadcast_event(
            NotificationEvent(payload={"message": "..."}), groups=["users"]
        )
        messages = await comm.receive_all_messages(stop_action="event_complete")
        assert [message.action for message in messages] == ["notification"]

    async def test_custom_action(self):
        comm = self.comm
        await comm.send_json({"action": "custom", "payload": {}})
        messages = await comm.receive_all_messages(stop_action="custom_action")
        assert [message.action for message in messages] == ["custom_action"]

    async def test_echo(self):
        comm = self.comm
        await comm.send_message(EchoMessage(payload={"text": "hello"}))
        (response,) = await comm.receive_all_messages()
        assert response.payload.text == "hello"

    async def test_process_complete(self):
        comm = self.comm
        await comm.send_message(StartProcessMessage())
        responses = await comm.receive_all_messages(stop_action="process_complete")
        assert responses[-1].action == "process_complete"

    async def test_job_status(self):
        comm = self.comm
        await comm.send_message(StartProcessMessage())
        responses = await comm.receive_all_messages(stop_action="job_status")
        assert [response.payload for response in responses] == ["half"]

    async def test_event_broadcasting(self):
        await ChatConsumer.broadcast_event(
            NotificationEvent(payload={"message": "System notification"}),
            groups=[f"user_{self.user.id}"],
        )

        messages = await self.auth_communicator.receive_all_messages(
            stop_action=EVENT_ACTION_COMPLETE
        )
        assert len(messages) == 1


class TestCapture(WebsocketTestCase):
    """Capturing broadcast events."""

    async def test_notification_broadcast(self):
        with capture_broadcast_events(ChatConsumer) as captured:
            await ChatConsumer.broadcast_event(
                NotificationEvent(payload={"message": "Test notification"}),
                groups=["users"],
            )

        assert len(captured) == 1
        assert captured[0]["event"].action == "notification"
        assert captured[0]["event"].payload.message == "Test notification"
        assert captured[0]["groups"] == ["users"]

    async def test_multiple_broadcasts(self):
        with capture_broadcast_events(ChatConsumer) as captured:
            await ChatConsumer.broadcast_event(
                NotificationEvent(payload={"message": "First"}),
                groups=["group1", "group2"],
            )
            await ChatConsumer.broadcast_event(
                NotificationEvent(payload={"message": "Second"}), groups="single_group"
            )

        assert len(captured) == 2
        assert captured[0]["groups"] == ["group1", "group2"]
        assert captured[1]["groups"] == "single_group"

        notifications = [e for e in captured if e["event"].action == "notification"]
        assert len(notifications) == 2

    async def test_capture_without_suppressing(self):
        with capture_broadcast_events(ChatConsumer, suppress=False) as captured:
            await ChatConsumer.broadcast_event(
                NotificationEvent(payload={"message": "Broadcast and capture"}),
                groups=["users"],
            )

        assert len(captured) == 1


class TestUnauthorized(WebsocketTestCase):
    """A consumer that answers members only."""

    consumer = OpenConsumer
    router = django_app.application
    ws_path = "/ws/open/"

    async def test_no_unauthorized_messages(self):
        await self.communicator.connect()

        await self.communicator.send_message(ProtectedMessage())

        await self.communicator.receive_nothing(timeout=0.5)


class TestInvalid(WebsocketTestCase):
    """A consumer that ignores what it does not understand."""

    consumer = LenientConsumer
    router = django_app.application
    ws_path = "/ws/lenient/"

    def get_ws_headers(self):
        self.user, headers = self.create_user_and_ws_headers()
        return headers

    async def test_invalid_message_ignored(self):
        await self.auth_communicator.connect()
        await self.auth_communicator.assert_authenticated_status_ok()

        await self.auth_communicator.send_json({"invalid": "format"})

        await self.auth_communicator.receive_nothing(timeout=0.5)
