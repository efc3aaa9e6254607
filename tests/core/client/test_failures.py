"""A failure of the application is raised once, unless the test has seen it."""

import asyncio

import pytest

from chanx_testing.core.client.communicator import WebsocketCommunicator
from chanx_testing.core.client.failures import Failures
from chanx_testing.core.client.frame_queue import Frame
from chanx_testing.core.decorators import event_handler, ws_handler
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


class TestWhichErrorFrame:
    """An error frame answers the failure that the consumer says, and no other."""

    class Broken(rooms.RoomConsumer):
        @event_handler
        async def tell(self, event: rooms.Tell) -> None:
            raise LookupError("broken event")

    class Answering(Broken):
        async def handle_event_error(self, error, event):
            await self.send_message(ErrorMessage(payload="the event"))

    async def test_the_answer_to_an_invalid_frame_answers_no_event(self):
        with pytest.raises(LookupError, match="broken event"):
            async with rooms.client(self.Broken) as connection:
                await self.Broken.broadcast_event(rooms.Tell(payload="all"))
                await connection.wait()
                await connection.send_json({"action": "typo"})
                (message,) = await connection.receive_all_messages()
                assert isinstance(message, ErrorMessage)

    async def test_that_to_another_failure_answers_no_event(self):
        with pytest.raises(LookupError, match="broken event"):
            async with rooms.client(self.Broken) as connection:
                await self.Broken.broadcast_event(rooms.Tell(payload="all"))
                await connection.wait()
                await connection.send_message(rooms.Break())
                assert isinstance(await connection.receive_message(), ErrorMessage)

    async def test_an_event_may_be_answered_too(self):
        async with rooms.client(self.Answering) as connection:
            await self.Answering.broadcast_event(rooms.Tell(payload="all"))
            assert await connection.receive_message() == ErrorMessage(
                payload="the event"
            )

    async def test_what_a_handler_sends_before_it_fails_is_no_answer(self):
        class Early(rooms.RoomConsumer):
            @ws_handler
            async def break_(self, message: rooms.Break) -> None:
                await self.send_message(ErrorMessage(payload="early"))
                raise LookupError("no such thing")

        with pytest.raises(LookupError, match="no such thing"):
            async with rooms.client(Early) as connection:
                await connection.send_message(rooms.Break())
                assert await connection.receive_message() == ErrorMessage(
                    payload="early"
                )

    async def test_one_that_assert_closed_passes_over_is_not_seen(self):
        class Closing(rooms.RoomConsumer):
            async def handle_handler_error(self, error, message):
                await super().handle_handler_error(error, message)
                await self.close(4000)

        with pytest.raises(LookupError, match="no such thing"):
            async with rooms.client(Closing) as connection:
                await connection.send_message(rooms.Break())
                closed = await connection.assert_closed(4000)
                assert len(closed.messages) == 1
        async with rooms.client(Closing) as connection:
            await connection.send_message(rooms.Break())
            assert isinstance(await connection.receive_message(), ErrorMessage)
            await connection.assert_closed(4000)


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


ERROR = {"type": "websocket.send", "text": '{"action": "error"}'}


@pytest.fixture
def failures():
    return Failures()


def test_nothing_went_wrong(failures):
    failures.raise_crash()
    assert failures.unseen([]) == []
    assert failures.unmet_expectation() is None


class TestCrash:
    def test_is_unseen_once(self, failures):
        error, retrieved = LookupError(), []
        failures.crashed(error, lambda: retrieved.append(True))
        assert failures.unseen([]) == [error]
        assert failures.unseen([]) == []
        assert retrieved == [True]

    def test_is_seen_where_a_verb_raises_it(self, failures):
        failures.crashed(LookupError("no"), lambda: None)
        with pytest.raises(LookupError, match="no"):
            failures.raise_crash()
        assert failures.unseen([]) == []


