"""The channel layers around the application of a test."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from chanx_testing.core.layers.handover import handed_over
from chanx_testing.core.layers.traffic import traffic_watched


@contextmanager
def layers_watched(
    inside: Sequence[Any],
    outside: Sequence[Any],
    *,
    full: type[Exception],
    shared: bool,
) -> Iterator[None]:
    """Watch channel layers while the block runs.

    Args:
        inside: Layers in memory: any thread may use them.
        outside: Layers on a server: what goes over them is counted.
        full: What a layer in memory raises where a channel has no room.
        shared: Whether other processes write to those on a server.
    """
    with ExitStack() as stack:
        for layer in inside:
            stack.enter_context(handed_over(layer, full))
        stack.enter_context(traffic_watched(outside, shared=shared))
        yield
