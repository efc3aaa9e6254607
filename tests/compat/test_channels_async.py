"""channels: AsyncWebsocketConsumer and AsyncJsonWebsocketConsumer."""

import asyncio
from typing import Any, Literal

import pytest
from asgiref.sync import sync_to_async
from channels.db import database_sync_to_async
from channels.exceptions import (
    AcceptConnection,
    DenyConnection,
    InvalidChannelLayerError,
    StopConsumer,
)
from channels.generic.websocket import (
    AsyncJsonWebsocketConsumer,
    AsyncWebsocketConsumer,
)
from channels.layers import get_channel_layer
from channels.routing import URLRouter
from django.contrib.auth import get_user_model
from django.urls import path
from pydantic import BaseModel

from chanx_testing.channels.testing import WebsocketCommunicator, WebsocketTestCase
from chanx_testing.core.client.errors import (
    ConnectionRejected,
    UndeclaredMessage,
    UnexpectedFrame,
)


class Said(BaseModel):
    kind: Literal["said"]
    text: str


class Joined(BaseModel):
    kind: Literal["joined"]
    name: str


class RoomConsumer(AsyncJsonWebsocketConsumer):
    """Repeats to everybody in the room what one says."""

    groups = ["room"]
    left: list[int] = []

    async def connect(self) -> None:
        if self.scope["query_string"] == b"banned":
            await self.close(4403)
            return
        await self.accept("chat" if "chat" in self.scope["subprotocols"] else None)

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        match content:
            case {"say": text}:
                event = {"type": "room.said", "text": text}
                await self.channel_layer.group_send("room", event)
            case {"join": name}:
                await self.send_json({"kind": "joined", "name": name})
            case {"register": name}:
                user = await get_user_model().objects.acreate(username=name)
                await self.send_json({"kind": "joined", "name": user.username})
            case {"count": None}:
                users = get_user_model().objects
                await self.send_json(await database_sync_to_async(users.count)())
            case {"later": text}:
                self.task = asyncio.create_task(self.later(text))
            case {"leave": code}:
                await self.close(code, reason="as asked")
            case _:
                raise LookupError(f"unknown: {content}")

    async def room_said(self, event: dict[str, Any]) -> None:
        await self.send_json({"kind": "said", "text": event["text"]})

    async def later(self, text: str) -> None:
        await sync_to_async(str.upper)(text)
        await self.send_json({"kind": "said", "text": text})

    async def disconnect(self, code: int) -> None:
        self.left.append(code)


class RawConsumer(AsyncWebsocketConsumer):
    """Sends text back as text, bytes as bytes."""

    async def receive(
        self, text_data: str | None = None, bytes_data: bytes | None = None
    ) -> None:
        if text_data == "stop":
            raise StopConsumer
        await self.send(text_data=text_data, bytes_data=bytes_data)


class AcceptingConsumer(AsyncWebsocketConsumer):
    async def connect(self) -> None:
        raise AcceptConnection


class DenyingConsumer(AsyncWebsocketConsumer):
    async def connect(self) -> None:
        raise DenyConnection


class FailingConsumer(AsyncWebsocketConsumer):
    async def connect(self) -> None:
        raise LookupError("broken connect")


class CarelessConsumer(AsyncWebsocketConsumer):
    async def disconnect(self, code: int) -> None:
        raise LookupError("broken disconnect")


class GroupsWithoutLayerConsumer(AsyncWebsocketConsumer):
    channel_layer_alias = "missing"
    groups = ["room"]


application = URLRouter(
    [
        path("room/", RoomConsumer.as_asgi()),
        path("raw/", RawConsumer.as_asgi()),
        path("accepting/", AcceptingConsumer.as_asgi()),
        path("denying/", DenyingConsumer.as_asgi()),
        path("failing/", FailingConsumer.as_asgi()),
        path("careless/", CarelessConsumer.as_asgi()),
        path("lost/", GroupsWithoutLayerConsumer.as_asgi()),
    ]
)


