"""Wallets, lots and the ledger in the database. Every posting goes through `post`, under the wallet's lock."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from infra.db.ahead import Look, row_of, rows_of
from infra.db.connection import Conn
from pricing.errors import LedgerConflict, NoWallet
from pricing.ledger.balances import LotBalance
from pricing.ledger.entries import Transaction
from pricing.model import GrantPurpose, LotKind
from pricing.statement import Movement, StatementEntry


async def lock_wallet(conn: Conn, organisation_id: UUID) -> None:
    """Whoever moves an organisation's value comes here first: its postings are decided one by one. NoWallet."""
    found = await row_of(conn, wallet_lock(organisation_id))
    if found is None or not found["is_there"]:
        raise NoWallet


def wallet_lock(organisation_id: UUID) -> Look:
    """What lock_wallet() asks: whoever reads it ahead has the lock."""
    return Look("SELECT pricing.lock_wallet($1) AS is_there", (organisation_id,))


async def add_wallet(conn: Conn, organisation_id: UUID, *, now: datetime) -> None:
    """Nothing happens when there is one."""
    await conn.execute("INSERT INTO pricing.wallet VALUES ($1, $2) ON CONFLICT DO NOTHING", organisation_id, now)


async def add_lot(
    conn: Conn,
    *,
    lot_id: UUID,
    organisation_id: UUID,
    kind: LotKind,
    expires_at: datetime | None,
    reason: str,
    created_by: UUID | None,
    now: datetime,
    purpose: GrantPurpose | None = None,
) -> bool:
    """Nothing happens when it is there. False: it is another one, by owner, kind or expiry."""
    await conn.execute(
        """INSERT INTO pricing.lot (id, organisation_id, kind, expires_at, reason, created_by, created_at, purpose)
           VALUES ($1, $2, $3::text::pricing.lot_kind, $4, $5, $6, $7, $8::text::pricing.grant_purpose)
           ON CONFLICT (id) DO NOTHING""",
        lot_id,
        organisation_id,
        kind.value,
        expires_at,
        reason,
        created_by,
        now,
        purpose,
    )
    row = await conn.fetchrow(
        "SELECT organisation_id, kind::text AS kind, expires_at FROM pricing.lot WHERE id = $1", lot_id
    )
    return row is not None and tuple(row) == (organisation_id, kind.value, expires_at)


def lots_look(organisation_id: UUID) -> Look:
    """What lots() asks."""
    return Look(
        """SELECT l.id, l.kind::text AS kind, l.expires_at,
                  coalesce(a.amount_micro_yen, 0) AS available, coalesce(h.amount_micro_yen, 0) AS held
           FROM pricing.lot l
           LEFT JOIN pricing.ledger_balance a
             ON a.organisation_id = l.organisation_id AND a.bucket = 'available' AND a.lot_id = l.id
           LEFT JOIN pricing.ledger_balance h
             ON h.organisation_id = l.organisation_id AND h.bucket = 'held' AND h.lot_id = l.id
           WHERE l.organisation_id = $1 ORDER BY l.kind, l.expires_at, l.id""",
        (organisation_id,),
    )


async def lots(conn: Conn, organisation_id: UUID) -> list[LotBalance]:
    """Every lot of an organisation with what lies in it now."""
    rows = await rows_of(conn, lots_look(organisation_id))
    return [
        LotBalance(
            lot_id=row["id"],
            kind=LotKind(row["kind"]),
            expires_at=row["expires_at"],
            available_micro_yen=row["available"],
            held_micro_yen=row["held"],
        )
        for row in rows
    ]


async def owed(conn: Conn, organisation_id: UUID) -> int:
    """What the organisation owes for use on credit, as a positive amount with tax."""
    amount: int | None = await conn.fetchval(
        "SELECT -amount_micro_yen FROM pricing.ledger_balance WHERE organisation_id = $1 AND bucket = 'owed'",
        organisation_id,
    )
    return amount or 0


async def post(conn: Conn, transaction: Transaction, *, now: datetime) -> bool:
    """post_all() of one transaction. False when it was there already."""
    return bool(await post_all(conn, [transaction], now=now))


