"""Values are shown short, on one line, and without secrets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chanx_testing.core.trace.showing import (
    HIDDEN,
    conceal,
    shorten,
    show_message,
    show_path,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def test_long_values_are_cut_and_say_by_how_much():
    assert shorten("x" * 310) == "x" * 300 + "… (10 more characters)"


SECRETS = """
    password new_password token accessToken Authorization api_key cookie client_secret
    sessionid csrfmiddlewaretoken jwt
"""


@pytest.mark.parametrize("key", SECRETS.split())
def test_secrets_are_hidden_by_their_key(key):
    assert conceal({"a": [{key: "s3cret", "b": 1}]}) == {"a": [{key: HIDDEN, "b": 1}]}


@given(JSON)
def test_what_is_no_secret_is_left_as_it_is(value):
    if "secret" not in str(conceal(value)) and HIDDEN not in str(conceal(value)):
        assert conceal(value) == value


def test_a_path_hides_secrets_in_its_query():
    assert show_path("/ws/", "page=2&token=abc") == f"/ws/?page=2&token={HIDDEN}"
    assert show_path("/ws/", "") == "/ws/"


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ({"type": "websocket.accept", "subprotocol": "v1"}, "subprotocol='v1'"),
        ({"type": "websocket.accept", "subprotocol": None}, "websocket.accept"),
        ({"type": "websocket.close", "code": 1000, "reason": ""}, "code=1000"),
        ({"type": "websocket.send", "text": "hello"}, "'hello'"),
        ({"type": "websocket.send", "text": '{"a":1}'}, '{"a": 1}'),
        ({"type": "websocket.send", "bytes": b"ab"}, "2 bytes: b'ab'"),
        ({"type": "websocket.send"}, "neither text nor bytes"),
        ({"type": "websocket.send", "text": "[" * 100_000}, "nested too deeply"),
        ({}, "None"),
    ],
)
def test_messages_are_shown_on_one_line(message, shown):
    assert shown in show_message(message)
    assert "\n" not in show_message(message)


@pytest.mark.parametrize("depth", [400, 700, 2000, 100_000])
def test_json_of_any_depth_can_be_shown(depth):
    text = "[" * depth + "]" * depth
    shown = show_message({"type": "websocket.send", "text": text})
    assert len(shown) < 400
