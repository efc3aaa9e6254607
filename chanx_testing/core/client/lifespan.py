"""Start an application up, and shut it down.

See the ASGI specification, "Lifespan Protocol":
https://asgi.readthedocs.io/en/latest/specs/lifespan.html
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from contextvars import Context, ContextVar
from typing import Any, Literal

from chanx_testing.core.client.ending import ending_here, known_ending
from chanx_testing.core.client.errors import LifespanError, raise_first
from chanx_testing.core.client.failures import Failures
from chanx_testing.core.client.scope import ASGI_VERSION
from chanx_testing.core.client.watcher import Watcher
from chanx_testing.core.hiding.content import conceal_text
from chanx_testing.core.idle.waiting import engage
from chanx_testing.core.observe import reports
from chanx_testing.core.trace.showing import show_error

Application = Callable[..., Any]
Phase = Literal["startup", "shutdown"]

_shared: ContextVar[tuple["Lifespan", ...]] = ContextVar(
    "chanx_testing_lifespans", default=()
)


def _no_transcript(_: str) -> None:
    """Take what would go into the transcript of a connection."""


def has_lifespan(application: Any) -> bool:
    """Return whether an application is known to have a lifespan, without calling it.

    Known are those of Starlette and FastAPI, Litestar and Quart, any object with an
    attribute ``lifespan``, and middleware that keeps one of these in its attribute
    ``app``, as Starlette's does. A plain function is not known to have one: it could do
    anything when it is called with a scope that it does not expect. Nor is a route,
    which leads to an application but does not pass its lifespan on.
    """
    seen: set[int] = set()
    while application is not None and id(application) not in seen:
        seen.add(id(application))
        router = getattr(application, "router", None)
        if (
            hasattr(router, "lifespan_context")
            or hasattr(application, "lifespan")
            or hasattr(application, "before_serving_funcs")
        ):
            return True
        if hasattr(application, "matches"):
            return False
        application = getattr(application, "app", None)
    return False


def shared_lifespan(application: Any) -> "Lifespan | None":
    """Return the lifespan of ``application`` that an outer block has begun, or None."""
    return next(
        (item for item in _shared.get() if item.application is application), None
    )


class Lifespan:
    """The lifespan of one application, in a task of its own.

    Args:
        application: The ASGI application.

    Attributes:
        state: What the application put into the state at its startup.
    """

    def __init__(self, application: Application) -> None:
        self.application = application
        self.state: dict[str, Any] = {}
        self._events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._answers: dict[Phase, asyncio.Future[None]] = {}
        self._task: asyncio.Task[None] | None = None
        self._watcher: Watcher | None = None

    async def startup(self) -> None:
        """Start the application up.

        Raises:
            LifespanError: It said that its startup failed, or returned without an
                answer.
            Exception: What it raised instead of an answer.
        """
        engage()
        loop = asyncio.get_running_loop()
        self._answers["startup"] = loop.create_future()
        self._answers["shutdown"] = loop.create_future()
        # As a server has it: nothing of the test's context reaches the application.
        context = Context()
        self._watcher = Watcher(Failures(), _no_transcript)
        context.run(reports.watcher.set, self._watcher)
        self.note_use()
        self._task = loop.create_task(self._run(), context=context)
        await self._ask("startup")

    def note_use(self) -> None:
        """Note that the test uses the application, which fails it where it fails."""
        if self._watcher is not None:
            ending_here().add(self._watcher)

    async def shutdown(self) -> None:
        """Shut the application down and wait until it has ended.

        Raises:
            LifespanError: It said that its shutdown failed, or returned without an
                answer.
            Exception: What it raised, or what failed of all that it has begun and
                nobody waited for.
        """
        if self._task is None:
            return
        found: list[BaseException] = []
        try:
            if not self._task.done():
                await self._ask("shutdown")
            await self._task
        except Exception as error:
            found.append(error)
        if self._watcher is not None:
            unseen = self._watcher.failures.unseen(self._watcher.failed_tasks())
            if (ending := known_ending()) is not None:
                unseen = ending.unexpected(unseen)
            found += [error for error in unseen if error not in found]
        raise_first(found)

    async def _ask(self, phase: Phase) -> None:
        assert self._task is not None
        await self._events.put({"type": f"lifespan.{phase}"})
        answer = self._answers[phase]
        await asyncio.wait([self._task, answer], return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            try:
                answer.result()
            except LifespanError:
                # If it raises as well, its exception says more than the text does that
                # it sent of it.
                await asyncio.wait([self._task])
                self._task.result()
                raise
            return
        self._task.result()
        raise LifespanError(
            f"The application returned during its {phase} without saying "
            f"lifespan.{phase}.complete."
        )

    async def _run(self) -> None:
        scope = {
            "type": "lifespan",
            "asgi": {"version": ASGI_VERSION, "spec_version": "2.0"},
            "state": self.state,
        }
        await self.application(scope, self._events.get, self._send)

    async def _send(self, message: dict[str, Any]) -> None:
        match message["type"]:
            case "lifespan.startup.complete":
                self._settle("startup")
            case "lifespan.startup.failed":
                self._settle("startup", message)
            case "lifespan.shutdown.complete":
                self._settle("shutdown")
            case "lifespan.shutdown.failed":
                self._settle("shutdown", message)

    def _settle(self, phase: Phase, failed: dict[str, Any] | None = None) -> None:
        answer = self._answers[phase]
        if answer.done():
            return
        if failed is None:
            answer.set_result(None)
        else:
            answer.set_exception(
                LifespanError(
                    f"The application failed its {phase}: "
                    f"{conceal_text(str(failed.get('message') or 'it gave no reason'))}"
                )
            )
            # Where a test leaves its connection open, the loop cancels the application
            # at its end and nobody waits for this answer: asyncio would report it as an
            # exception that was never retrieved.
            answer.exception()


class ConnectionLifespan:
    """The lifespan of an application, as far as one connection sees to it.

    Args:
        wanted: Whether to start the application up; None: where it is known to have a
            lifespan. Inside a block of :func:`lifespan` it never is.
    """

    def __init__(self, wanted: bool | None) -> None:
        self._wanted = wanted
        self._own: Lifespan | None = None

    async def start(self, application: Application, scope: dict[str, Any]) -> None:
        """Start the application up where that is wanted, and give it its state.

        Raises:
            LifespanError: It said that its startup failed.
            Exception: What it raised instead of an answer.
        """
        begun = shared_lifespan(application)
        if begun is None:
            wanted = self._wanted
            if wanted is None:
                wanted = has_lifespan(application)
            if not wanted:
                return
            begun = Lifespan(application)
            await begun.startup()
            self._own = begun
        else:
            begun.note_use()
        scope["state"] = {**begun.state, **scope.get("state", {})}

    async def stop(self) -> None:
        """Shut the application down, where :meth:`start` has started it up."""
        own, self._own = self._own, None
        if own is not None:
            await own.shutdown()


@asynccontextmanager
async def lifespan(application: Application) -> AsyncIterator[dict[str, Any]]:
    """Start an application up once for all connections that open inside the block.

    Args:
        application: The ASGI application, the same object that the communicators get.

    Yields:
        The state that the application made at its startup; each connection has a
        shallow copy in ``scope["state"]``.

    Raises:
        LifespanError: Its startup or shutdown failed, or ended without an answer.
        Exception: What it raised. If the block has failed already, that failure is
            raised, with a note on the other.
    """
    shared = Lifespan(application)
    await shared.startup()
    _shared.set((*_shared.get(), shared))
    try:
        yield shared.state
    except BaseException as failure:
        try:
            await shared.shutdown()
        except Exception as error:
            failure.add_note(
                f"While the application was shut down afterwards: {show_error(error)}"
            )
        raise
    else:
        await shared.shutdown()
    finally:
        # Not by a token: a fixture may be torn down in another context than its own.
        _shared.set(tuple(item for item in _shared.get() if item is not shared))
