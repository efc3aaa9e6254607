"""Django's ``test`` command, with event loops that can tell when they are idle.

An app may take the place of a command of Django's. Arguments, runner and output are
Django's; while the tests run, the loops that ``async_to_sync()`` makes for async tests
of *any* test case can prove that nothing more can come.
"""

from typing import Any

from django.core.management.commands.test import Command as DjangoCommand

from chanx_testing.core import idle


class Command(DjangoCommand):
    """Run the tests as Django does, on observable event loops."""

    def handle(self, *test_labels: Any, **options: Any) -> None:
        """Run the tests and exit, as Django's command does."""
        with idle.installed():
            super().handle(*test_labels, **options)
