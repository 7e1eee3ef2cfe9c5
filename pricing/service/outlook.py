"""What becomes of wallets: how fast they empty, what customers are told, what the law asks, what may be given out."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from uuid import UUID

from infra.db.connection import Conn
from pricing import burn, issuance, prepaid, thresholds
from pricing.burn import Outlook
from pricing.days import day_of, midnight
from pricing.errors import AlreadyBooked, NothingSoldOfIt, NoWallet
from pricing.issuance import Issuance
from pricing.prepaid import PrepaidBalance
from pricing.store import wallets as store
from pricing.thresholds import Notice


async def outlook_of(conn: Conn, organisation_id: UUID, *, now: datetime) -> Outlook:
    """How fast the wallet empties, and when it will be empty. NoWallet."""
    opened = await store.opened_at(conn, organisation_id)
    if opened is None:
        raise NoWallet
    since = midnight(day_of(now) - timedelta(days=burn.LOOK_BACK_DAYS))
    return burn.outlook(
        [each.lot for each in await store.issued_lots(conn, organisation_id)],
        used_by_day=await store.used_by_day(conn, organisation_id, since=since),
        opened_on=day_of(opened),
        now=now,
    )


async def give_notice(conn: Conn, organisation_id: UUID, *, now: datetime) -> int:
    """Tell what has to be told of a wallet and its limits; how many notices are new."""
    lots = await store.issued_lots(conn, organisation_id)
    spent = await store.spent(conn, await store.budgets(conn, organisation_id), now=now)
    due = [
        *thresholds.of_wallet(organisation_id, lots, now),
        *thresholds.of_lapsing(organisation_id, lots, now),
        *thresholds.of_budgets(spent),
    ]
    return await store.add_notices(conn, due, now=now) if due else 0


async def notices(conn: Conn, organisation_id: UUID, *, limit: int = 50) -> list[tuple[Notice, datetime]]:
    """What an organisation was told, the latest first, with the time."""
    return await store.notices(conn, organisation_id, limit=limit)


async def wallet_owners(conn: Conn) -> list[UUID]:
    """All organisations with a wallet."""
    return await store.wallets(conn)


async def prepaid_balance(conn: Conn, *, on: date) -> PrepaidBalance:
    """Unused prepaid value at the end of a day, as its postings count (資金決済法 第3条第2項)."""
    until = midnight(on + timedelta(days=1))
    lots = await store.prepaid_at(conn, until=until)
    exempt = sum(unused for made, lapses, unused in lots if prepaid.is_exempt(made, lapses))
    return PrepaidBalance(on=on, exempt_micro_yen=exempt, counted_micro_yen=sum(unused for *_, unused in lots) - exempt)


async def may_issue(conn: Conn, *, now: datetime) -> Issuance:
    """What lies in all wallets, and what the machines can give for it until the end of the fiscal year."""
    until = issuance.period_end(now)
    return Issuance(
        until=until,
        deliverable_micro_yen=issuance.deliverable_micro_yen(
            await store.deliverable(conn, now=now), now=now, until=until
        ),
        outstanding_micro_yen=await store.outstanding(conn),
    )


async def set_deliverable(
    conn: Conn,
    *,
    deliverable_id: UUID,
    resource_type: str,
    component: str,
    per_hour: str,
    reason: str,
    actor: UUID,
    now: datetime,
) -> Issuance:
    """Say what the machines of a resource type can give in an hour from now on; what follows. Again: nothing more.

    NothingSoldOfIt: what has no price has no value to be delivered; AlreadyBooked: the id stands for another word.
    """
    is_same = await store.add_deliverable(
        conn,
        deliverable_id=deliverable_id,
        resource_type=resource_type,
        component=component,
        per_hour=per_hour,
        reason=reason,
        decided_by=actor,
        now=now,
    )
    if not is_same:
        raise AlreadyBooked(id=str(deliverable_id))
    sold = {(each.resource_type, each.component) for each in await store.deliverable(conn, now=now)}
    if (resource_type, component) not in sold:
        raise NothingSoldOfIt(resource_type=resource_type, component=component)
    return await may_issue(conn, now=now)
