"""The pytest plugin: every loop that a test makes can be asked whether it is idle.

Loops are made in many ways: by pytest-asyncio and by anyio's plugin for tests and
fixtures of any scope, by ``async_to_sync`` for Django's async tests, by
``IsolatedAsyncioTestCase``. All of them ask asyncio for a new loop while a test's
protocol runs, and so that is where the factory is put in place. pytest-asyncio's hook
for loop factories is left to the user: an implementation here would parametrize every
test, and take the place of a factory that the user's own policy gives. A factory that
the user names, in that hook or in ``anyio_backend``, is used as it is.

Loops made before or after tests, as by session hooks, stay what they are.
"""

from collections.abc import Generator

import pytest


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol() -> Generator[None, object, object]:
    """Have observable loops in a test, its fixtures' setup and their teardown."""
    # Imported here: plugins are loaded before anything is measured for coverage, and
    # in runs that have no asynchronous test.
    from chanx_testing.core import idle

    with idle.installed():
        return (yield)