class AsyncConsumerTests(WebsocketTestCase):
    router = application
    ws_path = "/room/"

    def setUp(self) -> None:
        super().setUp()
        RoomConsumer.left.clear()

    async def test_handshake_is_accepted_with_a_subprotocol(self):
        communicator = self.create_communicator(subprotocols=["other", "chat"])
        assert await communicator.connect() == (True, "chat")

    async def test_handshake_is_rejected_with_its_code(self):
        communicator = self.create_communicator(ws_path="/room/?banned")
        assert await communicator.connect() == (False, 4403)

    async def test_handshake_that_is_rejected_raises_in_a_block(self):
        with pytest.raises(ConnectionRejected, match="4403"):
            async with self.create_communicator(ws_path="/room/?banned"):
                pass

    async def test_handshake_is_answered_by_exceptions(self):
        accepting = self.create_communicator(ws_path="/accepting/")
        assert await accepting.connect() == (True, None)
        denying = self.create_communicator(ws_path="/denying/")
        assert await denying.connect() == (False, 1000)

    async def test_frames_of_json(self):
        async with self.create_communicator() as communicator:
            await communicator.send_json({"join": "ann"})
            assert await communicator.receive_json() == {
                "kind": "joined",
                "name": "ann",
            }

    async def test_frames_of_text_and_of_bytes(self):
        async with self.create_communicator(ws_path="/raw/") as communicator:
            await communicator.send_to(text_data="text")
            await communicator.send_bytes(b"\x00\xff")
            await communicator.send_to(bytes_data=b"")
            assert await communicator.receive_from() == "text"
            assert await communicator.receive_from() == b"\x00\xff"

    async def test_frames_are_collected_until_nothing_more_can_come(self):
        async with self.create_communicator() as communicator:
            for text in "abc":
                await communicator.send_json({"later": text})
            collected = await communicator.receive_all_json()
            assert sorted(item["text"] for item in collected) == ["a", "b", "c"]

    async def test_frames_end_with_a_close(self):
        async with self.create_communicator() as communicator:
            await communicator.send_json({"leave": 4001})
            closed = await communicator.assert_closed(4001, reason="as asked")
            assert closed.messages == ()
        assert RoomConsumer.left == [4001]

    async def test_typed_messages_by_message_types(self):
        communicator = WebsocketCommunicator(
            application, "/room/", message_types=[Said, Joined]
        )
        async with communicator:
            await communicator.send_json({"join": "ann"})
            await communicator.send_json({"say": "hello"})
            assert await communicator.receive_all_messages() == [
                Joined(kind="joined", name="ann"),
                Said(kind="said", text="hello"),
            ]

    async def test_typed_messages_of_another_kind_are_refused(self):
        communicator = WebsocketCommunicator(
            application, "/room/", message_types=[Said]
        )
        async with communicator:
            await communicator.send_json({"join": "ann"})
            with pytest.raises(UndeclaredMessage, match="'kind': 'joined'"):
                await communicator.receive_message()

    async def test_typed_messages_say_what_they_need(self):
        async with self.create_communicator() as communicator:
            with pytest.raises(TypeError, match="RoomConsumer declares no messages"):
                await communicator.receive_message()

    async def test_groups_between_two_clients(self):
        async with (
            self.create_communicator() as ann,
            self.create_communicator() as bob,
        ):
            await ann.send_json({"say": "hello"})
            assert await bob.receive_json() == {"kind": "said", "text": "hello"}
            assert await ann.receive_json() == {"kind": "said", "text": "hello"}

    async def test_groups_reached_from_the_test(self):
        async with self.create_communicator() as communicator:
            event = {"type": "room.said", "text": "hello"}
            await get_channel_layer().group_send("room", event)
            assert len(await communicator.receive_all_json()) == 1

    async def test_groups_without_a_layer_surface(self):
        communicator = self.create_communicator(ws_path="/lost/")
        with pytest.raises(InvalidChannelLayerError):
            await communicator.connect()

    async def test_crash_in_connect_surfaces(self):
        communicator = self.create_communicator(ws_path="/failing/")
        with pytest.raises(LookupError, match="broken connect"):
            await communicator.connect()

    async def test_crash_in_receive_surfaces(self):
        communicator = self.create_communicator()
        await communicator.connect()
        await communicator.send_json({"typo": 1})
        with pytest.raises(LookupError, match="unknown"):
            await communicator.receive_json()

    async def test_crash_in_an_event_surfaces(self):
        communicator = self.create_communicator()
        await communicator.connect()
        await get_channel_layer().group_send("room", {"type": "room.typo"})
        with pytest.raises(ValueError, match=r"No handler for message type room\.typo"):
            await communicator.receive_json()

    async def test_crash_in_disconnect_surfaces(self):
        communicator = self.create_communicator(ws_path="/careless/")
        await communicator.connect()
        with pytest.raises(LookupError, match="broken disconnect"):
            await communicator.disconnect()

    async def test_cleanup_runs_on_disconnect(self):
        communicator = self.create_communicator()
        await communicator.connect()
        await communicator.disconnect(4000)
        assert RoomConsumer.left == [4000]
        assert get_channel_layer().groups == {}

    async def test_cleanup_by_stop_consumer_is_an_end(self):
        async with self.create_communicator(ws_path="/raw/") as communicator:
            await communicator.send_to(text_data="stop")
            assert await communicator.receive_nothing()

    async def test_nothing_more_is_proved(self):
        async with self.create_communicator() as communicator:
            assert await communicator.receive_nothing()
            verdict = await communicator.wait_until_idle()
            assert verdict, verdict

    async def test_nothing_more_is_refuted(self):
        async with self.create_communicator() as communicator:
            await communicator.send_json({"later": "hello"})
            with pytest.raises(UnexpectedFrame, match="hello"):
                await communicator.receive_nothing()

    async def test_database_is_shared_with_the_test(self):
        await get_user_model().objects.acreate(username="before")
        async with self.create_communicator() as communicator:
            await communicator.send_json({"register": "ann"})
            await communicator.receive_json()
            assert await get_user_model().objects.filter(username="ann").aexists()
            await communicator.send_json({"count": None})
            assert await communicator.receive_json() == 2
