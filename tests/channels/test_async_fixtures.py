"""asyncSetUp, asyncTearDown and their clean-ups run in the loop of the test."""

import asyncio

import pytest

from chanx_testing.messages.incoming import PingMessage
from tests.support.cases import failure, passes
from tests.support.lobby import Case

pytestmark = pytest.mark.django_db(transaction=True)


class TestFixtures:
    def test_run_in_the_loop_of_the_test_in_the_order_of_unittest(self):
        steps = []

        class Ordered(Case):
            def note(self, step):
                steps.append(step)
                loops.add(asyncio.get_running_loop())

            async def asyncSetUp(self):
                self.note("set up")
                self.addAsyncCleanup(self.clean, "first added")
                self.addAsyncCleanup(self.clean, "last added")

            async def clean(self, name):
                self.note(name)

            async def test(self):
                self.note("test")

            async def asyncTearDown(self):
                self.note("tear down")

        loops = set()
        passes(Ordered)
        assert steps == ["set up", "test", "tear down", "last added", "first added"]
        assert len(loops) == 1

    def test_cleanups_run_when_the_set_up_fails(self):
        steps = []

        class Broken(Case):
            async def asyncSetUp(self):
                self.addAsyncCleanup(self.clean)
                raise LookupError("set up")

            async def clean(self):
                steps.append("clean")

            async def test(self):
                steps.append("test")

            async def asyncTearDown(self):
                steps.append("tear down")

        assert "LookupError: set up" in failure(Broken)
        assert steps == ["clean"]

    def test_connections_are_open_while_they_run(self):
        class Late(Case):
            async def test(self):
                await self.auth_communicator.connect()

            async def asyncTearDown(self):
                await self.auth_communicator.send_message(PingMessage())
                assert await self.auth_communicator.receive_all_messages()

        passes(Late)
