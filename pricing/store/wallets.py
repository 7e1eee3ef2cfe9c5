"""Limits on spending, notices, what was put into lots and used, prepaid value on a day, what machines can give."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from uuid import UUID

from infra.db.ahead import Look, rows_of
from infra.db.connection import Conn
from pricing.budgets import Budget, BudgetPeriod, Spent
from pricing.issuance import Deliverable
from pricing.ledger.balances import LotBalance
from pricing.model import LotKind
from pricing.thresholds import IssuedLot, Notice, NoticeKind

_IN_FORCE = """
    SELECT DISTINCT ON (project_id, person_id, period)
           id, organisation_id, project_id, person_id, period::text AS period, limit_yen, reason, decided_by, decided_at
    FROM pricing.budget WHERE organisation_id = $1
    ORDER BY project_id, person_id, period, decided_at DESC, id DESC"""


async def add_budget(conn: Conn, budget: Budget, *, lifted: bool) -> bool:
    """False: its id was there already. lifted: the row ends the limit of its project, member and period."""
    added = await conn.fetchval(
        """INSERT INTO pricing.budget VALUES ($1, $2, $3, $4, $5::text::pricing.budget_period, $6, $7, $8, $9)
           ON CONFLICT (id) DO NOTHING RETURNING true""",
        budget.id,
        budget.organisation_id,
        budget.project_id,
        budget.person_id,
        budget.period.value,
        None if lifted else budget.limit_yen,
        budget.reason,
        budget.decided_by,
        budget.decided_at,
    )
    return bool(added)


async def is_budget(conn: Conn, budget: Budget, *, lifted: bool) -> bool:
    """Whether what is there under its id says the same, whoever decided it."""
    found: bool | None = await conn.fetchval(
        """SELECT (project_id, person_id, period::text, limit_yen, reason) IS NOT DISTINCT FROM
                  ($2::uuid, $3::uuid, $4::text, $5::bigint, $6::text) FROM pricing.budget WHERE id = $1""",
        budget.id,
        budget.project_id,
        budget.person_id,
        budget.period.value,
        None if lifted else budget.limit_yen,
        budget.reason,
    )
    return bool(found)


def budgets_look(organisation_id: UUID) -> Look:
    """What budgets() asks."""
    return Look(_IN_FORCE, (organisation_id,))


async def budgets(conn: Conn, organisation_id: UUID) -> list[Budget]:
    """The limits in force, the organisation's own first."""
    rows = await rows_of(conn, budgets_look(organisation_id))
    found = [Budget(**{**row, "period": BudgetPeriod(row["period"])}) for row in rows if row["limit_yen"] is not None]
    return sorted(found, key=lambda each: (each.project_id is not None, each.person_id is not None, str(each.id)))


async def spent(conn: Conn, budgets: Sequence[Budget], *, now: datetime) -> list[Spent]:
    """What of each limit is gone in its period: charged on its days, and what open holds could still cost."""
    if not budgets:
        return []
    since = [each.period.begins(now) for each in budgets]
    rows = await conn.fetch(
        """SELECT b.place,
                  coalesce((SELECT sum(l.charged_micro_yen) FROM pricing.rated_line l
                            WHERE l.organisation_id = $1 AND l.accounting_date >= b.since
                              AND (b.project IS NULL OR l.project_id = b.project)
                              AND (b.person IS NULL OR l.person_id = b.person)), 0)::bigint AS charged,
                  coalesce((SELECT sum(greatest(h.ceiling_micro_yen - coalesce(c.charged, 0), 0))
                            FROM pricing.hold h
                            JOIN LATERAL (SELECT a.project_id, a.person_id FROM pricing.billable_attempt a
                                          WHERE a.job_id = h.job_id LIMIT 1) a
                              ON (b.project IS NULL OR a.project_id = b.project)
                             AND (b.person IS NULL OR a.person_id = b.person)
                            LEFT JOIN LATERAL (SELECT sum(l.charged_micro_yen) AS charged FROM pricing.rated_line l
                                               WHERE l.job_id = h.job_id) c ON true
                            WHERE h.organisation_id = $1 AND h.closed_at IS NULL), 0)::bigint AS held
           FROM unnest($2::uuid[], $3::uuid[], $4::date[]) WITH ORDINALITY AS b (project, person, since, place)
           ORDER BY b.place""",
        budgets[0].organisation_id,
        [each.project_id for each in budgets],
        [each.person_id for each in budgets],
        since,
    )
    return [
        Spent(budget=budget, since=begins, charged_micro_yen=row["charged"], held_micro_yen=row["held"])
        for budget, begins, row in zip(budgets, since, rows, strict=True)
    ]


