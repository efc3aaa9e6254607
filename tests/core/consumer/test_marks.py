"""Message types are read from what an annotation says."""

from typing import Any, TypeVar

import pytest

from chanx_testing.core.consumer.marks import message_types
from chanx_testing.messages.outgoing import PongMessage
from tests.support.messages import Say

M = TypeVar("M", bound=Say)


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        (None, []),
        (Any, []),
        (Say, [Say]),
        (tuple[Say, ...], [Say]),
        (list[Say | PongMessage] | None, [Say, PongMessage]),
        ([PongMessage, Say, Say], [PongMessage, Say]),
        (M, [Say]),
    ],
)
def test_message_types_are_found_in_an_annotation(annotation, expected):
    assert message_types(annotation) == expected
