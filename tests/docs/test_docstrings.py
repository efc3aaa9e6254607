"""The examples in docstrings run: the reference shows them."""

import ast
import asyncio
import importlib
import inspect
import pkgutil
import re
import textwrap
import types
from ast import PyCF_ALLOW_TOP_LEVEL_AWAIT
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from fastapi import FastAPI
from pydantic import BaseModel
from rest_framework import authentication, permissions

import chanx_testing
from chanx_testing.channels.authenticator import DjangoAuthenticator
from chanx_testing.core import decorators, idle
from chanx_testing.fast_channels.websocket import AsyncJsonWebsocketConsumer
from chanx_testing.messages import incoming, outgoing
from chanx_testing.messages.base import BaseMessage
from tests.support.people.models import EmailUser

_BLOCK = re.compile(r"::\n\n((?:(?: {4}.*)?\n)+)")

# Drawings of what is derived from what.
DRAWINGS = {
    "chanx_testing.channels.routing",
    "chanx_testing.core.client.errors",
    "chanx_testing.core.routing.routes",
}


def modules() -> Iterator[types.ModuleType]:
    for found in pkgutil.walk_packages(chanx_testing.__path__, "chanx_testing."):
        yield importlib.import_module(found.name)


def blocks_of(module: types.ModuleType) -> Iterator[tuple[str, str]]:
    """Yield the names of documented objects and the literal blocks in them."""
    tree = ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(tree):
        if isinstance(node, documented) and (text := ast.get_docstring(node)):
            name = f"{module.__name__}.{getattr(node, 'name', '')}".rstrip(".")
            for number, match in enumerate(_BLOCK.finditer(text + "\n")):
                yield f"{name}:{number}", textwrap.dedent(match[1])


BLOCKS = {
    name: (module, text)
    for module in modules()
    if module.__name__ not in DRAWINGS
    for name, text in blocks_of(module)
}


class NoticeEvent(BaseMessage):
    action: Literal["notice"] = "notice"
    payload: str


class NoticeMessage(BaseMessage):
    action: Literal["notice"] = "notice"
    payload: str


class ChatPayload(BaseModel):
    text: str


class PingConsumer(AsyncJsonWebsocketConsumer):
    send_completion = True

    @decorators.ws_handler
    async def handle_ping(self, message: incoming.PingMessage) -> outgoing.PongMessage:
        return outgoing.PongMessage()


app = FastAPI()
app.router.add_websocket_route("/ws/chat", PingConsumer.as_asgi())

# What a reader of each example has, beside the names of the module it stands in.
READERS_NAMES: dict[str, Any] = {
    **{name: getattr(decorators, name) for name in decorators.__all__},
    **{name: getattr(incoming, name) for name in incoming.__all__},
    **{name: getattr(outgoing, name) for name in outgoing.__all__},
    **vars(authentication),
    **vars(permissions),
    "ChatAuthenticator": DjangoAuthenticator,
    "ChatPayload": ChatPayload,
    "IsMember": permissions.IsAuthenticated,
    "Literal": Literal,
    "NoticeEvent": NoticeEvent,
    "NoticeMessage": NoticeMessage,
    "Room": EmailUser,
    "app": app,
    "pytest": pytest,
}


def test_there_are_examples():
    assert BLOCKS


@pytest.mark.parametrize("name", BLOCKS)
def test_the_example_runs(name):
    module, text = BLOCKS[name]
    names = {**READERS_NAMES, **vars(module), "__name__": module.__name__}
    code = compile(text, name, "exec", flags=PyCF_ALLOW_TOP_LEVEL_AWAIT)
    if code.co_flags & inspect.CO_COROUTINE:
        with idle.installed():
            asyncio.run(eval(code, names))
    else:
        exec(code, names)