async def issued_lots(conn: Conn, organisation_id: UUID) -> list[IssuedLot]:
    """Every lot with what was ever put into it from outside, less what went back in money, and what lies in it now.

    What came back after its own lot had lapsed, and made a lot of its own, counts as put into that.
    """
    rows = await conn.fetch(
        """SELECT l.id, l.kind::text AS kind, l.expires_at,
                  coalesce(b.available, 0) AS available, coalesce(b.held, 0) AS held, coalesce(i.issued, 0) AS issued
           FROM pricing.lot l
           LEFT JOIN LATERAL (
               SELECT sum(amount_micro_yen) FILTER (WHERE bucket = 'available')::bigint AS available,
                      sum(amount_micro_yen) FILTER (WHERE bucket = 'held')::bigint AS held
               FROM pricing.ledger_balance WHERE organisation_id = $1 AND lot_id = l.id) b ON true
           LEFT JOIN LATERAL (
               SELECT sum(e.amount_micro_yen)::bigint AS issued
               FROM pricing.ledger_entry e JOIN pricing.ledger_transaction t ON t.id = e.transaction_id
               WHERE e.organisation_id = $1 AND e.lot_id = l.id AND e.bucket = 'available'
                 AND (t.template IN ('issue_grant', 'receive_payment', 'open_credit_line', 'pay_back')
                      OR (t.template IN ('refund', 'invoice') AND t.recorded_at = l.created_at))) i ON true
           WHERE l.organisation_id = $1 ORDER BY l.kind, l.expires_at, l.id""",
        organisation_id,
    )
    return [
        IssuedLot(
            lot=LotBalance(
                lot_id=row["id"],
                kind=LotKind(row["kind"]),
                expires_at=row["expires_at"],
                available_micro_yen=row["available"],
                held_micro_yen=row["held"],
            ),
            issued_micro_yen=row["issued"],
        )
        for row in rows
    ]


async def used_by_day(conn: Conn, organisation_id: UUID, *, since: datetime) -> dict[date, int]:
    """What jobs took from the wallet on each day of Tokyo since then, less corrections; grants net, else with tax."""
    rows = await conn.fetch(
        """SELECT infra.jst_date(t.effective_at) AS day, (-sum(e.amount_micro_yen))::bigint AS used
           FROM pricing.ledger_transaction t
           JOIN pricing.ledger_entry e ON e.transaction_id = t.id AND e.organisation_id = t.organisation_id
           WHERE t.organisation_id = $1 AND t.effective_at >= $2
             AND ((t.template = 'settle' AND e.bucket = 'held') OR (t.template = 'refund' AND e.bucket = 'available'))
           GROUP BY 1""",
        organisation_id,
        since,
    )
    return {row["day"]: row["used"] for row in rows}


async def opened_at(conn: Conn, organisation_id: UUID) -> datetime | None:
    """When the wallet was opened; None: there is none."""
    found: datetime | None = await conn.fetchval(
        "SELECT opened_at FROM pricing.wallet WHERE organisation_id = $1", organisation_id
    )
    return found


async def wallets(conn: Conn) -> list[UUID]:
    """Organisations with a wallet, by id."""
    rows = await conn.fetch("SELECT organisation_id FROM pricing.wallet ORDER BY organisation_id")
    return [row["organisation_id"] for row in rows]


async def add_notices(conn: Conn, notices: Sequence[Notice], *, now: datetime) -> int:
    """How many of them are new: each is told once."""
    rows = await conn.fetch(
        """INSERT INTO pricing.notice (id, organisation_id, kind, facts, noticed_at)
           SELECT n.*, $5 FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::jsonb[]) AS n
           ON CONFLICT (id) DO NOTHING RETURNING id""",
        [each.id for each in notices],
        [each.organisation_id for each in notices],
        [each.kind.value for each in notices],
        [dict(each.facts) for each in notices],
        now,
    )
    return len(rows)


