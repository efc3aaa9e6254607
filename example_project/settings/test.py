"""Settings for tests."""

from example_project.settings.base import *

# Signals show a test that a message, a broadcast or an event has been handled.
CHANX = {
    "SEND_COMPLETION": True,
    "LOG_WEBSOCKET_MESSAGE": False,
    "LOG_IGNORED_ACTIONS": [],
}

TEST_RUNNER = "example_project.runner.ExampleRunner"

# Tests that log in by password should not pay for its safety.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

ASSISTANT_SECONDS_PER_WORD = 0
