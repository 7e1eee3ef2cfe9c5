"""The edge where time and identity enter. Everything else takes them as arguments."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from secrets import token_bytes
from uuid import UUID, uuid4  # noqa: TID251  the one place

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The present instant, aware, in UTC."""
    return datetime.now(UTC)  # noqa: TID251  the one place


def new_id() -> UUID:
    """A fresh random identity."""
    return uuid4()


def new_secret() -> bytes:
    """32 fresh bytes that nobody can guess."""
    return token_bytes(32)
