"""Nominal shares of class reserved: kept from firm work, lent to spot work, and back within the bound of reclaim."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from pricing.model import ServiceClass
from scheduler.core.book.borrowing import Nominal
from scheduler.core.book.guarantees import Footing, Guarantees, Size
from scheduler.core.reasons import Why
from scheduler.core.snapshot import Limits, Plan, Policy, Pool, Preemption
from tests.support.site_checks import Machine, gpus, organisation
from tests.support.sites import Site, Wish, branch_of

RESERVED, STANDARD, SPOT = ServiceClass.RESERVED, ServiceClass.STANDARD, ServiceClass.SPOT
PROTECTED_S, LEFT_S, STEP_S = 60, 30, 10
POLICY = Policy(preemption=Preemption(protected_s=PROTECTED_S, per_organisation=1_000, per_hour=1_000))
GPUS = 8


def a_site(*guaranteed: int) -> Site:
    """Machine m, of which the first organisations have so many GPUs for class reserved."""
    site = Site({"m": Machine(GPUS), "n": Machine(4)}, organisations=(1, 2, 3), policy=POLICY)
    guarantee(site, *guaranteed)
    return site


def guarantee(site: Site, *guaranteed: int) -> None:
    for number, units in enumerate(guaranteed, start=1):
        site.limits[branch_of(number), "m"] = Limits(reserved_units=units)
    site.agree()


def submit(site: Site, service_class: ServiceClass, gpus: int, of: int = 1, **more: int) -> UUID:
    return site.submit(Wish(service_class=service_class, gpus=gpus, organisation=of, **more))  # type: ignore[arg-type]


def held(site: Site, *classes: ServiceClass, of: int | None = None) -> int:
    return sum(
        each.needs.gpus
        for each in site.holding.values()
        if each.backend == "m"
        and each.service_class in classes
        and of in {None, each.organisation_id.int - organisation(0).int}
    )


def why(plan: Plan, job: UUID) -> tuple[Why, dict[str, object]]:
    return next((wait.why, dict(wait.facts)) for wait in plan.waits if wait.attempt_id == job)


def test_what_is_guaranteed_is_kept_from_firm_work_and_lent_to_spot_work() -> None:
    site = a_site(4)
    jobs = [submit(site, STANDARD, 2, of=2) for _ in range(4)]
    plan = site.decide()
    assert held(site, STANDARD) == 4
    assert why(plan, jobs[3])[0] is Why.KEPT_FOR_RESERVED
    assert why(plan, jobs[3])[1] == {"position": 2, "asked": 2, "own": 0}
    for _ in range(3):
        submit(site, SPOT, 2, of=3)
    site.decide()
    assert held(site, SPOT) == 4


def test_class_reserved_has_its_share_and_no_more() -> None:
    site = a_site(4)
    jobs = [submit(site, RESERVED, 2) for _ in range(3)]
    other = submit(site, RESERVED, 1, of=2)
    plan = site.decide()
    assert held(site, RESERVED) == 4
    assert why(plan, jobs[2]) == (Why.RESERVED_SHARE, {"position": 1, "asked": 2, "held": 4, "max": 4})
    assert why(plan, other)[1]["max"] == 0
    submit(site, STANDARD, 4, of=2)
    site.decide()
    assert held(site, STANDARD) == 4  # what is in use is not kept twice


def test_of_a_machine_with_gpus_and_a_qpu_the_gpus_are_shared() -> None:
    site = Site({"m": Machine(GPUS)}, organisations=(1, 2, 3))
    both = replace(gpus(GPUS), qpus=1)
    site.pool = lambda name: Pool(name=name, total=both, free=both)  # type: ignore[method-assign]
    nominal = {organisation(2): Nominal(weight=1, max_borrow_percent=0), organisation(3): Nominal(weight=1)}
    terms = site.terms
    site.terms = lambda: replace(terms(), nominal=nominal)  # type: ignore[method-assign]
    site.restart()
    guarantee(site, 2)
    own = [submit(site, RESERVED, 2) for _ in range(2)]
    others = [submit(site, STANDARD, 4, of=2), submit(site, STANDARD, 1, of=2)]
    plan = site.decide()
    assert site.holding.keys() == {own[0], others[0]}
    assert why(plan, own[1])[1] == {"position": 1, "asked": 2, "held": 2, "max": 2}
    assert why(plan, others[1]) == (Why.BORROW_LIMIT, {"position": 2, "held": 4, "asked": 1, "nominal": 4, "max": 4})


def test_firm_work_on_nodes_that_drain_takes_nothing_from_the_others() -> None:
    site = Site({"m": Machine(2 * GPUS)}, organisations=(1, 2, 3))
    guarantee(site, 2)
    for _ in range(2):
        submit(site, STANDARD, 4, of=2, limit_s=36_000, run_s=36_000)
    site.decide()
    job = submit(site, STANDARD, 6, of=3)
    site.book.pool(drained(0), site.now)
    assert why(site.book.decide(site.now), job)[0] is Why.KEPT_FOR_RESERVED
    site.book.pool(drained(GPUS), site.now)  # nothing else is told
    other = submit(site, STANDARD, 1, of=3)
    plan = site.book.decide(site.now)
    assert [start.attempt_id for start in plan.starts] == [job]
    assert why(plan, other)[0] is Why.KEPT_FOR_RESERVED


def drained(draining: int) -> Pool:
    """Half of it in service, and all of that free."""
    return Pool(name="m", total=gpus(GPUS), free=gpus(GPUS), draining=gpus(draining))


def test_what_drains_is_taken_for_spot_work_first() -> None:
    guarantees = Guarantees([Size(units=8, piece=1)])
    of, other = (organisation(1), 0), (organisation(2), 0)
    guarantees.settle({of: 2})
    guarantees.started(1, other, 4, Footing.FIRM)
    guarantees.drains(0, 4)
    assert guarantees.allows(other, 6, Footing.FIRM)
    guarantees.started(2, other, 3, Footing.SPARE)
    assert guarantees.allows(other, 3, Footing.FIRM)
    assert not guarantees.allows(other, 4, Footing.FIRM)


def test_a_share_is_of_gpus_whatever_comes_with_them() -> None:
    """4 GPUs with half as many cores again as the machine has for each: taken at submission, and started."""
    guarantees = Guarantees([Size(units=64, piece=1)])
    of, other = (organisation(1), 0), (organisation(2), 0)
    guarantees.settle({of: 4})
    assert guarantees.allows(of, 6, Footing.WITHIN, 4)
    guarantees.started(1, of, 6, Footing.WITHIN, 4)
    assert guarantees.refusal(of, 2, Footing.WITHIN, 1) == (Why.RESERVED_SHARE, {"asked": 1, "held": 4, "max": 4})
    assert guarantees.allows(other, 58, Footing.FIRM)
    assert not guarantees.allows(of, 1, Footing.WITHIN)  # cores alone
    guarantees.ended(1)
    assert guarantees.allows(other, 60, Footing.FIRM)
    assert not guarantees.allows(other, 61, Footing.FIRM)


def test_the_book_counts_the_gpus_of_class_reserved() -> None:
    site = a_site(4)
    job = submit(site, RESERVED, 4)
    site.waiting[job] = replace(site.waiting[job], needs=replace(gpus(4), cpus=24))  # of 32, beside 4 of 8 GPUs
    site.book.waits(site.waiting[job], site.now)
    site.decide()
    assert job in site.holding


def test_what_spot_work_holds_is_back_after_its_protected_time_and_grace() -> None:
    site = a_site(4)
    for _ in range(4):
        submit(site, SPOT, 2, of=3, limit_s=36_000, run_s=36_000)
    site.decide()
    job = submit(site, RESERVED, 4)
    since = site.now
    while job in site.waiting:
        site.decide()
        site.wait(STEP_S)
    assert site.now - since <= timedelta(seconds=PROTECTED_S + LEFT_S + 3 * STEP_S)


def test_a_guarantee_that_is_taken_back_holds_nobody_up_any_more() -> None:
    site = a_site(8)
    submit(site, STANDARD, 8, of=2)
    site.decide()
    assert held(site, STANDARD) == 0
    guarantee(site, 0)
    site.decide()
    assert held(site, STANDARD) == 8


def test_a_promise_goes_before_what_has_waited_for_longest() -> None:
    site = a_site(4)
    submit(site, STANDARD, 4, of=2, limit_s=36_000, run_s=36_000)
    submit(site, SPOT, 4, of=2, limit_s=36_000, run_s=36_000)
    site.decide()
    old = [submit(site, STANDARD, 4, of=3) for _ in range(6)]
    site.wait(20_000)
    job = submit(site, RESERVED, 4)
    for _ in range(12):
        site.decide()
        site.wait(STEP_S)
    assert job in site.holding
    assert set(old) <= site.waiting.keys()


WISHES = st.builds(
    Wish,
    organisation=st.integers(1, 3),
    person=st.integers(1, 2),
    gpus=st.sampled_from([1, 1, 2, 4]),
    limit_s=st.sampled_from([60, 300, 4_000]),
    run_s=st.sampled_from([50, 300, 4_000]),
    service_class=st.sampled_from([RESERVED, RESERVED, STANDARD, SPOT, SPOT, ServiceClass.INTERACTIVE]),
)


def checked(site: Site, guaranteed: Sequence[int], plan: Plan) -> None:
    """After a plan was carried out: nobody beyond its share, and what is idle of shares is not in firm hands."""
    within = [held(site, RESERVED, of=number) for number in range(1, 4)]
    shares = [*guaranteed, 0][: len(within)]
    assert all(has <= most for has, most in zip(within, shares, strict=True))
    idle = sum(most - has for has, most in zip(within, shares, strict=True))
    firm = held(site, RESERVED, STANDARD, ServiceClass.INTERACTIVE)
    if any(start.backend == "m" for start in plan.starts):
        assert firm + idle <= GPUS


@given(
    guaranteed=st.tuples(st.integers(0, 4), st.integers(0, 4)),
    rounds=st.lists(st.tuples(st.lists(WISHES, max_size=5), st.sampled_from([10, 10, 40, 300])), max_size=12),
)
@settings(max_examples=50, deadline=None)
def test_guaranteed_work_starts_within_the_bound_of_reclaim(
    guaranteed: tuple[int, int], rounds: Sequence[tuple[Sequence[Wish], int]]
) -> None:
    site, since = a_site(*guaranteed), dict[UUID, datetime]()
    for wishes, seconds in rounds:
        for wish in wishes:
            site.submit(wish)
        for _ in range(seconds // STEP_S):
            checked(site, guaranteed, site.decide())
            _within_bound(site, guaranteed, since)
            site.wait(STEP_S)


def _within_bound(site: Site, guaranteed: Sequence[int], since: dict[UUID, datetime]) -> None:
    """Each, since it has been within its share by what is held: for one after the other room is made."""
    ready = []
    for number, most in enumerate(guaranteed, start=1):
        left = most - held(site, RESERVED, of=number)
        mine = [each for each in site.waiting.values() if each.organisation_id == organisation(number)]
        ready += [each.attempt_id for each in mine if each.service_class is RESERVED and each.needs.gpus <= left]
    for job in list(since):
        if job not in ready:
            del since[job]
    for job in ready:
        at = since.setdefault(job, site.now)
        held_by = [each.sent_at for each in site.holding.values() if each.service_class is RESERVED]
        times = len(ready) + sum(sent_at is not None and sent_at >= at for sent_at in held_by)
        assert site.now - at <= timedelta(seconds=PROTECTED_S + times * (LEFT_S + 2 * STEP_S) + STEP_S)
