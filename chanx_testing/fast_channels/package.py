"""What this package uses of fast-channels, and what to do where it is missing.

Of :mod:`chanx_testing.fast_channels`, only ``testing`` works without it.
"""

try:
    from fast_channels import consumer as consumer
    from fast_channels import exceptions as exceptions
    from fast_channels import layers as layers
except ModuleNotFoundError as error:
    if error.name != "fast_channels":
        raise
    raise ModuleNotFoundError(
        "The package fast-channels is not installed, and consumers and channel layers "
        "outside Django are built on it: pip install 'chanx-testing[fastapi]'. "
        "WebsocketCommunicator of chanx_testing.fast_channels.testing works without.",
        name=error.name,
    ) from error
