"""A failure of the application is raised once, unless the test has seen it."""

import asyncio

import pytest

from chanx_testing.core.client.communicator import WebsocketCommunicator
from chanx_testing.messages.outgoing import ErrorMessage
from tests.support import apps, rooms


def client(application):
    return WebsocketCommunicator(application, "/ws/")


class TestHandlerErrors:
    async def test_fail_the_test_that_did_not_see_them(self):
        with pytest.raises(LookupError, match="no such thing") as caught:
            async with rooms.client() as connection:
                await connection.send_message(rooms.Break())
        assert any("expect_errors()" in note for note in caught.value.__notes__)

    async def test_are_seen_with_their_error_message(self):
        async with rooms.client() as connection:
            await connection.send_message(rooms.Break())
            (message,) = await connection.receive_all_messages()
            assert isinstance(message, ErrorMessage)
            assert "no such thing" not in str(message.payload)

    async def test_pass_where_they_are_expected(self):
        async with rooms.client() as connection:
            connection.expect_errors()
            await connection.send_message(rooms.Break())

    async def test_each_needs_an_error_message_of_its_own(self):
        with pytest.raises(LookupError):
            async with rooms.client() as connection:
                for _ in "twice":
                    await connection.send_message(rooms.Break())
                await connection.receive_all_messages()


class TestDisconnect:
    async def test_raises_a_crash_once(self):
        connection = client(apps.crash_after_accept)
        await connection.connect()
        await connection.send_to("hello")
        with pytest.raises(LookupError):
            await connection.disconnect()
        await connection.disconnect()

    async def test_is_silent_about_a_crash_that_the_test_has_seen(self):
        connection = client(apps.crash_after_accept)
        await connection.connect()
        await connection.send_to("hello")
        with pytest.raises(LookupError):
            await connection.receive_output()
        await connection.disconnect()

    async def test_lets_an_expected_error_pass(self):
        connection = client(apps.crash_after_accept)
        connection.expect_errors(LookupError)
        await connection.connect()
        await connection.send_to("hello")
        await connection.disconnect()

    async def test_lets_only_errors_of_the_expected_type_pass(self):
        connection = client(apps.crash_after_accept)
        connection.expect_errors(ValueError)
        await connection.connect()
        await connection.send_to("hello")
        with pytest.raises(LookupError):
            await connection.disconnect()

    async def test_fails_where_errors_were_expected_and_none_came(self):
        connection = client(apps.silent)
        connection.expect_errors(LookupError)
        await connection.connect()
        with pytest.raises(AssertionError, match=r"\(LookupError\), but none came"):
            await connection.disconnect()
        await connection.disconnect()

    async def test_expects_classes_of_exceptions_only(self):
        with pytest.raises(TypeError, match="takes classes of exceptions, not 'Look"):
            client(apps.silent).expect_errors("LookupError")

    async def test_raises_what_a_task_raised_that_the_application_left(self):
        async def broken():
            raise LookupError("in the background")

        async def application(scope, receive, send):
            await apps.accept(receive, send)
            await receive()
            # Nobody keeps it, as happens to fire-and-forget tasks.
            asyncio.get_running_loop().create_task(broken())
            await receive()

        connection = client(application)
        await connection.connect()
        await connection.send_to("go")
        with pytest.raises(LookupError, match="in the background") as caught:
            await connection.disconnect()
        assert any("left behind" in note for note in caught.value.__notes__)
