"""Reads what is known of the money of every job."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from uuid import UUID

from infra.db.connection import Conn
from metering.audit.books import Attempt, Book, Part, Posted, Price, Rated, Usage

_JOBS = """
    SELECT j.id, j.gpus, j.shots, j.walltime_s, j.max_timeouts, q.ceiling_micro_yen, q.tax_rate_bp, q.lines,
           q.price_version_id, h.closed_at
    FROM scheduler.job j JOIN pricing.quote q ON q.job_id = j.id JOIN pricing.hold h ON h.job_id = j.id
    ORDER BY j.id"""
_PRICES = """
    SELECT c.price_version_id, c.component, c.per, c.price_micro_yen, c.list_micro_yen, c.market_micro_yen,
           v.slice_below_gpus, v.slice_premium_bp, v.minimum_s
    FROM pricing.price_component c JOIN pricing.price_version v ON v.id = c.price_version_id"""
_ATTEMPTS = """
    SELECT b.job_id, b.attempt_id, b.offering_id, b.ending::text, b.accounting_final_at, b.charged_bp,
           CASE WHEN k.attempt_id IS NULL THEN b.phase ELSE 'calls' END AS phase
    FROM pricing.billable_attempt b LEFT JOIN scheduler.qpu_call k ON k.attempt_id = b.attempt_id"""
_PARTS = """
    SELECT p.job_id, p.phase, p.gpus, p.shots, p.walltime_s, p.max_timeouts, q.ceiling_micro_yen, q.lines,
           q.price_version_id
    FROM (SELECT job_id, name AS phase, gpus, shots, walltime_s, max_timeouts FROM scheduler.job_phase
          UNION ALL SELECT j.id, 'main', j.gpus, j.shots, j.walltime_s, j.max_timeouts
          FROM scheduler.job j JOIN scheduler.job_qpu u ON u.job_id = j.id
          UNION ALL SELECT job_id, 'calls', 0, shots, call_s, 0 FROM scheduler.job_qpu) p
    JOIN pricing.quote_phase q ON q.job_id = p.job_id AND q.phase = p.phase"""
_PLACES = """
    SELECT j.id AS job_id, placed.key AS offering, 'main' AS phase, coalesce(c.gpus, j.gpus) AS gpus, j.shots,
           j.walltime_s, j.max_timeouts, (placed.value ->> 'ceiling_micro_yen')::bigint AS ceiling_micro_yen,
           placed.value -> 'lines' AS lines, (placed.value ->> 'price_version_id')::uuid AS price_version_id
    FROM pricing.quote q JOIN scheduler.job j ON j.id = q.job_id
    CROSS JOIN LATERAL jsonb_each(q.candidates) AS placed
    LEFT JOIN scheduler.job_candidate c
      ON c.job_id = coalesce(j.array_id, j.id) AND c.offering_id = placed.key"""
_USAGES = """
    SELECT b.job_id, u.id, u.accounting_row_id, u.attempt_id, u.component, u.quantity, u.supersedes, u.recorded_at,
           extract(epoch FROM u.ended_at - u.started_at)::numeric AS ran_s
    FROM metering.usage_record u JOIN pricing.billable_attempt b ON b.attempt_id = u.attempt_id"""
_RATED = """
    SELECT job_id, usage_record_id, sum(quantity) AS quantity, sum(price_micro_yen) AS price,
           sum(list_micro_yen) AS list, sum(market_micro_yen) AS market, sum(charged_micro_yen) AS charged
    FROM pricing.rated_line GROUP BY job_id, usage_record_id"""
_POSTED = """
    SELECT t.job_id, e.bucket::text AS bucket, sum(e.amount_micro_yen) AS amount
    FROM pricing.ledger_transaction t JOIN pricing.ledger_entry e ON e.transaction_id = t.id
    WHERE t.job_id IS NOT NULL AND e.bucket IN ('earned', 'overrun', 'tax', 'owed', 'held') GROUP BY 1, 2"""
_REFUNDED = "SELECT job_id, amount_micro_yen AS amount FROM pricing.refund"
_CLAIMED = """
    SELECT t.job_id, l.kind::text AS kind, sum(e.amount_micro_yen) AS amount
    FROM pricing.ledger_transaction t JOIN pricing.ledger_entry e ON e.transaction_id = t.id
    JOIN pricing.lot l ON l.id = e.lot_id
    WHERE t.template = 'hold' AND e.bucket = 'held' GROUP BY 1, 2"""


async def books(conn: Conn) -> list[Book]:
    prices: dict[UUID, dict[str, Price]] = defaultdict(dict)
    for row in await conn.fetch(_PRICES):
        prices[row["price_version_id"]][row["component"]] = _price(row)
    attempts = await _by_job(conn, _ATTEMPTS)
    parts = await _by_job(conn, _PARTS)
    places = await _by_job(conn, _PLACES)
    usages = await _by_job(conn, _USAGES)
    rated = await _by_job(conn, _RATED)
    posted = await _by_job(conn, _POSTED)
    claimed = await _by_job(conn, _CLAIMED)
    refunded = await _by_job(conn, _REFUNDED)
    return [
        Book(
            job_id=job["id"],
            gpus=job["gpus"],
            shots=job["shots"],
            walltime_s=job["walltime_s"],
            runs=1 + job["max_timeouts"],
            ceiling=job["ceiling_micro_yen"],
            tax_rate_bp=job["tax_rate_bp"],
            promised=_promised(job["lines"]),
            parts=[_part(row, prices) for row in parts[job["id"]]],
            places={row["offering"]: _part(row, prices) for row in places[job["id"]]},
            closed_at=job["closed_at"],
            prices=prices.get(job["price_version_id"], {}),
            attempts=[_attempt(row) for row in attempts[job["id"]]],
            usages=[_usage(row) for row in usages[job["id"]]],
            rated={row["usage_record_id"]: _rated(row) for row in rated[job["id"]]},
            charged_on_lines=int(sum(row["charged"] for row in rated[job["id"]])),
            posted=Posted(
                **{row["bucket"]: int(row["amount"]) for row in posted[job["id"]]},
                claimed={row["kind"]: int(row["amount"]) for row in claimed[job["id"]]},
            ),
            refunded=sum(row["amount"] for row in refunded[job["id"]]),
        )
        for job in await conn.fetch(_JOBS)
    ]


async def _by_job(conn: Conn, sql: str) -> defaultdict[UUID, list[Any]]:
    grouped: defaultdict[UUID, list[Any]] = defaultdict(list)
    for row in await conn.fetch(sql):
        grouped[row["job_id"]].append(row)
    return grouped


def _price(row: Any) -> Price:
    of_time = row["component"] == "gpu_s"
    return Price(
        per=row["per"],
        price=row["price_micro_yen"],
        list=row["list_micro_yen"],
        market=row["market_micro_yen"],
        slice_below_gpus=row["slice_below_gpus"] if of_time else 0,
        premium_bp=row["slice_premium_bp"] if of_time else 0,
        minimum_s=row["minimum_s"] if of_time else 0,
    )


def _promised(lines: Any) -> dict[str, tuple[Decimal, int]]:
    return {name: (Decimal(line["quantity"]), line["amount_micro_yen"]) for name, line in lines.items()}


def _part(row: Any, prices: Mapping[UUID, Mapping[str, Price]]) -> Part:
    return Part(
        phase=row["phase"],
        gpus=row["gpus"],
        shots=row["shots"],
        walltime_s=row["walltime_s"],
        runs=1 + row["max_timeouts"],
        ceiling=row["ceiling_micro_yen"],
        promised=_promised(row["lines"]),
        prices=prices.get(row["price_version_id"], {}),
    )


def _attempt(row: Any) -> Attempt:
    return Attempt(
        id=row["attempt_id"],
        ending=row["ending"],
        accounting_final_at=row["accounting_final_at"],
        phase=row["phase"],
        offering=row["offering_id"],
        charged_bp=row["charged_bp"],
    )


def _usage(row: Any) -> Usage:
    return Usage(
        id=row["id"],
        row_id=row["accounting_row_id"],
        attempt_id=row["attempt_id"],
        component=row["component"],
        quantity=row["quantity"],
        supersedes=row["supersedes"],
        recorded_at=row["recorded_at"],
        ran_s=row["ran_s"],
    )


def _rated(row: Any) -> Rated:
    return Rated(quantity=row["quantity"], price=int(row["price"]), list=int(row["list"]), market=int(row["market"]))