async def notices(conn: Conn, organisation_id: UUID, *, limit: int) -> list[tuple[Notice, datetime]]:
    """What an organisation was told, the latest first, with the time."""
    rows = await conn.fetch(
        """SELECT id, organisation_id, kind, facts, noticed_at FROM pricing.notice
           WHERE organisation_id = $1 ORDER BY noticed_at DESC, id LIMIT $2""",
        organisation_id,
        limit,
    )
    return [
        (
            Notice(
                id=row["id"],
                organisation_id=row["organisation_id"],
                kind=NoticeKind(row["kind"]),
                facts=row["facts"],
            ),
            row["noticed_at"],
        )
        for row in rows
    ]


async def prepaid_at(conn: Conn, *, until: datetime) -> list[tuple[datetime, datetime | None, int]]:
    """Of each prepaid lot of every wallet: when it was made, when it lapses, what of it was unused before `until`."""
    rows = await conn.fetch(
        """SELECT l.created_at, l.expires_at, sum(e.amount_micro_yen)::bigint AS unused
           FROM pricing.lot l
           JOIN pricing.ledger_entry e ON e.organisation_id = l.organisation_id AND e.lot_id = l.id
           JOIN pricing.ledger_transaction t ON t.id = e.transaction_id AND t.effective_at < $1
           WHERE l.kind = 'prepaid' AND e.bucket IN ('available', 'held')
           GROUP BY l.id HAVING sum(e.amount_micro_yen) <> 0""",
        until,
    )
    return [(row["created_at"], row["expires_at"], row["unused"]) for row in rows]


async def lock_issuance(conn: Conn) -> None:
    """Who gives free value out comes here before the look at what may be, and before any wallet."""
    await conn.execute("SELECT pg_advisory_xact_lock(hashtextextended('pricing.issuance', 0))")


async def outstanding(conn: Conn) -> int:
    """What lies in all wallets, spendable or held, free credit lines included."""
    amount: int = await conn.fetchval(
        """SELECT coalesce(sum(amount_micro_yen), 0)::bigint FROM pricing.ledger_balance
           WHERE bucket IN ('available', 'held')"""
    )
    return amount


async def add_deliverable(
    conn: Conn,
    *,
    deliverable_id: UUID,
    resource_type: str,
    component: str,
    per_hour: str,
    reason: str,
    decided_by: UUID,
    now: datetime,
) -> bool:
    """What the machines of a resource type can give in an hour, from now on. False: the id says something else."""
    await conn.execute(
        """INSERT INTO pricing.deliverable VALUES ($1, $2, $3, $4::text::numeric, $5, $6, $7)
           ON CONFLICT (id) DO NOTHING""",
        deliverable_id,
        resource_type,
        component,
        per_hour,
        reason,
        decided_by,
        now,
    )
    is_same: bool = await conn.fetchval(
        """SELECT (resource_type, component, per_hour, reason) = ($2, $3, $4::text::numeric, $5)
           FROM pricing.deliverable WHERE id = $1""",
        deliverable_id,
        resource_type,
        component,
        per_hour,
        reason,
    )
    return is_same


async def deliverable(conn: Conn, *, now: datetime) -> list[Deliverable]:
    """What each resource type can give, with the least price in force of what is sold of it and costs anything."""
    rows = await conn.fetch(
        """WITH capacity AS (
               SELECT DISTINCT ON (resource_type, component) resource_type, component, per_hour
               FROM pricing.deliverable ORDER BY resource_type, component, decided_at DESC, id DESC
           ), in_force AS (
               SELECT DISTINCT ON (v.offering_id, v.customer_class, v.service_class) v.id, o.resource_type
               FROM pricing.price_version v JOIN pricing.offering o ON o.id = v.offering_id AND o.retired_at IS NULL
               WHERE v.valid_from <= $1
               ORDER BY v.offering_id, v.customer_class, v.service_class, v.valid_from DESC
           )
           SELECT DISTINCT ON (c.resource_type, c.component)
                  c.resource_type, c.component, c.per_hour, p.price_micro_yen, p.per
           FROM capacity c JOIN in_force f ON f.resource_type = c.resource_type
           JOIN pricing.price_component p ON p.price_version_id = f.id AND p.component = c.component
           WHERE p.price_micro_yen > 0
           ORDER BY c.resource_type, c.component, p.price_micro_yen / p.per""",
        now,
    )
    return [Deliverable(**row) for row in rows]
