"""From admission to attempts: what the scheduler asks of pricing."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from infra.db.connection import Conn
from pricing.errors import HoldClosed, InsufficientFunds, LedgerConflict
from pricing.ledger import balances, templates
from pricing.model import Admission, BillableAttempt, Quote
from pricing.store import jobs as store
from pricing.store import ledger as ledger_store
from pricing.units import yen_text


async def admission(conn: Conn, *, quote: Quote, now: datetime) -> Admission:
    """Whether the wallet covers a quote at this moment. Promises nothing: only a hold does."""
    claim = await _claim(conn, quote, now)
    return Admission(needed_micro_yen=claim.needed_micro_yen, available_micro_yen=claim.available_micro_yen)


async def place_hold(conn: Conn, *, quote: Quote, now: datetime) -> None:
    """Store the quote and set its ceiling aside, decided under the wallet's row lock.

    Again with the same quote: nothing happens. NoWallet, InsufficientFunds; LedgerConflict: another quote of the job.
    """
    await ledger_store.lock_wallet(conn, quote.organisation_id)
    known = await store.quote_of(conn, quote.job_id)
    if known is not None:
        if known != quote:
            raise LedgerConflict(f"job {quote.job_id} has another quote")
        return
    claim = await _claim(conn, quote, now)
    if not claim.suffices:
        raise InsufficientFunds(
            needed_yen=yen_text(claim.needed_micro_yen), available_yen=yen_text(claim.available_micro_yen)
        )
    await store.add_quote(conn, quote)
    await store.add_hold(conn, quote, now=now)
    if claim.parts:  # a job that costs nothing claims nothing
        held = templates.hold(
            organisation_id=quote.organisation_id, job_id=quote.job_id, parts=claim.parts, at=quote.quoted_at
        )
        await ledger_store.post(conn, held, now=now)


async def _claim(conn: Conn, quote: Quote, now: datetime) -> balances.Claim:
    lots = await ledger_store.lots(conn, quote.organisation_id)
    return balances.claim(lots, ceiling_micro_yen=quote.ceiling_micro_yen, tax_rate_bp=quote.tax_rate_bp, now=now)


async def open_attempt(
    conn: Conn,
    *,
    attempt_id: UUID,
    job_id: UUID,
    organisation_id: UUID,
    project_id: UUID,
    person_id: UUID,
    offering_id: str,
    now: datetime,
) -> None:
    """From now on usage of this attempt draws on the job's hold. Again: nothing happens.

    NoWallet, HoldClosed, LedgerConflict: faults of ours, not refusals.
    """
    new = BillableAttempt(
        attempt_id=attempt_id,
        job_id=job_id,
        organisation_id=organisation_id,
        project_id=project_id,
        person_id=person_id,
        offering_id=offering_id,
        opened_at=now,
    )
    await ledger_store.lock_wallet(conn, organisation_id)  # no release may pass between the look and the row
    if await store.add_attempt(conn, new):
        if await store.hold_closed_at(conn, job_id) is not None:
            raise HoldClosed(f"job {job_id} was released before its attempt {attempt_id} was opened")
        return
    known = await store.attempt(conn, attempt_id)
    if known is None or known.job_id != job_id or known.organisation_id != organisation_id:
        raise LedgerConflict(f"attempt {attempt_id} belongs to another job")


async def billing_of(conn: Conn, attempt_id: UUID) -> BillableAttempt | None:
    """Whose attempt it is, and whether it has ended and been settled; None: not one of ours."""
    return await store.attempt(conn, attempt_id)
