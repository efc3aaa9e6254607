"""What this package uses of fast-channels, and what to do where it is missing.

Of :mod:`chanx_testing.fast_channels`, only ``testing`` works without it.
"""

try:
    from fast_channels.consumer import AsyncJsonWebsocketConsumer
    from fast_channels.exceptions import (
        AcceptConnection,
        ChannelFull,
        DenyConnection,
        StopConsumer,
    )
    from fast_channels.layers import (
        BaseChannelLayer,
        InMemoryChannelLayer,
        channel_layers,
    )
except ModuleNotFoundError as error:
    if error.name != "fast_channels":
        raise
    raise ModuleNotFoundError(
        "The package fast-channels is not installed, and consumers and channel layers "
        "outside Django are built on it: pip install 'chanx-testing[fastapi]'. "
        "WebsocketCommunicator of chanx_testing.fast_channels.testing works without.",
        name=error.name,
    ) from error

__all__ = [
    "AcceptConnection",
    "AsyncJsonWebsocketConsumer",
    "BaseChannelLayer",
    "ChannelFull",
    "DenyConnection",
    "InMemoryChannelLayer",
    "StopConsumer",
    "channel_layers",
]
