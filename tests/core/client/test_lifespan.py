"""Starting applications up and shutting them down."""

import contextvars

import pytest

from chanx_testing.core.client.communicator import WebsocketCommunicator
from chanx_testing.core.client.errors import LifespanError
from chanx_testing.core.client.lifespan import has_lifespan, lifespan
from tests.support import apps


class Application:
    """An application with a lifespan, of the kind that frameworks make."""

    lifespan = True

    def __init__(self, *, fails=None, raises=None):
        self.events = []
        self.fails = fails
        self.raises = raises

    async def __call__(self, scope, receive, send):
        if scope["type"] == "websocket":
            self.events.append(("websocket", dict(scope["state"])))
            await apps.silent(scope, receive, send)
            return
        for phase in ("startup", "shutdown"):
            assert (await receive())["type"] == f"lifespan.{phase}"
            self.events.append(phase)
            if self.raises == phase:
                raise LookupError(f"no {phase}")
            if self.fails == phase:
                await send({"type": f"lifespan.{phase}.failed", "message": "no disk"})
                return
            scope["state"]["pool"] = "open"
            await send({"type": f"lifespan.{phase}.complete"})


def client(application, **options):
    return WebsocketCommunicator(application, "/", **options)


async def test_surrounds_the_connection():
    application = Application()
    async with client(application):
        assert application.events == ["startup", ("websocket", {"pool": "open"})]
    assert application.events[-1] == "shutdown"


async def test_is_shared_by_the_connections_inside_a_block():
    application = Application()
    async with lifespan(application) as state:
        state["extra"] = 1
        async with client(application):
            pass
        async with client(application):
            pass
        assert "shutdown" not in application.events
    state = {"pool": "open", "extra": 1}
    websocket = ("websocket", state)
    assert application.events == ["startup", websocket, websocket, "shutdown"]


async def test_can_be_left_out():
    application = Application()
    async with client(application, lifespan=False):
        assert application.events == [("websocket", {})]


async def test_a_plain_function_is_not_called_for_it():
    calls = []

    async def application(scope, receive, send):
        calls.append(scope["type"])
        await apps.silent(scope, receive, send)

    assert not has_lifespan(application)
    async with client(application):
        assert calls == ["websocket"]


@pytest.mark.parametrize("phase", ["startup", "shutdown"])
async def test_a_failure_is_raised_with_its_reason(phase):
    with pytest.raises(LifespanError, match=f"failed its {phase}: no disk"):
        async with client(Application(fails=phase)):
            pass


@pytest.mark.parametrize("phase", ["startup", "shutdown"])
async def test_an_exception_is_raised_itself(phase):
    with pytest.raises(LookupError, match=f"no {phase}"):
        async with client(Application(raises=phase)):
            pass


async def test_an_application_that_returns_without_an_answer_is_told_so():
    async def application(scope, receive, send):
        await receive()

    with pytest.raises(LifespanError, match=r"without saying lifespan\.startup"):
        await client(application, lifespan=True).connect()


async def test_the_context_of_the_test_does_not_reach_it():
    variable = contextvars.ContextVar("variable", default="unset")
    variable.set("set")
    seen = []

    class Curious(Application):
        async def __call__(self, scope, receive, send):
            seen.append(variable.get())
            await super().__call__(scope, receive, send)

    async with client(Curious()):
        assert seen == ["unset", "unset"]


# Its lifespan.


class Wrapping:
    """Middleware that keeps what it wraps in ``app``."""

    def __init__(self, app):
        self.app = app


class Living:
    """An application that says so itself."""

    lifespan = None


class Route(Wrapping):
    """Leads to an application, and answers nothing else."""

    def matches(self, scope):
        return None


def test_a_lifespan_is_seen_under_middleware():
    assert has_lifespan(Wrapping(Wrapping(Living())))
    assert not has_lifespan(Wrapping(lambda scope: None))


def test_a_route_hides_the_lifespan_of_what_it_leads_to():
    assert not has_lifespan(Wrapping(Route(Living())))


def test_middleware_around_itself_is_no_lifespan():
    application = Wrapping(None)
    application.app = application
    assert not has_lifespan(application)
