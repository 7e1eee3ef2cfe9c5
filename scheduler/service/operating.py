"""What an operator sees: the queue and the standings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID

from infra.db.connection import Conn
from scheduler import policy
from scheduler.core import fairshare
from scheduler.store import planning, reads
from scheduler.store.planning import Claim
from scheduler.views import QueueView, StandingView


async def queue_view(conn: Conn, *, now: datetime, half_life: timedelta = policy.HALF_LIFE) -> QueueView:
    """For operators: all that lives, and every organisation's standing. half_life: as the dispatcher has it."""
    entries = await reads.live(conn)
    return QueueView(entries=entries, standings=await _standings(conn, now=now, half_life=half_life))


async def _standings(conn: Conn, *, now: datetime, half_life: timedelta) -> list[StandingView]:
    claims = await planning.claims(conn, at=now, half_life=half_life)
    live = await planning.live(conn)
    queued = Counter(each.organisation_id for each in live.waiting)
    running = Counter(each.organisation_id for each in live.held)
    holding: Counter[UUID] = Counter()
    for each in live.held:
        holding[each.organisation_id] += each.micro_nu
    return [
        _standing(
            organisation_id, claims.get(organisation_id, Claim()), holding=holding, queued=queued, running=running
        )
        for organisation_id in sorted({*claims, *queued, *running})
    ]


def _standing(
    organisation_id: UUID,
    claim: Claim,
    *,
    holding: Mapping[UUID, int],
    queued: Mapping[UUID, int],
    running: Mapping[UUID, int],
) -> StandingView:
    share = claim.share or policy.DEFAULT_SHARE
    return StandingView(
        organisation_id=organisation_id,
        weight=share.weight,
        max_queued_jobs=share.max_queued_jobs,
        max_running_jobs=share.max_running_jobs,
        used_nu=claim.used_micro_nu / fairshare.MICRO,
        holding_nu=holding.get(organisation_id, 0) / fairshare.MICRO,
        queued_jobs=queued.get(organisation_id, 0),
        running_jobs=running.get(organisation_id, 0),
    )
