"""Where a list goes on: opaque to others, the order's key to us. Pure."""

from __future__ import annotations

import base64
import binascii
from datetime import datetime
from uuid import UUID

from scheduler.errors import BadCursor

_MAX_CHARACTERS = 400


def cursor_of(at: datetime, last: UUID) -> str:
    return word_cursor_of(at, last.hex)


def position_of(cursor: str) -> tuple[datetime, UUID]:
    """BadCursor."""
    moment, last = word_position_of(cursor)
    try:
        return moment, UUID(hex=last)
    except ValueError:
        raise BadCursor from None


def word_cursor_of(at: datetime, last: str) -> str:
    """The same where things are known by a word, of at most 200 bytes."""
    return base64.urlsafe_b64encode(f"{at.isoformat()} {last}".encode()).decode().rstrip("=")


def word_position_of(cursor: str) -> tuple[datetime, str]:
    """BadCursor."""
    if len(cursor) > _MAX_CHARACTERS or not cursor.isascii():
        raise BadCursor
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        at, _, last = base64.urlsafe_b64decode(padded).decode().partition(" ")
        moment = datetime.fromisoformat(at)
    except (ValueError, binascii.Error):
        raise BadCursor from None
    if moment.tzinfo is None or "\0" in last:
        raise BadCursor
    return moment, last
