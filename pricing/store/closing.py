"""The close of a month in the database: how far it has come, what each organisation's month is, what was issued.

Set-based: one statement per batch of organisations, not one per organisation or line.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from uuid import UUID

from asyncpg import Record

from infra.db.connection import Conn
from pricing.billing import Lots
from pricing.closing import Closed, MonthState, Step
from pricing.days import Month
from pricing.document import DocumentKind, Reference, number
from pricing.invoicing import Cover, UsageSum
from pricing.model import Component

_WALLETS = "SELECT organisation_id FROM pricing.wallet w"
# Who must be closed in a month $1 (its end: $2): every wallet that was open in it, and whoever has a line in it.
_TO_CLOSE = """CASE WHEN w.opened_at < $2 THEN true ELSE EXISTS (
    SELECT FROM pricing.rated_line l WHERE l.organisation_id = w.organisation_id AND l.billed_month = $1) END"""
_OPEN_IN_IT = "w.opened_at < $2"
_OPENED_LATER = """w.opened_at >= $2 AND EXISTS (
    SELECT FROM pricing.rated_line l WHERE l.organisation_id = w.organisation_id AND l.billed_month = $1)"""
# A look-up for each, not a join: while a month is closed the planner knows nothing of its growing rows.
_NOT_CLOSED = """(SELECT c.month FROM pricing.closed_account c
    WHERE c.organisation_id = w.organisation_id AND c.month = $1) IS NULL"""


async def first_day(conn: Conn) -> date | None:
    """The day of Tokyo on which the first wallet was opened."""
    found: date | None = await conn.fetchval("SELECT infra.jst_date(min(opened_at)) FROM pricing.wallet")
    return found


async def steps(conn: Conn, *, since: Month | None = None) -> list[MonthState]:
    """The last step of every month that has one, in order."""
    rows = await conn.fetch(
        """SELECT DISTINCT ON (month) month, step::text, decided_by, facts, recorded_at FROM pricing.month_close
           WHERE month >= $1 ORDER BY month, month_close.step DESC""",
        since.first if since else date.min,
    )
    return [
        MonthState(
            month=Month.of(row["month"]),
            step=Step(row["step"]),
            decided_by=row["decided_by"],
            facts=row["facts"],
            recorded_at=row["recorded_at"],
        )
        for row in rows
    ]


async def last_closed(conn: Conn) -> Month | None:
    found: date | None = await conn.fetchval("SELECT max(month) FROM pricing.month_close WHERE step = 'closed'")
    return Month.of(found) if found else None


async def add_step(
    conn: Conn, month: Month, step: Step, *, decided_by: UUID | None, facts: Mapping[str, Any], now: datetime
) -> bool:
    """False: the month has come so far already."""
    status = await conn.execute(
        """INSERT INTO pricing.month_close (month, step, decided_by, facts, recorded_at)
           VALUES ($1, $2::text::pricing.close_step, $3, $4, $5) ON CONFLICT DO NOTHING""",
        month.first,
        step.value,
        decided_by,
        dict(facts),
        now,
    )
    return bool(status.endswith(" 1"))


async def unsettled(conn: Conn, month: Month) -> int:
    """Attempts that ended by the end of the month and are not settled."""
    count: int = await conn.fetchval(
        "SELECT count(*) FROM pricing.billable_attempt WHERE settled_at IS NULL AND closed_at < $1", month.until
    )
    return count


async def take(conn: Conn, month: Month, *, limit: int) -> list[UUID]:
    """Lock the wallets of the next organisations to be closed, in one order; those that are still to be closed then."""
    for who in (_OPEN_IN_IT, _OPENED_LATER):  # apart: the latter looks at lines, and there are hardly any
        rows = await conn.fetch(
            f"{_WALLETS} WHERE {who} AND {_NOT_CLOSED} ORDER BY organisation_id LIMIT $3 FOR UPDATE",
            month.first,
            month.until,
            limit,
        )
        if rows:
            break
    taken = [row["organisation_id"] for row in rows]
    rows = await conn.fetch(  # another closer may have come first: look again, under the locks
        f"{_WALLETS} WHERE organisation_id = ANY($2) AND {_NOT_CLOSED} ORDER BY organisation_id",
        month.first,
        taken,
    )
    return [row["organisation_id"] for row in rows]


async def to_close(conn: Conn, month: Month, *, after: UUID, limit: int) -> list[UUID]:
    """The same without a lock, beyond an organisation: for a look."""
    rows = await conn.fetch(
        f"{_WALLETS} WHERE {_TO_CLOSE} AND {_NOT_CLOSED} AND organisation_id > $3 ORDER BY organisation_id LIMIT $4",
        month.first,
        month.until,
        after,
        limit,
    )
    return [row["organisation_id"] for row in rows]


async def finish(conn: Conn, month: Month) -> Closed | None:
    """What the month came to, when nobody is left to be closed; None: somebody is.

    Until the end of the transaction no wallet is opened or moved: whoever comes then finds the month closed.
    """
    await conn.execute("LOCK TABLE pricing.wallet IN EXCLUSIVE MODE")
    if await to_close(conn, month, after=UUID(int=0), limit=1):
        return None
    row = await conn.fetchrow(
        """SELECT count(*) AS organisations, count(d.id) AS documents,
                  coalesce(sum(d.total_yen), 0)::bigint AS total_yen,
                  coalesce(sum(d.amount_due_yen), 0)::bigint AS amount_due_yen
           FROM pricing.closed_account c LEFT JOIN pricing.document d ON d.id = c.document_id WHERE c.month = $1""",
        month.first,
    )
    assert row is not None
    return Closed(**row)


@dataclass(frozen=True, slots=True)
class Sums:
    """What an organisation used in a month, and what paid for it."""

    usage: list[UsageSum] = field(default_factory=list)
    covers: list[Cover] = field(default_factory=list)


async def sums(conn: Conn, organisations: Sequence[UUID], month: Month) -> dict[UUID, Sums]:
    """The lines of a month by organisation, each list by project, offering, component, month of use and tax rate; and
    what paid for them by tax rate.

    Of an earlier month what corrects a line (takes it back, or stands in its place) is apart from what is new. Paid:
    for each job what its hold pays for all billed to the end of the month, less what it paid to the beginning:
    grants first and net, the rest with its tax from prepaid value and then from credit (pricing.ledger.balances.draw).
    One statement, which reads each line once.
    """
    rows = await conn.fetch(
        """WITH line AS MATERIALIZED (
               SELECT l.organisation_id, l.job_id, l.project_id, l.offering_id, l.component,
                      CASE WHEN l.accounting_date < $2 THEN date_trunc('month', l.accounting_date::timestamp)::date
                           ELSE $2 END AS used_in,
                      CASE WHEN l.accounting_date < $2 THEN l.piece > 0 AND EXISTS (
                               SELECT FROM pricing.rated_line o WHERE o.usage_record_id = l.usage_record_id
                                  AND o.piece < l.piece AND o.accounting_date = l.accounting_date) OR EXISTS (
                               SELECT FROM pricing.billable_usage u
                                WHERE u.usage_record_id = l.usage_record_id AND u.supersedes IS NOT NULL)
                           ELSE false END AS corrects,
                      sum(l.quantity) AS quantity, sum(l.list_micro_yen)::bigint AS list,
                      sum(l.price_micro_yen)::bigint AS price, sum(l.charged_micro_yen)::bigint AS charged
                 FROM pricing.rated_line l WHERE l.organisation_id = ANY($1) AND l.billed_month = $2
                GROUP BY 1, 2, 3, 4, 5, 6, 7),
           billed AS (
               SELECT organisation_id, job_id, sum(charged)::bigint AS charged FROM line GROUP BY 1, 2),
           job AS MATERIALIZED (
               SELECT d.organisation_id, d.job_id, d.charged, q.tax_rate_bp,
                      coalesce((SELECT sum(b.charged_micro_yen)::bigint FROM pricing.rated_line b
                                 WHERE b.job_id = d.job_id AND b.billed_month < $2), 0) AS before
                 FROM billed d JOIN pricing.quote q ON q.job_id = d.job_id),
           held AS (
               SELECT t.job_id, coalesce(sum(e.amount_micro_yen) FILTER (WHERE o.kind = 'grant'), 0)::bigint AS granted,
                      coalesce(sum(e.amount_micro_yen) FILTER (WHERE o.kind = 'prepaid'), 0)::bigint AS prepaid
                 FROM job j
                 JOIN pricing.ledger_transaction t ON t.job_id = j.job_id AND t.template = 'hold'
                 JOIN pricing.ledger_entry e ON e.transaction_id = t.id AND e.bucket = 'held'
                 JOIN pricing.lot o ON o.id = e.lot_id AND o.kind <> 'credit'
                GROUP BY t.job_id),
           net AS (
               SELECT j.organisation_id, j.tax_rate_bp, coalesce(h.prepaid, 0) AS prepaid, each.sign,
                      least(each.net, coalesce(h.granted, 0)) AS granted,
                      each.net - least(each.net, coalesce(h.granted, 0)) AS taxed
                 FROM job j LEFT JOIN held h ON h.job_id = j.job_id
                 CROSS JOIN LATERAL (VALUES (j.before, -1), (j.before + j.charged, 1)) AS each (net, sign)),
           paid AS (
               SELECT *, div(taxed::numeric * tax_rate_bp, 10000)::bigint AS tax FROM net)
           SELECT l.organisation_id, j.tax_rate_bp, l.project_id, l.offering_id, l.component, l.used_in, l.corrects,
                  sum(l.quantity) AS quantity, sum(l.list)::bigint AS a, sum(l.price)::bigint AS b,
                  sum(l.charged)::bigint AS c, 0::bigint AS d
             FROM line l JOIN job j ON j.job_id = l.job_id GROUP BY 1, 2, 3, 4, 5, 6, 7
           HAVING sum(l.quantity) <> 0 OR sum(l.list) <> 0 OR sum(l.price) <> 0 OR sum(l.charged) <> 0
           UNION ALL
           SELECT organisation_id, tax_rate_bp, NULL, NULL, NULL, NULL, NULL, NULL, sum(sign * granted)::bigint,
                  sum(sign * tax)::bigint, sum(sign * least(taxed + tax, prepaid))::bigint,
                  sum(sign * (taxed + tax - least(taxed + tax, prepaid)))::bigint
             FROM paid GROUP BY 1, 2""",
        organisations,
        month.first,
    )
    found: dict[UUID, Sums] = {}
    for row in sorted(rows, key=_place):
        of_one = found.setdefault(row["organisation_id"], Sums())
        if row["component"] is None:
            of_one.covers.append(_cover(row))
        else:
            of_one.usage.append(_usage(row))
    return {organisation: each for organisation, each in found.items() if each.usage}


def _place(row: Record) -> tuple[object, ...]:
    """Where a sum stands: what was used last comes first."""
    day = row["used_in"]
    return (
        0 if day is None else -day.toordinal(),
        str(row["project_id"]),
        row["offering_id"] or "",
        row["component"] or "",
        row["tax_rate_bp"],
        bool(row["corrects"]),
    )


def _usage(row: Record) -> UsageSum:
    return UsageSum(
        offering_id=row["offering_id"],
        component=Component(row["component"]),
        tax_rate_bp=row["tax_rate_bp"],
        quantity=row["quantity"],
        list_micro_yen=row["a"],
        price_micro_yen=row["b"],
        charged_micro_yen=row["c"],
        project_id=row["project_id"],
        used_in=Month.of(row["used_in"]),
        corrects=row["corrects"],
    )


def _cover(row: Record) -> Cover:
    return Cover(
        tax_rate_bp=row["tax_rate_bp"],
        granted_micro_yen=row["a"],
        tax_micro_yen=row["b"],
        prepaid_micro_yen=row["c"],
        credit_micro_yen=row["d"],
    )


async def originals(
    conn: Conn, organisations: Sequence[UUID], month: Month
) -> dict[UUID, dict[Month, list[Reference]]]:
    """For what a month's lines change of earlier months: the documents with the lines before them, latest first."""
    rows = await conn.fetch(
        """SELECT DISTINCT l.organisation_id, date_trunc('month', l.accounting_date::timestamp)::date AS used_in,
                  c.month, d.id, d.kind::text AS kind, d.fiscal_year, d.ordinal, d.issue_date
           FROM pricing.rated_line l
           JOIN pricing.rated_line o ON o.usage_record_id = l.usage_record_id AND o.piece < l.piece
                AND o.accounting_date = l.accounting_date AND o.billed_month < l.billed_month
           JOIN pricing.closed_account c ON c.organisation_id = o.organisation_id AND c.month = o.billed_month
           JOIN pricing.document d ON d.id = c.document_id
           WHERE l.organisation_id = ANY($1) AND l.billed_month = $2 AND l.accounting_date < $2
           ORDER BY c.month DESC""",
        organisations,
        month.first,
    )
    found: dict[UUID, dict[Month, list[Reference]]] = {}
    for row in rows:
        kind = DocumentKind(row["kind"])
        reference = Reference(
            id=row["id"],
            kind=kind,
            number=number(kind, row["fiscal_year"], row["ordinal"]),
            issue_date=row["issue_date"],
            month=Month.of(row["month"]),
        )
        of_one = found.setdefault(row["organisation_id"], {})
        of_one.setdefault(Month.of(row["used_in"]), []).append(reference)
    return found


