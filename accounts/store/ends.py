"""Until when organisations are declared eligible, as far as is on file."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from infra.db.connection import Conn


async def declared(
    conn: Conn, organisation_ids: Collection[UUID], *, at: datetime
) -> dict[UUID, list[tuple[datetime, datetime]]]:
    """From and until when, of every declaration that has not run out."""
    rows = await conn.fetch(
        "SELECT organisation_id, valid_from, valid_until FROM accounts.declaration "
        "WHERE organisation_id = ANY($1) AND valid_until > $2",
        list(organisation_ids),
        at,
    )
    found: dict[UUID, list[tuple[datetime, datetime]]] = {}
    for row in rows:
        found.setdefault(row["organisation_id"], []).append((row["valid_from"], row["valid_until"]))
    return found
