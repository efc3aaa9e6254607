"""A test case keeps the connections that start in it, to close them at its end."""

from chanx_testing.core.client.communicator import WebsocketCommunicator
from chanx_testing.core.client.teardown import connections_of_test
from tests.support import apps


def client():
    return WebsocketCommunicator(apps.silent, "/ws/")


async def test_a_test_case_can_keep_what_starts_in_it():
    with connections_of_test() as kept:
        await client().connect()
        async with client() as second:
            client()
    first, other = kept
    assert other is second
    assert not first.future.done()
    await first.disconnect()
