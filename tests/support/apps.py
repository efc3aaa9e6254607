"""Tiny ASGI applications that the tests of the core talk to."""

import asyncio
import json
from typing import Any

Message = dict[str, Any]


async def accept(receive, send, subprotocol=None):
    """Take the handshake and accept it."""
    assert (await receive())["type"] == "websocket.connect"
    await send({"type": "websocket.accept", "subprotocol": subprotocol})


async def send_json(send, content):
    await send({"type": "websocket.send", "text": json.dumps(content)})


async def echo(scope, receive, send):
    """Send every frame back until the client leaves."""
    await accept(receive, send)
    while (message := await receive())["type"] == "websocket.receive":
        await send({**message, "type": "websocket.send"})


async def silent(scope, receive, send):
    """Accept, and then only listen."""
    await accept(receive, send)
    while (await receive())["type"] != "websocket.disconnect":
        pass


async def crash_after_accept(scope, receive, send):
    """Accept; raise as soon as a frame comes."""
    await accept(receive, send)
    await receive()
    raise LookupError("no such room")


async def three_frames_then_crash(scope, receive, send):
    """Answer the first frame with three, and raise."""
    await accept(receive, send)
    await receive()
    for number in range(3):
        await send_json(send, {"action": "count", "payload": number})
    raise LookupError("no fourth")


async def completing(scope, receive, send):
    """Count up to the number in the first frame, each with a completion signal."""
    await accept(receive, send)
    for number in range(int((await receive())["text"])):
        await send_json(send, {"action": "count", "payload": number})
        await send_json(send, {"action": "complete"})
    await receive()


async def return_at_once(scope, receive, send):
    """Neither accept nor close."""
    await receive()


async def never_answer(scope, receive, send):
    """Take the handshake and never answer it."""
    await receive()
    await asyncio.Event().wait()


async def hang_on_disconnect(scope, receive, send):
    """Accept, and go on forever when the client has left."""
    await accept(receive, send)
    while (await receive())["type"] != "websocket.disconnect":
        pass
    await asyncio.Event().wait()


def closing(code, reason="", *, before=()):
    """Make an application that accepts, sends ``before`` and closes."""

    async def application(scope, receive, send):
        await accept(receive, send)
        for content in before:
            await send_json(send, content)
        await send({"type": "websocket.close", "code": code, "reason": reason})
        assert (await receive())["type"] == "websocket.disconnect"

    return application


def rejecting(code=None, reason=""):
    """Make an application that refuses the handshake."""

    async def application(scope, receive, send):
        await receive()
        message = {"type": "websocket.close"}
        if code is not None:
            message |= {"code": code, "reason": reason}
        await send(message)
        assert (await receive())["type"] == "websocket.disconnect"

    return application


def answering(*contents):
    """Make an application that answers each frame with these JSON contents."""

    async def application(scope, receive, send):
        await accept(receive, send)
        while (await receive())["type"] == "websocket.receive":
            for content in contents:
                await send_json(send, content)

    return application


async def accept_and_return(scope, receive, send):
    """Accept, and be done."""
    await accept(receive, send)
