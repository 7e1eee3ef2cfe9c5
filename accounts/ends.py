"""When an organisation's eligibility ends, if nothing more is declared."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from uuid import UUID

from accounts.store import ends as store
from infra.db.connection import Conn


async def eligible_until(conn: Conn, organisation_ids: Collection[UUID], *, now: datetime) -> Mapping[UUID, datetime]:
    """Of those of these organisations that are declared eligible now: until when without a gap. Suspension aside."""
    declared = await store.declared(conn, organisation_ids, at=now)
    ends = {organisation_id: covered_until(periods, now=now) for organisation_id, periods in declared.items()}
    return {organisation_id: end for organisation_id, end in ends.items() if end is not None}


def covered_until(periods: Iterable[tuple[datetime, datetime]], *, now: datetime) -> datetime | None:
    """The first instant from now on that no period [from, until) covers. None: now is not covered."""
    covered = now
    for since, until in sorted(periods):
        if since <= covered < until:
            covered = until
    return None if covered == now else covered
