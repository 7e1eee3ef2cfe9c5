"""The tick that tells operators what money waits for: two gauges, and a line in the log when somebody must look."""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog
from prometheus_client import Gauge

from infra.db.connection import Lease, Pool, transaction
from pricing import service

_PATIENCE = timedelta(minutes=30)
_PARKED = Gauge("kyoyo_parked_usage", "Usage records without a price that wait for a decision")
_UNSETTLED = Gauge("kyoyo_unsettled_attempts", "Attempts that ended half an hour ago and are not settled")
_log = structlog.get_logger("pricing")


async def tick(pool: Pool, lease: Lease | None, now: datetime) -> int:
    """Look, and say. Moves nothing: 0."""
    async with transaction(pool, lease=lease) as conn:
        found = await service.waiting(conn, ended_before=now - _PATIENCE)
    _PARKED.set(found.parked_usage)
    _UNSETTLED.set(found.unsettled_attempts)
    if found.parked_usage:
        _log.error("usage-without-price", records=found.parked_usage)
    return 0
