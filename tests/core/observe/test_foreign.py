"""Consumers of other packages are made to report while somebody watches."""

import pytest

from chanx_testing.core.observe import reports
from chanx_testing.core.observe.foreign import (
    failures_reported,
    is_class_method,
    methods_in_background,
    offers_async,
)


class Base:
    """A consumer with one of the hooks that are known."""

    async def handle_message_handler_error(self, error, message):
        return f"answered {error}"

    @classmethod
    async def broadcast_event(cls, event, groups=None):
        return event

    def beat(self):
        return "beat"


class Child(Base):
    """Inherits the hook."""


class Watcher:
    def __init__(self):
        self.failed = []

    def handler_failed(self, error, doing):
        self.failed.append((str(error), doing))


@pytest.mark.parametrize("consumer", [Base, Child])
async def test_a_failure_is_reported_once_and_answered_as_ever(consumer):
    """Also where a base and its subclass are watched, and one calls the other."""
    watcher = Watcher()

    async def fail():
        reports.watcher.set(watcher)
        with failures_reported(Base), failures_reported(Child):
            error = ValueError("no")
            return await consumer().handle_message_handler_error(error, "chat")

    before = vars(Base)["handle_message_handler_error"]
    assert await fail() == "answered no"
    assert watcher.failed == [("no", "handling a message 'chat'")]
    assert vars(Base)["handle_message_handler_error"] is before
    assert "handle_message_handler_error" not in vars(Child)


def test_what_offers_what():
    assert offers_async(Base, "handle_message_handler_error")
    assert not offers_async(Base(), "handle_message_handler_error")
    assert not offers_async(Base, "beat")
    assert is_class_method(Base, "broadcast_event")
    assert not is_class_method(Base, "handle_message_handler_error")


def test_a_method_in_the_background_is_the_same_method():
    before = vars(Base)["beat"]
    with methods_in_background(Base, ["beat"]):
        assert vars(Base)["beat"] is not before
        assert Base().beat() == "beat"
    assert vars(Base)["beat"] is before


def test_an_unknown_method_in_the_background_is_an_error():
    with (
        pytest.raises(TypeError, match="background_methods names 'beet'"),
        methods_in_background(Base, ["beet"]),
    ):
        raise AssertionError("not reached")
