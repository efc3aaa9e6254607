"""Values are shown short, on one line, and without secrets."""

import json

import pytest

from chanx_testing.core.trace.showing import (
    HIDDEN,
    shorten,
    show_message,
    show_path,
    show_value,
)


def test_long_values_are_cut_and_say_by_how_much():
    assert shorten("x" * 310) == "x" * 300 + "… (10 more characters)"


def test_secrets_are_hidden_before_a_text_is_cut():
    text = json.dumps({"a": "x" * 280, "token": "s3cret" * 50})
    assert "s3c" not in show_message({"type": "websocket.send", "text": text})
    text = f"{'x' * 280} token={'s3cret' * 50}"
    assert "s3c" not in show_message({"type": "websocket.send", "text": text})


@pytest.mark.parametrize(
    "content",
    [
        ["hello"] * 200_000,
        "hello " * 200_000,
        {str(number): {"a": ["b"]} for number in range(100_000)},
        {"token": 1, "a": ["token=s3cret " * 100_000]},
    ],
)
def test_of_large_data_only_the_beginning_is_looked_at(content):
    """A transcript has many frames, and a failure is to come at once."""
    text = json.dumps(content)
    for shown in (
        show_message({"type": "websocket.send", "text": text}),
        show_message({"type": "websocket.send", "text": text[:-1]}),
        show_value(content),
    ):
        assert shown.endswith("… (much longer)")
        assert len(shown) < 350
        assert "s3c" not in shown


@pytest.mark.parametrize("secret", ["token={}", '"pin": "{}"', "Bearer 12345{}"])
@pytest.mark.parametrize("width", [1, 200, 600])
def test_no_secret_is_cut_in_two(secret, width):
    """Neither where reading ends, nor where the text is cut that is shown."""
    for before in range(9_970, 10_010):
        text = f"{secret.format('Zq7x' * width)} " * 3
        text += "a" * (before - len(text)) + f" {secret.format('Zq7x' * 4)}"
        assert "Zq7" not in show_message({"type": "websocket.send", "text": text})


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
