"""Whether an organisation may submit new work, by what it has not paid. What runs or waits goes on in every case."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from infra.db.connection import Conn
from pricing.days import day_of
from pricing.errors import PaymentDisputed, PaymentOverdue
from pricing.payments import Stage, Standing, standing
from pricing.store import collecting as store


async def collection_standing(conn: Conn, organisation_id: UUID, *, now: datetime) -> Standing:
    """Dunning as it stands now."""
    late, disputed_yen = await store.unpaid(conn, organisation_id)
    return standing(late, disputed_yen=disputed_yen, today=day_of(now))


async def require_good_standing(conn: Conn, organisation_id: UUID, *, now: datetime) -> None:
    """For new work. PaymentOverdue, PaymentDisputed."""
    found = await collection_standing(conn, organisation_id, now=now)
    if found.stage is not Stage.REFUSING:
        return
    if found.disputed_yen:
        raise PaymentDisputed(disputed_yen=str(found.disputed_yen))
    first = found.overdue[0]
    raise PaymentOverdue(number=first.number, due_date=first.due_date.isoformat(), overdue_yen=str(found.overdue_yen))
