"""Holds and settlements as a machine: any story of jobs, with facts late, twice and corrected.

The same machine runs on the pure modules alone (many stories) and on these beside PostgreSQL (fewer stories, every
answer and every balance compared).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import count
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from pricing.model import BillableAttempt, Ending, JobSize, LotKind, Quote, UsageToRate
from pricing.units import micro
from tests.support.books import QPU_VERSION, VERSION, Books, PostgresBooks, PureBooks, TwinBooks
from tests.support.database import fresh_database
from tests.support.market import GPU, NOW, QPU, Market, an_id, gpu_usage, open_market
from tests.support.pictures import JobPicture, Picture
from tests.support.prices import a_hybrid_quote, a_quote

_NUMBERS = count()
YEN = st.integers(1, 2_000 * 1_000_000)
SHARE = st.integers(0, 130)  # percent of the ceiling, or of what is corrected
PICK = st.integers(0, 10**6)


@dataclass
class _Attempt:
    id: UUID
    opened_at: datetime
    offering: str = GPU
    ended: bool = False
    records: list[UsageToRate] = field(default_factory=list)


@dataclass
class _Job:
    quote: Quote
    attempts: list[_Attempt] = field(default_factory=list)


@dataclass(frozen=True)
class Life:
    """What is told of an attempt: its use, its end, and that its accounting is final; in any order, or only a part."""

    steps: tuple[str, ...]
    share: int
    ending: Ending
    again: bool


LIVES = st.builds(
    Life,
    steps=st.builds(
        lambda order, length: tuple(order[:length]), st.permutations(["use", "final", "end"]), st.integers(0, 3)
    ),
    share=SHARE,
    ending=st.sampled_from(Ending),
    again=st.booleans(),
)


class HoldSettle(RuleBasedStateMachine):
    """One organisation. `again` repeats any earlier call word for word, later."""

    def __init__(self) -> None:
        super().__init__()
        self.number = next(_NUMBERS)
        self.now = NOW
        self.jobs: list[_Job] = []
        self.told: list[Callable[[datetime], None]] = []
        self.parked: list[UUID] = []
        self.before: dict[UUID, JobPicture] = {}
        self.keys = count()

    def make_books(self) -> tuple[Books, UUID]:
        organisation = an_id("organisation", self.number)
        return PureBooks(organisation), organisation

    @initialize()
    def open(self) -> None:
        self.books, self.organisation = self.make_books()
        for kind in LotKind:
            self.fund(kind, micro(300), 3)

    def _tell(self, call: Callable[[datetime], None]) -> None:
        self.told.append(call)
        call(self.now)

    def _key(self) -> str:
        return f"{self.number}/{next(self.keys)}"

    # --- the wallet ---

    @rule(kind=st.sampled_from(LotKind), amount=YEN, days=st.integers(1, 20))
    def fund(self, kind: LotKind, amount: int, days: int) -> None:
        key, expires_at = self._key(), self.now + timedelta(days=days)
        match kind:
            case LotKind.GRANT:
                self._tell(lambda now: self.books.grant(key, amount, expires_at, now))
            case LotKind.PREPAID:
                self._tell(lambda now: self.books.pay_in(key, amount, now))
            case LotKind.CREDIT:
                self._tell(lambda now: self.books.give_credit(key, amount, now))

    @rule(hours=st.integers(0, 60), expire=st.booleans())
    def time_passes(self, hours: int, expire: bool) -> None:  # noqa: FBT001  hypothesis hands it over by name
        self.now += timedelta(hours=hours)
        if expire:
            self.books.expire(self.now)

    # --- jobs ---

    @rule(gpus=st.integers(1, 2), walltime_s=st.integers(300, 1_800), runs=st.integers(1, 3), life=LIVES)
    def submit(self, gpus: int, walltime_s: int, runs: int, life: Life) -> None:
        key, size = self._key(), JobSize(gpus=gpus, walltime_s=walltime_s, runs=runs)
        self._submit(a_quote(key, size=size, version=VERSION, now=self.now), life)

    @rule(gpus=st.integers(1, 2), walltime_s=st.integers(300, 1_800), shots=st.integers(1, 9_000), life=LIVES)
    def submit_hybrid(self, gpus: int, walltime_s: int, shots: int, life: Life) -> None:
        """A job with two offerings: its attempts are of one and the other in turn, under one hold."""
        sizes = (JobSize(gpus=gpus, walltime_s=walltime_s), JobSize(shots=shots, walltime_s=60))
        parts = list(zip((VERSION, QPU_VERSION), sizes, strict=True))
        self._submit(a_hybrid_quote(self._key(), parts, now=self.now), life)

    def _submit(self, told: Quote, life: Life) -> None:
        quote = replace(told, organisation_id=self.organisation)
        if self.books.submit(quote, self.now):
            self.told.append(lambda now: self._must_admit(quote, now))
            self.jobs.append(_Job(quote))
            self._open_attempt(self.jobs[-1])
            self._live(self.jobs[-1], life)

    def _must_admit(self, quote: Quote, now: datetime) -> None:
        assert self.books.submit(quote, now)

    def _open_attempt(self, job: _Job) -> None:
        offering = QPU if job.quote.phases and len(job.attempts) % 2 else GPU
        attempt = _Attempt(an_id("attempt", job.quote.job_id, len(job.attempts)), self.now, offering)
        job.attempts.append(attempt)
        self.books.open_attempt(
            BillableAttempt(
                attempt_id=attempt.id,
                job_id=job.quote.job_id,
                organisation_id=self.organisation,
                project_id=an_id("project"),
                person_id=an_id("person"),
                offering_id=offering,
                phase=str(len(job.attempts) % 2) if job.quote.phases else "main",
                opened_at=self.now,
            )
        )

    def _attempts(self, *, ended: bool | None = None, used: bool | None = None) -> list[_Attempt]:
        return [
            attempt
            for job in self.jobs
            for attempt in job.attempts
            if ended in (None, attempt.ended) and used in (None, bool(attempt.records))
        ]

    @precondition(lambda self: self._attempts(ended=False))
    @rule(pick=PICK, life=LIVES)
    def run(self, pick: int, life: Life) -> None:
        running = [job for job in self.jobs if not job.attempts[-1].ended]
        self._live(running[pick % len(running)], life)

    def _live(self, job: _Job, life: Life) -> None:
        attempt = job.attempts[-1]
        for step in life.steps:
            match step:
                case "use":
                    self._use(job, attempt, life.share, final=False)
                case "final":
                    self._tell(lambda now: self.books.use(attempt.id, [], now, final=True))
                case _:
                    self._end(job, life.ending, again=life.again)

    def _end(self, job: _Job, ending: Ending, *, again: bool) -> None:
        attempt, ended_at = job.attempts[-1], self.now
        attempt.ended = True
        self._tell(lambda now: self.books.close(attempt.id, ending, ended_at, now, last=not again))
        if again:
            self._open_attempt(job)

    @precondition(lambda self: self.jobs)
    @rule(pick=PICK, share=SHARE, final=st.booleans())
    def use(self, pick: int, share: int, final: bool) -> None:  # noqa: FBT001  as above
        job = self.jobs[pick % len(self.jobs)]
        self._use(job, job.attempts[pick % len(job.attempts)], share, final=final)

    def _use(self, job: _Job, attempt: _Attempt, share: int, *, final: bool) -> None:
        component = "gpu_s" if attempt.offering == GPU else "qpu_s"
        most = next(line.quantity for line in job.quote.lines if line.component == component)
        seconds, opened_at = int(most) * share // 100, attempt.opened_at
        usage = gpu_usage(self._key(), seconds, component=component, started_at=opened_at, ended_at=self.now)
        attempt.records.append(usage)
        self._tell(lambda now: self.books.use(attempt.id, [usage], now, final=final))

    @precondition(lambda self: self._attempts(used=True))
    @rule(pick=PICK, share=SHARE)
    def correct(self, pick: int, share: int) -> None:
        attempt = self._attempts(used=True)[pick % len(self._attempts(used=True))]
        wrong = attempt.records.pop(pick % len(attempt.records))
        seconds = int(wrong.quantity) * share // 100
        right = replace(
            gpu_usage(
                self._key(),
                seconds,
                component="gpu_s" if attempt.offering == GPU else "qpu_s",
                started_at=wrong.started_at,
                ended_at=wrong.ended_at,
            ),
            supersedes=wrong.usage_record_id,
        )
        attempt.records.append(right)
        self._tell(lambda now: self.books.use(attempt.id, [right], now, final=True))

    @precondition(lambda self: self._charged())
    @rule(pick=PICK, percent=st.integers(1, 100))
    def give_back(self, pick: int, percent: int) -> None:
        """A part of what a job is charged, or all of it."""
        charged = self._charged()
        job_id, amount = charged[pick % len(charged)]
        key, part = self._key(), -(-amount * percent // 100)
        self._tell(lambda now: self.books.refund(key, job_id, part, now))

    def _charged(self) -> list[tuple[UUID, int]]:
        return [(job_id, job.charged_micro_yen) for job_id, job in self.before.items() if job.charged_micro_yen]

    @precondition(lambda self: self._attempts())
    @rule(pick=PICK, waive=st.booleans())
    def use_what_has_no_price(self, pick: int, waive: bool) -> None:  # noqa: FBT001  as above
        if waive and self.parked:
            record = self.parked.pop()
            self._tell(lambda now: self.books.waive(record, now))
        elif not waive:
            attempt = self._attempts()[pick % len(self._attempts())]
            strange = "qpu_s" if attempt.offering == GPU else "gpu_s"
            usage = gpu_usage(self._key(), 5, component=strange, started_at=attempt.opened_at, ended_at=self.now)
            self.parked.append(usage.usage_record_id)
            attempt.records.append(usage)
            self._tell(lambda now: self.books.use(attempt.id, [usage], now, final=False))

    @precondition(lambda self: self.told)
    @rule(pick=PICK)
    def again(self, pick: int) -> None:
        """Whatever was told is told once more: nothing may change."""
        before = self.books.picture()
        self.told[pick % len(self.told)](self.now)
        self._same_but_for_expiry(before, self.books.picture())

    def _same_but_for_expiry(self, before: Picture, after: Picture) -> None:
        assert after.jobs == before.jobs
        kept = {key: amount for key, amount in after.house.items() if key != "expired"}
        assert kept == {key: amount for key, amount in before.house.items() if key != "expired"}

    # --- what always holds ---

    @invariant()
    def holds_at_every_moment(self) -> None:
        picture = self.books.picture()
        assert sum(picture.customer.values()) + sum(picture.house.values()) == 0
        assert all(amount > 0 for (bucket, _), amount in picture.customer.items() if bucket != "owed")
        self._held_is_open_holds(picture)
        self._house_has_earned_what_was_charged(picture)
        for job in self.jobs:
            self._job_is_fair(job.quote, picture.jobs[job.quote.job_id])
        self.before = dict(picture.jobs)

    def _held_is_open_holds(self, picture: Picture) -> None:
        held = sum(amount for (bucket, _), amount in picture.customer.items() if bucket == "held")
        assert held == sum(job.held_micro_yen for job in picture.jobs.values() if job.hold_open)
        assert all(job.held_micro_yen == 0 for job in picture.jobs.values() if not job.hold_open)

    def _house_has_earned_what_was_charged(self, picture: Picture) -> None:
        overrun = sum(job.overrun_micro_yen for job in picture.jobs.values())
        assert picture.house.get("overrun", 0) == -overrun
        charged = sum(job.charged_micro_yen for job in picture.jobs.values())
        assert picture.house.get("earned", 0) == charged + overrun

    def _job_is_fair(self, quote: Quote, job: JobPicture) -> None:
        assert 0 <= job.charged_micro_yen <= quote.ceiling_micro_yen
        before = self.before.get(quote.job_id)
        if before and not before.hold_open:
            assert not job.hold_open
            assert job.charged_micro_yen <= before.charged_micro_yen


TestHoldSettle = HoldSettle.TestCase
TestHoldSettle.settings = settings(max_examples=80, stateful_step_count=50)


@pytest.mark.long
@pytest.mark.timeout(1_800)
def test_many_long_stories() -> None:
    run_state_machine_as_test(HoldSettle, settings=settings(max_examples=2_000, stateful_step_count=100))


@contextmanager
def _a_market() -> Iterator[tuple[Market, asyncio.Runner]]:
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        database = runner.run(stack.enter_async_context(fresh_database()))
        try:
            yield runner.run(open_market(database)), runner
        finally:
            runner.run(stack.aclose())


@pytest.mark.postgres
@pytest.mark.parametrize("stories", [20, pytest.param(300, marks=[pytest.mark.long, pytest.mark.timeout(1_800)])])
def test_postgres_tells_the_same_story_as_the_pure_modules(stories: int) -> None:
    with _a_market() as (market, runner):

        class OnPostgres(HoldSettle):
            def make_books(self) -> tuple[Books, UUID]:
                organisation = runner.run(market.add_organisation(f"org-{self.number}"))
                own = replace(market, organisation=organisation)
                return TwinBooks(PureBooks(organisation), PostgresBooks(own, runner)), organisation

        run_state_machine_as_test(
            OnPostgres,
            settings=settings(
                max_examples=stories,
                stateful_step_count=30,
                deadline=None,
                phases=[Phase.explicit, Phase.reuse, Phase.generate],  # shrinking on a database takes minutes
                suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
            ),
        )


# --- the order of arrival ---

Delivery = Callable[[Books], None]
LATER = NOW + timedelta(days=2)


@st.composite
def _stories(draw: st.DrawFn) -> tuple[Quote, list[tuple[UUID, list[Delivery], Delivery, Delivery]]]:
    """A job of up to three attempts: for each its usage (with corrections), its end, and the word that it is final."""
    size = JobSize(gpus=1, walltime_s=draw(st.integers(1, 5_000)))
    quote = a_quote("story", size=size, version=VERSION)
    count_ = draw(st.integers(1, 3))
    attempts = []
    for ordinal in range(count_):
        attempt = an_id("attempt", "story", ordinal)
        endings = st.sampled_from([Ending.PREEMPTED, Ending.LOST] if ordinal + 1 < count_ else list(Ending))
        ending = draw(st.one_of(endings, st.just(Ending.FAILED)))
        attempts.append(
            (attempt, _usage_of(draw, attempt), _end_of(attempt, ending, last=ordinal + 1 == count_), _final(attempt))
        )
    return quote, attempts


def _usage_of(draw: st.DrawFn, attempt: UUID) -> list[Delivery]:
    told: list[Delivery] = []
    for chain in range(draw(st.integers(0, 2))):
        wrong = None
        for revision in range(draw(st.integers(1, 3))):
            usage = gpu_usage((attempt, chain, revision), draw(st.integers(0, 4_000)), supersedes=wrong)
            wrong = (attempt, chain, revision)
            told.append(lambda books, usage=usage: books.use(attempt, [usage], LATER, final=False))
    return told


def _end_of(attempt: UUID, ending: Ending, *, last: bool) -> Delivery:
    return lambda books: books.close(attempt, ending, NOW + timedelta(hours=1), LATER, last=last)


def _final(attempt: UUID) -> Delivery:
    return lambda books: books.use(attempt, [], LATER, final=True)


def _picture_after(quote: Quote, attempts: list[UUID], deliveries: list[Delivery]) -> Picture:
    books = PureBooks(quote.organisation_id)
    books.grant("grant", micro(30), NOW + timedelta(days=1), NOW)
    books.pay_in("payment", micro(50), NOW)
    books.give_credit("credit", micro(1_000), NOW)
    assert books.submit(quote, NOW)
    for ordinal, attempt in enumerate(attempts):
        books.open_attempt(
            BillableAttempt(
                attempt_id=attempt,
                job_id=quote.job_id,
                organisation_id=quote.organisation_id,
                project_id=an_id("project"),
                person_id=an_id("person"),
                offering_id=GPU,
                opened_at=NOW + timedelta(seconds=ordinal),
            )
        )
    for deliver in deliveries:
        deliver(books)
    return books.picture()


@given(_stories(), st.data())
def test_the_order_of_arrival_and_repetition_do_not_change_the_books(
    story: tuple[Quote, list[tuple[UUID, list[Delivery], Delivery, Delivery]]], data: st.DataObject
) -> None:
    """Whatever the order between ends and usage, and between attempts; an accounting that is final is complete."""
    quote, told = story
    attempts = [attempt for attempt, *_ in told]
    in_order = [step for _, usage, end, final in told for step in (*usage, end, final)]
    lanes = [[end, *data.draw(st.permutations(usage)), final] for _, usage, end, final in told]
    shuffled: list[Delivery] = []
    while any(lanes):
        lane = data.draw(st.sampled_from([lane for lane in lanes if lane]))
        at = data.draw(st.integers(0, len(lane) - 2)) if len(lane) > 1 else 0  # the final word comes last
        shuffled.append(lane.pop(at))
        if data.draw(st.booleans()):
            shuffled.append(data.draw(st.sampled_from(shuffled)))
    ends_late = [end for _, _, end, _ in told]
    expected = _picture_after(quote, attempts, in_order)
    assert _picture_after(quote, attempts, shuffled) == expected
    without_ends = [step for step in in_order if step not in ends_late]
    assert _picture_after(quote, attempts, [*without_ends, *reversed(ends_late)]) == expected
    job = expected.jobs[quote.job_id]
    assert not job.hold_open
    assert job.charged_micro_yen <= quote.ceiling_micro_yen
