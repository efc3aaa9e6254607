"""Names of jobs, places and tasks."""

import asyncio
import functools
from typing import Any
from unittest import mock

from asgiref.sync import sync_to_async
from channels.consumer import AsyncConsumer

from chanx_testing.core.idle.describe import (
    describe_callable,
    describe_task,
    task_is_runnable,
)
from tests.support.idle import on_idle_loop


class Chat:
    def save(self) -> None: ...

    @classmethod
    def make(cls) -> None: ...

    async def receive(self) -> None:
        await self.deeper()

    async def deeper(self) -> None:
        await asyncio.Event().wait()

    def __call__(self) -> None: ...


def plain() -> None: ...


def test_the_names_of_jobs() -> None:
    assert describe_callable(plain) == "plain"
    assert describe_callable(Chat().save) == "Chat.save"
    assert describe_callable(Chat.make) == "Chat.make"
    assert describe_callable(Chat()) == "Chat"
    assert describe_callable(len) == "len"
    assert describe_callable(functools.partial(functools.partial(plain), 1)) == "plain"
    assert describe_callable([].append) == "list.append"


def test_a_job_of_sync_to_async_has_the_name_of_the_users_function() -> None:
    job = functools.partial(sync_to_async(Chat().save).thread_handler, None)
    assert describe_callable(job) == "Chat.save"


def test_objects_that_answer_everything_are_not_asked() -> None:
    assert describe_callable(mock.MagicMock()) == "MagicMock"


@on_idle_loop
async def test_the_innermost_place_of_the_users_code_is_named() -> None:
    task = asyncio.create_task(Chat().receive())
    await asyncio.sleep(0)
    place = describe_task(task)
    assert place.startswith("Chat.deeper test_describe.py:")
    task.cancel()


@on_idle_loop
async def test_a_librarys_method_of_the_users_class_is_named_after_the_class() -> None:
    class NotificationConsumer(AsyncConsumer):
        async def websocket_connect(self, message: Any) -> None: ...

    consumer = NotificationConsumer()
    queue: asyncio.Queue[Any] = asyncio.Queue()
    task = asyncio.create_task(
        consumer({"type": "websocket"}, queue.get, queue.put)  # type: ignore[arg-type]
    )
    for _ in range(5):
        await asyncio.sleep(0)
    assert describe_task(task).startswith("NotificationConsumer.__call__ consumer.py:")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@on_idle_loop
async def test_tasks_that_have_not_begun_or_have_ended() -> None:
    async def work() -> None: ...

    task = asyncio.create_task(work())
    assert describe_task(task) == "work test_describe.py:" + str(
        work.__code__.co_firstlineno
    )
    await task
    assert "work" in describe_task(task) or describe_task(task) == "a task"


@on_idle_loop
async def test_an_async_generator_is_followed() -> None:
    async def numbers() -> Any:
        await asyncio.Event().wait()
        yield 1

    async def reads() -> None:
        async for _ in numbers():
            pass

    task = asyncio.create_task(reads())
    await asyncio.sleep(0)
    place = describe_task(task)
    assert place == f"numbers test_describe.py:{numbers.__code__.co_firstlineno + 1}"
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@on_idle_loop
async def test_a_task_that_waits_for_its_turn_only_is_runnable() -> None:
    async def spin() -> None:
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    blocked = asyncio.create_task(Chat().receive())
    spinning = asyncio.create_task(spin())
    await asyncio.sleep(0)
    assert task_is_runnable(spinning)
    assert not task_is_runnable(blocked)
    blocked.cancel()
    await spinning
