"""Django's ``test`` command, on event loops that know when they are idle.

An installed app may replace a command of Django's. Arguments, runner and output stay
Django's; while the tests run, the loops that ``async_to_sync()`` makes for async tests
of *any* test case can prove that nothing more can come. Where a test has used a
connection, its end looks at what failed and nobody has seen.
"""

from typing import Any

from django.core.management.commands.test import Command as DjangoCommand

from chanx_testing.core import idle
from chanx_testing.core.trace.cases import cases_end


class Command(DjangoCommand):
    """The ``test`` command on observable event loops."""

    def handle(self, *test_labels: Any, **options: Any) -> None:
        """Run the tests as Django's command does."""
        with idle.installed(), cases_end():
            super().handle(*test_labels, **options)
