"""What is told to start a waiting job does start it: each answer is put to the test in the very state that it is of."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from pricing.model import ServiceClass
from scheduler.core.book.asked import Asked
from scheduler.core.reasons import WOULD
from scheduler.core.snapshot import Limits, Waiting
from tests.support.site_checks import Machine, gpus
from tests.support.sites import MICRO, Site, Wish, branch_of
from tests.unit.scheduler import test_book

RESERVED = ServiceClass.RESERVED
WISHES = test_book.WISHES | st.builds(
    Wish, gpus=st.sampled_from([1, 2, 4]), limit_s=st.sampled_from([300, 900]), service_class=st.just(RESERVED)
)
MACHINES = {"m": Machine(8), "n": Machine(4)}
LIMITS = st.builds(
    Limits,
    max_running_jobs=st.sampled_from([None, 2]),
    max_gpus=st.sampled_from([None, 2, 6]),
    max_month_micro_nu=st.sampled_from([None, None, 2 * MICRO]),
)
ROUNDS = st.lists(st.tuples(st.lists(WISHES, max_size=6), st.sampled_from([0, 30, 400, 5_000])), min_size=1, max_size=4)


def settled(site: Site) -> None:
    """Nothing more can start."""
    while site.decide().starts:
        pass


def starts(site: Site, number: int, other: Waiting) -> bool:
    """If this one is submitted now instead; and if the one that waits became it. In worlds of their own."""
    anew = copy.deepcopy(site)
    anew.book.gone(UUID(int=number), anew.now, seq=number)
    new = replace(other, attempt_id=UUID(int=9_999), seq=9_999, submitted_at=anew.now)
    anew.book.waits(new, anew.now)
    changed = copy.deepcopy(site)
    changed.book.waits(other, changed.now)
    of_new = {start.attempt_id for start in anew.book.decide(anew.now).starts}
    of_changed = {start.attempt_id for start in changed.book.decide(changed.now).starts}
    return new.attempt_id in of_new and other.attempt_id in of_changed


def scaled(job: Waiting, **to: int) -> Waiting:
    """With its normalised units."""
    count, limit_s = to.get("gpus", job.needs.gpus), to.get("limit_s", job.walltime_s)
    needs = job.needs if count == job.needs.gpus else gpus(count)
    return replace(job, needs=needs, walltime_s=limit_s, micro_nu=needs.gpus * limit_s * MICRO // 3600)


def true(site: Site, job: Waiting) -> None:
    would = site.book.would(job.seq)
    for name in would.keys() & {"gpus", "limit_s"}:
        value = would[name]
        assert isinstance(value, int)
        assert 0 < value < (job.needs.gpus if name == "gpus" else job.walltime_s)
        assert starts(site, job.seq, scaled(job, **{name: value})), (name, value, job)
    backends = would.get("backends", [])
    assert isinstance(backends, list)
    for backend in backends:
        assert starts(site, job.seq, replace(job, backend=backend)), (backend, job)


def waiting(site: Site, **wish: object) -> dict[str, object]:
    """What would start it, once nothing more can start."""
    number = site.submit(Wish(**wish)).int  # type: ignore[arg-type]
    settled(site)
    assert site.waiting[UUID(int=number)].needs.gpus == wish["gpus"]
    return dict(site.book.would(number))


def at(site: Site, seconds: int) -> str:
    return (site.now + timedelta(seconds=seconds)).isoformat()


def test_so_many_gpus_are_told_as_are_free_and_where_as_many_are() -> None:
    site = Site({"m": Machine(8), "n": Machine(4)})
    site.submit(Wish(gpus=6, limit_s=900))
    settled(site)
    assert waiting(site, gpus=4) == {"gpus": 2, "backends": ["n"]}
    assert waiting(site, gpus=8) == {"gpus": 2}  # `n` is smaller than that, and four of it would do


def test_nobody_is_told_what_would_be_in_the_way_of_the_first_in_line() -> None:
    site = Site({"m": Machine(8)})
    site.submit(Wish(gpus=6, limit_s=900))
    settled(site)
    assert waiting(site, gpus=8, organisation=2) == {"gpus": 2}
    assert waiting(site, gpus=4, limit_s=600) == {"gpus": 2}
    assert waiting(site, gpus=4, limit_s=1800) == {}
    assert waiting(site, gpus=2, limit_s=1800) == {"limit_s": 780, "ends_by": at(site, 899)}


def test_the_limit_is_told_that_ends_before_a_reservation() -> None:
    site = Site({"m": Machine(8)})
    site.book_time(backend="m", size=6, in_s=1000, for_s=600)
    would = waiting(site, gpus=4, limit_s=1800)
    assert would == {"gpus": 2, "limit_s": 900, "ends_by": at(site, 1000)}


def test_what_a_limit_leaves_is_told() -> None:
    site = Site({"m": Machine(8)})
    site.limits[branch_of(1), None] = Limits(max_gpus=4)
    site.agree()
    site.submit(Wish(gpus=1))
    settled(site)
    assert waiting(site, gpus=4) == {"gpus": 3}


def test_nothing_is_told_where_the_machine_is_away() -> None:
    assert waiting(Site({"m": Machine(8, online=False)}), gpus=4) == {}


@given(
    rounds=ROUNDS,
    limits=st.none() | LIMITS,
    reserved=st.sampled_from([None, None, 3, 5]),
    booked=st.none() | st.tuples(st.integers(2, 6), st.sampled_from([200, 800])),
)
@settings(max_examples=60, deadline=None)
def test_what_is_told_to_start_a_job_starts_it(
    rounds: Sequence[tuple[Sequence[Wish], int]],
    limits: Limits | None,
    reserved: int | None,
    booked: tuple[int, int] | None,
) -> None:
    site = Site({name: replace(machine) for name, machine in MACHINES.items()})
    if limits is not None:
        site.limits[branch_of(1), None] = limits
        site.agree()
    if reserved is not None:
        site.limits[branch_of(1), "m"] = Limits(reserved_units=reserved)
        site.agree()
    if booked is not None:
        site.book_time(backend="m", size=booked[0], in_s=booked[1], for_s=600)
    for wishes, seconds in rounds:
        for wish in wishes:
            site.submit(wish)
        settled(site)
        for job in list(site.waiting.values()):
            if job.begin_at is None or job.begin_at <= site.now:
                true(site, job)
        site.wait(seconds)


def test_no_answer_is_begun_after_so_many_walks_and_all_get_theirs_in_turn() -> None:
    site, asked = Site({"m": Machine(64), "n": Machine(64)}), Asked()
    site.submit(Wish(gpus=44, limit_s=90_000))
    site.submit(Wish(backend="n", gpus=44, limit_s=90_000))
    settled(site)
    for _ in range(12):
        site.submit(Wish(gpus=64, limit_s=900, organisation=2))
    told = list[int]()
    for _ in range(12):
        plan, before = site.decide(), site.book.elsewhere().passes
        told.append(sum(WOULD in wait.facts for wait in asked.told(site.book, plan, site.now, passes=1)))
        assert 0 < site.book.elsewhere().passes - before <= 20  # those of one answer
    assert told == list(range(1, 13))


def test_a_few_are_asked_for_at_once_and_each_again_after_a_while() -> None:
    site, asked = Site({"m": Machine(8)}), Asked()
    site.submit(Wish(gpus=6, limit_s=900))
    settled(site)
    for number in range(10):
        site.submit(Wish(gpus=4 if number else 8, organisation=2))

    def answers() -> int:
        return sum(WOULD in wait.facts for wait in asked.told(site.book, site.decide(), site.now))

    assert [answers(), answers()] == [8, 10]
    site.submit(Wish(gpus=2))  # nothing is free any more, of which they hear after a while
    site.wait(1)
    assert answers() == 10
    site.wait(10)
    assert [answers(), answers()] == [2, 0]
