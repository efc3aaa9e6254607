"""What counts as an application, and what as its end."""

import asyncio
import contextvars

import pytest

from chanx_testing.core.client.communicator import WebsocketCommunicator
from chanx_testing.core.client.failures import says_client_left
from tests.support import apps


class WebSocketDisconnect(Exception):
    """As frameworks have one of their own."""


class Left(WebSocketDisconnect):
    """An endpoint's own kind of it."""


def reading(error, *, reads):
    """An application that accepts, reads so many messages and raises."""

    async def application(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        for _ in range(reads):
            await receive()
        raise error

    return application


# Its end.


async def test_a_cancellation_that_nobody_has_asked_for_is_a_crash():
    """What it awaited was cancelled, and it died of that."""

    async def application(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        await receive()
        helper = asyncio.create_task(asyncio.Event().wait())
        helper.cancel()
        await helper

    communicator = WebsocketCommunicator(application, "/")
    await communicator.connect()
    await communicator.send_to("go")
    with pytest.raises(RuntimeError, match="nobody has cancelled it") as caught:
        await communicator.receive_nothing()
    assert isinstance(caught.value.__cause__, asyncio.CancelledError)
    await communicator.disconnect()


async def test_one_that_the_test_cancels_is_none():
    communicator = WebsocketCommunicator(apps.silent, "/")
    await communicator.connect()
    communicator.stop()
    await communicator.wait_until_idle()
    await communicator.disconnect()


@pytest.mark.parametrize(
    "error",
    [
        WebSocketDisconnect(),
        Left(),
        ExceptionGroup("tasks", [Left(), ExceptionGroup("more", [Left()])]),
    ],
)
async def test_a_disconnect_after_the_end_is_an_end(error):
    async with WebsocketCommunicator(reading(error, reads=1), "/") as comm:
        pass
    assert comm.future.exception() is None


@pytest.mark.parametrize("reads", [0, 1])
async def test_a_disconnect_before_the_end_is_a_crash(reads):
    application = reading(WebSocketDisconnect("made up"), reads=reads)
    with pytest.raises(WebSocketDisconnect, match="made up"):
        async with WebsocketCommunicator(application, "/") as comm:
            await comm.send_to(text_data="go")


async def test_the_end_must_be_read_and_not_be_on_its_way():
    application = reading(WebSocketDisconnect("made up"), reads=1)
    comm = WebsocketCommunicator(application, "/")
    await comm.connect()
    await comm.send_to(text_data="go")
    with pytest.raises(WebSocketDisconnect, match="made up"):
        await comm.disconnect()


@pytest.mark.parametrize(
    "error",
    [
        LookupError("WebSocketDisconnect"),
        ExceptionGroup("tasks", [WebSocketDisconnect(), LookupError()]),
    ],
)
def test_anything_else_is_none(error):
    assert not says_client_left(error)


# What may be an application.


class Awaited:
    """Called with all three at once, then awaited."""

    def __init__(self, scope, receive, send):
        self.receive, self.send = receive, send
        seen.append(variable.get())

    def __await__(self):
        return self.run().__await__()

    async def run(self):
        await self.receive()
        await self.send({"type": "websocket.accept"})
        await self.receive()


class Consumer:
    """As consumers are: the class is not called with a scope."""

    @classmethod
    def as_asgi(cls):
        async def application(scope, receive, send):
            await Awaited(scope, receive, send)

        return application


class Double:
    """An application of ASGI 2."""

    def __init__(self, scope):
        self.scope = scope

    async def __call__(self, receive, send):
        await Awaited(self.scope, receive, send)


seen = []


variable = contextvars.ContextVar("variable", default="unset")


@pytest.mark.parametrize("application", [Awaited, Consumer, Double])
async def test_a_class_is_an_application(application):
    async with WebsocketCommunicator(application, "/"):
        pass


async def test_the_context_of_the_test_does_not_reach_what_is_called():
    seen.clear()
    variable.set("set")
    async with WebsocketCommunicator(Awaited, "/"):
        assert seen == ["unset"]
