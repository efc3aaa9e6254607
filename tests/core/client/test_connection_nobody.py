"""Every verb in every state: where nobody is connected, no assertion passes."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from pydantic import BaseModel

from chanx_testing.core.client import errors
from chanx_testing.core.client.communicator import WebsocketCommunicator
from tests.support import apps
from tests.support.idle import LONG


class Anything(BaseModel):
    pass


class Quiet(WebsocketCommunicator):
    """Of a consumer that sends no authentication message, and no completion."""

    def resolve_setting(self, name: str) -> Any:
        off = {"SEND_AUTHENTICATION_MESSAGE", "SEND_COMPLETION"}
        return False if name in off else super().resolve_setting(name)


async def holding(scope: Any, receive: Any, send: Any) -> None:
    """Never answer the handshake; end when the client leaves."""
    while (await receive())["type"] != "websocket.disconnect":
        pass


async def denying(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.http.response.start", "status": 403})
    await send({"type": "websocket.http.response.body", "body": b"no"})


def client(application: Any) -> Quiet:
    return Quiet(application, "/ws/", message_types=[Anything])


# The states.


async def never_opened() -> Quiet:
    return client(apps.silent)


async def started_without_a_handshake() -> Quiet:
    communicator = client(holding)
    await communicator.wait()
    return communicator


async def not_answered() -> Quiet:
    communicator = client(holding)
    with pytest.raises(errors.NothingCame):
        await communicator.connect()
    return communicator


async def ended_without_an_answer() -> Quiet:
    communicator = client(apps.return_at_once)
    with pytest.raises(errors.NothingCame):
        await communicator.connect()
    return communicator


async def rejected() -> Quiet:
    communicator = client(apps.rejecting(4403, "members only"))
    assert await communicator.connect() == (False, 4403)
    return communicator


async def denied() -> Quiet:
    communicator = client(denying)
    assert await communicator.connect() == (False, 403)
    return communicator


async def rejected_and_disconnected() -> Quiet:
    communicator = await rejected()
    await communicator.disconnect()
    return communicator


async def rejected_in_raw_asgi() -> Quiet:
    communicator = client(apps.rejecting())
    await communicator.send_input({"type": "websocket.connect"})
    assert (await communicator.receive_output())["type"] == "websocket.close"
    return communicator


async def denied_in_raw_asgi() -> Quiet:
    communicator = client(denying)
    await communicator.send_input({"type": "websocket.connect"})
    # What a denial response carries can be read.
    assert (await communicator.receive_output())["status"] == 403
    assert (await communicator.receive_output())["body"] == b"no"
    return communicator


State = Callable[[], Awaitable[Quiet]]
NOBODY: dict[State, str] = {
    never_opened: r"await connect\(\) first",
    started_without_a_handshake: r"await connect\(\) first",
    not_answered: "has not answered the handshake",
    ended_without_an_answer: "ended without an answer",
    rejected: r"rejected by the application with code 4403 \('members only'\)",
    denied: "rejected by the application with code 403",
    rejected_and_disconnected: "rejected by the application with code 4403",
    rejected_in_raw_asgi: "rejected by the application with code 1000",
    denied_in_raw_asgi: "refused the handshake",
}
ASSERTIONS = [
    "receive_nothing",
    "receive_all_json",
    "receive_all_messages",
    "wait_for_auth",
    "assert_authenticated_status_ok",
]


def name_of(value: Any) -> str:
    return value if isinstance(value, str) else value.__name__


@pytest.mark.parametrize("verb", ASSERTIONS, ids=name_of)
@pytest.mark.parametrize("state", NOBODY, ids=name_of)
async def test_no_assertion_passes(state: State, verb: str) -> None:
    communicator = await state()
    with pytest.raises(errors.NotConnected, match=NOBODY[state]) as caught:
        await getattr(communicator, verb)()
    assert "/ws/" in str(caught.value)
    await communicator.disconnect()


@pytest.mark.parametrize(
    "verb",
    [
        "receive_output",
        "receive_from",
        "receive_json",
        "receive_json_from",
        "receive_message",
    ],
)
@pytest.mark.parametrize("state", NOBODY, ids=name_of)
async def test_nothing_is_received(state: State, verb: str) -> None:
    communicator = await state()
    with pytest.raises((errors.NotConnected, errors.NothingCame)):
        await getattr(communicator, verb)()
    await communicator.disconnect()


@pytest.mark.parametrize("state", NOBODY, ids=name_of)
async def test_nothing_is_sent(state: State) -> None:
    communicator = await state()
    if state is not_answered:
        # As a client may that has begun the handshake.
        await communicator.send_to("early")
    else:
        with pytest.raises((errors.NotConnected, errors.ConnectionIsClosed)):
            await communicator.send_to("hello")
    await communicator.disconnect()


@pytest.mark.parametrize("state", NOBODY, ids=name_of)
async def test_a_close_is_asserted_where_there_was_one(state: State) -> None:
    """A refusal is a close, and its code can be asserted; no other state has one."""
    communicator = await state()
    refused = {rejected, denied, rejected_and_disconnected, rejected_in_raw_asgi}
    if state in refused:
        assert not (await communicator.assert_closed()).accepted
    else:
        with pytest.raises((errors.NotConnected, AssertionError)):
            await communicator.assert_closed(timeout=0.01)
    await communicator.disconnect()


@pytest.mark.parametrize("state", NOBODY, ids=name_of)
async def test_questions_are_answered(state: State) -> None:
    communicator = await state()
    assert await communicator.wait_until_idle(LONG)
    await communicator.disconnect()
    await communicator.disconnect()


@pytest.mark.parametrize(
    "state", [state for state in NOBODY if state is not never_opened], ids=name_of
)
async def test_asked_as_a_question_nothing_comes(state: State) -> None:
    """As ``channels.testing`` answers, for a suite that chose to ask."""
    communicator = await state()
    communicator.receive_nothing_raises = False
    assert await communicator.receive_nothing() is True
    await communicator.disconnect()


async def test_a_crash_instead_of_an_answer_is_raised() -> None:
    async def crashing(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        raise LookupError("no such room")

    for verb in ASSERTIONS:
        communicator = client(crashing)
        await communicator.send_input({"type": "websocket.connect"})
        with pytest.raises(LookupError, match="no such room"):
            await getattr(communicator, verb)()


async def test_a_handshake_in_raw_asgi_may_be_held() -> None:
    """Whoever sends ``websocket.connect`` by hand may assert that no answer comes."""
    communicator = client(holding)
    await communicator.send_input({"type": "websocket.connect"})
    assert await communicator.receive_nothing()
    await communicator.disconnect()


# And where the connection was open.


async def accepted() -> Quiet:
    communicator = client(apps.silent)
    await communicator.connect()
    return communicator


async def closed() -> Quiet:
    communicator = client(apps.closing(4000))
    await communicator.connect()
    await communicator.assert_closed(4000)
    return communicator


async def disconnected() -> Quiet:
    communicator = await accepted()
    await communicator.disconnect()
    return communicator


async def returned() -> Quiet:
    communicator = client(apps.accept_and_return)
    await communicator.connect()
    return communicator


@pytest.mark.parametrize(
    "verb", ["receive_nothing", "receive_all_json", "receive_all_messages"]
)
@pytest.mark.parametrize("state", [accepted, closed, disconnected, returned])
async def test_nothing_comes_any_more(state: State, verb: str) -> None:
    communicator = await state()
    assert await getattr(communicator, verb)() in (True, [])
    await communicator.disconnect()


@pytest.mark.parametrize(
    ("state", "seen"),
    [
        (closed, "the connection was closed by the application with code 4000"),
        (disconnected, "the connection was left by the test with code 1000"),
        (returned, "the connection was ended: the application has returned"),
    ],
)
async def test_nobody_is_authenticated_any_more(state: State, seen: str) -> None:
    """Without authentication messages the connection has to be open."""
    communicator = await state()
    with pytest.raises(errors.AuthenticationFailed, match=seen):
        await communicator.assert_authenticated_status_ok()
    await communicator.disconnect()


async def test_whoever_is_connected_without_a_message_is_authenticated() -> None:
    communicator = await accepted()
    await communicator.assert_authenticated_status_ok()
    await communicator.disconnect()


async def test_authentication_of_a_refused_connection_says_so_with_messages_on() -> (
    None
):
    communicator = WebsocketCommunicator(apps.rejecting(4403), "/ws/")
    await communicator.connect()
    with pytest.raises(errors.NotConnected, match="code 4403"):
        await communicator.assert_authenticated_status_ok()


async def test_a_handshake_that_another_task_answers_late() -> None:
    answer = asyncio.Event()

    async def late(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await answer.wait()
        await send({"type": "websocket.accept"})
        await receive()

    communicator = client(late)
    with pytest.raises(errors.NothingCame):
        await communicator.connect()
    with pytest.raises(errors.NotConnected):
        await communicator.receive_nothing()
    answer.set()
    with pytest.raises(errors.UnexpectedFrame):
        await communicator.receive_nothing()
    assert (await communicator.receive_output())["type"] == "websocket.accept"
    assert await communicator.receive_nothing()
    await communicator.disconnect()
