"""Errors carry their data, and tell no secrets."""

import pickle

import pytest

from chanx_testing.core.client import errors
from chanx_testing.core.client.communicator import WebsocketCommunicator
from tests.support import apps


def client(application, **options):
    return WebsocketCommunicator(application, "/ws/", **options)


class TestErrors:
    async def test_can_be_pickled_with_their_data_and_notes(self):
        with pytest.raises(errors.ConnectionRejected) as caught:
            await client(apps.rejecting(4403, "no")).__aenter__()
        copy = pickle.loads(pickle.dumps(caught.value))
        assert (str(copy), copy.code, copy.reason, copy.__notes__) == (
            str(caught.value),
            4403,
            "no",
            caught.value.__notes__,
        )

    async def test_never_show_secrets(self):
        connection = WebsocketCommunicator(
            apps.silent,
            "/ws/?token=s3cret&page=2",
            headers=[(b"cookie", b"sessionid=s3cret")],
        )
        await connection.connect()
        await connection.send_json({"password": "s3cret", "name": "alice"})
        with pytest.raises(TimeoutError) as caught:
            await connection.receive_output(timeout=0.01)
        text = str(caught.value) + "".join(caught.value.__notes__)
        assert "s3cret" not in text
        assert "page=2" in text
        assert "alice" in text
        await connection.disconnect()
