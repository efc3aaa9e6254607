"""The verdict as a value."""

import pickle
from dataclasses import FrozenInstanceError

import pytest

from chanx_testing.core.idle import UnsafeLoopAccess, Verdict, VerdictKind


@pytest.mark.parametrize("kind", VerdictKind)
def test_only_a_proof_is_true(kind: VerdictKind) -> None:
    assert bool(Verdict(kind)) is (kind is VerdictKind.IDLE)


@pytest.mark.parametrize(
    ("verdict", "text"),
    [
        (Verdict(VerdictKind.IDLE, ("7 tasks blocked",)), "idle: 7 tasks blocked"),
        (
            Verdict(VerdictKind.DEADLINE, ("executor save 2 ms", "timer in 1 s")),
            "not idle at the deadline: executor save 2 ms; timer in 1 s",
        ),
        (Verdict(VerdictKind.UNSUPPORTED), "cannot be proved idle"),
        (Verdict(VerdictKind.QUIET), "quiet, not proved idle"),
    ],
)
def test_it_reads_as_a_sentence(verdict: Verdict, text: str) -> None:
    assert str(verdict) == text


def test_it_is_a_value() -> None:
    verdict = Verdict(VerdictKind.DEADLINE, ("a",))
    assert pickle.loads(pickle.dumps(verdict)) == verdict
    assert hash(verdict) == hash(Verdict(VerdictKind.DEADLINE, ("a",)))
    with pytest.raises(FrozenInstanceError):
        verdict.kind = VerdictKind.IDLE  # type: ignore[misc]


def test_unsafe_access_pickles_and_says_what_to_do() -> None:
    error = pickle.loads(pickle.dumps(UnsafeLoopAccess("Thread-1", "layer.py:3")))
    assert error.thread == "Thread-1"
    assert "thread Thread-1" in str(error)
    assert "at layer.py:3" in str(error)
    assert "call_soon_threadsafe" in str(error)
