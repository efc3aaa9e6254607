"""The selector asks its judge before it sleeps."""

import socket

from chanx_testing.core.idle.selector import IdleSelector


def test_without_a_judge_it_is_the_platforms() -> None:
    with IdleSelector() as selector:
        assert selector.select(0) == []


def test_a_judge_selects_in_its_place() -> None:
    asked: list[float | None] = []

    def judge(raw, timeout):  # type: ignore[no-untyped-def]
        asked.append(timeout)
        return raw(0)

    ours, theirs = socket.socketpair()
    with ours, theirs, IdleSelector() as selector:
        selector.judge = judge
        selector.register(ours, 1, "ours")
        assert [key.data for key in selector.watched()] == ["ours"]
        assert selector.select(60) == []
        theirs.send(b"x")
        assert [key.data for key, _ in selector.select(None)] == ["ours"]
    assert asked == [60, None]


def test_a_closed_one_watches_nothing() -> None:
    selector = IdleSelector()
    selector.close()
    assert selector.watched() == []
