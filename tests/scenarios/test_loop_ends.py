"""A synchronous consumer is at work while the loop of its test ends."""

import pytest

pytestmark = pytest.mark.slow

AT_WORK = """
    import asyncio
    import unittest
    import pytest
    from asgiref.sync import async_to_sync
    from channels.generic.websocket import JsonWebsocketConsumer
    from channels.layers import channel_layers
    from chanx_testing.channels.testing import WebsocketCommunicator

    class AtWork(JsonWebsocketConsumer):
        groups = ["room"]

        def receive_json(self, content, **kwargs):
            self.send_json("begun")
            for _ in range(3):
                async_to_sync(self.channel_layer.group_send)("room", {"type": "told"})
                self.send_json("more")

        def told(self, event):
            pass

    async def leave_at_work(steps):
        # Nobody of the last round has left the group.
        channel_layers.backends.clear()
        communicator = WebsocketCommunicator(AtWork.as_asgi(), "/")
        assert (await communicator.connect())[0]
        await communicator.send_json_to("go")
        assert await communicator.receive_json_from() == "begun"
        # Never disconnected: the loop ends at any point of what the handler does.
        for _ in range(steps):
            await asyncio.sleep(0)

    ROUNDS = range(150)
"""


OPTIONS = (
    "-o",
    "asyncio_mode=auto",
    "-o",
    "asyncio_default_fixture_loop_scope=function",
)


def test_in_the_thread_of_asgiref(project):
    project(
        AT_WORK
        + """
    @pytest.mark.parametrize("number", ROUNDS)
    async def test(number):
        await leave_at_work(number % 6)
        """
    ).pytest(*OPTIONS, "tests.py").passes(150)


def test_in_the_main_thread(project):
    project(
        AT_WORK
        + """
    @pytest.mark.parametrize("number", ROUNDS)
    def test(number):
        async_to_sync(leave_at_work)(number % 6)
        """
    ).pytest(*OPTIONS, "tests.py").passes(150)
