"""The message that clients may send to every consumer."""

from chanx_testing.messages.incoming import PingMessage


def test_a_ping_is_its_action():
    assert PingMessage().model_dump() == {"action": "ping", "payload": None}
