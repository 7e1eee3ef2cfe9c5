"""The books of one organisation, twice: in memory from the pure modules, and in PostgreSQL through the service.

Both take the same calls and draw the same picture, so that a stateful test can run either, or both side by side.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol, TypeVar
from uuid import UUID

from pricing import charging, prepaid, service
from pricing.charging import JobFacts, Key, Line, Outcome, Rest
from pricing.errors import InsufficientFunds
from pricing.ledger import balances, templates
from pricing.ledger.balances import LotBalance, Part
from pricing.ledger.entries import Account, Bucket, Transaction
from pricing.ledger.templates import ChargeMove
from pricing.model import BillableAttempt, Cause, Ending, LotKind, Quote, UsageToRate
from pricing.refunds import Refund
from pricing.service.settlement import book_refund
from tests.support.market import GPU, QPU, QPU_OFFERING, QPU_PRICES, Market, an_id, gpu_price
from tests.support.pictures import JobPicture, Picture, picture_in
from tests.support.prices import a_version

VERSION = a_version(prices=[gpu_price("330")])
QPU_VERSION = a_version(QPU_OFFERING, QPU_PRICES)
VERSIONS = {GPU: VERSION, QPU: QPU_VERSION}
T = TypeVar("T")


class Books(Protocol):
    def grant(self, key: object, amount: int, expires_at: datetime, now: datetime) -> None: ...
    def pay_in(self, key: object, amount: int, now: datetime) -> None: ...
    def give_credit(self, key: object, amount: int, now: datetime) -> None: ...
    def submit(self, quote: Quote, now: datetime) -> bool: ...
    def open_attempt(self, attempt: BillableAttempt) -> None: ...
    def close(self, attempt_id: UUID, ending: Ending, ended_at: datetime, now: datetime, *, last: bool) -> None: ...
    def use(self, attempt_id: UUID, usages: Sequence[UsageToRate], now: datetime, *, final: bool) -> None: ...
    def waive(self, usage_record_id: UUID, now: datetime) -> None: ...
    def refund(self, key: object, job_id: UUID, amount: int, now: datetime) -> None: ...
    def expire(self, now: datetime) -> None: ...
    def picture(self) -> Picture: ...


@dataclass
class _Job:
    quote: Quote
    parts: Sequence[Part]
    attempts: dict[UUID, BillableAttempt] = field(default_factory=dict)
    usages: dict[UUID, dict[UUID, UsageToRate]] = field(default_factory=dict)
    parked: dict[UUID, UUID] = field(default_factory=dict)
    live: dict[Key, Line] = field(default_factory=dict)
    refunds: dict[UUID, int] = field(default_factory=dict)
    hold_open: bool = True

    def prices(self, attempt_id: UUID, usage: UsageToRate) -> bool:
        """Whether the version of the attempt's offering has a price for it."""
        return VERSIONS[self.attempts[attempt_id].offering_id].component(usage.component) is not None

    def facts(self) -> JobFacts:
        replaced = {usage.supersedes for of_one in self.usages.values() for usage in of_one.values()}
        return JobFacts(
            versions=VERSIONS,
            ceiling_micro_yen=self.quote.ceiling_micro_yen,
            hold_open=self.hold_open,
            attempts=list(self.attempts.values()),
            usages={
                attempt: [
                    usage
                    for usage in of_one.values()
                    if usage.usage_record_id not in replaced and self.prices(attempt, usage)
                ]
                for attempt, of_one in self.usages.items()
            },
            parked=frozenset(attempt for record, attempt in self.parked.items() if record not in replaced),
            booked=dict(self.live),
            refunds_micro_yen=sum(self.refunds.values()),
        )


def _require_the_same_of_one(job: _Job, attempt_id: UUID, expected: Outcome) -> None:
    """What the store does where it may: one attempt, and what its job's others come to. It must book the very same."""
    everything = job.facts()
    others = [line for line in everything.booked.values() if line.attempt_id != attempt_id]
    rest = Rest(
        charged_micro_yen=sum(line.charged_micro_yen for line in others),
        is_at_our_cost=any(line.house_micro_yen for line in others),
        is_settled=all(each.settled_at for each in everything.attempts if each.attempt_id != attempt_id),
        has_last=any(each.last for each in everything.attempts if each.attempt_id != attempt_id),
    )
    of_one = replace(
        everything,
        attempts=[job.attempts[attempt_id]],
        usages={attempt_id: everything.usages.get(attempt_id, ())},
        parked=everything.parked & {attempt_id},
        booked={key: line for key, line in everything.booked.items() if line.attempt_id == attempt_id},
        rest=rest,
    )
    if charging.leaves_the_rest(of_one):
        got = charging.outcome(of_one)
        assert replace(got, lines=()) == replace(expected, lines=())
        assert Counter(map(repr, got.lines)) == Counter(map(repr, expected.lines))


