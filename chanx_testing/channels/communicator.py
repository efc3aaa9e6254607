"""A communicator that knows Django: its settings, its database, its layers."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

from chanx_testing.channels.database.guard import connections_kept_open
from chanx_testing.channels.headers import checks_origin
from chanx_testing.channels.layers import configured_layers_watched
from chanx_testing.channels.settings import chanx_setting, check_secrets
from chanx_testing.core.client import timeouts
from chanx_testing.core.client.communicator import WebsocketCommunicatorMixin
from chanx_testing.core.settings import SETTINGS

# Their frames say nothing to whoever reads a failure.
__tracebackhide__ = True


class WebsocketCommunicator(WebsocketCommunicatorMixin):
    """A WebSocket client of a Django Channels application, for tests.

    Its arguments and verbs are those of
    :class:`~chanx_testing.core.testing.WebsocketCommunicatorMixin`. It also reads
    ``settings.CHANX``, keeps the database connection of the test open, and counts what
    goes over the channel layers.
    """

    def application_guard(self) -> AbstractContextManager[Any]:
        """Return a context that also keeps connections open and watches the layers."""
        check_secrets()
        # Made here, with all that they import; entered within a time limit.
        return with_django(
            super().application_guard(),
            connections_kept_open(),
            configured_layers_watched(),
        )

    def timeout_scale(self) -> float:
        """Return the factor that the environment sets, otherwise that of ``CHANX``."""
        return timeouts.environment_scale() or float(
            chanx_setting("TEST_TIMEOUT_SCALE")
        )

    def rejection_hint(self) -> str:
        """Return what is missing in a handshake without an origin, or ''."""
        sends_one = any(name == b"origin" for name, _ in self.scope["headers"])
        if sends_one or not checks_origin(self.application):
            return ""
        return (
            "The handshake has no 'origin' header, which an OriginValidator needs: "
            "pass headers=chanx_testing.channels.login.handshake_headers(application)."
        )

    def resolve_setting(self, name: str) -> Any:
        """Return what the consumer says of a setting, otherwise ``settings.CHANX``."""
        if hasattr(self.consumer, "resolve_setting"):
            return super().resolve_setting(name)
        own = getattr(self.consumer, SETTINGS[name].attribute or "", None)
        return chanx_setting(name) if own is None else own


@contextmanager
def with_django(*contexts: AbstractContextManager[Any]) -> Iterator[None]:
    """Open what an application needs that runs with Django."""
    with ExitStack() as stack:
        for context in contexts:
            stack.enter_context(context)
        yield
