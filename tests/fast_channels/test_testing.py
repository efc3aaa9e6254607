"""What a test of FastAPI imports."""

from chanx_testing.core.client.communicator import WebsocketCommunicatorMixin
from chanx_testing.fast_channels import testing
from chanx_testing.fast_channels.testing import WebsocketCommunicator


def test_the_names():
    assert issubclass(WebsocketCommunicator, WebsocketCommunicatorMixin)
    for name in testing.__all__:
        assert getattr(testing, name).__name__ == name
