"""What a module of a client does not find as it expects is not known."""

import asyncio
import gc
import weakref
from collections import deque
from typing import Any

import pytest

from chanx_testing.core.idle.clients import aiohttp, asyncpg, known, state, streams
from chanx_testing.core.idle.clients.state import Notice, NotKnownError
from tests.support.absent import run_code


class Anything:
    """An object with the attributes that it is given."""

    def __init__(self, **attributes: Any) -> None:
        vars(self).update(attributes)


class Transport(asyncio.Transport):
    def __init__(self, protocol: Any, unsent: int = 0) -> None:
        super().__init__()
        self.protocol = protocol
        self.unsent = unsent

    def get_protocol(self) -> Any:
        return self.protocol

    def get_write_buffer_size(self) -> int:
        return self.unsent


def test_an_attribute_is_read_if_it_has_the_type_that_is_expected() -> None:
    one = Anything(number=1, flag=True)
    assert state.read(one, "number", int) == 1
    with pytest.raises(NotKnownError, match="flag"):
        state.read(one, "flag", int)
    with pytest.raises(NotKnownError, match="other"):
        state.read(one, "other", int)


async def test_a_future_has_waiters_while_a_task_or_a_callback_waits() -> None:
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    assert not state.has_waiters(None)
    assert not state.has_waiters(future)
    task = asyncio.ensure_future(asyncio.wait([future]))
    await asyncio.sleep(0)
    assert state.has_waiters(future)
    future.set_result(None)
    await task
    assert not state.has_waiters(future)


def test_a_transport_that_is_none_of_asyncios_is_not_known() -> None:
    assert known.who_notices(asyncio.BaseTransport()) is None


def test_a_protocol_that_no_module_is_for_is_not_known() -> None:
    assert known.who_notices(Transport(asyncio.Protocol())) is None


def test_a_class_that_has_only_the_name_of_a_known_one_is_not_known() -> None:
    kind = type("StreamReaderProtocol", (), {"__module__": "asyncio.streams"})
    assert known.who_notices(Transport(kind())) is None


async def test_what_is_still_to_be_sent_is_said() -> None:
    protocol = asyncio.StreamReaderProtocol(reader := asyncio.StreamReader())
    assert known.who_notices(Transport(protocol)) == []
    assert known.who_notices(Transport(protocol, unsent=1)) == [
        Notice("something is still to be sent")
    ]
    # Nobody reads any more, and what the protocol does then is not known.
    del reader
    gc.collect()
    assert known.who_notices(Transport(protocol)) is None


async def test_a_stream_that_is_otherwise_than_expected_is_not_known() -> None:
    loop = asyncio.get_running_loop()
    expected = {
        "_stream_reader": asyncio.StreamReader(),
        "_closed": loop.create_future(),
        "_drain_waiters": deque(),
    }
    transport = Transport(None)
    assert streams.notices(transport, Anything(**expected)) == []  # type: ignore[arg-type]
    for name in expected:
        for other in ({**expected, name: object()}, {**expected}):
            if other == expected:
                del other[name]
            with pytest.raises(NotKnownError):
                streams.notices(transport, Anything(**other))  # type: ignore[arg-type]


async def test_a_connection_of_aiohttp_otherwise_than_expected_is_not_known() -> None:
    expected = {
        "_payload": None,
        "_payload_parser": None,
        "_upgraded": False,
        "_waiter": None,
        "_closed": None,
        "_drain_waiter": None,
    }
    transport = Transport(None)
    assert aiohttp.notices(transport, Anything(**expected)) == []  # type: ignore[arg-type]
    for name in expected:
        other = {**expected}
        del other[name]
        with pytest.raises(NotKnownError):
            aiohttp.notices(transport, Anything(**other))  # type: ignore[arg-type]
    for name in ("_payload", "_upgraded", "_waiter", "_closed", "_drain_waiter"):
        with pytest.raises(NotKnownError):
            aiohttp.notices(
                transport,
                Anything(**{**expected, name: "something else"}),  # type: ignore[arg-type]
            )


def connection_of_asyncpg(**attributes: Any) -> tuple[Any, Any]:
    """A connection and a protocol with what is read of asyncpg's."""
    kind = type("Connection", (Anything,), {"__module__": "asyncpg.connection"})
    connection = kind(
        **{
            "_listeners": {},
            "_log_listeners": set(),
            "_termination_listeners": set(),
            "_proxy": None,
            **attributes,
        }
    )
    protocol = [weakref.ref(connection)]
    connection._protocol = protocol
    return connection, protocol


def test_a_connection_of_asyncpg_otherwise_than_expected_is_not_known() -> None:
    transport = Transport(None)
    connection, protocol = connection_of_asyncpg()
    # The transport is not among what the protocol holds.
    with pytest.raises(NotKnownError):
        asyncpg.notices(transport, protocol)
    protocol.append(transport)
    assert asyncpg.notices(transport, protocol) == []
    # The connection is not.
    with pytest.raises(NotKnownError):
        asyncpg.notices(transport, [transport])  # type: ignore[arg-type]
    for name in ("_listeners", "_log_listeners", "_termination_listeners", "_proxy"):
        connection, protocol = connection_of_asyncpg()
        protocol.append(transport)
        delattr(connection, name)
        with pytest.raises(NotKnownError):
            asyncpg.notices(transport, protocol)
    for proxy in (
        Anything(),
        Anything(_holder=Anything()),
        Anything(_holder=Anything(_in_use=None)),
        Anything(_holder=Anything(_in_use=None, _pool=Anything())),
        Anything(_holder=Anything(_in_use=None, _pool=Anything(_queue=Anything()))),
    ):
        connection, protocol = connection_of_asyncpg(_proxy=proxy)
        protocol.append(transport)
        with pytest.raises(NotKnownError):
            asyncpg.notices(transport, protocol)
    queue = Anything(_getters=deque())
    held = Anything(_in_use=None, _pool=Anything(_queue=queue))
    connection, protocol = connection_of_asyncpg(_proxy=Anything(_holder=held))
    protocol.append(transport)
    assert asyncpg.notices(transport, protocol) == []


@pytest.mark.slow
def test_no_client_is_imported() -> None:
    code = (
        "import sys, chanx_testing.core.idle\n"
        "clients = {'redis', 'asyncpg', 'aiohttp', 'httpx', 'anyio', 'sqlalchemy'}\n"
        "print(sorted(clients & sys.modules.keys()))"
    )
    result = run_code([], code)
    assert (result.stdout, result.stderr) == ("[]\n", "")