class PureBooks:
    """The pure modules, and dictionaries where the store would be."""

    def __init__(self, organisation: UUID) -> None:
        self.organisation = organisation
        self.lots: dict[UUID, LotBalance] = {}
        self.transactions: dict[UUID, Transaction] = {}
        self.balance: Counter[Account] = Counter()
        self.jobs: dict[UUID, _Job] = {}
        self.waived: set[UUID] = set()

    def grant(self, key: object, amount: int, expires_at: datetime, now: datetime) -> None:
        self._lot(an_id(key), LotKind.GRANT, expires_at)
        self._post(
            templates.issue_grant(organisation_id=self.organisation, lot_id=an_id(key), amount_micro_yen=amount, at=now)
        )

    def pay_in(self, key: object, amount: int, now: datetime) -> None:
        lot = templates.transaction_id("lot", self.organisation, LotKind.PREPAID, an_id(key))
        self._lot(lot, LotKind.PREPAID, prepaid.expiry(now))
        self._post(
            templates.receive_payment(
                organisation_id=self.organisation,
                lot_id=lot,
                payment_id=an_id(key),
                amount_micro_yen=amount,
                at=now,
            )
        )

    def give_credit(self, key: object, amount: int, now: datetime) -> None:
        lot = templates.transaction_id("lot", self.organisation, LotKind.CREDIT)
        self._lot(lot, LotKind.CREDIT, None)
        self._post(
            templates.open_credit_line(
                organisation_id=self.organisation,
                lot_id=lot,
                credit_id=an_id(key),
                amount_micro_yen=amount,
                at=now,
            )
        )

    def submit(self, quote: Quote, now: datetime) -> bool:
        if quote.job_id in self.jobs:
            return True
        claim = balances.claim(
            self._lots(), ceiling_micro_yen=quote.ceiling_micro_yen, tax_rate_bp=quote.tax_rate_bp, now=now
        )
        if not claim.suffices:
            return False
        self.jobs[quote.job_id] = _Job(quote, claim.parts)
        self._post(templates.hold(organisation_id=self.organisation, job_id=quote.job_id, parts=claim.parts, at=now))
        return True

    def open_attempt(self, attempt: BillableAttempt) -> None:
        self.jobs[attempt.job_id].attempts.setdefault(attempt.attempt_id, attempt)

    def close(self, attempt_id: UUID, ending: Ending, ended_at: datetime, now: datetime, *, last: bool) -> None:
        job = self._job_of(attempt_id)
        if job.attempts[attempt_id].ending is None:
            self._change(job, attempt_id, ending=ending, closed_at=ended_at, last=last)
        self._balance_books(job, attempt_id, now)

    def use(self, attempt_id: UUID, usages: Sequence[UsageToRate], now: datetime, *, final: bool) -> None:
        job = self._job_of(attempt_id)
        for usage in usages:
            job.usages.setdefault(attempt_id, {}).setdefault(usage.usage_record_id, usage)
            if not job.prices(attempt_id, usage) and usage.usage_record_id not in self.waived:
                job.parked[usage.usage_record_id] = attempt_id
        if final and job.attempts[attempt_id].accounting_final_at is None:
            self._change(job, attempt_id, accounting_final_at=now)
        self._balance_books(job, attempt_id, now)

    def waive(self, usage_record_id: UUID, now: datetime) -> None:
        self.waived.add(usage_record_id)
        for job in self.jobs.values():
            attempt_id = job.parked.pop(usage_record_id, None)
            if attempt_id is not None:
                self._balance_books(job, attempt_id, now)

    def refund(self, key: object, job_id: UUID, amount: int, now: datetime) -> None:
        job = self.jobs[job_id]
        if an_id(key) not in job.refunds:
            job.refunds[an_id(key)] = amount
            self._balance_books(job, list(job.attempts)[-1], now)

    def expire(self, now: datetime) -> None:
        for lot in self._lots():
            if lot.is_expired(now) and lot.available_micro_yen:
                before = [each for each in self.transactions.values() if each.template == "expire"]
                ordinal = sum(entry.account.lot_id == lot.lot_id for each in before for entry in each.entries)
                self._post(
                    templates.expire(
                        organisation_id=self.organisation,
                        lot_id=lot.lot_id,
                        ordinal=ordinal,
                        amount_micro_yen=lot.available_micro_yen,
                        at=now,
                    )
                )

    def picture(self) -> Picture:
        held: Counter[UUID] = Counter()
        for each in self.transactions.values():
            for entry in each.entries:
                if entry.account.bucket is Bucket.HELD and each.job_id is not None:
                    held[each.job_id] += entry.amount_micro_yen
        return Picture(
            customer={
                (account.bucket.value, account.lot_id): amount
                for account, amount in self.balance.items()
                if account.organisation_id and amount
            },
            house={
                account.bucket.value: amount
                for account, amount in self.balance.items()
                if not account.organisation_id and amount
            },
            jobs={job_id: _picture_of(job, held[job_id]) for job_id, job in self.jobs.items()},
        )

    def _balance_books(self, job: _Job, attempt_id: UUID, now: datetime) -> None:
        outcome = charging.outcome(job.facts())
        _require_the_same_of_one(job, attempt_id, outcome)
        for line in outcome.lines:
            if job.live.pop(line.key, None) is None:
                job.live[line.key] = line
        before, after = (
            balances.draw(job.parts, net_micro_yen=net, tax_rate_bp=job.quote.tax_rate_bp)
            for net in (outcome.charged_before_micro_yen, outcome.charged_after_micro_yen)
        )
        if before != after or outcome.overrun_micro_yen:
            move = ChargeMove(
                organisation_id=self.organisation,
                job_id=job.quote.job_id,
                attempt_id=attempt_id,
                revision=len(self.transactions),
                before=before,
                after=after,
                overrun_micro_yen=outcome.overrun_micro_yen,
                at=now,
            )
            self._post(templates.settle(move) if job.hold_open else templates.refund(move))
        if outcome.releases:
            rest = balances.remainder(job.parts, after)
            if rest:
                self._post(
                    templates.release(organisation_id=self.organisation, job_id=job.quote.job_id, rest=rest, at=now)
                )
            job.hold_open = False
        for settled in outcome.settled:
            self._change(job, settled, settled_at=now)
        if any(part.expires_at is not None and part.expires_at <= now for part in job.parts):
            self.expire(now)

    def _post(self, new: Transaction) -> None:
        if new.id in self.transactions:
            assert self.transactions[new.id].entries == new.entries, "LedgerConflict"
            return
        self.transactions[new.id] = new
        for entry in new.entries:
            self.balance[entry.account] += entry.amount_micro_yen
            if entry.account.lot_id is not None:
                assert self.balance[entry.account] >= 0, f"overdraft of {entry.account} by {new.template}"

    def _lots(self) -> list[LotBalance]:
        return [
            replace(
                lot,
                available_micro_yen=self.balance[Account(Bucket.AVAILABLE, self.organisation, lot.lot_id)],
                held_micro_yen=self.balance[Account(Bucket.HELD, self.organisation, lot.lot_id)],
            )
            for lot in self.lots.values()
        ]

    def _lot(self, lot_id: UUID, kind: LotKind, expires_at: datetime | None) -> None:
        empty = LotBalance(lot_id=lot_id, kind=kind, expires_at=expires_at, available_micro_yen=0)
        self.lots.setdefault(lot_id, empty)

    def _job_of(self, attempt_id: UUID) -> _Job:
        return next(job for job in self.jobs.values() if attempt_id in job.attempts)

    def _change(self, job: _Job, attempt_id: UUID, **facts: object) -> None:
        job.attempts[attempt_id] = replace(job.attempts[attempt_id], **facts)


