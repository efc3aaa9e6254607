"""Consumers under Django's test case: the database on the main thread, groups, threads.

Two things are not here. A server's loop in another thread of the same process counts
as busy, and is tested as that with the threads: joining two loops into one proof is not
offered. There is no virtual clock, so of its cases those remain that hold for a real
one: a job inside a far timeout, a busy worker at the loop's shutdown, a frozen clock.
"""

from typing import Any

from django.test import TestCase

from chanx_testing.core.idle import installed
from tests.support.conversation import converse
from tests.support.idle import at_once, fine_switching


class ConversationTests(TestCase):
    def __call__(self, result: Any = None) -> None:
        with installed():
            super().__call__(result)

    async def test_all_frames_are_there_at_each_verdict(self) -> None:
        with at_once():
            await converse(0)

    async def test_the_same_when_threads_switch_anywhere(self) -> None:
        with fine_switching():
            for number in range(40):
                await converse(number)
