"""A consumer of news, and a task that publishes them."""

from typing import Any, Literal

from channels.routing import URLRouter
from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandParser
from django.urls import path

from chanx_testing.channels.websocket import AsyncJsonWebsocketConsumer
from chanx_testing.core.decorators import event_handler, ws_handler
from chanx_testing.messages.base import BaseMessage
from chanx_testing.messages.incoming import PingMessage
from chanx_testing.messages.outgoing import PongMessage


class Published(BaseMessage):
    action: Literal["published"] = "published"
    payload: str


class News(BaseMessage):
    action: Literal["news"] = "news"
    payload: str


class NewsConsumer(AsyncJsonWebsocketConsumer):
    groups = ["news"]
    send_completion = True

    @ws_handler
    async def ping(self, message: PingMessage) -> PongMessage:
        return PongMessage()

    @event_handler
    async def published(self, event: Published) -> News:
        return News(payload=event.payload)

    async def raw_news(self, event: dict[str, Any]) -> None:
        await self.send_message(News(payload=event["title"]))


application = URLRouter([path("ws/news/", NewsConsumer.as_asgi())])


def publish_later(title: str) -> None:
    """Do what a task of Celery does: synchronous, with the database, in a worker."""
    count = get_user_model().objects.count()
    NewsConsumer.broadcast_event_sync(Published(payload=f"{title} for {count} users"))


class PublishCommand(BaseCommand):
    """What ``manage.py publish TITLE`` would run."""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("title")

    def handle(self, *args: Any, **options: Any) -> None:
        publish_later(options["title"])
        self.stdout.write(f"Published {options['title']}")
