"""Layers that may write to the same keys share what is known."""

import channels_redis.core
import channels_redis.pubsub
import fast_channels.layers.redis as fast
import pytest

from chanx_testing.core.layers.ledger import ledger_of

KINDS = [
    channels_redis.core.RedisChannelLayer,
    channels_redis.pubsub.RedisPubSubChannelLayer,
    fast.RedisChannelLayer,
    fast.RedisPubSubChannelLayer,
]


@pytest.mark.parametrize("kind", KINDS)
def test_layers_with_one_prefix_have_one_ledger(kind):
    same = ledger_of(kind(hosts=["redis://here"], prefix="same"))
    assert ledger_of(kind(hosts=[("there", 1)], prefix="same")) is same
    assert ledger_of(kind(prefix="other")) is not same


@pytest.mark.parametrize("kind", KINDS)
def test_a_prefix_is_known_although_nobody_gives_it(kind):
    default = ledger_of(kind())
    assert ledger_of(kind(prefix="asgi")) is default


def test_a_prefix_may_be_given_by_position():
    kind = channels_redis.pubsub.RedisPubSubChannelLayer
    same = ledger_of(kind(None, "same"))
    assert ledger_of(kind(prefix="same")) is same


def test_layers_of_two_kinds_do_not_meet():
    kinds = [kind(prefix="same") for kind in KINDS[:2]]
    assert ledger_of(kinds[0]) is not ledger_of(kinds[1])


def test_a_layer_of_another_kind_has_its_own():
    assert ledger_of(object()) is not ledger_of(object())
