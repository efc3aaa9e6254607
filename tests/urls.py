"""No HTTP view is needed."""

from typing import Any

urlpatterns: list[Any] = []
