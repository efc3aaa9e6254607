"""A server that is some milliseconds away.

The proxy is a process of its own, as a server is: what it does is not the test's.
"""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tests.support.project import ROOT


@contextmanager
def far_away(host: str, port: int, delay: float) -> Iterator[int]:
    """Let a server be further away than it is, while the block runs.

    Args:
        host: The host of the server.
        port: Its port.
        delay: Seconds for each direction.

    Yields:
        The port of the proxy on 127.0.0.1.
    """
    command = [sys.executable, "-m", __name__, host, str(port), str(delay)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


async def _hand_on(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: float
) -> None:
    """Hand on what comes in one direction, in its order, each piece late."""
    loop = asyncio.get_running_loop()
    with suppress(ConnectionError):
        while data := await reader.read(65536):
            loop.call_later(delay, writer.write, data)
    loop.call_later(delay, writer.close)


async def _serve(host: str, port: int, delay: float) -> None:
    async def connected(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        far_reader, far_writer = await asyncio.open_connection(host, port)
        await asyncio.gather(
            _hand_on(reader, far_writer, delay), _hand_on(far_reader, writer, delay)
        )

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))
