"""What an application may send, and when."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chanx_testing.core.client.communicator import WebsocketCommunicator
from chanx_testing.core.client.errors import ProtocolError
from chanx_testing.core.client.rules import EVENTS, Rules, State
from tests.support import apps


def event(name, **fields):
    kinds = {"start": "http.response.start", "body": "http.response.body"}
    return {"type": f"websocket.{kinds.get(name, name)}", **fields}


@pytest.mark.parametrize(
    "sent",
    [
        "accept send send close",
        "accept close close",
        "close",
        "close close",
        "start body",
    ],
)
def test_what_may_be_sent(sent):
    rules = Rules()
    for name in sent.split():
        rules.check(event(name))


@pytest.mark.parametrize(
    ("sent", "problem"),
    [
        ("send", "before it answered the handshake"),
        ("body", "before it answered the handshake"),
        ("accept accept", "a second time"),
        ("accept start", "takes the place of an accept"),
        ("accept close send", "after it had closed"),
        ("close accept", "after it had closed"),
        ("start accept", "in the middle of a denial response"),
        ("start body body", "after it had closed"),
    ],
)
def test_what_may_not_be_sent(sent, problem):
    rules = Rules()
    *before, last = sent.split()
    for name in before:
        rules.check(event(name))
    with pytest.raises(ProtocolError, match=problem):
        rules.check(event(last))


def test_a_denial_may_have_a_body_in_parts():
    rules = Rules()
    rules.check(event("start", status=401))
    rules.check(event("body", more_body=True))
    rules.check(event("body"))


def test_a_denial_needs_the_extension():
    with pytest.raises(ProtocolError, match="does not offer the extension"):
        Rules(denial=False).check(event("start"))


@pytest.mark.parametrize("message", [None, "text", {}, {"type": 1}, [("type", "x")]])
def test_a_message_is_a_dict_with_a_type(message):
    with pytest.raises(ProtocolError, match="without a type"):
        Rules().check(message)


def test_an_unknown_event_lists_those_there_are():
    with pytest.raises(ProtocolError, match=r"websocket\.accept, websocket\.send"):
        Rules().check({"type": "http.response.start"})


@given(st.lists(st.sampled_from(EVENTS), max_size=8))
def test_nothing_but_a_protocol_error_comes_of_any_order(kinds):
    rules = Rules()
    with contextlib.suppress(ProtocolError):
        for kind in kinds:
            rules.check({"type": kind})
    assert rules.state in State


async def test_a_broken_rule_is_the_fault_of_the_application():
    async def application(scope, receive, send):
        await apps.accept(receive, send)
        await receive()
        await send({"type": "websocket.accept"})

    connection = WebsocketCommunicator(application, "/")
    await connection.connect()
    await connection.send_to("go")
    with pytest.raises(ProtocolError, match="a second time") as caught:
        await connection.receive_output()
    assert caught.traceback[-2].name == "_send_by_rules"
