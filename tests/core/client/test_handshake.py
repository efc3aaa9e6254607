"""What an application answered to a handshake."""

import pytest

from chanx_testing.core.client.communicator import WebsocketCommunicator
from tests.support import apps


async def answer(application, **options):
    connection = WebsocketCommunicator(application, "/", **options)
    handshake = await connection.connect()
    await connection.disconnect()
    return handshake


async def test_an_accept_is_a_pair_that_knows_more():
    async def application(scope, receive, send):
        await receive()
        await send(
            {
                "type": "websocket.accept",
                "subprotocol": "chat.v1",
                "headers": [(b"x-room", b"one")],
            }
        )
        await receive()

    handshake = await answer(application, subprotocols=["chat.v1"])
    accepted, subprotocol = handshake
    assert (accepted, subprotocol) == (True, "chat.v1") == handshake
    assert (handshake.accepted, handshake.subprotocol) == (True, "chat.v1")
    assert (handshake.status, handshake.header("X-Room")) == (101, "one")
    assert handshake.header("x-other") is None


async def test_a_refusal_has_code_and_reason():
    handshake = await answer(apps.rejecting(4403, "members only"))
    assert handshake == (False, 4403)
    assert (handshake.code, handshake.reason) == (4403, "members only")
    assert handshake.status == 403


async def test_a_denial_has_status_headers_and_body():
    async def application(scope, receive, send):
        await receive()
        headers = [(b"www-authenticate", b"Token")]
        start = {"status": 401, "headers": headers}
        await send({"type": "websocket.http.response.start", **start})
        body = {"body": b"who ", "more_body": True}
        await send({"type": "websocket.http.response.body", **body})
        await send({"type": "websocket.http.response.body", "body": b"are you?"})

    handshake = await answer(application)
    assert handshake == (False, 401)
    assert (handshake.status, handshake.body) == (401, b"who are you?")
    assert handshake.header("www-authenticate") == "Token"
    assert handshake.code is None


async def test_a_subprotocol_must_be_one_of_those_offered():
    async def application(scope, receive, send):
        await apps.accept(receive, send, subprotocol="chat.v9")
        await receive()

    with pytest.raises(AssertionError, match=r"chat\.v1.*chose 'chat\.v9'"):
        await answer(application, subprotocols=["chat.v1"])


async def test_a_subprotocol_may_be_named_where_none_is_offered():
    async def application(scope, receive, send):
        await apps.accept(receive, send, subprotocol="chat.v9")
        await receive()

    assert await answer(application) == (True, "chat.v9")


async def test_close_reasons_reach_the_application():
    seen = []

    async def application(scope, receive, send):
        await apps.accept(receive, send)
        seen.append(await receive())

    connection = WebsocketCommunicator(application, "/")
    await connection.connect()
    await connection.disconnect(4000, reason="going home")
    assert seen == [
        {"type": "websocket.disconnect", "code": 4000, "reason": "going home"}
    ]
