"""Channels closes no database connection while an application runs in a test."""

import importlib

import pytest

from chanx_testing.channels.database.guard import CLOSING, connections_kept_open


def current():
    return [getattr(importlib.import_module(m), name) for m, name in CLOSING]


def is_ours(function):
    return function.__module__ == "chanx_testing.channels.database.guard"


def test_the_names_are_those_that_channels_calls():
    """Fails where a release of Channels moves them."""
    assert len(current()) == len(CLOSING)


def test_they_do_nothing_while_a_block_is_open_and_are_back_after_it():
    before = current()
    with connections_kept_open():
        assert all(is_ours(function) for function in current())
    assert all(now is then for now, then in zip(current(), before, strict=True))


def test_blocks_may_overlap_in_any_order():
    before = current()
    first, second = connections_kept_open(), connections_kept_open()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert all(is_ours(function) for function in current())
    second.__exit__(None, None, None)
    assert current() == before


def test_they_are_back_after_an_error():
    before = current()
    with pytest.raises(LookupError), connections_kept_open():
        raise LookupError
    assert current() == before


def test_a_name_that_channels_has_no_more_is_passed_over(monkeypatch):
    monkeypatch.delattr("channels.consumer.aclose_old_connections")
    with connections_kept_open():
        assert not hasattr(
            importlib.import_module("channels.consumer"), "aclose_old_connections"
        )
    assert not hasattr(
        importlib.import_module("channels.consumer"), "aclose_old_connections"
    )
