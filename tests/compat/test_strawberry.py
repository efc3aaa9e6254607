"""Strawberry: GraphQL subscriptions over Channels."""
# ruff: noqa: E402 - the package has to be there before its parts are imported

import asyncio
import datetime
from collections.abc import AsyncIterator
from typing import Annotated, Any, ClassVar, Literal

import pytest
from channels.layers import get_channel_layer
from django.contrib.auth import get_user_model
from pydantic import BaseModel, Field

from chanx_testing.channels.testing import WebsocketCommunicator, WebsocketTestCase
from chanx_testing.core.client.errors import UnexpectedFrame
from tests.support.require import require

require("strawberry", "strawberry-graphql")

import strawberry
from strawberry.channels import GraphQLWSConsumer

TRANSPORT = "graphql-transport-ws"
LEGACY = "graphql-ws"

left: list[str] = []


@strawberry.type
class Query:
    @strawberry.field
    async def users(self) -> int:
        return await get_user_model().objects.acount()


@strawberry.type
class Mutation:
    @strawberry.mutation
    async def say(self, info: strawberry.Info, text: str) -> bool:
        layer = info.context["ws"].channel_layer
        await layer.group_send("room", {"type": "room.said", "text": text})
        return True

    @strawberry.mutation
    async def register(self, name: str) -> str:
        user = await get_user_model().objects.acreate(username=name)
        return str(user.username)


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def count(self, to: int) -> AsyncIterator[int]:
        for number in range(to):
            await asyncio.sleep(0)
            yield number

    @strawberry.subscription
    async def room(self, info: strawberry.Info) -> AsyncIterator[str]:
        consumer = info.context["ws"]
        try:
            async with consumer.listen_to_channel(
                "room.said", groups=["room"]
            ) as events:
                async for event in events:
                    yield event["text"]
        finally:
            left.append("room")

    @strawberry.subscription
    async def fail(self) -> AsyncIterator[int]:
        yield 1
        raise LookupError("broken subscription")


schema = strawberry.Schema(Query, Mutation, Subscription)


class Consumer(GraphQLWSConsumer[Any, Any]):
    async def on_ws_connect(self, context: Any) -> Any:
        if self.scope["query_string"] == b"broken":
            raise LookupError("broken init")
        return strawberry.UNSET


application = Consumer.as_asgi(schema=schema)


class Data(BaseModel):
    type: Literal["next"] = "next"
    id: str
    payload: dict[str, Any]


class Error(BaseModel):
    type: Literal["error"] = "error"
    id: str
    payload: list[dict[str, Any]]


class Complete(BaseModel):
    type: Literal["complete"] = "complete"
    id: str


Answer = Annotated[Data | Error | Complete, Field(discriminator="type")]


def operation(query: str, id: str = "1", type: str = "subscribe") -> dict[str, Any]:  # noqa: A002 - the names of the protocol
    return {"type": type, "id": id, "payload": {"query": query}}


