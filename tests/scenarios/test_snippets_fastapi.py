"""The documented FastAPI snippets, one test each."""

import pytest

from chanx_testing.constants import (
    EVENT_ACTION_COMPLETE,
    GROUP_ACTION_COMPLETE,
    MESSAGE_ACTION_COMPLETE,
)
from chanx_testing.core.testing import capture_broadcast_events
from chanx_testing.fast_channels.testing import WebsocketCommunicator
from chanx_testing.messages.incoming import PingMessage
from chanx_testing.messages.outgoing import PongMessage
from tests.support.snippets.fastapi_app import (
    AIConsumer,
    ChatConsumer,
    RoomChatConsumer,
    TestBaseConsumer,
    app,
)
from tests.support.snippets.messages import (
    ChatMessage,
    EchoMessage,
    GenerateStoryMessage,
    NotificationEvent,
    StartProcessMessage,
)

# Basic setup.


def test_configuration_by_a_base_consumer():
    assert TestBaseConsumer.resolve_setting("SEND_COMPLETION") is True
    assert TestBaseConsumer.resolve_setting("LOG_WEBSOCKET_MESSAGE") is False


@pytest.mark.asyncio
async def test_ping_pong():
    async with WebsocketCommunicator(app, "/ws/chat", consumer=ChatConsumer) as comm:
        await comm.send_message(PingMessage())
        messages = await comm.receive_all_messages()
        assert len(messages) == 1
        assert isinstance(messages[0], PongMessage)


@pytest.mark.asyncio
async def test_chat_broadcasting():
    async with (
        WebsocketCommunicator(
            app, "/ws/room/test", consumer=RoomChatConsumer
        ) as first_comm,
        WebsocketCommunicator(
            app, "/ws/room/test", consumer=RoomChatConsumer
        ) as second_comm,
    ):
        await first_comm.send_message(ChatMessage(payload={"message": "Hello"}))

        first_replies = await first_comm.receive_all_messages(
            stop_action=GROUP_ACTION_COMPLETE
        )
        second_replies = await second_comm.receive_all_messages(
            stop_action=GROUP_ACTION_COMPLETE
        )

        assert len(first_replies) == 1
        assert len(second_replies) == 1


# Connections.


@pytest.mark.asyncio
async def test_manual_connection():
    comm = WebsocketCommunicator(app, "/ws/chat", consumer=ChatConsumer)
    await comm.connect()
    await comm.send_message(ChatMessage(payload={"message": "Hello"}))
    messages = await comm.receive_all_messages(
        stop_action=GROUP_ACTION_COMPLETE, timeout=2.0
    )
    assert [message.action for message in messages] == ["chat_notice"]
    await comm.disconnect()


@pytest.mark.asyncio
async def test_the_context_manager_connects_and_disconnects():
    async with WebsocketCommunicator(app, "/ws/chat", consumer=ChatConsumer) as comm:
        assert not comm.future.done()
    assert comm.future.done()


# The verbs.


@pytest.mark.asyncio
async def test_raw_json():
    async with WebsocketCommunicator(app, "/ws/chat", consumer=ChatConsumer) as comm:
        await comm.send_json({"action": "custom", "payload": {"data": "test"}})
        json_response = await comm.receive_json(timeout=1.0)
        assert json_response == {"action": "custom_action", "payload": {"data": "test"}}


@pytest.mark.asyncio
async def test_one_message():
    async with WebsocketCommunicator(app, "/ws/chat", consumer=ChatConsumer) as comm:
        await comm.send_message(PingMessage())
        single_message = await comm.receive_message(timeout=1.0)
        assert single_message == PongMessage()


@pytest.mark.asyncio
async def test_nothing():
    async with WebsocketCommunicator(app, "/ws/chat", consumer=ChatConsumer) as comm:
        await comm.receive_nothing(timeout=0.5)


@pytest.mark.asyncio
async def test_all_json():
    async with WebsocketCommunicator(app, "/ws/chat", consumer=ChatConsumer) as comm:
        await comm.send_message(PingMessage())
        all_json = await comm.receive_all_json(timeout=2.0)
        assert [item["action"] for item in all_json] == ["pong", "complete"]


# What ends a collection.


def test_completion_constants():
    assert (
        MESSAGE_ACTION_COMPLETE,
        GROUP_ACTION_COMPLETE,
        EVENT_ACTION_COMPLETE,
    ) == ("complete", "group_complete", "event_complete")


@pytest.mark.asyncio
async def test_default_completion():
    async with WebsocketCommunicator(app, "/ws/chat", consumer=ChatConsumer) as comm:
        await comm.send_message(EchoMessage(payload={"text": "hello"}))
        responses = await comm.receive_all_messages()
        assert [response.payload.text for response in responses] == ["hello"]


@pytest.mark.asyncio
async def test_named_completion():
    async with WebsocketCommunicator(app, "/ws/chat", consumer=ChatConsumer) as comm:
        await comm.send_message(PingMessage())
        messages = await comm.receive_all_messages(stop_action="complete")
        assert messages == [PongMessage()]


