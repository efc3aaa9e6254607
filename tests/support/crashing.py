"""Applications that fail where nobody waits for them, each in one way.

Each accepts, and does what its name says when the first frame comes.
"""

import asyncio
import threading
from contextvars import Context

from tests.support import apps


class Lost(LookupError):
    """What each of them raises."""


def boom(*_):
    raise Lost("nobody waits for this")


async def aboom():
    boom()


_held_up = []


async def aboom_when_released():
    """Fail as soon as the test says so, by ``released()``."""
    gate = asyncio.Event()
    _held_up.append((gate, asyncio.current_task()))
    await gate.wait()
    boom()


async def released():
    """Let fail what waits for it on this loop, and return when it has."""
    here = [each for each in _held_up if each[1].get_loop() is asyncio.get_event_loop()]
    _held_up.clear()
    for gate, _ in here:
        gate.set()
    if here:
        await asyncio.wait([task for _, task in here])


def when_asked(step):
    """Make an application that calls ``step(scope)`` when the first frame comes."""

    async def application(scope, receive, send):
        await apps.accept(receive, send)
        await receive()
        await step(scope)
        while (await receive())["type"] != "websocket.disconnect":
            pass

    return application


@when_asked
async def timer(scope):
    asyncio.get_running_loop().call_later(0.001, boom)


@when_asked
async def done_callback(scope):
    future = asyncio.get_running_loop().create_future()
    future.add_done_callback(boom)
    future.set_result(None)


@when_asked
async def job(scope):
    asyncio.get_running_loop().run_in_executor(None, boom)


@when_asked
async def kept_job(scope):
    scope["kept"] = asyncio.get_running_loop().run_in_executor(None, boom)


@when_asked
async def future(scope):
    asyncio.get_running_loop().create_future().set_exception(Lost())


@when_asked
async def kept_future(scope):
    scope["kept"] = asyncio.get_running_loop().create_future()
    scope["kept"].set_exception(Lost())


@when_asked
async def future_in_a_cycle(scope):
    answer = asyncio.get_running_loop().create_future()
    try:
        boom()
    except Lost as error:
        # Its traceback has this frame, which has the future.
        answer.set_exception(error)


@when_asked
async def handed_over(scope):
    loop = asyncio.get_running_loop()

    def in_a_thread():
        asyncio.run_coroutine_threadsafe(aboom(), loop)

    await asyncio.to_thread(in_a_thread)


@when_asked
async def thread(scope):
    threading.Thread(target=boom).start()


@when_asked
async def loop_of_a_thread(scope):
    async def work():
        asyncio.get_running_loop().call_soon(boom)
        await asyncio.sleep(0)

    threading.Thread(target=lambda: asyncio.run(work())).start()


@when_asked
async def context_of_its_own(scope):
    asyncio.create_task(aboom(), context=Context())  # noqa: RUF006 - nobody holds it


@when_asked
async def task(scope):
    asyncio.create_task(aboom())  # noqa: RUF006 - nobody holds it


@when_asked
async def kept_task(scope):
    scope["kept"] = asyncio.create_task(aboom())


async def after_disconnect(scope, receive, send):
    """Leave a task behind that fails when the connection has ended."""
    await apps.silent(scope, receive, send)
    scope["kept"] = asyncio.create_task(aboom_when_released())


async def outliving(scope, receive, send):
    """Leave a task behind that goes on."""
    await apps.silent(scope, receive, send)
    scope["kept"] = asyncio.create_task(asyncio.Event().wait())


class WithLifespan:
    """Starts a task in its lifespan, which fails when it is released."""

    lifespan = True

    async def __call__(self, scope, receive, send):
        if scope["type"] != "lifespan":
            await apps.silent(scope, receive, send)
            return
        await receive()
        scope["state"]["kept"] = asyncio.create_task(aboom_when_released())
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})


in_lifespan = WithLifespan()
crashed = apps.crash_after_accept

BESIDE = {
    "timer": timer,
    "done_callback": done_callback,
    "job": job,
    "kept_job": kept_job,
    "future": future,
    "kept_future": kept_future,
    "future_in_a_cycle": future_in_a_cycle,
    "handed_over": handed_over,
    "thread": thread,
    "loop_of_a_thread": loop_of_a_thread,
    "context_of_its_own": context_of_its_own,
    "task": task,
    "kept_task": kept_task,
    "in_lifespan": in_lifespan,
    "after_disconnect": after_disconnect,
}
"""All that fail beside their connection, by name."""