POSTED = """added AS (
        INSERT INTO pricing.ledger_transaction
            (id, template, organisation_id, job_id, attempt_id, effective_at, recorded_at, memo)
        SELECT id, template, organisation, job, attempt, effective_at, $7, memo
        FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::uuid[], $5::uuid[], $6::timestamptz[], $8::jsonb[])
             AS t (id, template, organisation, job, attempt, effective_at, memo)
        ON CONFLICT (id) DO NOTHING RETURNING id
    ), entries AS (
        INSERT INTO pricing.ledger_entry
        SELECT transaction, line, organisation, bucket::pricing.bucket, lot, amount
        FROM unnest($9::uuid[], $10::integer[], $11::uuid[], $12::text[], $13::uuid[], $14::bigint[])
             WITH ORDINALITY AS e (transaction, line, organisation, bucket, lot, amount, place)
        WHERE transaction IN (SELECT id FROM added) ORDER BY place
    )"""
"""The two parts of every posting. One statement: entries of a transaction that is there already are never sent, where
the trigger would refuse them as late."""


def posted_args(transactions: Sequence[Transaction], *, now: datetime) -> Sequence[object]:
    """The parameters of POSTED, $1 to $14."""
    entries = [(each.id, line, entry) for each in transactions for line, entry in enumerate(each.entries)]
    return (
        [each.id for each in transactions],
        [each.template for each in transactions],
        [each.organisation_id for each in transactions],
        [each.job_id for each in transactions],
        [each.attempt_id for each in transactions],
        [each.effective_at for each in transactions],
        now,
        [dict(each.memo) for each in transactions],
        [transaction_id for transaction_id, _, _ in entries],
        [line for _, line, _ in entries],
        [entry.account.organisation_id for _, _, entry in entries],
        [entry.account.bucket.value for _, _, entry in entries],
        [entry.account.lot_id for _, _, entry in entries],
        [entry.amount_micro_yen for _, _, entry in entries],
    )


async def post_all(conn: Conn, transactions: Sequence[Transaction], *, now: datetime) -> set[UUID]:
    """Append transactions with their entries, in the accounts' order. Those that were not there yet.

    What is there already with the same content stays (times aside: a retry comes later). LedgerConflict when a
    business key was used for another content. The database refuses an overdraft, and at commit an imbalance.
    """
    if not transactions:
        return set()
    rows = await conn.fetch(f"WITH {POSTED} SELECT id FROM added", *posted_args(transactions, now=now))  # noqa: S608  ours
    added = {row["id"] for row in rows}
    await require_same(conn, transactions, but=added)
    return added


async def require_same(conn: Conn, transactions: Sequence[Transaction], *, but: Collection[UUID]) -> None:
    """Those that were not added just now are on the ledger with this very content. LedgerConflict."""
    for each in transactions:
        if each.id not in but:
            await _require_same(conn, each)


async def _require_same(conn: Conn, transaction: Transaction) -> None:
    head = await conn.fetchrow(
        """SELECT template, organisation_id, job_id, attempt_id, memo
           FROM pricing.ledger_transaction WHERE id = $1""",
        transaction.id,
    )
    entries = await conn.fetch(
        """SELECT organisation_id, bucket::text, lot_id, amount_micro_yen
           FROM pricing.ledger_entry WHERE transaction_id = $1 ORDER BY line""",
        transaction.id,
    )
    told = (
        (
            transaction.template,
            transaction.organisation_id,
            transaction.job_id,
            transaction.attempt_id,
            dict(transaction.memo),
        ),
        [
            (each.account.organisation_id, each.account.bucket.value, each.account.lot_id, each.amount_micro_yen)
            for each in transaction.entries
            # A tenant does not see the house's postings, and its own transactions have none.
        ],
    )
    if head is None or (tuple(head), [tuple(entry) for entry in entries]) != told:
        raise LedgerConflict(f"{transaction.template} {transaction.id} is on the ledger with another content")


async def parts_of(conn: Conn, transaction_id: UUID) -> list[tuple[UUID, int]]:
    """What a booked transaction moved into `available` (positive) or out of it, by lot. Empty: not booked."""
    rows = await conn.fetch(
        """SELECT lot_id, amount_micro_yen FROM pricing.ledger_entry
           WHERE transaction_id = $1 AND bucket = 'available' ORDER BY line""",
        transaction_id,
    )
    return [(row["lot_id"], row["amount_micro_yen"]) for row in rows]


