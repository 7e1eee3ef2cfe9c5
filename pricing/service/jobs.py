"""From admission to attempts: what the scheduler asks of pricing."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from infra.db.ahead import Look
from infra.db.connection import Conn
from pricing.errors import HoldClosed, InsufficientFunds, LedgerConflict
from pricing.ledger import balances, templates
from pricing.model import Admission, BillableAttempt, Quote, QuotePhase
from pricing.service.budgets import require_within
from pricing.service.standing import require_good_standing
from pricing.store import collecting, holds, wallets
from pricing.store import jobs as store
from pricing.store import ledger as ledger_store
from pricing.units import yen_text


async def admission(conn: Conn, *, quote: Quote, now: datetime, jobs: int = 1) -> Admission:
    """Whether the wallet covers so many jobs of a quote at this moment. Promises nothing: only holds do."""
    lots = await ledger_store.lots(conn, quote.organisation_id)
    claim = balances.claim(
        lots, ceiling_micro_yen=jobs * quote.ceiling_micro_yen, tax_rate_bp=quote.tax_rate_bp, now=now
    )
    return Admission(needed_micro_yen=claim.needed_micro_yen, available_micro_yen=claim.available_micro_yen)


def wallet_lock(organisation_id: UUID) -> Look:
    """The lock under which place_holds() works: read ahead by whoever is going to place some."""
    return ledger_store.wallet_lock(organisation_id)


def purse_looks(organisation_id: UUID, job_id: UUID) -> Sequence[Look]:
    """What place_holds() of one job is going to ask, once it has the wallet's lock."""
    return (
        store.quotes_look([job_id]),
        ledger_store.lots_look(organisation_id),
        wallets.budgets_look(organisation_id),
        collecting.unpaid_look(organisation_id),
    )


async def place_hold(conn: Conn, *, quote: Quote, now: datetime) -> None:
    """place_holds() of one job."""
    await place_holds(conn, quotes=[quote], now=now)


async def place_holds(
    conn: Conn, *, quotes: Sequence[Quote], now: datetime, attempts: Sequence[BillableAttempt] = ()
) -> None:
    """Store the quotes of one organisation's jobs and set their ceilings aside, all or none, under the wallet's lock.

    attempts: the first of these jobs, opened as by open_attempts().
    Again with the same quote: nothing happens. NoWallet, InsufficientFunds, BudgetExceeded, PaymentOverdue,
    PaymentDisputed; LedgerConflict: another quote of the job.
    """
    await ledger_store.lock_wallet(conn, quotes[0].organisation_id)
    known = await store.quotes_of(conn, [quote.job_id for quote in quotes])
    for quote in quotes:
        if known.get(quote.job_id, quote) != quote:
            raise LedgerConflict(f"job {quote.job_id} has another quote")
    new = [quote for quote in quotes if quote.job_id not in known]
    if new:
        await require_good_standing(conn, quotes[0].organisation_id, now=now)
        await _require_within_limits(conn, new, attempts, now)
    claims = await _claims(conn, new, now) if new else []
    held = [
        templates.hold(organisation_id=quote.organisation_id, job_id=quote.job_id, parts=parts, at=quote.quoted_at)
        for quote, parts in zip(new, claims, strict=True)
        if parts  # a job that costs nothing claims nothing
    ]
    opened = await holds.open_jobs(conn, new, held, attempts, now=now)
    await _require_open(conn, attempts, opened, fresh={quote.job_id for quote in new})


async def _require_within_limits(
    conn: Conn, quotes: Sequence[Quote], attempts: Sequence[BillableAttempt], now: datetime
) -> None:
    """Jobs of one request are one member's, in one project."""
    if attempts:
        await require_within(
            conn,
            attempts[0].organisation_id,
            project_id=attempts[0].project_id,
            person_id=attempts[0].person_id,
            needed_micro_yen=sum(quote.ceiling_micro_yen for quote in quotes),
            now=now,
        )


