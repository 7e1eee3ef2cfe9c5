"""The published exchange table: what one unit of each resource counts in normalised units, since when, and why."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import datetime

from accounts import service as accounts
from accounts.model import Principal
from infra.db.connection import Conn
from scheduler import policy
from scheduler.errors import ExchangeRateExists, InvalidExchangeRate, InvalidResourceType
from scheduler.options import shown
from scheduler.service.sharing import checked_change, require_operator
from scheduler.store import exchange
from scheduler.store.exchange import Rate
from scheduler.views import RateView

_UNITS = {"gpu": "gpu", "qpu": "qpu", "cpu": "cpu", "sim": "simulator"}
"""Of which unit an hour is counted, by what stands before the colon."""
_FORM = re.compile(r"([a-z]+):[a-z0-9][a-z0-9._-]{0,62}")


async def publish_exchange_rate(
    conn: Conn,
    *,
    actor: Principal | None,
    resource_type: str,
    nu_per_hour: float,
    effective_at: datetime,
    now: datetime,
    reason: str,
) -> int:
    """NU of one hour of one unit of a resource type, from then on; jobs taken before keep theirs. The version.

    InvalidResourceType, InvalidExchangeRate, NotRetroactive, ReasonMissing, ExchangeRateExists.
    """
    require_operator(actor)
    unit_of(resource_type)
    if not (math.isfinite(nu_per_hour) and 0 <= nu_per_hour <= policy.MAX_NU_PER_HOUR):
        raise InvalidExchangeRate(
            resource_type=resource_type, nu_per_hour=str(nu_per_hour), maximum=int(policy.MAX_NU_PER_HOUR)
        )
    checked_change(reason, effective_at, now)
    rate = Rate(
        resource_type=resource_type,
        nu_per_hour=nu_per_hour,
        effective_at=effective_at,
        reason=reason.strip(),
        set_by=actor.person_id if actor else None,
        recorded_at=now,
    )
    version = await exchange.add(conn, rate)
    if version is None:
        raise ExchangeRateExists(resource_type=resource_type, effective_at=effective_at.isoformat())
    await accounts.append_audit(
        conn,
        actor=actor.person_id if actor else None,
        organisation_id=None,
        action="exchange_rate.publish",
        subject=f"resource_type:{resource_type}",
        facts={"nu_per_hour": nu_per_hour, "effective_at": effective_at.isoformat(), "version": version},
        now=now,
    )
    return version


def unit_of(resource_type: str) -> str:
    """What is counted: an hour of one of these. InvalidResourceType."""
    found = _FORM.fullmatch(resource_type)
    if found is None or found[1] not in _UNITS:
        raise InvalidResourceType(resource_type=shown(resource_type), known=", ".join(_UNITS))
    return _UNITS[found[1]]


async def exchange_table(conn: Conn, *, now: datetime) -> Sequence[RateView]:
    """Everything that was ever published, by resource type and instant; what holds now says so."""
    rates = await exchange.history(conn)
    holds = {each.resource_type: each.version for each in rates if each.effective_at <= now}  # the last one wins
    return [
        RateView(
            resource_type=each.resource_type,
            unit=_UNITS.get(each.resource_type.partition(":")[0], each.resource_type),
            nu_per_hour=each.nu_per_hour,
            effective_at=each.effective_at,
            holds=holds.get(each.resource_type) == each.version,
            version=each.version,
            recorded_at=each.recorded_at,
            set_by=each.set_by,
            reason=each.reason,
        )
        for each in rates
    ]
