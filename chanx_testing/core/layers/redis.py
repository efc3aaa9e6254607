"""What a layer on Redis does with its connections.

The layers of channels-redis and of fast-channels are alike: a client of redis-py for
each event loop and server, with a pool of connections. All that is private in them is
read here. Where a name has changed, a connection counts as open to the outside, and
waits last to their deadlines.
"""

import asyncio
from collections.abc import Iterator
from typing import Any, Final

_QUEUES: Final = {
    ("channels_redis.core", "RedisChannelLayer"),
    ("fast_channels.layers.redis.core", "RedisChannelLayer"),
}
_PUBSUB: Final = {
    ("channels_redis.pubsub", "RedisPubSubChannelLayer"),
    ("fast_channels.layers.redis.pubsub", "RedisPubSubChannelLayer"),
}


def keeps_messages(layer: Any) -> bool:
    """Return whether a layer keeps messages on the server, ordered by their time."""
    return _is_one_of(layer, _QUEUES)


def is_pubsub(layer: Any) -> bool:
    """Return whether a layer lets the server hand messages on at once."""
    return _is_one_of(layer, _PUBSUB)


def keeps_order(layer: Any) -> bool:
    """Return whether a message comes after all that this process has sent before.

    With several servers and pub/sub, those of a group and those of a channel come over
    connections of their own. (A layer that keeps messages reads each channel from one
    server only.)
    """
    if keeps_messages(layer):
        return True
    return is_pubsub(layer) and len(_shards(layer)) == 1


def keys_of(layer: Any) -> tuple[str, str] | None:
    """Return what two layers have in common that write to the same keys.

    None for a layer of another kind.
    """
    if keeps_messages(layer):
        return "queues", str(getattr(layer, "prefix", ""))
    if is_pubsub(layer):
        # Its part for a loop would tell, and must not be made for that.
        options = getattr(layer, "_kwargs", {})
        arguments = [*getattr(layer, "_args", ()), None, None]
        return "pubsub", str(options.get("prefix") or arguments[1] or "asgi")
    return None


def _is_one_of(layer: Any, kinds: set[tuple[str, str]]) -> bool:
    return any((base.__module__, base.__name__) in kinds for base in type(layer).mro())


def _loop_layer(layer: Any) -> Any:
    """Return the part of a layer that is for the running loop; None before its use."""
    layers = getattr(layer, "_layers", None)
    if not isinstance(layers, dict):
        return None
    try:
        return layers.get(asyncio.get_running_loop())
    except RuntimeError:
        return None  # no loop runs


def _shards(layer: Any) -> list[Any]:
    return list(getattr(_loop_layer(layer), "_shards", ()))


def pools(layer: Any) -> Iterator[Any]:
    """Yield the connection pools that a layer has made for the running loop."""
    part = _loop_layer(layer)
    clients = list(getattr(part, "_connections", {}).values())
    clients += [getattr(shard, "_redis", None) for shard in _shards(layer)]
    for client in clients:
        if client is not None:
            yield client.connection_pool


def listening(layer: Any) -> Iterator[tuple[Any, "asyncio.Task[Any]"]]:
    """Yield the connections by which a layer listens, and the tasks that read them."""
    for shard in _shards(layer):
        connection = getattr(getattr(shard, "_pubsub", None), "connection", None)
        task = getattr(shard, "_receive_task", None)
        if connection is not None and isinstance(task, asyncio.Task):
            yield connection, task


def connections(pool: Any) -> tuple[list[Any], list[Any]] | None:
    """Return the free connections of a pool and those in use; None if unknown."""
    try:
        return list(pool._available_connections), list(pool._in_use_connections)
    except (AttributeError, TypeError):
        return None


def transport(connection: Any) -> asyncio.BaseTransport | None:
    """Return the transport of a connection; None where it has none, or is unknown."""
    writer = getattr(connection, "_writer", None)
    return writer.transport if isinstance(writer, asyncio.StreamWriter) else None