async def _claims(conn: Conn, quotes: Sequence[Quote], now: datetime) -> list[tuple[balances.Part, ...]]:
    """What each hold takes of what those before it leave. InsufficientFunds names what all of them need."""
    lots = await ledger_store.lots(conn, quotes[0].organisation_id)
    first, left = quotes[0], lots
    claims = []
    for quote in quotes:
        claim = balances.claim(left, ceiling_micro_yen=quote.ceiling_micro_yen, tax_rate_bp=quote.tax_rate_bp, now=now)
        if not claim.suffices:
            total = sum(each.ceiling_micro_yen for each in quotes)
            whole = balances.claim(lots, ceiling_micro_yen=total, tax_rate_bp=first.tax_rate_bp, now=now)
            raise InsufficientFunds(
                needed_yen=yen_text(whole.needed_micro_yen), available_yen=yen_text(whole.available_micro_yen)
            )
        claims.append(claim.parts)
        left = balances.without(left, claim.parts)
    return claims


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
    phase: str = "main",
) -> None:
    """open_attempts() of one."""
    new = BillableAttempt(
        attempt_id=attempt_id,
        job_id=job_id,
        organisation_id=organisation_id,
        project_id=project_id,
        person_id=person_id,
        offering_id=offering_id,
        opened_at=now,
        phase=phase,
    )
    await open_attempts(conn, attempts=[new])


async def open_attempts(conn: Conn, *, attempts: Sequence[BillableAttempt]) -> None:
    """From now on usage of these attempts of one organisation draws on their jobs' holds. Again: nothing happens.

    NoWallet, HoldClosed, LedgerConflict: faults of ours, not refusals.
    """
    await ledger_store.lock_wallet(conn, attempts[0].organisation_id)  # no release passes between the look and the row
    await _require_open(conn, attempts, await store.add_attempts(conn, attempts))


async def _require_open(
    conn: Conn, attempts: Sequence[BillableAttempt], added: Collection[UUID], *, fresh: Collection[UUID] = ()
) -> None:
    """Under the wallet's lock. added: those not there before; fresh: jobs whose holds were opened just now."""
    older = [new.job_id for new in attempts if new.attempt_id in added and new.job_id not in fresh]
    closed = await store.closed_holds(conn, older) if older else set()
    for new in attempts:
        if new.attempt_id in added:
            if new.job_id in closed:
                raise HoldClosed(f"job {new.job_id} was released before its attempt {new.attempt_id} was opened")
            continue
        known = await store.attempt(conn, new.attempt_id)
        if known is None or known.job_id != new.job_id or known.organisation_id != new.organisation_id:
            raise LedgerConflict(f"attempt {new.attempt_id} belongs to another job")


async def move_attempt(conn: Conn, *, attempt_id: UUID, offering_id: str) -> None:
    """It will run on another of the offerings that its job was quoted; nothing of it has run. Again: nothing happens.

    LedgerConflict: its job was quoted no such offering, or usage of it is known already: a fault of ours.
    """
    known = await store.attempt(conn, attempt_id)
    quote = None if known is None else await store.quote_of(conn, known.job_id)
    if known is None or quote is None or offering_id not in quote.price_versions:
        raise LedgerConflict(f"attempt {attempt_id} was quoted nothing on {offering_id}")
    if not await store.move_attempt(conn, attempt_id, offering_id):
        raise LedgerConflict(f"attempt {attempt_id} has ended or run already")


async def quote_of(conn: Conn, job_id: UUID) -> Quote | None:
    """What was promised to a job; None: there is no such job."""
    return await store.quote_of(conn, job_id)


async def quote_phases(conn: Conn, job_id: UUID) -> Sequence[QuotePhase]:
    """The parts of a job's quote, in the order of its phases; none of a job that has none."""
    quote = await store.quote_of(conn, job_id)
    return () if quote is None else quote.phases


async def settled_among(conn: Conn, attempt_ids: Collection[UUID]) -> set[UUID]:
    """Those of these attempts whose usage is known and charged, or costs nothing."""
    return await store.settled_among(conn, attempt_ids)


async def billing_of(conn: Conn, attempt_id: UUID) -> BillableAttempt | None:
    """Whose attempt it is, and whether it has ended and been settled; None: not one of ours."""
    return await store.attempt(conn, attempt_id)