async def carried(conn: Conn, organisations: Sequence[UUID], month: Month) -> dict[UUID, int]:
    """What the last closed month of each left to the next, in yen."""
    rows = await conn.fetch(
        """SELECT DISTINCT ON (organisation_id) organisation_id, carried_out_yen FROM pricing.closed_account
           WHERE organisation_id = ANY($1) AND month < $2 ORDER BY organisation_id, month DESC""",
        organisations,
        month.first,
    )
    return {row["organisation_id"]: row["carried_out_yen"] for row in rows}


async def lots(conn: Conn, organisations: Sequence[UUID]) -> dict[UUID, Lots]:
    """Where value goes back to."""
    rows = await conn.fetch(
        """SELECT l.organisation_id, (array_agg(l.id ORDER BY l.expires_at DESC NULLS FIRST, l.id)
                       FILTER (WHERE l.kind = 'prepaid'))[1] AS prepaid,
                  (array_agg(b.amount_micro_yen ORDER BY l.expires_at DESC NULLS FIRST, l.id)
                       FILTER (WHERE l.kind = 'prepaid'))[1] AS free_prepaid_micro_yen,
                  (array_agg(l.id) FILTER (WHERE l.kind = 'credit'))[1] AS credit,
                  coalesce(sum(b.amount_micro_yen) FILTER (WHERE l.kind = 'credit'), 0)::bigint AS free_credit_micro_yen
           FROM pricing.lot l LEFT JOIN pricing.ledger_balance b
             ON b.organisation_id = l.organisation_id AND b.lot_id = l.id AND b.bucket = 'available'
           WHERE l.organisation_id = ANY($1) AND l.kind <> 'grant' GROUP BY 1""",
        organisations,
    )
    return {
        row["organisation_id"]: Lots(
            prepaid=row["prepaid"],
            credit=row["credit"],
            free_credit_micro_yen=row["free_credit_micro_yen"],
            free_prepaid_micro_yen=row["free_prepaid_micro_yen"] or 0,
        )
        for row in rows
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedAccount:
    """An organisation's closed month, as it is kept."""

    organisation_id: UUID
    document_id: UUID | None
    charged_micro_yen: int
    cover: Cover
    carried_in_yen: int
    carried_out_yen: int


async def add_closed(conn: Conn, month: Month, accounts: Sequence[ClosedAccount], *, now: datetime) -> None:
    """The primary key refuses a second close of the same."""
    await conn.execute(
        """INSERT INTO pricing.closed_account (organisation_id, month, document_id, charged_micro_yen,
               granted_micro_yen, tax_micro_yen, prepaid_micro_yen, credit_micro_yen, carried_in_yen, carried_out_yen,
               closed_at)
           SELECT organisation, $1, document, charged, granted, tax, prepaid, credit, carried_in, carried_out, $2
           FROM unnest($3::uuid[], $4::uuid[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[],
                       $10::bigint[], $11::bigint[])
                AS t (organisation, document, charged, granted, tax, prepaid, credit, carried_in, carried_out)""",
        month.first,
        now,
        [each.organisation_id for each in accounts],
        [each.document_id for each in accounts],
        [each.charged_micro_yen for each in accounts],
        [each.cover.granted_micro_yen for each in accounts],
        [each.cover.tax_micro_yen for each in accounts],
        [each.cover.prepaid_micro_yen for each in accounts],
        [each.cover.credit_micro_yen for each in accounts],
        [each.carried_in_yen for each in accounts],
        [each.carried_out_yen for each in accounts],
    )
