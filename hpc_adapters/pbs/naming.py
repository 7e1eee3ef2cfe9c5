"""An attempt's name on PBS, and back. Pure."""

from __future__ import annotations

import re
from uuid import UUID

_NAME = re.compile(r"ky-([0-9a-f]{32})")


def name_of(attempt_id: UUID) -> str:
    """35 characters; PBS takes 230."""
    return f"ky-{attempt_id.hex}"


def attempt_of(name: str) -> UUID | None:
    """None: not a name of ours."""
    match = _NAME.fullmatch(name)
    return UUID(match[1]) if match else None
