"""What an operator sees and sets: the queue, the standings, shares and the exchange table."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID

from accounts import service as accounts
from accounts.model import Principal, Scope
from infra.db.connection import Conn, notify
from scheduler import policy
from scheduler.core import fairshare
from scheduler.core.quotas import Share
from scheduler.errors import ExchangeRateExists, InvalidExchangeRate, InvalidShare, ShareExists
from scheduler.store import jobs as job_store
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
    running = Counter(each.holding.organisation_id for each in live.held)
    holding: Counter[UUID] = Counter()
    for each in live.held:
        holding[each.holding.organisation_id] += each.micro_nu
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


async def set_share(conn: Conn, *, actor: Principal | None, organisation_id: UUID, share: Share, now: datetime) -> None:
    """Weight and quotas of an organisation from now on. InvalidShare, ShareExists, OrganisationNotFound."""
    _require_operator(actor)
    await accounts.organisation(conn, organisation_id)
    for field, value, minimum in (
        ("weight", share.weight, 1),
        ("max_queued_jobs", share.max_queued_jobs, 0),
        ("max_running_jobs", share.max_running_jobs, 0),
    ):
        if not minimum <= value <= policy.MAX_SETTING:
            raise InvalidShare(field=field, value=value, minimum=minimum)
    if not await job_store.add_share(conn, organisation_id, share, effective_at=now):
        raise ShareExists(effective_at=now.isoformat())
    await accounts.append_audit(
        conn,
        actor=actor.person_id if actor else None,
        organisation_id=organisation_id,
        action="share.set",
        subject=f"organisation:{organisation_id}",
        facts={
            "weight": share.weight,
            "max_queued_jobs": share.max_queued_jobs,
            "max_running_jobs": share.max_running_jobs,
        },
        now=now,
    )
    await notify(conn, "dispatch")


async def publish_exchange_rate(
    conn: Conn,
    *,
    actor: Principal | None,
    resource_type: str,
    nu_per_hour: float,
    effective_at: datetime,
    now: datetime,
) -> None:
    """NU of one hour of one unit of a resource type, from then on. InvalidExchangeRate, ExchangeRateExists."""
    _require_operator(actor)
    if not (math.isfinite(nu_per_hour) and nu_per_hour >= 0):
        raise InvalidExchangeRate(resource_type=resource_type, nu_per_hour=str(nu_per_hour))
    if not await job_store.add_exchange_rate(conn, resource_type, nu_per_hour, effective_at=effective_at):
        raise ExchangeRateExists(resource_type=resource_type, effective_at=effective_at.isoformat())
    await accounts.append_audit(
        conn,
        actor=actor.person_id if actor else None,
        organisation_id=None,
        action="exchange_rate.publish",
        subject=f"resource_type:{resource_type}",
        facts={"nu_per_hour": nu_per_hour, "effective_at": effective_at.isoformat()},
        now=now,
    )


def _require_operator(actor: Principal | None) -> None:
    if actor is not None:
        actor.require(Scope.OPERATE)
