"""From usage and ends of attempts to rated lines and postings: what metering and the scheduler tell pricing.

Both tell what they know in any order and as often as they like. Each call stores the new fact and then brings the job's
books in line with everything known (pricing.charging), under the wallet's lock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from infra.db.connection import Conn
from pricing import charging, rating, refunds
from pricing.charging import NOTHING, JobFacts, Key, Line, Outcome, Rest
from pricing.errors import LedgerConflict, UnknownAttempt, UsageTooLarge
from pricing.ledger import templates
from pricing.ledger.balances import Part, draw, remainder
from pricing.ledger.templates import ChargeMove
from pricing.model import BillableAttempt, Cause, Ending, PriceVersion, Quote, Recorded, UsageToRate
from pricing.refunds import Refund
from pricing.service.renewal import renewed_lots
from pricing.service.wallets import expire_lots
from pricing.store import catalog as catalog_store
from pricing.store import jobs as job_store
from pricing.store import ledger as ledger_store
from pricing.store import pricebook as book_store
from pricing.store import refunds as refund_store
from pricing.store import usage as store

NO_PRICE_FOR_COMPONENT = "no-price-for-component"
"""Why usage is parked: its component has no price in the version that the job froze."""


async def close_attempt(
    conn: Conn,
    *,
    attempt_id: UUID,
    ending: Ending,
    ended_at: datetime,
    last: bool,
    now: datetime,
    cause: Cause | None = None,
) -> None:
    """An attempt has ended. `last`: no attempt of its job follows. cause: why; None: as such an ending usually comes.

    What of it is charged is what the refund matrix says now, and stays so.

    Settles it when its usage is known, or costs nothing; with the last one the rest of the hold goes back. Again:
    nothing happens. UnknownAttempt; LedgerConflict when it was told another ending before.
    """
    case = await _open(conn, attempt_id, now)
    known = case.attempt
    if known.ending is None:
        why = cause or refunds.usual_cause(ending)
        matrix = refunds.matrix(await book_store.policy(conn, refunds.MATRIX, now=now))
        await store.close_attempt(
            conn,
            attempt_id,
            ending=ending,
            cause=why,
            charged_bp=matrix[why],
            ended_at=ended_at,
            last=last,
            now=now,
        )
    elif (known.ending, known.last) != (ending, last):
        raise LedgerConflict(f"attempt {attempt_id} ended as {known.ending} (last: {known.last}) before")
    await _balance_books(case)


async def record_usage(
    conn: Conn, usages: Sequence[UsageToRate], *, attempt_id: UUID, final: bool, now: datetime
) -> Recorded:
    """Usage of an attempt; `final`: the backend's record of it is complete (also with no usage at all).

    It is rated when the attempt has ended and its accounting is final, for only then is its charge known. Usage without
    a price is parked, and its attempt stays unsettled until `waive_parked`. Again: nothing happens. UnknownAttempt;
    LedgerConflict when a record came with another content before; UsageTooLarge.
    """
    case = await _open(conn, attempt_id, now)
    billable = [usage for usage in usages if not rating.is_recorded_only(usage.component)]
    version = case.versions[case.attempt.offering_id]
    parked = [usage.usage_record_id for usage in billable if version.component(usage.component) is None]
    for usage in billable:
        if rating.is_absurd(usage, version):
            raise UsageTooLarge(f"usage record {usage.usage_record_id}: {usage.quantity} {usage.component}")
    await store.add_usage(conn, case.attempt, billable, now=now)
    await _require_same(case, billable)
    await store.park(conn, case.attempt, parked, reason=NO_PRICE_FOR_COMPONENT, now=now)
    if final:
        await store.finish_accounting(conn, attempt_id, now=now)
    settled = await _balance_books(case)
    return Recorded(parked=parked, settled=settled)


async def waive_parked(conn: Conn, *, usage_record_id: UUID, now: datetime) -> None:
    """Decide that parked usage is not charged; its attempt can then be settled. UnknownAttempt: nothing is parked."""
    attempt_id = await store.resolve_parked(conn, usage_record_id, now=now)
    if attempt_id is None:
        raise UnknownAttempt(f"no usage record {usage_record_id} is parked")
    await _balance_books(await _open(conn, attempt_id, now))


async def book_refund(conn: Conn, refund: Refund) -> int:
    """Give back a part of a job's charge, by the decision that says so; what is charged afterwards. Under no lock yet.

    Again with the same id: nothing happens. UnknownAttempt: nothing of the job has been charged; RefundWrong,
    RefundTooLarge; LedgerConflict: the id stands for another refund.
    """
    attempts = await job_store.attempts_of(conn, refund.job_id)
    if not attempts or attempts[0].organisation_id != refund.organisation_id:
        raise UnknownAttempt(f"job {refund.job_id} has no attempt")
    case = await _open(conn, attempts[-1].attempt_id, refund.decided_at)
    known = await refund_store.refund(conn, refund.id)
    charged = sum(line.charged_micro_yen for line in (await store.live_lines(conn, refund.job_id)).values())
    if known is not None:
        if (known.job_id, known.amount_micro_yen) != (refund.job_id, refund.amount_micro_yen):
            raise LedgerConflict(f"refund {refund.id} was of another amount or job")
        return charged
    refunds.require_refund(refund.amount_micro_yen, refund.reason, charged_micro_yen=charged)
    await refund_store.add_refund(conn, refund)
    await _balance_books(case)
    return charged - refund.amount_micro_yen


@dataclass(frozen=True, slots=True)
class _Case:
    """One call: the attempt that it is about (as it was when the wallet was locked) and what its job froze."""

    conn: Conn
    now: datetime
    attempt: BillableAttempt
    quote: Quote
    versions: Mapping[str, PriceVersion]
    """By offering."""


async def _open(conn: Conn, attempt_id: UUID, now: datetime) -> _Case:
    attempt = await job_store.attempt(conn, attempt_id)
    if attempt is not None:
        await ledger_store.lock_wallet(conn, attempt.organisation_id)
        attempt = await job_store.attempt(conn, attempt_id)  # as it is under the lock
    if attempt is None:
        raise UnknownAttempt(str(attempt_id))
    quote = await job_store.quote_of(conn, attempt.job_id)
    versions = await _versions(conn, quote) if quote else {}
    if quote is None or attempt.offering_id not in versions:
        raise UnknownAttempt(f"{attempt_id}: its job has no quote")
    return _Case(conn, now, attempt, quote, versions)


async def _versions(conn: Conn, quote: Quote) -> dict[str, PriceVersion]:
    found = {name: await catalog_store.price_version(conn, id_) for name, id_ in quote.price_versions.items()}
    return {name: version for name, version in found.items() if version is not None}


async def _require_same(case: _Case, told: Sequence[UsageToRate]) -> None:
    known = {each.usage_record_id: each for each in await store.usages_of_attempt(case.conn, case.attempt.attempt_id)}
    for usage in told:
        if known.get(usage.usage_record_id) != usage:
            raise LedgerConflict(f"usage record {usage.usage_record_id} came with another content before")


async def _balance_books(case: _Case) -> bool:
    """Book the difference between what is known of the job and what its books say; whether the attempt is settled."""
    facts = await _facts(case)
    result = charging.outcome(facts)
    attempts = {each.attempt_id: each for each in facts.attempts}
    if result.lines:
        versions = {offering: version.id for offering, version in case.versions.items()}
        await store.append_lines(case.conn, attempts, result.lines, price_versions=versions, now=case.now)
    cause = attempts[case.attempt.attempt_id]
    first = cause.attempt_id in result.settled
    await _book(case, facts, result, at=_effective(cause, case.now) if first else case.now)
    if result.settled:
        await store.mark_settled(case.conn, result.settled, now=case.now)
    return first or cause.settled_at is not None


def _effective(attempt: BillableAttempt, now: datetime) -> datetime:
    """A settlement counts when the attempt ended: after its opening and not in the future, whatever a backend says."""
    return min(max(attempt.closed_at or now, attempt.opened_at), now)


async def _facts(case: _Case) -> JobFacts:
    """Of the attempt alone where that says as much as all facts do: a job may have thousands of others."""
    facts = await _facts_of_one(case)
    return facts if charging.leaves_the_rest(facts) else await _facts_of_all(case)


async def _facts_of_one(case: _Case) -> JobFacts:
    """What the books say of the other attempts is what was known of them: each call here brings them in line."""
    conn, attempt_id = case.conn, case.attempt.attempt_id
    attempt = await job_store.attempt(conn, attempt_id)  # as it has become
    assert attempt is not None
    rest, is_open = await store.rest_of(conn, attempt)
    usages = await store.usages_of_attempt(conn, attempt_id)
    return _job_facts(
        case,
        [attempt],
        {attempt_id: usages},
        hold_open=is_open,
        parked=frozenset([attempt_id] if await store.is_parked(conn, attempt_id) else []),
        booked=await store.live_lines_of_attempt(conn, attempt_id),
        refunds_micro_yen=await refund_store.refunded(conn, attempt.job_id),
        rest=rest,
    )


async def _facts_of_all(case: _Case) -> JobFacts:
    conn, job_id = case.conn, case.attempt.job_id
    return _job_facts(
        case,
        await job_store.attempts_of(conn, job_id),
        await store.usages_of_job(conn, job_id),
        hold_open=await job_store.hold_closed_at(conn, job_id) is None,
        parked=await store.parked_attempts(conn, job_id),
        booked=await store.live_lines(conn, job_id),
        refunds_micro_yen=await refund_store.refunded(conn, job_id),
    )


def _job_facts(
    case: _Case,
    attempts: Sequence[BillableAttempt],
    usages: Mapping[UUID, Sequence[UsageToRate]],
    *,
    hold_open: bool,
    parked: frozenset[UUID],
    booked: Mapping[Key, Line],
    refunds_micro_yen: int,
    rest: Rest = NOTHING,
) -> JobFacts:
    """Of usage only what counts: no correction has taken its place (one of the same attempt), and it has a price."""
    replaced = {usage.supersedes for each in usages.values() for usage in each}
    version_of = {each.attempt_id: case.versions[each.offering_id] for each in attempts}
    return JobFacts(
        versions=case.versions,
        ceiling_micro_yen=case.quote.ceiling_micro_yen,
        hold_open=hold_open,
        attempts=attempts,
        usages={
            attempt_id: [
                usage
                for usage in each
                if usage.usage_record_id not in replaced
                and version_of[attempt_id].component(usage.component) is not None
            ]
            for attempt_id, each in usages.items()
        },
        parked=parked,
        booked=booked,
        refunds_micro_yen=refunds_micro_yen,
        rest=rest,
    )


async def _book(case: _Case, facts: JobFacts, result: Outcome, *, at: datetime) -> None:
    """Post the changed charge, and the release when the job is over."""
    job_id = case.attempt.job_id
    parts = (await job_store.held_parts(case.conn, [job_id]))[job_id]
    before, after = (
        draw(parts, net_micro_yen=net, tax_rate_bp=case.quote.tax_rate_bp)
        for net in (result.charged_before_micro_yen, result.charged_after_micro_yen)
    )
    if before != after or result.overrun_micro_yen:
        revision = await store.revision_of(case.conn, case.attempt)
        organisation_id = case.attempt.organisation_id
        key = (case.attempt.attempt_id, revision)
        renewed: Mapping[UUID, UUID] = {}
        if not facts.hold_open:
            renewed = await renewed_lots(case.conn, before, after, organisation_id, key=key, now=case.now)
        move = ChargeMove(
            organisation_id=organisation_id,
            job_id=job_id,
            attempt_id=case.attempt.attempt_id,
            revision=revision,
            before=before,
            after=after,
            overrun_micro_yen=result.overrun_micro_yen,
            at=at,
            renewed=renewed,
        )
        booked = templates.settle(move) if facts.hold_open else templates.refund(move)
        await ledger_store.post(case.conn, booked, now=case.now)
    if result.releases:
        await _release(case, remainder(parts, after), at)
    if any(part.expires_at is not None and part.expires_at <= case.now for part in parts):
        # What has just come back to a lot that lapsed while it was held does not stay.
        await expire_lots(case.conn, organisation_id=case.attempt.organisation_id, now=case.now)


async def _release(case: _Case, rest: Sequence[Part], at: datetime) -> None:
    job_id = case.attempt.job_id
    if rest:
        booked = templates.release(organisation_id=case.attempt.organisation_id, job_id=job_id, rest=rest, at=at)
        await ledger_store.post(case.conn, booked, now=case.now)
    await store.close_hold(case.conn, job_id, now=case.now)
