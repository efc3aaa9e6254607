"""The connections of a layer on Redis that somebody else uses.

``layer.connection(0)`` gives the application a client whose connections are those of
the layer. What the layer itself asks the server is counted by its methods. What others
ask is seen where they take a connection from the pool, and give it back.
"""

import asyncio
import functools
import threading
from collections.abc import Callable
from typing import Any

from chanx_testing.core.idle import Account, IdleEventLoop, accounted
from chanx_testing.core.idle.sources.accounts import current_account
from chanx_testing.core.idle.sources.timers import put_in_background
from chanx_testing.core.layers import redis
from chanx_testing.core.replacing import Replacement, hold, let_go


class Borrowing:
    """Who uses the connections of one layer, while it is watched.

    Args:
        account: The account of the layer, which answers for its connections.
        on_return: Called when somebody else has used one: with whether the connection
            is as it was. If not, a command was broken off.
    """

    def __init__(self, account: Account, on_return: Callable[[bool], None]) -> None:
        self.is_blind = False
        self._account = account
        self._on_return = on_return
        self._lock = threading.RLock()
        self._pools: list[Any] = []
        self._held: list[Replacement] = []
        # Of each use the loop; a use that has no connection yet has a key of its own.
        self._uses: dict[object, asyncio.AbstractEventLoop] = {}

    def is_borrowed(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Return whether somebody else uses a connection on a loop."""
        with self._lock:
            return loop in self._uses.values()

    def look_at(self, layer: Any) -> None:
        """Watch what the layer has made for the running loop since the last look."""
        listening = dict(redis.listening(layer))
        for pool in redis.pools(layer):
            self.watch(pool, listening)

    def watch(
        self, pool: Any, listening: "dict[Any, asyncio.Task[Any]] | None" = None
    ) -> None:
        """Watch a pool of the running loop, and answer for its connections.

        Args:
            pool: The pool.
            listening: The connections by which the layer itself listens, with the tasks
                that read them.
        """
        with self._lock:
            if any(known is pool for known in self._pools):
                return
            self._pools.append(pool)
            try:
                for name, make in (
                    ("get_connection", self._getting),
                    ("release", self._giving_back),
                ):
                    self._held.append(hold(pool, name, "traffic", make))
            except AttributeError:
                # It works in another way now, and nothing is known of it.
                self.is_blind = True
                return
        found = redis.connections(pool)
        if found is not None:
            self._adopt(*found, listening or {})

    def _adopt(
        self,
        free: list[Any],
        in_use: list[Any],
        listening: "dict[Any, asyncio.Task[Any]]",
    ) -> None:
        """Answer for connections that were made when nobody looked."""
        loop = asyncio.get_running_loop()
        if not isinstance(loop, IdleEventLoop):
            return
        for connection in (*free, *in_use):
            transport = redis.transport(connection)
            if transport is None or loop.accounts.knows(transport):
                continue
            with accounted(self._account):
                loop.accounts.add(transport)
            if connection in listening:
                put_in_background(listening[connection])
            elif connection in in_use:
                self._begin(connection, loop)

    def let_go(self) -> None:
        """Forget all, and let the pools be as they were."""
        with self._lock:
            held, self._held = self._held, []
            self._pools.clear()
            self._uses.clear()
            self.is_blind = False
        for replacement in held:
            let_go(replacement)

    def _begin(self, use: object, loop: asyncio.AbstractEventLoop) -> None:
        with self._lock:
            self._uses[use] = loop

    def _end(self, use: object) -> bool:
        with self._lock:
            return self._uses.pop(use, None) is not None

    def _getting(self, replacement: Replacement) -> Callable[..., Any]:
        async def get_connection(*args: Any, **kwargs: Any) -> Any:
            original = replacement.original()
            if not replacement.active or current_account() is self._account:
                return await original(*args, **kwargs)
            # Greeting the server takes some commands too.
            use = object()
            loop = asyncio.get_running_loop()
            self._begin(use, loop)
            try:
                with accounted(self._account):
                    connection = await original(*args, **kwargs)
                self._begin(connection, loop)
            finally:
                self._end(use)
            return connection

        return functools.update_wrapper(
            get_connection, replacement.owner.get_connection
        )

    def _giving_back(self, replacement: Replacement) -> Callable[..., Any]:
        async def release(connection: Any) -> Any:
            # One that was closed under its command was given up by its user.
            is_whole = bool(connection.is_connected)
            try:
                return await replacement.original()(connection)
            finally:
                if self._end(connection):
                    self._on_return(is_whole)

        return functools.update_wrapper(release, replacement.owner.release)
