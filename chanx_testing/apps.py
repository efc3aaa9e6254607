"""The Django app: it brings system checks and a ``test`` command."""

from django.apps import AppConfig


class ChanxTestingConfig(AppConfig):
    """The configuration of the app, which has no models.

    The command is found by its place; see
    :mod:`chanx_testing.management.commands.test`.
    """

    name = "chanx_testing"
    verbose_name = "Chanx testing"

    def ready(self) -> None:
        """Register the checks."""
        from chanx_testing.checks import register_checks

        register_checks()
