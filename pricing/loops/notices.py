"""The tick that tells customers that value runs out or lapses, and operators how much prepaid value is unused."""

from __future__ import annotations

from datetime import datetime

import structlog
from prometheus_client import Gauge

from infra.db.connection import Lease, Pool, transaction
from pricing import service
from pricing.days import day_of
from pricing.units import MICRO

_UNUSED = Gauge("kyoyo_prepaid_unused_yen", "Prepaid value that nobody has used yet", ["life"])
_log = structlog.get_logger("pricing")


async def tick(pool: Pool, lease: Lease | None, now: datetime) -> int:
    """Look at every wallet, one per transaction; how many notices were given."""
    given = 0
    async with transaction(pool, lease=lease) as conn:
        wallets = await service.wallet_owners(conn)
    for organisation_id in wallets:
        async with transaction(pool, lease=lease) as conn:
            given += await service.give_notice(conn, organisation_id, now=now)
    await _watch_prepaid(pool, lease, now)
    return given


async def _watch_prepaid(pool: Pool, lease: Lease | None, now: datetime) -> None:
    async with transaction(pool, lease=lease) as conn:
        unused = await service.prepaid_balance(conn, on=day_of(now))
    _UNUSED.labels(life="under_six_months").set(unused.exempt_micro_yen / MICRO)
    _UNUSED.labels(life="longer").set(unused.counted_micro_yen / MICRO)
    if unused.warns:
        _log.warning("prepaid-value-near-the-law", on=str(unused.on), must_notify=unused.must_notify)
