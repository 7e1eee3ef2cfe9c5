"""Whether organisations may start anything now, and until when if nothing more is declared."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from accounts.model import Standing
from accounts.standing import refusal_of
from accounts.store import ends as store
from infra.db.connection import Conn
from infra.refusal import Refusal


@dataclass(frozen=True, slots=True)
class Outlook:
    """refusal: why it may start nothing now. until: when its eligibility ends; None: it is not declared now."""

    refusal: Refusal | None
    until: datetime | None


async def outlooks(conn: Conn, organisation_ids: Collection[UUID], *, now: datetime) -> Mapping[UUID, Outlook]:
    """Of those of these organisations that there are, in one look."""
    declared = await store.declared(conn, organisation_ids)
    return {organisation_id: _outlook(organisation_id, known, now) for organisation_id, known in declared.items()}


def _outlook(organisation_id: UUID, known: store.Declared, now: datetime) -> Outlook:
    until = covered_until(known.periods, now=now)
    standing = Standing(
        organisation_id=organisation_id,
        suspended_at=known.suspended_at,
        is_declared=until is not None,
        expired_at=max((end for _, end in known.periods if end <= now), default=None),
    )
    return Outlook(refusal_of(standing), until)


def covered_until(periods: Iterable[tuple[datetime, datetime]], *, now: datetime) -> datetime | None:
    """The first instant from now on that no period [from, until) covers. None: now is not covered."""
    covered = now
    for since, until in sorted(periods):
        if since <= covered < until:
            covered = until
    return None if covered == now else covered