class StrawberryTests(WebsocketTestCase):
    router = application
    ws_path = "/graphql"
    protocol: ClassVar[str] = TRANSPORT

    def setUp(self) -> None:
        super().setUp()
        left.clear()

    def get_subprotocols(self) -> list[str]:
        return [self.protocol]

    async def subscriber(self, **options: Any) -> WebsocketCommunicator:
        """A connected communicator whose ``connection_init`` has been acknowledged."""
        communicator = WebsocketCommunicator(
            application, "/graphql", subprotocols=[self.protocol], **options
        )
        assert await communicator.connect() == (True, self.protocol)
        await communicator.send_json({"type": "connection_init"})
        assert (await communicator.receive_json())["type"] == "connection_ack"
        return communicator

    async def test_handshake_is_accepted_with_the_subprotocol(self):
        communicator = self.create_communicator(subprotocols=["other", TRANSPORT])
        assert await communicator.connect() == (True, TRANSPORT)

    async def test_handshake_without_a_known_subprotocol_is_closed(self):
        communicator = self.create_communicator(subprotocols=["other"])
        assert await communicator.connect() == (True, None)
        await communicator.assert_closed(4406, reason="Subprotocol not acceptable")

    async def test_frames_of_a_subscription(self):
        communicator = await self.subscriber()
        await communicator.send_json(operation("subscription { count(to: 3) }"))
        frames = await communicator.receive_all_json()
        assert [frame["type"] for frame in frames] == ["next"] * 3 + ["complete"]
        numbers = [frame["payload"]["data"]["count"] for frame in frames[:-1]]
        assert numbers == [0, 1, 2]

    async def test_frames_of_a_query(self):
        communicator = await self.subscriber()
        await communicator.send_json(operation("{ users }"))
        frame = await communicator.receive_json()
        assert frame["payload"]["data"] == {"users": 0}

    async def test_frames_before_the_init_are_refused(self):
        async with self.create_communicator() as communicator:
            await communicator.send_json(operation("{ users }"))
            await communicator.assert_closed(4401)

    async def test_typed_messages_by_message_types(self):
        communicator = await self.subscriber(message_types=[Answer])
        await communicator.send_json(operation("subscription { count(to: 1) }"))
        assert await communicator.receive_all_messages() == [
            Data(id="1", payload={"data": {"count": 0}}),
            Complete(id="1"),
        ]

    async def test_groups_between_two_clients(self):
        ann, bob = await self.subscriber(), await self.subscriber()
        for each in (ann, bob):
            await each.send_json(operation("subscription { room }", id="room"))
            assert await each.receive_nothing()
        await ann.send_json(operation('mutation { say(text: "hello") }', id="say"))
        frame = await bob.receive_json()
        assert frame["payload"]["data"] == {"room": "hello"}
        frames = await ann.receive_all_json()
        assert {frame["id"] for frame in frames} == {"room", "say"}

    async def test_groups_reached_from_the_test(self):
        communicator = await self.subscriber()
        await communicator.send_json(operation("subscription { room }"))
        await communicator.wait_until_idle()
        event = {"type": "room.said", "text": "hello"}
        await get_channel_layer().group_send("room", event)
        frame = await communicator.receive_json()
        assert frame["payload"]["data"] == {"room": "hello"}

    async def test_crash_in_a_subscription_is_a_frame_with_its_text(self):
        communicator = await self.subscriber()
        await communicator.send_json(operation("subscription { fail }"))
        frames = await communicator.receive_all_json()
        assert "broken subscription" in str(frames)

    async def test_crash_in_the_consumer_surfaces(self):
        communicator = self.create_communicator(ws_path="/graphql?broken")
        await communicator.connect()
        await communicator.send_json({"type": "connection_init"})
        await communicator.wait_until_idle()
        with pytest.raises(LookupError, match="broken init"):
            await communicator.disconnect()

    async def test_cleanup_of_a_subscription_runs_on_disconnect(self):
        communicator = await self.subscriber()
        await communicator.send_json(operation("subscription { room }"))
        await communicator.wait_until_idle()
        assert len(get_channel_layer().groups["room"]) == 1
        await communicator.disconnect()
        assert left == ["room"]
        assert get_channel_layer().groups == {}

    async def test_nothing_more_is_proved_beside_an_open_subscription(self):
        communicator = await self.subscriber()
        await communicator.send_json(operation("subscription { room }"))
        assert await communicator.receive_nothing()
        verdict = await communicator.wait_until_idle()
        assert verdict, verdict

    async def test_nothing_more_is_refuted(self):
        communicator = await self.subscriber()
        await communicator.send_json(operation("subscription { count(to: 1) }"))
        with pytest.raises(UnexpectedFrame, match="count"):
            await communicator.receive_nothing()

    async def test_nothing_more_is_refuted_by_the_time_limit_of_the_init(self):
        application = Consumer.as_asgi(
            schema=schema,
            connection_init_wait_timeout=datetime.timedelta(milliseconds=20),
        )
        async with self.create_communicator(router=application) as communicator:
            with pytest.raises(UnexpectedFrame, match="4408"):
                await communicator.receive_nothing()

    async def test_database_is_shared_with_the_test(self):
        communicator = await self.subscriber()
        await communicator.send_json(operation('mutation { register(name: "ann") }'))
        await communicator.receive_all_json()
        assert await get_user_model().objects.filter(username="ann").aexists()
        await communicator.send_json(operation("{ users }", id="2"))
        frame = await communicator.receive_json()
        assert frame["payload"]["data"] == {"users": 1}


class LegacyProtocolTests(WebsocketTestCase):
    """The older protocol of subscriptions-transport-ws."""

    router = application
    ws_path = "/graphql"

    def get_subprotocols(self) -> list[str]:
        return [LEGACY]

    async def test_handshake_is_accepted_with_the_older_subprotocol(self):
        assert await self.create_communicator().connect() == (True, LEGACY)

    async def test_frames_of_a_subscription_of_the_older_protocol(self):
        async with self.create_communicator() as communicator:
            await communicator.send_json({"type": "connection_init"})
            query = "subscription { count(to: 2) }"
            await communicator.send_json(operation(query, type="start"))
            frames = await communicator.receive_all_json()
            assert [frame["type"] for frame in frames] == [
                "connection_ack",
                "data",
                "data",
                "complete",
            ]
            verdict = await communicator.wait_until_idle()
            assert verdict, verdict
