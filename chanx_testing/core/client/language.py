"""How the messages of one consumer look, and when it says that it is done."""

from collections.abc import Callable, Collection, Iterable
from functools import reduce
from operator import or_
from typing import Any, Final

from pydantic import BaseModel, TypeAdapter, ValidationError

from chanx_testing.constants import COMPLETE_ACTIONS, MESSAGE_ACTION_COMPLETE
from chanx_testing.core.client import errors
from chanx_testing.core.client.frame_queue import Frame
from chanx_testing.core.hiding.faults import without_secrets
from chanx_testing.core.settings import SETTINGS
from chanx_testing.core.trace.showing import show_value
from chanx_testing.messages.base import actions_of
from chanx_testing.messages.outgoing import AuthenticationMessage, ErrorMessage
from chanx_testing.messages.wire import ACTION, Wire

# Their frames say nothing to whoever reads a failure.
__tracebackhide__ = True

(ERROR_ACTION,) = actions_of(ErrorMessage)
(AUTHENTICATION_ACTION,) = actions_of(AuthenticationMessage)


SIGNAL_NAMES: Final = frozenset(
    {"CompleteMessage", "GroupCompleteMessage", "EventCompleteMessage"}
)
"""The names that the classes of completion signals have, here and in chanx."""


class Language:
    """What a client and a consumer say to each other.

    A subclass of a communicator may have a consumer, an action key or settings of its
    own, and change them at any time. So the communicator is asked whenever they are
    needed, and not held.

    Args:
        handle: Returns the communicator, or None when it is gone: a weak reference.
        message_types: Message classes to decode with, for a consumer that declares
            none.
    """

    def __init__(
        self,
        handle: Callable[[], Any],
        message_types: Iterable[type[BaseModel]] | None = None,
    ) -> None:
        self._handle = handle
        self._given: TypeAdapter[Any] | None = (
            TypeAdapter(reduce(or_, message_types)) if message_types else None
        )
        self._completion_seen = False

    @property
    def consumer(self) -> Any:
        """The consumer class, or None where it is not known."""
        return getattr(self._handle(), "consumer", None)

    @property
    def action_key(self) -> str:
        """The key on the wire that distinguishes one message from another."""
        key: str = getattr(self._handle(), "action_key", ACTION)
        return key

    @property
    def consumer_name(self) -> str | None:
        """The name of the consumer, if it is known."""
        consumer = self.consumer
        return None if consumer is None else str(consumer.__name__)

    def setting(self, name: str) -> Any:
        """Return the value of a ``CHANX`` setting for this conversation."""
        resolve = getattr(self._handle(), "resolve_setting", None)
        return SETTINGS[name].default if resolve is None else resolve(name)

    # Messages.

    def encode(self, message: BaseModel) -> Any:
        """Return a message as it goes over the wire, as plain data."""
        content = message.model_dump(mode="json")
        # The root of a model need not be an object.
        return self._wire().write(content) if isinstance(content, dict) else content

    def decode(self, content: Any) -> Any:
        """Return the typed message of one decoded frame.

        Raises:
            UndeclaredMessage: It is of none of the types that the consumer declares.
        """
        adapter = self._adapter
        assert adapter is not None, "a typed verb begins with require_types()"
        try:
            return adapter.validate_python(self.with_python_keys(content))
        except ValidationError as error:
            # Raised below, so that no traceback shows what the frame holds.
            wrong = without_secrets(error)
        known = ", ".join(sorted(self.outgoing_actions or ()))
        actions = f" (actions {known})" if known else ""
        raise errors.UndeclaredMessage(
            f"Expected one of the messages that "
            f"{self.consumer_name or 'message_types='} declares{actions}, but the "
            f"application sent {show_value(content)}. Declare it: as the return type "
            f"of its handler, with @ws_handler(output_type=...), in the 'emits' of the "
            f"consumer, or with message_types=. {wrong.errors()[0]['msg']}."
        ) from wrong

    def with_python_keys(self, content: Any) -> Any:
        """Return decoded data with the keys that its message has in Python."""
        return self._wire().read(content) if isinstance(content, dict) else content

    def _wire(self) -> Wire:
        return Wire(self.action_key, bool(self.setting("CAMELIZE")))

    def require_types(self, path: str) -> None:
        """Make sure that frames can be decoded.

        Args:
            path: That of the connection, for the error.

        Raises:
            TypeError: The types of the messages are not known.
        """
        if self._adapter is None:
            whose = (
                f"{self.consumer_name} declares no messages"
                if self.consumer is not None
                else f"the consumer behind {path} is not known"
            )
            raise TypeError(
                f"Typed messages cannot be received because {whose}. Pass consumer= "
                f"with a consumer of chanx_testing, or message_types=[...] with the "
                f"message classes, or use receive_json() and receive_all_json()."
            )

    @property
    def _adapter(self) -> TypeAdapter[Any] | None:
        return self._given or getattr(self.consumer, "outgoing_message_adapter", None)

    @property
    def outgoing_actions(self) -> Collection[str] | None:
        """The actions that the consumer can send, None if it does not declare them."""
        return getattr(self.consumer, "outgoing_actions", None)

    # Signals.

    def action_of(self, content: Any) -> Any:
        """Return the action of decoded data, None where it has none."""
        return content.get(self.action_key) if isinstance(content, dict) else None

    def is_error(self, frame: Frame) -> bool:
        """Return whether a frame is the answer of a consumer to an error."""
        return bool(frame.action(self.action_key) == ERROR_ACTION)

    def is_authentication(self, frame: Frame) -> bool:
        """Return whether a frame says how authentication went."""
        return bool(frame.action(self.action_key) == AUTHENTICATION_ACTION)

    def is_completion(self, frame: Frame) -> bool:
        """Return whether a frame is a completion signal.

        Where the consumer does not say so, only one that declares its messages has any:
        for another one the action may mean something else.
        """
        if frame.reported:
            return frame.signal
        return self._declares_messages() and self._looks_like_signal(frame.content)

    def note_completion(self, content: Any, frame: Frame | None = None) -> bool:
        """Return whether decoded data is a completion signal, and remember it.

        Args:
            content: The data, as the verb that took it has decoded it.
            frame: The frame, where its consumer may say more than its content.
        """
        if frame is not None and frame.reported:
            done = frame.signal
        else:
            done = self._looks_like_signal(content)
        self._completion_seen |= done
        return done

    def completes_frame(self, frame: Frame) -> bool:
        """Return whether a frame looks like the signal that follows each frame."""
        text = frame.message.get("text")
        # Asked for each frame: most need not be decoded for it.
        return (
            isinstance(text, str)
            and MESSAGE_ACTION_COMPLETE in text
            and bool(frame.action(self.action_key) == MESSAGE_ACTION_COMPLETE)
        )

    def sends_completion(self) -> bool:
        """Return whether this consumer sends completion signals, or has sent one."""
        return self._completion_seen or bool(
            self._declares_messages() and self.setting("SEND_COMPLETION")
        )

    def _declares_messages(self) -> bool:
        return getattr(self.consumer, "outgoing_message_adapter", None) is not None

    def _looks_like_signal(self, content: Any) -> bool:
        """Return whether data is a signal, as far as it can be told from the wire.

        A consumer that sends no signals may have a message of its own with that action.
        """
        action = self.action_of(content)
        # An application may send anything, lists and objects too, which have no hash.
        if not isinstance(action, str) or action not in COMPLETE_ACTIONS:
            return False
        return self.sends_completion() or not self._is_own_message(content)

    def _is_own_message(self, content: Any) -> bool:
        if (adapter := self._adapter) is None:
            return False
        try:
            message = adapter.validate_python(self.with_python_keys(content))
        except ValidationError:
            return False
        # chanx has signals of its own, of the same names.
        return type(message).__name__ not in SIGNAL_NAMES
