"""What the mixins use of the consumer class of a framework.

Channels and fast-channels have the same base classes, one untyped and one typed in its
own way. :class:`Framework` declares what both have, for the type checker alone; at run
time it is ``object``.
"""

from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:

    class Framework:
        """The consumer of a framework."""

        scope: MutableMapping[str, Any]
        channel_layer: Any
        channel_layer_alias: Any
        channel_name: str
        groups: Any

        def __init__(self, *args: Any, **kwargs: Any) -> None: ...

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None: ...

        async def dispatch(self, message: Any) -> None: ...

        async def accept(
            self, subprotocol: Any = None, headers: Any = None
        ) -> None: ...

        async def send(
            self, text_data: Any = None, bytes_data: Any = None, close: Any = False
        ) -> None: ...

        async def close(self, code: Any = None, reason: Any = None) -> None: ...

        async def websocket_disconnect(self, message: Any) -> None: ...

else:
    Framework = object
