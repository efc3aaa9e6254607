"""The shape of everything that travels: an action that names it, and a payload."""

import abc
import enum
from typing import Any, ClassVar, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.alias_generators import to_snake

__all__ = ["BaseMessage", "action_of", "actions_of"]


class BaseMessage(BaseModel):
    """A message to or from a client, or an event between consumers.

    Each concrete subclass names its action in a ``Literal`` of text (or of members of a
    ``StrEnum``); more than one value is allowed. A subclass of a concrete
    message inherits its action. A class that only serves as a base needs no action: it
    has ``abc.ABC`` among its bases, or is generic with open parameters.

    ::

        class ChatMessage(BaseMessage):
            action: Literal["chat"] = "chat"
            payload: ChatPayload

    Attributes:
        action: What the message is, and with it which handler gets it.
        payload: What it says; None where the action says it all.

    Raises:
        TypeError: A concrete subclass is defined whose action is not such a
            ``Literal``.
    """

    # Keeps pytest from collecting a message called TestMessage.
    __test__: ClassVar[bool] = False

    action: Any
    payload: Any = None

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Refuse a message whose action cannot be recognised."""
        super().__pydantic_init_subclass__(**kwargs)
        if not _is_abstract(cls):
            _check_action(cls)


def actions_of(message_type: type[BaseMessage]) -> tuple[str, ...]:
    """Return the actions of ``message_type`` as text, () if it names none."""
    values = _literal_values(message_type)
    if values is None:
        return ()
    # str() of a member of `class Kind(str, Enum)` is 'Kind.NAME', not its value.
    return tuple(
        value.value if isinstance(value, enum.Enum) else value for value in values
    )


def action_of(message: BaseMessage) -> str:
    """Return the action of ``message`` as text: of a member of an enum, its value."""
    action = message.action
    return str(action.value if isinstance(action, enum.Enum) else action)


def _literal_values(message_type: type[BaseMessage]) -> tuple[Any, ...] | None:
    annotation = message_type.model_fields["action"].annotation
    # `type Action = Literal["chat"]` is a name for the Literal, not the Literal.
    annotation = getattr(annotation, "__value__", annotation)
    if get_origin(annotation) is not Literal:
        return None
    return get_args(annotation)


def _is_abstract(message_type: type[BaseMessage]) -> bool:
    if abc.ABC in message_type.__bases__:
        return True
    generic = message_type.__pydantic_generic_metadata__
    if generic["parameters"] or generic["origin"] is not None:
        # `Envelope` with open parameters, and `Envelope[Chat]`, which Python makes on
        # the way to a subclass that may still name its action.
        return _literal_values(message_type) is None
    return False


def _check_action(message_type: type[BaseMessage]) -> None:
    values = _literal_values(message_type)
    name = message_type.__name__
    suggestion = to_snake(name.removesuffix("Message")) or "message"
    remedy = f'write `action: Literal["{suggestion}"] = "{suggestion}"`'
    if values is None:
        field = message_type.model_fields["action"]
        base = BaseMessage.model_fields["action"]
        if field.annotation is base.annotation:
            problem = "does not say which action it is"
        else:
            annotation = getattr(field.annotation, "__name__", None)
            problem = (
                "annotates its action with "
                f"{annotation or field.annotation!r}, where a Literal is needed"
            )
        raise TypeError(
            f"{message_type.__module__}.{message_type.__qualname__} {problem}: "
            f"{remedy}, or, where it only serves as a base, add abc.ABC to its bases."
        )
    for value in values:
        if not isinstance(value, str):
            remedy = (
                "make the enum a StrEnum" if isinstance(value, enum.Enum) else remedy
            )
            raise TypeError(
                f"{message_type.__module__}.{message_type.__qualname__} has the action "
                f"{value!r}, which is not text: {remedy}."
            )
