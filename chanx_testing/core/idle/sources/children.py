"""Child processes: their end is reported to the loop that started them."""

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from typing import Any, ClassVar


class Children:
    """The child processes of one loop that have not ended; a source.

    Python 3.11 waits for a child in a thread, later versions through a descriptor where
    the system has such: in both cases the transport knows. The descriptors alone do
    not, since a child's pipe is closed before its end is reported.
    """

    wakes_the_loop: ClassVar[bool] = True
    is_outside: ClassVar[bool] = False

    def __init__(self) -> None:
        self._starting = 0
        self._transports: list[asyncio.SubprocessTransport] = []

    async def start(self, starting: Awaitable[Any]) -> Any:
        """Start a child process, and count it from now on.

        Args:
            starting: asyncio's ``subprocess_exec()`` or ``subprocess_shell()``.

        Returns:
            Its transport and its protocol.
        """
        self._starting += 1
        try:
            transport, protocol = await starting
            self._transports.append(transport)
        finally:
            self._starting -= 1
        return transport, protocol

    def forget(self) -> None:
        """Forget all children: the loop is closed."""
        self._transports.clear()

    def is_open(self) -> bool:
        """Return whether a child lives, or is being started."""
        for each in tuple(self._transports):
            if each.get_returncode() is not None:
                # Another thread may look at the same time.
                with suppress(ValueError):
                    self._transports.remove(each)
        return bool(self._transports or self._starting)

    may_end_a_deadlock = is_open

    def phrases(self) -> list[str]:
        """Return the process ID of each child."""
        if not self.is_open():
            return []
        pids = [f"child process {each.get_pid()}" for each in tuple(self._transports)]
        return pids or ["a child process starting"]

    def at_work(self) -> list[str]:
        """Return the process ID of each child: its end is told to the loop."""
        return self.phrases()
