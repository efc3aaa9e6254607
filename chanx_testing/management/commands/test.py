"""Django's ``test`` command, on event loops that know when they are idle.

An installed app may replace a command of Django's. Arguments, runner and output stay
Django's; while the tests run, the loops that ``async_to_sync()`` makes for async tests
of *any* test case can prove that nothing more can come.
"""

from typing import Any

from django.core.management.commands.test import Command as DjangoCommand

from chanx_testing.core import idle


class Command(DjangoCommand):
    """The ``test`` command on observable event loops."""

    def handle(self, *test_labels: Any, **options: Any) -> None:
        """Run the tests as Django's command does."""
        with idle.installed():
            super().handle(*test_labels, **options)
