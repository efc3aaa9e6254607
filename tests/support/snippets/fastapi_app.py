"""The application behind the FastAPI snippets."""

from collections.abc import AsyncIterator

from fast_channels.layers import InMemoryChannelLayer, register_channel_layer
from fastapi import FastAPI

from chanx_testing.core.decorators import event_handler, ws_handler
from chanx_testing.fast_channels.websocket import AsyncJsonWebsocketConsumer
from chanx_testing.messages.incoming import PingMessage
from chanx_testing.messages.outgoing import PongMessage
from tests.support.snippets.messages import (
    ChatMessage,
    ChatNotice,
    CustomAction,
    CustomMessage,
    EchoMessage,
    EchoReply,
    GenerateStoryMessage,
    JobStatus,
    NotificationEvent,
    ProcessComplete,
    StartProcessMessage,
    StoryPart,
    StreamingMessage,
)

register_channel_layer("seed", InMemoryChannelLayer())


class TestBaseConsumer(AsyncJsonWebsocketConsumer):
    send_completion = True
    log_websocket_message = False
    channel_layer_alias = "seed"


class ChatConsumer(TestBaseConsumer):
    groups = ["users"]

    @ws_handler
    async def ping(self, message: PingMessage) -> PongMessage:
        return PongMessage()

    @ws_handler
    async def echo(self, message: EchoMessage) -> EchoReply:
        return EchoReply(payload=message.payload)

    @ws_handler
    async def custom(self, message: CustomMessage) -> CustomAction:
        return CustomAction(payload=message.payload)

    @ws_handler(output_type=[JobStatus, ProcessComplete])
    async def start_process(self, message: StartProcessMessage) -> None:
        await self.send_message(JobStatus(payload="half"))
        await self.send_message(ProcessComplete())

    @ws_handler(output_type=ChatNotice)
    async def chat(self, message: ChatMessage) -> None:
        await self.broadcast_message(ChatNotice(payload=message.payload))

    @event_handler
    async def notification(self, event: NotificationEvent) -> NotificationEvent:
        return event


class RoomChatConsumer(TestBaseConsumer):
    async def post_authentication(self) -> None:
        await self.join_group(f"room_{self.scope['path_params']['room']}")

    @ws_handler(output_type=ChatNotice)
    async def chat(self, message: ChatMessage) -> None:
        await self.broadcast_message(ChatNotice(payload=message.payload))


class AIConsumer(TestBaseConsumer):
    """Tells a story as an event of its own, as a worker would."""

    @ws_handler
    async def generate_story(self, message: GenerateStoryMessage) -> None:
        story = StoryPart(payload=message.payload.prompt)
        await self.send_event(story, self.channel_name)

    @event_handler
    async def tell(self, event: StoryPart) -> AsyncIterator[StreamingMessage]:
        for word in event.payload.split():
            yield StreamingMessage(payload=word)


ws_app = FastAPI()
ws_app.router.add_websocket_route("/chat", ChatConsumer.as_asgi())
ws_app.router.add_websocket_route("/room/{room}", RoomChatConsumer.as_asgi())
ws_app.router.add_websocket_route("/ai-chat", AIConsumer.as_asgi())

app = FastAPI()
app.mount("/ws", ws_app)
