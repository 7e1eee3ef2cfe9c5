"""Quotes, holds, attempts, usage and rated lines in the database."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from asyncpg import Record

from infra.db.ahead import Look, Row, rows_of
from infra.db.connection import Conn
from pricing.ledger.balances import Part
from pricing.ledger.templates import Template, transaction_id
from pricing.model import (
    BillableAttempt,
    Cause,
    Component,
    Ending,
    LotKind,
    Quote,
    QuoteCandidate,
    QuoteLine,
    QuotePhase,
)

_ATTEMPT = """SELECT attempt_id, job_id, organisation_id, project_id, person_id, offering_id, opened_at, phase,
    ending::text AS ending, closed_at, last, accounting_final_at, settled_at, cause, charged_bp
    FROM pricing.billable_attempt"""


async def quote_of(conn: Conn, job_id: UUID) -> Quote | None:
    return (await quotes_of(conn, [job_id])).get(job_id)


def quotes_look(job_ids: Sequence[UUID]) -> Look:
    """What quotes_of() asks first."""
    return Look(
        """SELECT id, job_id, organisation_id, offering_id, price_version_id, ceiling_micro_yen, expected_micro_yen,
                  tax_rate_bp, lines, quoted_at, low_micro_yen, basis, candidates
           FROM pricing.quote WHERE job_id = ANY($1)""",
        (tuple(job_ids),),
    )


async def quotes_of(conn: Conn, job_ids: Sequence[UUID]) -> dict[UUID, Quote]:
    """Of those of these jobs that have one."""
    rows = await rows_of(conn, quotes_look(job_ids))
    if not rows:
        return {}
    phases = await _phases_of(conn, job_ids)
    return {row["job_id"]: _quote(row, phases.get(row["job_id"], ())) for row in rows}


async def _phases_of(conn: Conn, job_ids: Sequence[UUID]) -> Mapping[UUID, Sequence[QuotePhase]]:
    phases: dict[UUID, list[QuotePhase]] = {}
    for row in await conn.fetch(
        """SELECT job_id, phase, offering_id, price_version_id, ceiling_micro_yen, expected_micro_yen, lines
           FROM pricing.quote_phase WHERE job_id = ANY($1) ORDER BY job_id, ordinal""",
        list(job_ids),
    ):
        facts = dict(row)
        phases.setdefault(facts.pop("job_id"), []).append(QuotePhase(**{**facts, "lines": _lines(row["lines"])}))
    return phases


def _quote(row: Row, phases: Sequence[QuotePhase]) -> Quote:
    told = {"lines": _lines(row["lines"]), "basis": row["basis"] or {}, "candidates": _candidates(row["candidates"])}
    return Quote(**{**row, **told, "phases": tuple(phases)})


def _candidates(told: Mapping[str, Any] | None) -> tuple[QuoteCandidate, ...]:
    """The cheapest first."""
    found = [
        QuoteCandidate(
            offering_id=name,
            price_version_id=UUID(each["price_version_id"]),
            ceiling_micro_yen=each["ceiling_micro_yen"],
            expected_micro_yen=each["expected_micro_yen"],
            lines=_lines(each["lines"]),
        )
        for name, each in (told or {}).items()
    ]
    return tuple(sorted(found, key=lambda each: (each.ceiling_micro_yen, each.offering_id)))


def candidates_told(quote: Quote) -> dict[str, Any] | None:
    """As they are stored; None: there are none."""
    if not quote.candidates:
        return None
    return {
        each.offering_id: {
            "price_version_id": str(each.price_version_id),
            "ceiling_micro_yen": each.ceiling_micro_yen,
            "expected_micro_yen": each.expected_micro_yen,
            "lines": lines_told(each.lines),
        }
        for each in quote.candidates
    }


_ORDER = list(Component)


def _lines(told: Mapping[str, Any]) -> tuple[QuoteLine, ...]:
    """In the order in which they are quoted: the database has an order of its own."""
    return tuple(
        QuoteLine(
            component=Component(name), quantity=Decimal(line["quantity"]), amount_micro_yen=line["amount_micro_yen"]
        )
        for name, line in sorted(told.items(), key=lambda each: _ORDER.index(Component(each[0])))
    )


def lines_told(lines: Sequence[QuoteLine]) -> dict[str, Any]:
    """As they are stored."""
    return {
        line.component.value: {"quantity": str(line.quantity), "amount_micro_yen": line.amount_micro_yen}
        for line in lines
    }


async def add_phases(conn: Conn, quotes: Sequence[Quote]) -> None:
    """Of quotes that have some."""
    await conn.executemany(
        """INSERT INTO pricing.quote_phase (job_id, organisation_id, phase, ordinal, offering_id, price_version_id,
               ceiling_micro_yen, expected_micro_yen, lines) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)""",
        [
            (
                quote.job_id,
                quote.organisation_id,
                each.phase,
                ordinal,
                each.offering_id,
                each.price_version_id,
                each.ceiling_micro_yen,
                each.expected_micro_yen,
                lines_told(each.lines),
            )
            for quote in quotes
            for ordinal, each in enumerate(quote.phases, start=1)
        ],
    )


async def add_attempts(conn: Conn, attempts: Sequence[BillableAttempt]) -> set[UUID]:
    """Those that were not there yet."""
    rows = await conn.fetch(add_attempts_sql(1), *add_attempts_args(attempts))
    return {row["attempt_id"] for row in rows}


def add_attempts_sql(first: int) -> str:
    """The statement of add_attempts(), its eight parameters counted from `first`: also part of a larger one."""
    ids, jobs, organisations, projects, people, offerings, opened, phases = range(first, first + 8)
    return f"""INSERT INTO pricing.billable_attempt
               (attempt_id, job_id, organisation_id, project_id, person_id, offering_id, opened_at, phase)
           SELECT * FROM unnest(${ids}::uuid[], ${jobs}::uuid[], ${organisations}::uuid[], ${projects}::uuid[],
                                ${people}::uuid[], ${offerings}::text[], ${opened}::timestamptz[], ${phases}::text[])
           ON CONFLICT (attempt_id) DO NOTHING RETURNING attempt_id"""  # noqa: S608  our own words


def add_attempts_args(attempts: Sequence[BillableAttempt]) -> Sequence[object]:
    return (
        [attempt.attempt_id for attempt in attempts],
        [attempt.job_id for attempt in attempts],
        [attempt.organisation_id for attempt in attempts],
        [attempt.project_id for attempt in attempts],
        [attempt.person_id for attempt in attempts],
        [attempt.offering_id for attempt in attempts],
        [attempt.opened_at for attempt in attempts],
        [attempt.phase for attempt in attempts],
    )


async def hold_closed_at(conn: Conn, job_id: UUID) -> datetime | None:
    closed_at: datetime | None = await conn.fetchval("SELECT closed_at FROM pricing.hold WHERE job_id = $1", job_id)
    return closed_at


async def closed_holds(conn: Conn, job_ids: Sequence[UUID]) -> set[UUID]:
    """Those of these jobs whose hold is closed."""
    rows = await conn.fetch(
        "SELECT job_id FROM pricing.hold WHERE job_id = ANY($1) AND closed_at IS NOT NULL", list(job_ids)
    )
    return {row["job_id"] for row in rows}


async def attempt(conn: Conn, attempt_id: UUID) -> BillableAttempt | None:
    row = await conn.fetchrow(f"{_ATTEMPT} WHERE attempt_id = $1", attempt_id)
    return _attempt(row) if row else None


async def settled_among(conn: Conn, attempt_ids: Collection[UUID]) -> set[UUID]:
    rows = await conn.fetch(
        "SELECT attempt_id FROM pricing.billable_attempt WHERE attempt_id = ANY($1) AND settled_at IS NOT NULL",
        list(attempt_ids),
    )
    return {row["attempt_id"] for row in rows}


async def attempts_of(conn: Conn, job_id: UUID) -> list[BillableAttempt]:
    rows = await conn.fetch(f"{_ATTEMPT} WHERE job_id = $1 ORDER BY opened_at, attempt_id", job_id)
    return [_attempt(row) for row in rows]


async def held_parts(conn: Conn, job_ids: Sequence[UUID]) -> dict[UUID, list[Part]]:
    """What the holds of jobs claimed at submission, per lot, in the order of consumption."""
    rows = await conn.fetch(
        """SELECT t.job_id, l.id AS lot_id, l.kind::text AS kind, l.expires_at, e.amount_micro_yen
           FROM pricing.ledger_transaction t
           JOIN pricing.ledger_entry e ON e.transaction_id = t.id AND e.bucket = 'held'
           JOIN pricing.lot l ON l.id = e.lot_id
           WHERE t.id = ANY($1)
           ORDER BY t.job_id, l.kind, l.expires_at, l.id""",
        [transaction_id(Template.HOLD, job_id) for job_id in job_ids],
    )
    parts: dict[UUID, list[Part]] = {job_id: [] for job_id in job_ids}
    for row in rows:
        parts[row["job_id"]].append(
            Part(
                lot_id=row["lot_id"],
                kind=LotKind(row["kind"]),
                expires_at=row["expires_at"],
                amount_micro_yen=row["amount_micro_yen"],
            )
        )
    return parts


def _attempt(row: Record) -> BillableAttempt:
    ending = Ending(row["ending"]) if row["ending"] else None
    return BillableAttempt(**{**row, "ending": ending, "cause": Cause(row["cause"]) if row["cause"] else None})


async def move_attempt(conn: Conn, attempt_id: UUID, offering_id: str) -> bool:
    """False: it has ended, or usage of it is known."""
    done = await conn.execute(
        """UPDATE pricing.billable_attempt SET offering_id = $2
           WHERE attempt_id = $1 AND ending IS NULL AND accounting_final_at IS NULL AND NOT EXISTS (
               SELECT FROM pricing.billable_usage u WHERE u.attempt_id = billable_attempt.attempt_id)""",
        attempt_id,
        offering_id,
    )
    return str(done) == "UPDATE 1"
