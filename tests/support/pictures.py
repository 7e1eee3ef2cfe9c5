"""What books come to: everything that must be the same, however the facts arrived."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from infra.db.connection import transaction
from tests.support.market import Market


@dataclass(frozen=True)
class JobPicture:
    charged_micro_yen: int
    overrun_micro_yen: int
    held_micro_yen: int
    hold_open: bool
    settled: frozenset[UUID]


@dataclass(frozen=True)
class Picture:
    """Everything that must be the same, however the facts arrived."""

    customer: Mapping[tuple[str, UUID | None], int]
    house: Mapping[str, int]
    jobs: Mapping[UUID, JobPicture]


_CUSTOMER = """SELECT bucket::text, lot_id, amount_micro_yen FROM pricing.ledger_balance
    WHERE organisation_id = $1 AND amount_micro_yen <> 0"""
_ENTRIES = """SELECT e.bucket::text, e.lot_id, e.organisation_id IS NULL AS house,
    sum(e.amount_micro_yen)::bigint AS amount
    FROM pricing.ledger_entry e JOIN pricing.ledger_transaction t ON t.id = e.transaction_id
    WHERE t.organisation_id = $1 GROUP BY 1, 2, 3 HAVING sum(e.amount_micro_yen) <> 0"""
_JOBS = """SELECT h.job_id, h.closed_at IS NULL AS hold_open,
    (SELECT coalesce(sum(l.charged_micro_yen), 0)::bigint FROM pricing.rated_line l
      WHERE l.job_id = h.job_id) AS charged,
    (SELECT coalesce(sum(l.house_micro_yen), 0)::bigint FROM pricing.rated_line l
      WHERE l.job_id = h.job_id) AS overrun,
    (SELECT coalesce(sum(e.amount_micro_yen), 0)::bigint FROM pricing.ledger_entry e
       JOIN pricing.ledger_transaction t ON t.id = e.transaction_id
      WHERE t.job_id = h.job_id AND e.bucket = 'held') AS held,
    ARRAY(SELECT attempt_id FROM pricing.billable_attempt a
           WHERE a.job_id = h.job_id AND settled_at IS NOT NULL) AS settled
    FROM pricing.hold h WHERE h.organisation_id = $1"""


async def picture_in(market: Market) -> Picture:
    """Read with SQL of its own, as somebody who sees everything."""
    async with transaction(market.database.owner) as conn:
        projection = await conn.fetch(_CUSTOMER, market.organisation)
        entries = await conn.fetch(_ENTRIES, market.organisation)
        jobs = await conn.fetch(_JOBS, market.organisation)
    customer = {(row[0], row[1]): row[2] for row in projection}
    assert customer == {(row["bucket"], row["lot_id"]): row["amount"] for row in entries if not row["house"]}
    return Picture(
        customer=customer,
        house={row["bucket"]: row["amount"] for row in entries if row["house"]},
        jobs={
            row["job_id"]: JobPicture(
                charged_micro_yen=row["charged"],
                overrun_micro_yen=row["overrun"],
                held_micro_yen=row["held"],
                hold_open=row["hold_open"],
                settled=frozenset(row["settled"]),
            )
            for row in jobs
        },
    )
