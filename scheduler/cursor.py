"""Where a list goes on: opaque to others, the order's key to us. Pure."""

from __future__ import annotations

import base64
import binascii
from datetime import datetime
from uuid import UUID

from scheduler.errors import BadCursor

_MAX_CHARACTERS = 200


def cursor_of(at: datetime, last: UUID) -> str:
    return base64.urlsafe_b64encode(f"{at.isoformat()} {last.hex}".encode()).decode().rstrip("=")


def position_of(cursor: str) -> tuple[datetime, UUID]:
    """BadCursor."""
    if len(cursor) > _MAX_CHARACTERS or not cursor.isascii():
        raise BadCursor
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        at, _, last = base64.urlsafe_b64decode(padded).decode().partition(" ")
        moment, identity = datetime.fromisoformat(at), UUID(hex=last)
    except (ValueError, binascii.Error):
        raise BadCursor from None
    if moment.tzinfo is None:
        raise BadCursor
    return moment, identity
