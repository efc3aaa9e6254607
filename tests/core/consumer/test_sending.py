"""What is sent to the client has the wire format that the settings ask for."""

from typing import Literal

from pydantic import BaseModel

from chanx_testing.channels.websocket import AsyncJsonWebsocketConsumer
from chanx_testing.core.decorators import ws_handler
from chanx_testing.messages.base import BaseMessage
from tests.support.consumer import Consumer, only
from tests.support.raw_client import Client


class TestTheWireFormat:
    async def test_keys_are_in_camel_case_both_ways(self):
        class Reply(BaseModel):
            user_name: str

        class Ask(BaseMessage):
            action: Literal["ask"] = "ask"
            payload: Reply

        class Camel(AsyncJsonWebsocketConsumer):
            send_completion = True
            camelize = True

            @ws_handler
            async def handle(self, message: Ask) -> Ask:
                return message

        async with Client(Camel) as client:
            asked = {"action": "ask", "payload": {"userName": "eve"}}
            assert await client.ask(asked) == [asked]

    async def test_the_action_may_stand_under_another_key(self):
        class Typed(Consumer):
            discriminator_field = "type"

        async with Client(Typed) as client:
            await client.send({"type": "echo", "payload": 1, "action": "crash"})
            assert await client.until("complete", key="type") == [
                {"type": "echo", "payload": 1}
            ]

    async def test_an_unknown_action_is_located_under_its_key(self):
        class Typed(Consumer):
            discriminator_field = "type"

        async with Client(Typed) as client:
            await client.send({"action": "ping"})
            answer = only(await client.until("complete", key="type"))
        assert answer["payload"][0]["loc"] == ["type"]

    async def test_another_json_may_be_spoken(self):
        class Reversed(Consumer):
            @classmethod
            async def decode_json(cls, text_data):
                return await super().decode_json(text_data[::-1])

        async with Client(Reversed) as client:
            assert await client.ask('{"action": "ping"}'[::-1])