class TestHandlers:
    def test_is_seen_with_the_frame_that_answers_it(self, failures):
        failures.handler_failed(LookupError(), "handling a message")
        assert failures.unanswered
        frame = Frame(ERROR, 1)
        failures.error_frame_came(frame)
        assert not failures.unanswered
        failures.frame_taken(frame)
        assert failures.unseen([]) == []

    def test_is_unseen_while_its_frame_lies_there(self, failures):
        error = LookupError()
        failures.handler_failed(error, "handling a message")
        failures.error_frame_came(Frame(ERROR, 1))
        assert failures.unseen([]) == [error]
        assert "Raised while handling a message" in error.__notes__[0]

    def test_another_frame_answers_nothing(self, failures):
        error = LookupError()
        failures.handler_failed(error, "handling a message")
        failures.error_frame_came(Frame(ERROR, 1))
        failures.frame_taken(Frame(ERROR, 2))
        assert failures.unseen([]) == [error]

    def test_each_frame_answers_one(self, failures):
        first, second = LookupError("first"), LookupError("second")
        failures.handler_failed(first, "handling a message")
        failures.handler_failed(second, "handling another")
        frame = Frame(ERROR, 1)
        failures.error_frame_came(frame)
        failures.frame_taken(frame)
        assert failures.unseen([]) == [second]

    def test_one_of_which_the_consumer_says_more_needs_its_own_frame(self, failures):
        said, unsaid = LookupError("said"), LookupError("unsaid")
        failures.handler_failed(said, "handling a message", says_answer=True)
        failures.handler_failed(unsaid, "handling another")
        for frame in (Frame(ERROR, 1), Frame(ERROR, 2)):
            failures.error_frame_came(frame)
            failures.frame_taken(frame)
        assert failures.unseen([]) == [said]

    def test_its_own_frame_answers_it_and_no_older_one(self, failures):
        said, unsaid = LookupError("said"), LookupError("unsaid")
        failures.handler_failed(unsaid, "handling a message")
        failures.handler_failed(said, "handling another", says_answer=True)
        frame = Frame(ERROR, 1)
        failures.error_frame_came(frame, said)
        failures.frame_taken(frame)
        assert failures.unseen([]) == [unsaid]

    def test_one_that_is_passed_over_is_not_seen(self, failures):
        error, frame = LookupError(), Frame(ERROR, 1)
        failures.handler_failed(error, "handling a message")
        failures.error_frame_came(frame)
        failures.frame_passed_over(frame)
        failures.frame_taken(frame)
        assert failures.unseen([]) == [error]

    def test_an_error_frame_without_a_failure_is_a_frame(self, failures):
        frame = Frame(ERROR, 1)
        failures.error_frame_came(frame)
        failures.frame_taken(frame)
        failures.handler_failed(LookupError(), "handling a message")
        assert len(failures.unseen([])) == 1


class TestTasks:
    def test_what_was_named_before_is_not_named_again(self, failures):
        first, second = LookupError("first"), LookupError("second")
        assert failures.unseen([("beat", first)]) == [first]
        assert failures.unseen([("beat", first), ("beat", second)]) == [second]
        assert "Raised in beat, a task" in second.__notes__[0]


class TestExpectations:
    def test_let_failures_of_their_types_pass(self, failures):
        failures.expect((LookupError,))
        failures.handler_failed(KeyError(), "handling a message")
        failures.handler_failed(error := ValueError(), "handling another")
        assert failures.unseen([]) == [error]
        assert failures.unmet_expectation() is None

    def test_of_any_type(self, failures):
        failures.expect(())
        failures.crashed(SystemExit(), lambda: None)
        assert failures.unseen([]) == []
        assert failures.unmet_expectation() is None

    def test_are_met_by_a_task(self, failures):
        failures.expect((LookupError,))
        assert failures.unseen([("beat", LookupError())]) == []
        assert failures.unmet_expectation() is None

    def test_that_nothing_met_fail_once(self, failures):
        failures.expect((LookupError, ValueError))
        unmet = failures.unmet_expectation()
        assert "(LookupError, ValueError), but none came" in str(unmet)
        assert failures.unmet_expectation() is None

    def test_are_met_by_what_the_test_has_received(self, failures):
        failures.expect((LookupError,))
        failures.handler_failed(LookupError(), "handling a message")
        frame = Frame(ERROR, 1)
        failures.error_frame_came(frame)
        failures.frame_taken(frame)
        assert failures.unseen([]) == []
        assert failures.unmet_expectation() is None

    @pytest.mark.parametrize("kind", [LookupError(), "LookupError", int])
    def test_are_classes_of_exceptions(self, failures, kind):
        with pytest.raises(TypeError, match="takes classes of exceptions, not"):
            failures.expect((kind,))
