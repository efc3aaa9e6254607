"""The messages that come with the package, as they stand on the wire."""

import pytest

from chanx_testing import constants
from chanx_testing.messages.outgoing import (
    AuthenticationMessage,
    AuthenticationPayload,
    CompleteMessage,
    ErrorMessage,
    EventCompleteMessage,
    GroupCompleteMessage,
    PongMessage,
)


@pytest.mark.parametrize(
    ("message_type", "action"),
    [
        (PongMessage, "pong"),
        (CompleteMessage, constants.MESSAGE_ACTION_COMPLETE),
        (GroupCompleteMessage, constants.GROUP_ACTION_COMPLETE),
        (EventCompleteMessage, constants.EVENT_ACTION_COMPLETE),
        (ErrorMessage, "error"),
    ],
)
def test_a_message_without_content_is_its_action(message_type, action):
    assert message_type().model_dump() == {"action": action, "payload": None}


def test_an_authentication_message_tells_the_status():
    payload = AuthenticationPayload(status_code=403, status_text="Forbidden")
    assert AuthenticationMessage(payload=payload).model_dump() == {
        "action": "authentication",
        "payload": {"status_code": 403, "status_text": "Forbidden", "data": None},
    }


def test_an_error_message_carries_anything():
    assert ErrorMessage(payload=[{"loc": ["a"]}]).payload == [{"loc": ["a"]}]
