"""What an application reports, and who is told."""

import contextvars

import pytest

from chanx_testing.core.observe import reports
from chanx_testing.core.observe.reports import Broadcast
from chanx_testing.messages.incoming import PingMessage


class Watcher:
    def __init__(self):
        self.seen = []

    def handler_failed(self, error, doing):
        self.seen.append(("failed", error, doing))

    def broadcast_sent(self, broadcast):
        self.seen.append(("sent", broadcast))

    def broadcast_received(self, broadcast_id):
        self.seen.append(("received", broadcast_id))


@pytest.fixture
def watcher():
    """A watcher, and a function that calls another one in its application."""
    watcher = Watcher()
    context = contextvars.copy_context()
    context.run(reports.watcher.set, watcher)
    watcher.inside = context.run
    return watcher


@pytest.fixture
def broadcast():
    return Broadcast("broadcast_event", object, PingMessage())


def test_nobody_need_watch(broadcast):
    reports.report_failure(ValueError(), "handling")
    reports.report_delivery(1)
    assert reports.announce(broadcast)


def test_the_watcher_of_the_application_is_told(watcher, broadcast):
    error = ValueError()
    watcher.inside(reports.report_failure, error, "handling")
    watcher.inside(reports.report_delivery, 7)
    watcher.inside(reports.report_delivery, None)
    watcher.inside(reports.announce, broadcast)
    assert watcher.seen == [
        ("failed", error, "handling"),
        ("received", 7),
        ("sent", broadcast),
    ]


class Conversation:
    def __init__(self):
        self.told = []

    def consumer_began(self, channel_name):
        self.told.append(("consumer", channel_name))

    def handling_began(self, kind, subject):
        self.told.append(("began", kind, subject))
        return subject

    def handling_ended(self, handling):
        self.told.append(("ended", handling))

    def sending_began(self, broadcast, layer, *, group, channel_name):
        self.told.append(("sending", broadcast, layer, group, channel_name))
        return broadcast

    def sending_ended(self, sending, error):
        self.told.append(("sent", sending, error))


def test_the_conversation_is_told_for_whom_a_consumer_works(broadcast):
    conversation = Conversation()

    def serve():
        reports.conversation.set(conversation)
        reports.report_consumer("channel")
        with reports.handled("event", 7):
            assert reports.handling.get() == 7
            with reports.sending(broadcast, "layer", group="room"):
                pass
            with (
                pytest.raises(ConnectionError),
                reports.sending(broadcast, "layer", channel_name="one"),
            ):
                raise (error := ConnectionError())
        assert reports.handling.get() is None
        return error

    error = contextvars.copy_context().run(serve)
    assert conversation.told == [
        ("consumer", "channel"),
        ("began", "event", 7),
        ("sending", broadcast, "layer", "room", None),
        ("sent", broadcast, None),
        ("sending", broadcast, "layer", None, "one"),
        ("sent", broadcast, error),
        ("ended", 7),
    ]


def test_nobody_need_listen(broadcast):
    reports.report_consumer(None)
    with reports.handled("frame", {}), reports.sending(broadcast, None):
        assert reports.handling.get() is None


def test_what_answers_a_failure_is_sent_inside_of_its_block(watcher):
    error = ValueError()

    def fail():
        with reports.answered(error, "handling"):
            assert reports.answering.get() is error
        assert reports.answering.get() is None

    watcher.inside(fail)
    assert watcher.seen == [("failed", error, "handling")]


def test_a_signal_is_sent_inside_of_its_block():
    with reports.signals():
        assert reports.signalling.get()
    assert not reports.signalling.get()


def test_a_broadcast_is_known_in_its_own_process(broadcast, monkeypatch):
    stamp = broadcast.stamp()
    assert reports.broadcast_id_in({"type": "x", **stamp}) == broadcast.id
    assert reports.broadcast_id_in({"type": "x"}) is None
    monkeypatch.setattr("os.getpid", lambda: -1)
    assert reports.broadcast_id_in(stamp) is None


def test_each_interceptor_is_told_and_any_may_suppress(watcher, broadcast):
    seen, sent = [], []

    def keep(broadcast):
        seen.append("keep")
        return False

    def suppress(broadcast):
        seen.append("suppress")
        return True

    def listener(broadcast):
        sent.append(broadcast)

    reports.add_listener(listener)
    for interceptor in (suppress, keep):
        reports.add_interceptor(interceptor)
    try:
        assert not watcher.inside(reports.announce, broadcast)
        assert seen == ["suppress", "keep"]
        assert (watcher.seen, sent) == ([], [])
        reports.remove_interceptor(suppress)
        assert watcher.inside(reports.announce, broadcast)
        assert (watcher.seen, sent) == ([("sent", broadcast)], [broadcast])
    finally:
        reports.remove_interceptor(suppress)
        reports.remove_interceptor(keep)
        reports.remove_listener(listener)
    assert reports.announce(broadcast)
    assert sent == [broadcast]


def test_broadcasts_have_numbers_of_their_own():
    first, second = (
        Broadcast("send_event", object, PingMessage(), channel_name="x") for _ in "12"
    )
    assert first.id < second.id
