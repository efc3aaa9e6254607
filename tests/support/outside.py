"""A server in a process of its own: for a test it is outside, as a real one is."""

import asyncio
import contextlib
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from aiohttp import web

ROOT = Path(__file__).resolve().parent.parent.parent


class Secure(NamedTuple):
    """A server with TLS, and what a client needs to trust it."""

    url: str
    context: ssl.SSLContext


@contextmanager
def outside_server(*certificate: Path) -> Iterator[int]:
    """Run the server while the block runs.

    Args:
        certificate: The files of its certificate and its key, for TLS.

    Yields:
        The port at which it listens, on 127.0.0.1.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", __name__, *map(str, certificate)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.communicate()


async def hello(request: web.Request) -> web.Response:
    return web.Response(text="hello")


async def after(request: web.Request) -> web.Response:
    """Answer after some seconds."""
    await asyncio.sleep(float(request.match_info["seconds"]))
    return web.Response(text="late")


async def drip(request: web.Request) -> web.StreamResponse:
    """Answer with ten pieces, each some seconds after the one before."""
    response = web.StreamResponse()
    await response.prepare(request)
    for number in range(10):
        await response.write(b"%d" % number)
        await asyncio.sleep(float(request.match_info["seconds"]))
    return response


async def push(request: web.Request) -> web.StreamResponse:
    """A WebSocket that sends a message some seconds after each one it gets."""
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        await asyncio.sleep(float(message.data))
        await socket.send_str("pushed")
    return socket


async def hang_up(request: web.Request) -> web.Response:
    """Answer, and close the connection a little later without being asked."""
    assert request.transport is not None
    asyncio.get_running_loop().call_later(0.02, request.transport.close)
    return web.Response(text="bye")


async def serve(*certificate: str) -> None:
    application = web.Application()
    application.add_routes(
        [
            web.get("/", hello),
            web.get("/after/{seconds}", after),
            web.get("/drip/{seconds}", drip),
            web.get("/push", push),
            web.get("/hang-up", hang_up),
        ]
    )
    context = None
    if certificate:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*certificate)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    print(runner.addresses[0][1], flush=True)  # noqa: T201 - whoever has started it reads this
    await asyncio.Event().wait()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(*sys.argv[1:]))
