"""Count the messages to pub/sub listeners of redis.asyncio, where a test asks for it.

A listener waits all the time for what anybody publishes, so nothing can be proved
beside it. But a test may know that nobody else publishes to its server. Then each
message was published by this process, Redis has said how many clients it went to, and
each that comes is counted off. Where none is left and no command is under way, the
listener has nothing to wait for.
"""

import functools
import importlib
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final

from chanx_testing.core.replacing import Replacement, replaced

_PUBLISHES: Final = ("PUBLISH", "SPUBLISH")
# They may publish, and do not say how much.
_MAY_PUBLISH: Final = ("EVAL", "EVALSHA", "FCALL", "EVAL_RO", "EVALSHA_RO", "FCALL_RO")
_COUNTED: Final = frozenset((*_PUBLISHES, *_MAY_PUBLISH))
_MESSAGES: Final = ("message", "pmessage", "smessage")
# Commands of a listener that are answered once for each argument.
_SUBSCRIBES: Final = (
    *("SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE"),
    *("UNSUBSCRIBE", "PUNSUBSCRIBE", "SUNSUBSCRIBE"),
)


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return str(value)


def _name_in(command: tuple[Any, ...]) -> str:
    return _text(command[0]).upper() if command else ""


class _Listener:
    """One ``PubSub``, from its first command on.

    Attributes:
        reader: The stream of the connection on which it has subscribed.
        reading: How many tasks wait for its next message.
        answers: How many of its commands are still to be answered.
        doubt: Why its answers are not known, or None.
    """

    def __init__(self) -> None:
        self.reader: object = None
        self.reading = 0
        self.answers = 0
        self.doubt: str | None = None


class Publications:
    """What this process publishes, and what its listeners have got of it.

    Attributes:
        doubt: Why the number of messages under way is not known, or None.
        surprise: The channel of a message that nobody here had published, or None.
    """

    def __init__(self) -> None:
        self.doubt: str | None = None
        self.surprise: str | None = None
        self._lock = threading.Lock()
        self._commands = 0
        self._owed = 0
        self._listeners: weakref.WeakKeyDictionary[Any, _Listener] = (
            weakref.WeakKeyDictionary()
        )

    @contextmanager
    def publishing(self, name: str) -> Iterator[Callable[[object], None]]:
        """Count a command that publishes; the block says what Redis replied."""
        replies: list[object] = []
        with self._lock:
            self._commands += 1
        try:
            yield replies.append
        finally:
            with self._lock:
                self._commands -= 1
                if name in _PUBLISHES and replies and isinstance(replies[0], int):
                    self._owed += replies[0]
                    self._look_for_surprise(None)
                else:
                    self.doubt = f"{name} may have published something"

    def commanded(self, pubsub: Any, args: tuple[Any, ...]) -> None:
        """Count a command of a listener, which is about to be sent."""
        if all(one.connection is None for one in tuple(self._listeners)):
            # What was owed to listeners that are gone reaches no other.
            with self._lock:
                if not self._commands:
                    self._owed = 0
        listener = self._listeners.setdefault(pubsub, _Listener())
        name = _name_in(args)
        if name in _SUBSCRIBES and len(args) > 1:
            listener.answers += len(args) - 1
        elif name == "PING":
            listener.answers += 1
        else:
            listener.doubt = f"the answers to {name} are not counted"

    def sent(self, pubsub: Any) -> None:
        """Note the connection on which a listener has sent a command."""
        listener = self._listeners[pubsub]
        listener.reader = getattr(pubsub.connection, "_reader", None)

    @contextmanager
    def reading(self, pubsub: Any) -> Iterator[Callable[[object], None]]:
        """Note a task that waits for a message; the block says what came."""
        listener = self._listeners.get(pubsub)
        came: list[object] = []
        if listener is None:
            yield came.append
            return
        listener.reading += 1
        try:
            yield came.append
        finally:
            listener.reading -= 1
            if came and came[0] is not None:
                self._count_off(listener, came[0])

    def _count_off(self, listener: _Listener, response: object) -> None:
        parts = response if isinstance(response, list) else [response]
        if not parts or _text(parts[0]) not in _MESSAGES:
            listener.answers -= 1
            return
        with self._lock:
            self._owed -= 1
            self._look_for_surprise(_text(parts[-2]))

    def _look_for_surprise(self, channel: str | None) -> None:
        # While a command is under way, a message may be here before its number is.
        if self._owed < 0 and not self._commands and self.doubt is None:
            self.doubt = "somebody else publishes"
            self.surprise = channel or "a channel of its own"

    def doubts(self, reader: object) -> list[str] | None:
        """Return what a listener that waits at this stream may still get.

        Returns:
            A phrase each; [] for nothing; None where the stream is no listener's.
        """
        for pubsub, listener in tuple(self._listeners.items()):
            connection = pubsub.connection
            if (
                connection is None
                or listener.reader is not reader
                or getattr(connection, "_reader", None) is not reader
            ):
                continue
            return self._doubts_of(pubsub, listener, connection)
        return None

    def _doubts_of(
        self, pubsub: Any, listener: _Listener, connection: Any
    ) -> list[str]:
        found = [doubt for doubt in (self.doubt, listener.doubt) if doubt is not None]
        with self._lock:
            if self._commands:
                found.append("a command that publishes is under way")
            if self._owed:
                found.append(f"{self._owed} published messages have not come yet")
        if listener.answers or not listener.reading:
            found.append("an answer to a command of the listener")
        if getattr(connection, "health_check_interval", None) != 0:
            found.append("health checks of the connection")
        # Older releases know no channels of shards.
        shards = getattr(pubsub, "shard_channels", ())
        names = [*pubsub.channels, *pubsub.patterns, *shards]
        if any(_text(name).startswith("__") for name in names):
            found.append("Redis itself publishes to channels with two underscores")
        return found


