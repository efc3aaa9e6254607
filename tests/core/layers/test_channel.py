"""What is known of the messages on their way to one channel."""

import pytest

from chanx_testing.core.layers.channel import Channel, is_marker


@pytest.fixture
def channel():
    return Channel()


def is_quiet(channel):
    return not (channel.expected or channel.is_unsure or channel.is_lost)


def test_a_message_is_expected_until_it_arrives(channel):
    channel.expect()
    assert not is_quiet(channel)
    channel.arrived()
    assert is_quiet(channel)


def test_a_message_that_was_refused_is_not_expected(channel):
    channel.expect()
    channel.refused()
    assert is_quiet(channel)


def test_a_marker_settles_what_was_sent_before_it(channel):
    channel.expect()
    channel.doubt()
    marker = channel.mark()
    assert is_marker(marker)
    assert not is_quiet(channel)
    channel.marker_came(marker)
    assert is_quiet(channel)


def test_a_marker_settles_nothing_that_was_sent_after_it(channel):
    channel.expect()
    marker = channel.mark()
    channel.expect()
    channel.arrived()
    channel.marker_came(marker)
    assert channel.expected == 1
    marker = channel.mark()
    channel.doubt()
    channel.marker_came(marker)
    assert channel.is_unsure


def test_a_marker_of_another_time_settles_nothing(channel):
    late = channel.mark()
    channel.marker_failed()
    channel.expect()
    channel.marker_came(late)
    assert channel.expected == 1


def test_a_message_that_nobody_expected_makes_unsure(channel):
    channel.arrived()
    assert channel.is_unsure
    # The account is not below zero: the next message is seen.
    channel.expect()
    assert channel.expected == 1


def test_a_doubt_that_a_marker_is_to_settle_explains_a_message(channel):
    channel.doubt()
    marker = channel.mark()
    channel.arrived()
    channel.marker_came(marker)
    assert is_quiet(channel)


def test_what_was_broken_off_is_settled_by_no_marker(channel):
    channel.lose()
    channel.marker_came(channel.mark())
    assert not is_quiet(channel)


def test_a_marker_that_could_not_be_sent_is_not_repeated_at_once(channel):
    channel.mark()
    channel.marker_failed()
    assert channel.is_mute
    channel.arrived()
    assert not channel.is_mute


@pytest.mark.parametrize("message", [None, {"type": "hello"}, "text"])
def test_a_message_of_the_application_is_no_marker(message):
    assert not is_marker(message)
