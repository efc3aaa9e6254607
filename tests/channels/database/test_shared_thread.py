"""The database connections of asgiref's shared thread, and of threads of pools."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import channels.db
import pytest
from asgiref.sync import AsyncToSync, SyncToAsync, async_to_sync
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncJsonWebsocketConsumer, JsonWebsocketConsumer
from django.db.backends.base.creation import BaseDatabaseCreation

from chanx_testing.channels.database import shared_thread
from chanx_testing.channels.database.guard import connections_kept_open
from chanx_testing.channels.testing import WebsocketCommunicator

SHARED = SyncToAsync.single_thread_executor


class Echo(AsyncJsonWebsocketConsumer):
    async def receive_json(self, content, **kwargs):
        await self.send_json(content)


class SynchronousEcho(JsonWebsocketConsumer):
    def receive_json(self, content, **kwargs):
        self.send_json(content)


class InPool(AsyncJsonWebsocketConsumer):
    async def receive_json(self, content, **kwargs):
        work = database_sync_to_async(threading.current_thread, thread_sensitive=False)
        self.closed_in.append(await work())
        await self.send_json(content)


@pytest.fixture
def closed(monkeypatch):
    """The threads in which Channels closed connections, in order."""
    threads = []
    monkeypatch.setattr(
        channels.db,
        "close_old_connections",
        lambda: threads.append(threading.current_thread()),
    )
    return threads


def shared():
    """The shared thread, after all that it had to do before."""
    return SHARED.submit(threading.current_thread).result()


async def converse(consumer, leave=True):
    communicator = WebsocketCommunicator(consumer.as_asgi(), "/")
    assert await communicator.connect() == (True, None)
    await communicator.send_json_to("hello")
    assert await communicator.receive_json_from() == "hello"
    if leave:
        await communicator.disconnect()
    return communicator


def test_the_names_are_those_that_asgiref_has():
    """Fails where a release of asgiref, or of Python, moves them."""
    assert isinstance(SHARED, ThreadPoolExecutor)
    assert isinstance(AsyncToSync.loop_thread_executors, dict)
    assert shared() in SHARED._threads


@pytest.mark.parametrize("consumer", [Echo, SynchronousEcho])
async def test_they_are_closed_there_when_the_last_application_has_ended(
    closed, consumer
):
    first = await converse(consumer, leave=False)
    await converse(consumer)
    thread = shared()
    assert closed == []
    await first.disconnect()
    # Twice the same: what the thread had to do before is done.
    assert shared() is thread
    assert closed == [thread]


@pytest.mark.parametrize("consumer", [Echo, SynchronousEcho])
def test_a_test_inside_async_to_sync_has_none_there(closed, consumer):
    async_to_sync(converse)(consumer)
    shared()
    assert closed == []


def test_an_application_that_is_cancelled_with_its_loop_is_one_that_ends(closed):
    asyncio.run(converse(Echo, leave=False))
    thread = shared()
    assert closed == [thread]


async def test_an_application_that_asks_for_no_connection_costs_nothing(closed):
    async def application(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        await receive()

    async with WebsocketCommunicator(application, "/"):
        pass
    shared()
    assert closed == []


async def test_a_transaction_that_a_fixture_has_begun_there_goes_on(
    closed, monkeypatch
):
    """Only its state is looked at; a real one is in tests/servers/test_postgres.py."""
    connection = SimpleNamespace(in_atomic_block=True)
    monkeypatch.setattr(shared_thread.connections, "all", lambda **_: [connection])
    await converse(Echo)
    shared()
    assert closed == []


async def test_a_thread_of_a_pool_closes_its_own_after_each_job(closed):
    InPool.closed_in = jobs = []
    await converse(InPool)
    thread = shared()
    # Before the job and after it; in between nobody may want them again.
    assert closed == [*jobs, *jobs, thread]
    assert jobs[0] is not thread


def test_a_collected_application_closes_nothing(closed):
    """Whoever the collector interrupts may hold the locks of the executor."""
    guard = connections_kept_open()
    guard.__enter__()
    asyncio.run(channels.consumer.aclose_old_connections())
    assert not guard.__exit__(GeneratorExit, GeneratorExit(), None)
    shared()
    assert closed == []
    # The next one that ends makes up for it.
    with connections_kept_open():
        pass
    thread = shared()
    assert closed == [thread]


async def test_an_error_of_closing_is_not_the_application_s(monkeypatch):
    def fail():
        raise LookupError("the test may not use the database any more")

    monkeypatch.setattr(channels.db, "close_old_connections", fail)
    await converse(InPool)
    shared()


class TestDestroying:
    @pytest.fixture
    def destroyed(self, monkeypatch):
        """What happened, in order, instead of destroying a database."""
        shared_thread.closed_before_databases_are_destroyed()
        replacement = shared_thread._destroying
        events = []
        monkeypatch.setattr(
            replacement, "below", lambda *args, **kwargs: events.append((args, kwargs))
        )
        return events

    @pytest.fixture
    def creation(self):
        from django.db import connection

        return connection.creation

    def test_comes_after_all_that_the_thread_has_to_do(
        self, destroyed, creation, monkeypatch
    ):
        monkeypatch.setattr(
            shared_thread.connections,
            "close_all",
            lambda: destroyed.append(threading.current_thread()),
        )
        creation.destroy_test_db("old", verbosity=0)
        thread = shared()
        assert destroyed == [thread, ((creation, "old"), {"verbosity": 0})]

    def test_does_not_wait_forever_for_a_job_and_says_so(
        self, destroyed, creation, monkeypatch
    ):
        monkeypatch.setattr(shared_thread, "PATIENCE", 0.01)
        go_on = threading.Event()
        job = SHARED.submit(go_on.wait)
        with pytest.warns(RuntimeWarning, match="asgiref's thread is still at work"):
            creation.destroy_test_db("old")
        go_on.set()
        job.result()
        assert destroyed == [((creation, "old"), {})]

    def test_is_replaced_once(self):
        shared_thread.closed_before_databases_are_destroyed()
        before = BaseDatabaseCreation.destroy_test_db
        shared_thread.closed_before_databases_are_destroyed()
        assert BaseDatabaseCreation.destroy_test_db is before

    def test_happens_at_once_when_the_executor_takes_no_job(
        self, destroyed, creation, monkeypatch
    ):
        executor = ThreadPoolExecutor(1)
        executor.shutdown()
        monkeypatch.setattr(SyncToAsync, "single_thread_executor", executor)
        creation.destroy_test_db("old")
        assert destroyed == [((creation, "old"), {})]

    def test_happens_at_once_where_asgiref_has_another_executor(
        self, destroyed, creation, monkeypatch
    ):
        monkeypatch.delattr(SyncToAsync, "single_thread_executor")
        assert shared_thread.is_current()
        creation.destroy_test_db("old")
        assert destroyed == [((creation, "old"), {})]
