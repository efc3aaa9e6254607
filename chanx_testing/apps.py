"""The Django app: it is there for its system checks."""

from django.apps import AppConfig


class ChanxTestingConfig(AppConfig):
    """Registers the system checks; there are no models."""

    name = "chanx_testing"
    verbose_name = "Chanx testing"

    def ready(self) -> None:
        """Register the checks."""
        from chanx_testing.checks import register_checks

        register_checks()