@pytest.mark.asyncio
async def test_group_completion():
    async with WebsocketCommunicator(app, "/ws/chat", consumer=ChatConsumer) as comm:
        await comm.send_message(ChatMessage(payload={"text": "hello everyone"}))
        responses = await comm.receive_all_messages(stop_action=GROUP_ACTION_COMPLETE)
        assert [response.payload for response in responses] == [
            {"text": "hello everyone"}
        ]


@pytest.mark.asyncio
async def test_event_completion():
    async with WebsocketCommunicator(app, "/ws/chat", consumer=ChatConsumer) as comm:
        await ChatConsumer.broadcast_event(
            NotificationEvent(payload={"message": "..."}), groups=["users"]
        )
        responses = await comm.receive_all_messages(stop_action=EVENT_ACTION_COMPLETE)
        assert [response.action for response in responses] == ["notification"]


@pytest.mark.asyncio
async def test_custom_action():
    async with WebsocketCommunicator(app, "/ws/chat", consumer=ChatConsumer) as comm:
        await comm.send_json({"action": "custom", "payload": {}})
        messages = await comm.receive_all_messages(stop_action="custom_action")
        assert [message.action for message in messages] == ["custom_action"]


@pytest.mark.asyncio
async def test_process_complete():
    async with WebsocketCommunicator(app, "/ws/chat", consumer=ChatConsumer) as comm:
        await comm.send_message(StartProcessMessage())
        responses = await comm.receive_all_messages(stop_action="process_complete")
        assert [response.action for response in responses] == [
            "job_status",
            "process_complete",
        ]


@pytest.mark.asyncio
async def test_job_status():
    async with WebsocketCommunicator(app, "/ws/chat", consumer=ChatConsumer) as comm:
        await comm.send_message(StartProcessMessage())
        responses = await comm.receive_all_messages(stop_action="job_status")
        assert [response.payload for response in responses] == ["half"]


@pytest.mark.asyncio
async def test_streaming_response():
    async with WebsocketCommunicator(app, "/ws/ai-chat", consumer=AIConsumer) as comm:
        await comm.send_message(
            GenerateStoryMessage(payload={"prompt": "Tell me a story"})
        )

        messages = await comm.receive_all_messages(
            stop_action=EVENT_ACTION_COMPLETE, timeout=5.0
        )

        streaming_messages = [m for m in messages if m.action == "streaming"]
        assert len(streaming_messages) >= 1


# The consumer: given, or found through the routes of the application.


@pytest.mark.asyncio
async def test_the_consumer_is_given():
    async with WebsocketCommunicator(app, "/ws/chat", consumer=ChatConsumer) as comm:
        await comm.send_message(ChatMessage(payload={"message": "Hello"}))
        messages = await comm.receive_all_messages(stop_action=GROUP_ACTION_COMPLETE)
        assert len(messages) == 1


@pytest.mark.asyncio
async def test_the_consumer_is_found():
    async with WebsocketCommunicator(app, "/ws/chat") as comm:
        assert comm.consumer is ChatConsumer
        await comm.send_message(ChatMessage(payload={"message": "Hello"}))
        messages = await comm.receive_all_messages(stop_action=GROUP_ACTION_COMPLETE)
        assert len(messages) == 1


@pytest.mark.asyncio
async def test_without_a_consumer_typed_messages_say_what_to_pass():
    async def hidden(scope, receive, send):
        await ChatConsumer.as_asgi()(scope, receive, send)

    async with WebsocketCommunicator(hidden, "/ws/chat") as comm:
        await comm.send_message(PingMessage())
        with pytest.raises(TypeError, match=r"is not known\. Pass consumer="):
            await comm.receive_all_messages(stop_action=GROUP_ACTION_COMPLETE)
        assert (await comm.receive_json())["action"] == "pong"


# Capturing broadcasts.


@pytest.mark.asyncio
async def test_notification_broadcast():
    with capture_broadcast_events(ChatConsumer) as captured:
        await ChatConsumer.broadcast_event(
            NotificationEvent(payload={"message": "Test"}), groups=["users"]
        )

    assert len(captured) == 1
    assert captured[0]["event"].action == "notification"
    assert captured[0]["groups"] == ["users"]


@pytest.mark.asyncio
async def test_captured_broadcasts_do_not_arrive():
    async with WebsocketCommunicator(app, "/ws/chat", consumer=ChatConsumer) as comm:
        with capture_broadcast_events(ChatConsumer):
            await ChatConsumer.broadcast_event(
                NotificationEvent(payload={"message": "Test"}), groups=["users"]
            )
        await comm.receive_nothing()


@pytest.mark.asyncio
async def test_capture_without_suppressing():
    async with WebsocketCommunicator(app, "/ws/chat", consumer=ChatConsumer) as comm:
        with capture_broadcast_events(ChatConsumer, suppress=False) as captured:
            await ChatConsumer.broadcast_event(
                NotificationEvent(payload={"message": "Test"}), groups=["users"]
            )
        messages = await comm.receive_all_messages(stop_action=EVENT_ACTION_COMPLETE)
        assert [message.payload.message for message in messages] == ["Test"]

    assert len(captured) == 1