_current: Publications | None = None
_holders = 0
_holding = threading.Lock()


def doubts(reader: object) -> list[str] | None:
    """Return what :meth:`Publications.doubts` does; None where nothing is counted."""
    return None if _current is None else _current.doubts(reader)


@contextmanager
def no_other_publisher() -> Iterator[None]:
    """Declare that nobody but this process publishes to its Redis, in the block.

    Inside, a wait beside a pub/sub listener of redis.asyncio ends with a proof: what is
    published is counted, and what the listener gets is counted off. Enter it before the
    listener subscribes, and before anything is published.

    Counted is what ``publish()`` and ``execute_command("PUBLISH")`` of redis-py
    publish, in every thread. After a pipeline that publishes, a script, or a
    ``publish()`` that failed, waits last to their deadlines again. Nothing is claimed
    of connections that Redis closes.

    Raises:
        AssertionError: At the end of the block: a message came that was not published
            here, so the declaration is wrong, and so may be any proof inside.
        ImportError: redis-py is not installed.
    """
    global _current, _holders
    with _holding:
        if _current is None:
            _current = Publications()
        account = _current
        _holders += 1
    try:
        with _counted():
            yield
    finally:
        with _holding:
            _holders -= 1
            if not _holders:
                _current = None
    if account.surprise is not None:
        raise AssertionError(
            f"a message came on {account.surprise} that this process did not publish by"
            " redis-py, inside no_other_publisher(). So somebody else publishes: do"
            " without it, or keep others from this Redis. Waits in the block may have"
            " ended too early"
        )


@contextmanager
def _counted() -> Iterator[None]:
    # Whoever declares something about Redis has it installed, and imported or about to.
    client = importlib.import_module("redis.client")
    asynchronous = importlib.import_module("redis.asyncio.client")
    with ExitStack() as stack:
        for owner, name, make in (
            (asynchronous.Redis, "execute_command", _publishing),
            (client.Redis, "execute_command", _publishing_sync),
            (asynchronous.Pipeline, "execute_command", _queueing),
            (client.Pipeline, "execute_command", _queueing),
            (asynchronous.PubSub, "execute_command", _commanding),
            (asynchronous.PubSub, "parse_response", _reading),
        ):
            stack.enter_context(replaced(owner, name, "publications", make))
        yield


# What takes the place of the methods of redis-py.


def _publishing(replacement: Replacement) -> Any:
    async def execute_command(self: Any, *args: Any, **options: Any) -> Any:
        original = replacement.original(self)
        account, name = _current, _name_in(args)
        if account is None or name not in _COUNTED:
            return await original(*args, **options)
        with account.publishing(name) as replied:
            reply = await original(*args, **options)
            replied(reply)
        return reply

    return _like(execute_command, replacement)


def _publishing_sync(replacement: Replacement) -> Any:
    def execute_command(self: Any, *args: Any, **options: Any) -> Any:
        original = replacement.original(self)
        account, name = _current, _name_in(args)
        if account is None or name not in _COUNTED:
            return original(*args, **options)
        with account.publishing(name) as replied:
            reply = original(*args, **options)
            replied(reply)
        return reply

    return _like(execute_command, replacement)


def _queueing(replacement: Replacement) -> Any:
    def execute_command(self: Any, *args: Any, **options: Any) -> Any:
        account, name = _current, _name_in(args)
        if account is not None and name in _COUNTED:
            account.doubt = f"a pipeline with {name} may have published something"
        return replacement.original(self)(*args, **options)

    return _like(execute_command, replacement)


def _commanding(replacement: Replacement) -> Any:
    async def execute_command(self: Any, *args: Any) -> Any:
        original = replacement.original(self)
        account = _current
        if account is None:
            return await original(*args)
        account.commanded(self, args)
        result = await original(*args)
        account.sent(self)
        return result

    return _like(execute_command, replacement)


def _reading(replacement: Replacement) -> Any:
    async def parse_response(self: Any, *args: Any, **options: Any) -> Any:
        original = replacement.original(self)
        account = _current
        if account is None:
            return await original(*args, **options)
        with account.reading(self) as came:
            response = await original(*args, **options)
            came(response)
        return response

    return _like(parse_response, replacement)


def _like(function: Callable[..., Any], replacement: Replacement) -> Any:
    return functools.update_wrapper(
        function, getattr(replacement.owner, replacement.name)
    )
