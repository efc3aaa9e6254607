"""The messages that come with the package, as they stand on the wire."""

import subprocess
import sys

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


def test_nothing_here_needs_a_framework():
    """Messages, decorators and the core of a consumer import without Django."""
    script = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {
            "django", "channels", "daphne", "rest_framework", "fast_channels", "fastapi"
        }:
            raise ImportError(f"{name} must not be needed")
sys.meta_path.insert(0, Refuse())
import chanx_testing.constants
import chanx_testing.messages.base, chanx_testing.messages.wire
import chanx_testing.messages.incoming, chanx_testing.messages.outgoing
import chanx_testing.core.authenticator, chanx_testing.core.decorators
import chanx_testing.core.consumer.handlers, chanx_testing.core.consumer.mixin
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
