"""Users of any user model, whatever it requires."""

import datetime
import difflib
import itertools
import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model
from django.core.exceptions import ImproperlyConfigured
from django.db import models
from django.utils import timezone

from chanx_testing.core.unawaited import must_await

_numbers = itertools.count(1)
_MOST_ATTEMPTS: Final = 100


class UserFieldError(TypeError):
    """The user model has no such field.

    Attributes:
        model: The label of the user model, such as ``auth.User``.
        field: The unknown name.
        fields: The names of the fields that there are.
    """

    def __init__(self, model: str, field: str, fields: tuple[str, ...]) -> None:
        super().__init__(model, field, fields)
        self.model = model
        self.field = field
        self.fields = fields

    def __str__(self) -> str:
        close = difflib.get_close_matches(self.field, self.fields, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        return (
            f"The user model {self.model} has no field {self.field!r}. "
            f"It has: {', '.join(self.fields)}.{hint}"
        )


def make_user(**fields: Any) -> Any:
    """Create and return a user of the project's user model.

    What the model requires and the call leaves out is filled in: the username field and
    every other unique field get a value that is unique in the database, the rest a
    plain value of the right type. The user is saved directly, not through the manager's
    ``create_user``, whose arguments differ from project to project.

    Args:
        fields: Fields of the model, many-to-many fields included. ``password`` is the
            raw password and is stored hashed; without it, the password is unusable.

    Raises:
        UserFieldError: The model has no such field.
        ImproperlyConfigured: A required field, such as a foreign key, has no value that
            could be made up.
    """
    model: Any = get_user_model()
    related = {field.name for field in model._meta.many_to_many}
    _check_names(model, fields, related)
    collections = {name: fields.pop(name) for name in related & fields.keys()}
    password = fields.pop("password", None)
    user = model(**_with_defaults(model, fields))
    if hasattr(user, "set_password"):
        # None makes the password unusable.
        user.set_password(password)
    user.save()
    for name, members in collections.items():
        getattr(user, name).set(members)
    return user


@must_await
async def amake_user(**fields: Any) -> Any:
    """Create a user from asynchronous code; see :func:`make_user`.

    The work is done in the thread that Django's asynchronous database access shares, so
    that it uses the test's own connection.
    """
    return await sync_to_async(make_user, thread_sensitive=True)(**fields)


def _check_names(model: Any, fields: dict[str, Any], related: set[str]) -> None:
    # A model takes the names of its properties as keyword arguments too.
    names = {"pk", *related, *getattr(model._meta, "_property_names", ())}
    names |= {field.name for field in model._meta.concrete_fields}
    attribute_names = {field.attname for field in model._meta.concrete_fields}
    for name in fields:
        if name not in names | attribute_names:
            listed = {field.name for field in model._meta.concrete_fields} | related
            raise UserFieldError(model._meta.label, name, tuple(sorted(listed)))


def _with_defaults(model: Any, fields: dict[str, Any]) -> dict[str, Any]:
    filled = dict(fields)
    number = next(_numbers)
    for field in model._meta.concrete_fields:
        given = field.name in fields or field.attname in fields
        given = given or (field.primary_key and "pk" in fields)
        if not given and field.name != "password" and _needs_value(model, field):
            filled[field.name] = _value_for(model, field, number)
    return filled


def _needs_value(model: Any, field: Any) -> bool:
    # Keys that the database counts up, and the link to a parent model.
    if isinstance(field, models.AutoField) or field.auto_created:
        return False
    if getattr(field, "auto_now", False) or getattr(field, "auto_now_add", False):
        return False
    if getattr(field, "generated", False):
        return False
    if _fills_itself(field):
        return False
    if field.name in (model.USERNAME_FIELD, *model.REQUIRED_FIELDS):
        return True
    if field.null:
        return False
    # An empty text is a value, but only one user can have it where it is unique.
    return bool(field.unique or not field.blank)


def _fills_itself(field: Any) -> bool:
    return bool(field.has_default() or field.db_default is not models.NOT_PROVIDED)


def _value_for(model: Any, field: Any, number: int) -> Any:
    if field.choices:
        choices = [value for value, _ in field.flatchoices]
        return next((value for value in choices if value not in ("", None)), choices[0])
    for _ in range(_MOST_ATTEMPTS):
        value = _new_value(model, field, number)
        taken = model._base_manager.filter(**{field.name: value})
        if not field.unique or not taken.exists():
            return value
        number = next(_numbers)
    raise ImproperlyConfigured(
        f"make_user() found no free value for {model._meta.label}.{field.name} in "
        f"{_MOST_ATTEMPTS} attempts. Pass one: make_user({field.name}=...)."
    )


def _new_value(model: Any, field: Any, number: int) -> Any:
    if isinstance(field, models.CharField | models.TextField):
        return _text(field, number)
    for kind, make in _MAKERS:
        if isinstance(field, kind):
            return make(number)
    raise ImproperlyConfigured(
        f"make_user() cannot make up a value for {model._meta.label}.{field.name}, a "
        f"required {type(field).__name__}. Pass one: make_user({field.name}=...)."
    )


def _text(field: Any, number: int) -> str:
    name = field.name.lower()
    if isinstance(field, models.EmailField) or "email" in name:
        return f"test-user-{number}@example.com"
    if isinstance(field, models.URLField):
        return f"https://example.com/{number}"
    if "phone" in name or "mobile" in name:
        return f"+1555{number:07d}"
    length = field.max_length
    text = f"test-{'user' if name == 'username' else name.replace('_', '-')}-{number}"
    # Cut at the front: the number at the end makes it unique.
    return text if length is None else text[-length:].lstrip("-")


_MAKERS: Final[list[tuple[Any, Callable[[int], Any]]]] = [
    (models.UUIDField, lambda number: uuid.uuid4()),
    (models.BooleanField, lambda number: False),
    (models.IntegerField, lambda number: number),
    (models.FloatField, lambda number: float(number)),
    (models.DecimalField, lambda number: Decimal(number)),
    # A DateTimeField is a DateField too: it comes first.
    (models.DateTimeField, lambda number: timezone.now()),
    (models.DateField, lambda number: datetime.date(2000, 1, 1)),
    (models.TimeField, lambda number: datetime.time(12)),
    (models.DurationField, lambda number: datetime.timedelta(seconds=number)),
    (models.GenericIPAddressField, lambda number: "127.0.0.1"),
    (models.JSONField, lambda number: {}),
    (models.BinaryField, lambda number: b""),
    (models.FileField, lambda number: ""),
]