def _picture_of(job: _Job, held: int) -> JobPicture:
    return JobPicture(
        charged_micro_yen=sum(line.charged_micro_yen for line in job.live.values()),
        overrun_micro_yen=sum(line.house_micro_yen for line in job.live.values()),
        held_micro_yen=held,
        hold_open=job.hold_open,
        settled=frozenset(each.attempt_id for each in job.attempts.values() if each.settled_at),
    )


class PostgresBooks:
    """The service on PostgreSQL, each call as the role that makes it in production."""

    def __init__(self, market: Market, runner: asyncio.Runner) -> None:
        self.market = market
        self.runner = runner

    def grant(self, key: object, amount: int, expires_at: datetime, now: datetime) -> None:
        self._as_operator(
            lambda conn: service.issue_grant(
                conn,
                grant_id=an_id(key),
                organisation_id=self.market.organisation,
                amount_micro_yen=amount,
                expires_at=expires_at,
                reason="test",
                actor=None,
                now=now,
            )
        )

    def pay_in(self, key: object, amount: int, now: datetime) -> None:
        self._as_operator(
            lambda conn: service.receive_payment(
                conn,
                payment_id=an_id(key),
                organisation_id=self.market.organisation,
                amount_micro_yen=amount,
                reason="test",
                actor=None,
                now=now,
            )
        )

    def give_credit(self, key: object, amount: int, now: datetime) -> None:
        self._as_operator(
            lambda conn: service.open_credit_line(
                conn,
                credit_id=an_id(key),
                organisation_id=self.market.organisation,
                amount_micro_yen=amount,
                reason="test",
                actor=None,
                now=now,
            )
        )

    def submit(self, quote: Quote, now: datetime) -> bool:
        async def place() -> bool:
            try:
                async with self.market.as_tenant() as conn:
                    await service.place_hold(conn, quote=quote, now=now)
            except InsufficientFunds:
                return False
            return True

        return self._run(place())

    def open_attempt(self, attempt: BillableAttempt) -> None:
        self._as_worker(
            lambda conn: service.open_attempt(
                conn,
                attempt_id=attempt.attempt_id,
                job_id=attempt.job_id,
                organisation_id=attempt.organisation_id,
                project_id=attempt.project_id,
                person_id=attempt.person_id,
                offering_id=attempt.offering_id,
                phase=attempt.phase,
                now=attempt.opened_at,
            )
        )

    def close(self, attempt_id: UUID, ending: Ending, ended_at: datetime, now: datetime, *, last: bool) -> None:
        self._as_worker(
            lambda conn: service.close_attempt(
                conn, attempt_id=attempt_id, ending=ending, ended_at=ended_at, last=last, now=now
            )
        )

    def use(self, attempt_id: UUID, usages: Sequence[UsageToRate], now: datetime, *, final: bool) -> None:
        self._as_worker(lambda conn: service.record_usage(conn, usages, attempt_id=attempt_id, final=final, now=now))

    def waive(self, usage_record_id: UUID, now: datetime) -> None:
        self._as_worker(lambda conn: service.waive_parked(conn, usage_record_id=usage_record_id, now=now))

    def refund(self, key: object, job_id: UUID, amount: int, now: datetime) -> None:
        decided = Refund(
            id=an_id(key),
            organisation_id=self.market.organisation,
            job_id=job_id,
            cause=Cause.OUR_FAULT,
            amount_micro_yen=amount,
            reason="test",
            decided_by=self.market.person,
            approved_by=None,
            decided_at=now,
        )
        self._as_operator(lambda conn: book_refund(conn, decided))

    def expire(self, now: datetime) -> None:
        self._as_worker(lambda conn: service.expire_lots(conn, organisation_id=self.market.organisation, now=now))

    def picture(self) -> Picture:
        return self._run(picture_in(self.market))

    def _as_operator(self, call) -> None:
        self._run(_within(self.market.as_operator(), call))

    def _as_worker(self, call) -> None:
        self._run(_within(self.market.as_worker(), call))

    def _run(self, coroutine: Coroutine[object, object, T]) -> T:
        return self.runner.run(coroutine)


async def _within(context, call) -> None:
    async with context as conn:
        await call(conn)


class TwinBooks:
    """Two implementations side by side: every answer and every picture must agree."""

    def __init__(self, one: Books, other: Books) -> None:
        self.both = (one, other)

    def submit(self, quote: Quote, now: datetime) -> bool:
        one, other = (books.submit(quote, now) for books in self.both)
        assert one == other, "one admits what the other refuses"
        return one

    def picture(self) -> Picture:
        one, other = (books.picture() for books in self.both)
        assert one == other
        return one

    def __getattr__(self, name: str):
        def on_both(*arguments: object, **options: object) -> None:
            for books in self.both:
                getattr(books, name)(*arguments, **options)

        return on_both