async def organisations_with_expired(conn: Conn, *, now: datetime, limit: int) -> list[UUID]:
    """Organisations that have something left in an expired lot."""
    rows = await conn.fetch(
        """SELECT DISTINCT l.organisation_id FROM pricing.lot l
           JOIN pricing.ledger_balance b
             ON b.organisation_id = l.organisation_id AND b.bucket = 'available' AND b.lot_id = l.id
           WHERE l.expires_at <= $1 AND b.amount_micro_yen > 0 LIMIT $2""",
        now,
        limit,
    )
    return [row["organisation_id"] for row in rows]


async def lapsed(conn: Conn, lots: Sequence[UUID], *, now: datetime) -> set[UUID]:
    """Which of these lots may not be spent any more."""
    rows = await conn.fetch("SELECT id FROM pricing.lot WHERE id = ANY($1) AND expires_at <= $2", lots, now)
    return {row["id"] for row in rows}


async def times_expired(conn: Conn, lot_id: UUID) -> int:
    """How often the expiry of a lot has been booked."""
    count: int = await conn.fetchval(
        """SELECT count(*) FROM pricing.ledger_entry e JOIN pricing.ledger_transaction t ON t.id = e.transaction_id
           WHERE e.lot_id = $1 AND t.template = 'expire'""",
        lot_id,
    )
    return count


async def movements(conn: Conn, organisation_id: UUID, *, until: datetime) -> list[Movement]:
    """An organisation's postings effective before `until`."""
    rows = await conn.fetch(
        """SELECT t.template, e.bucket::text AS bucket, l.kind::text AS lot_kind,
                  sum(e.amount_micro_yen)::bigint AS amount_micro_yen
           FROM pricing.ledger_transaction t
           JOIN pricing.ledger_entry e ON e.transaction_id = t.id AND e.organisation_id = t.organisation_id
           LEFT JOIN pricing.lot l ON l.id = e.lot_id
           WHERE t.organisation_id = $1 AND t.effective_at < $2
           GROUP BY t.template, e.bucket, l.kind""",
        organisation_id,
        until,
    )
    return [Movement(**{**row, "lot_kind": row["lot_kind"] and LotKind(row["lot_kind"])}) for row in rows]


async def statement_entries(
    conn: Conn, organisation_id: UUID, *, since: datetime, until: datetime
) -> list[StatementEntry]:
    """An organisation's transactions effective in [since, until), in order; those of the house alone are left out.

    What a settlement leaves is given back after it, though both are one instant.
    """
    rows = await conn.fetch(
        """SELECT t.id AS transaction_id, t.template AS kind, t.effective_at, t.recorded_at, t.job_id,
                  nullif(b.phase, 'main') AS phase,
                  CASE WHEN o.kind = 'quantum' THEN t.attempt_id END AS quantum_attempt_id,
                  coalesce(sum(e.amount_micro_yen) FILTER (WHERE e.bucket = 'available'), 0)::bigint
                      AS available_micro_yen,
                  coalesce(sum(e.amount_micro_yen) FILTER (WHERE e.bucket = 'held'), 0)::bigint AS held_micro_yen,
                  coalesce(-sum(e.amount_micro_yen) FILTER (WHERE e.bucket = 'owed'), 0)::bigint AS owed_micro_yen
           FROM pricing.ledger_transaction t
           JOIN pricing.ledger_entry e ON e.transaction_id = t.id AND e.organisation_id = t.organisation_id
           LEFT JOIN pricing.billable_attempt b ON b.attempt_id = t.attempt_id
           LEFT JOIN pricing.offering o ON o.id = b.offering_id
           WHERE t.organisation_id = $1 AND t.effective_at >= $2 AND t.effective_at < $3
           GROUP BY t.id, b.phase, o.kind
           ORDER BY t.effective_at, t.recorded_at, t.xact, t.template = 'release', t.id""",
        organisation_id,
        since,
        until,
    )
    return [StatementEntry(**row) for row in rows]


async def is_posted(conn: Conn, transaction_id: UUID) -> bool:
    """Whether a transaction is on the ledger already."""
    found: bool = await conn.fetchval(
        "SELECT EXISTS (SELECT FROM pricing.ledger_transaction WHERE id = $1)", transaction_id
    )
    return found
