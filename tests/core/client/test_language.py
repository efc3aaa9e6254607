"""What a message looks like on the wire, and as which type it is read."""

from pydantic import BaseModel, RootModel

from chanx_testing.core.client.communicator import (
    WebsocketCommunicator as AnyCommunicator,
)
from tests.support import apps


class Plain(BaseModel):
    text: str


async def test_any_model_can_be_sent_and_decoded():
    connection = AnyCommunicator(apps.echo, "/ws/", message_types=[Plain])
    async with connection:
        await connection.send_message(Plain(text="hello"))
        assert await connection.receive_message() == Plain(text="hello")


async def test_the_root_of_a_model_may_be_a_list():
    class Numbers(RootModel[list[int]]):
        pass

    connection = AnyCommunicator(apps.echo, "/ws/", message_types=[Numbers])
    async with connection:
        await connection.send_message(Numbers([1, 2]))
        assert await connection.receive_message() == Numbers([1, 2])
