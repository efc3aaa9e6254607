"""The pytest plugin: every loop that a test makes knows whether it is idle.

Loops are made in many ways: by pytest-asyncio and by anyio's plugin for tests and
fixtures of any scope, by ``async_to_sync`` for Django's async tests, by
``IsolatedAsyncioTestCase``. All of them ask asyncio for a new loop while pytest runs
the protocol of a test, so the factory is installed around that protocol.
pytest-asyncio's hook for loop factories is left to the user: an implementation here
would parametrize every test, and replace a factory that the user's own policy gives. A
factory that the user names, in that hook or in ``anyio_backend``, is used as it is.

Loops made before or after tests, such as in session hooks, are not changed.
"""

from collections.abc import Generator

import pytest

from chanx_testing.pytest_plugin import endings, unawaited


def pytest_configure(config: pytest.Config) -> None:
    """Register the modules of the plugin that have hooks of their own."""
    config.pluginmanager.register(endings, endings.__name__)
    config.pluginmanager.register(unawaited, unawaited.__name__)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol() -> Generator[None, object, object]:
    """Install observable loops for a test, and for its fixtures at both ends."""
    # Imported here: plugins are loaded before coverage is measured, and also in runs
    # without an asynchronous test.
    from chanx_testing.core import idle
    from chanx_testing.core.idle.current_test import new_test
    from chanx_testing.core.trace.timeline import timeline_of_test

    with idle.installed(), new_test(), timeline_of_test():
        return (yield)
