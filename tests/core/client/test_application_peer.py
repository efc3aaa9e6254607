"""What is at the other end of a connection is an argument, and may be anything."""

import asyncio

import pytest

from chanx_testing.core.client.communicator import WebsocketCommunicator
from chanx_testing.core.client.errors import ApplicationHangs
from chanx_testing.core.testing import UnexpectedFrame


class EchoServer:
    """Stands for a socket to a server: frames go out by one queue, and come by another.

    Unlike a real one it answers at once, and from this very process.
    """

    application = None

    def __init__(self, *, leaves=True):
        self.leaves = leaves
        self.guarded = False

    def start(
        self, scope, receive, send, *, guard, failures, note, end_was_read, on_end
    ):
        self.scope, self.failures, self.note = scope, failures, note

        async def talk():
            with guard:
                self.guarded = True
                await receive()
                await send({"type": "websocket.accept", "subprotocol": None})
                while (message := await receive())["type"] == "websocket.receive":
                    await send({"type": "websocket.send", "text": message["text"]})
                if not self.leaves:
                    await asyncio.Event().wait()
            self.guarded = False

        self.task = asyncio.get_running_loop().create_task(talk())
        self.task.add_done_callback(lambda task: on_end())

    def note_use(self):
        pass

    def describe(self):
        return "server: " + ("gone" if self.task.done() else "connected")

    def stop(self):
        self.task.cancel()

    abandon = stop

    async def cancel(self):
        self.task.cancel()
        await asyncio.wait([self.task])
        return True

    def leftover_tasks(self):
        return []

    def failed_tasks(self):
        return []


def client(peer, path="/ws/?room=1"):
    return WebsocketCommunicator(None, path, peer=peer)


async def test_every_verb_works_on_it():
    peer = EchoServer()
    async with client(peer) as communicator:
        assert peer.scope["path"] == "/ws/"
        assert peer.guarded
        await communicator.send_json({"n": 1})
        assert await communicator.receive_json() == {"n": 1}
        assert await communicator.receive_nothing(60)
        assert communicator.future is peer.task
    assert not peer.guarded
    assert peer.task.done()


async def test_failures_say_what_it_is_doing():
    async with client(EchoServer()) as communicator:
        await communicator.send_json(1)
        with pytest.raises(UnexpectedFrame) as caught:
            await communicator.receive_nothing()
        assert "server: connected" in caught.value.__notes__[0]
        await communicator.receive_json()


async def test_one_that_does_not_leave_is_cancelled():
    peer = EchoServer(leaves=False)
    communicator = client(peer)
    await communicator.connect()
    with pytest.raises(ApplicationHangs, match="server: connected"):
        await communicator.disconnect()
    assert peer.task.cancelled()


async def test_what_it_raised_fails_the_test():
    peer = EchoServer()
    communicator = client(peer)
    await communicator.connect()
    peer.failures.handler_failed(LookupError("no room"), "answering")
    with pytest.raises(LookupError, match="no room"):
        await communicator.disconnect()


async def test_it_is_stopped_when_nobody_holds_its_client():
    peer = EchoServer()
    communicator = client(peer)
    await communicator.connect()
    del communicator
    await asyncio.wait([peer.task])
    assert peer.task.cancelled()
