"""Times as vendors write them. Pure."""

from __future__ import annotations

from datetime import UTC, datetime


def instant(told: object) -> datetime | None:
    """Of an ISO 8601 text, in UTC; one without a zone is taken for that. None: no such text."""
    if not isinstance(told, str):
        return None
    try:
        at = datetime.fromisoformat(told)
    except ValueError:
        return None
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
