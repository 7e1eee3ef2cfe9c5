"""The book over a life: it decides as one opened anew, keeps every limit, forgets nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pricing.model import ServiceClass
from scheduler.core.snapshot import Limits
from tests.support.site_checks import Machine, organisation
from tests.support.sites import MICRO, Hand, Site, Wish, branch_of, told_alike

Act = Callable[[Site], object]

HANDS = st.sampled_from([Hand.OVER] * 5 + [Hand.LOST, Hand.REFUSED, Hand.SLOW])
CLASSES = st.sampled_from([ServiceClass.STANDARD] * 3 + [ServiceClass.SPOT, ServiceClass.INTERACTIVE])
WISHES: st.SearchStrategy[Any] = st.builds(
    Wish,
    organisation=st.integers(1, 2),
    person=st.integers(1, 3),
    backend=st.sampled_from(["m", "m", "n"]),
    gpus=st.sampled_from([0, 1, 1, 2, 4, 8]),
    limit_s=st.sampled_from([60, 300, 900]),
    run_s=st.sampled_from([20, 300, 2_000]),
    service_class=CLASSES,
    begin_in_s=st.sampled_from([0, 0, 0, 90]),
)


def submitted(wish: Wish) -> Act:
    return lambda site: site.submit(wish)


def array(number: int, wishes: Sequence[Wish], most: int) -> Act:
    """The same limit for all of one array."""

    def act(site: Site) -> None:
        for wish in wishes:
            of = wishes[0].organisation
            site.submit(replace(wish, array=number + 100 * len(site.wishes), max_running=most, organisation=of))

    return act


def booked(size: int, in_s: int, for_s: int, wishes: Sequence[Wish]) -> Act:
    def act(site: Site) -> None:
        number = site.book_time(backend="m", size=size, in_s=in_s, for_s=for_s)
        for wish in wishes if number else ():
            site.submit(replace(wish, organisation=1, backend="m", gpus=min(size, wish.gpus), inside=number))

    return act


def decided(hands: Sequence[Hand]) -> Act:
    def act(site: Site) -> None:
        left = list(hands)
        site.decide(lambda _: left.pop() if left else Hand.OVER)

    return act


def confirmed(site: Site) -> None:
    for attempt_id, held in list(site.holding.items()):
        if not held.accepted:
            site.confirm(attempt_id, times=2)


def ended(which: int) -> Act:
    def act(site: Site) -> None:
        known = sorted([*site.holding, *site.waiting])
        if known:
            site.end(known[which % len(known)])

    return act


def resized(name: str, size: int) -> Act:
    def act(site: Site) -> None:
        site.machines[name].gpus = size

    return act


def set_apart(name: str, *, online: bool, foreign: int) -> Act:
    def act(site: Site) -> None:
        site.machines[name].online, site.machines[name].foreign = online, foreign

    return act


def limited(limits: Limits, person: int | None, backend: str | None) -> Act:
    def act(site: Site) -> None:
        site.limits[branch_of(1, person), backend] = limits
        site.agree()

    return act


BACKENDS = st.sampled_from(["m", "n"])
LIMITS = st.builds(
    Limits,
    max_running_jobs=st.sampled_from([None, 1, 3]),
    max_gpus=st.sampled_from([None, 2, 6]),
    max_month_micro_nu=st.sampled_from([None, MICRO // 2, 3 * MICRO]),
)
PLAIN: list[st.SearchStrategy[Act]] = [
    st.builds(submitted, WISHES),
    st.builds(submitted, WISHES),
    st.builds(submitted, WISHES),
    st.builds(lambda s: lambda site: site.wait(s), st.sampled_from([1, 0.5, 10, 61, 120])),
    st.builds(decided, st.lists(HANDS, max_size=6)),
    st.builds(decided, st.lists(HANDS, max_size=6)),
    st.just(confirmed),
    st.builds(ended, st.integers(0, 20)),
    st.builds(set_apart, BACKENDS, online=st.booleans(), foreign=st.integers(0, 2)),
]
SETTINGS: list[st.SearchStrategy[Act]] = [
    st.builds(limited, LIMITS, st.sampled_from([None, 1, 2]), st.sampled_from([None, "m"])),
    st.builds(resized, BACKENDS, st.sampled_from([4, 8, 12])),
]
ACTS = st.lists(
    st.one_of(
        *PLAIN,
        *SETTINGS,
        st.builds(array, st.integers(1, 9), st.lists(WISHES, min_size=2, max_size=5), st.integers(1, 2)),
        st.builds(
            booked,
            st.integers(1, 6),
            st.sampled_from([60, 200]),
            st.sampled_from([200, 600]),
            st.lists(WISHES, max_size=2),
        ),
    ),
    max_size=40,
)


def a_site(**changed: Any) -> Site:
    return Site({"m": Machine(8), "n": Machine(4)}, **changed)


@settings(max_examples=120)
@given(acts=ACTS)
def test_whatever_comes_no_more_starts_than_fits_and_may_and_everything_ends(acts: Iterable[Act]) -> None:
    """The site checks every plan from its own facts. Afterwards nothing is left behind."""
    site = a_site()
    for act in acts:
        act(site)
    site.machines |= {"m": Machine(12), "n": Machine(12)}
    site.limits.clear()
    site.agree()
    confirmed(site)
    site.drain(rounds=400)
    nothing_is_left(site)


def nothing_is_left(site: Site) -> None:
    """What fits an empty site starts at once."""
    site.wait(2_000)
    assert site.book.differs_from([], []) == []
    assert site.book.in_contest == 0
    assert not site.book._throttles
    site.max_running = 2
    site.limits[branch_of(1), None] = Limits(max_running_jobs=1, max_gpus=12)
    site.agree()
    site.submit(Wish(organisation=1, backend="m", gpus=site.machines["m"].gpus, limit_s=60))
    site.submit(Wish(organisation=2, backend="n", gpus=site.machines["n"].gpus, limit_s=60))
    site.wait(1)
    assert len(site.decide().starts) == 2


def of_one(acts: Iterable[Act], site: Site) -> None:
    for act in acts:
        act(site)


ONE: st.SearchStrategy[Any] = WISHES.map(lambda wish: replace(wish, organisation=1))
MEMORY_FREE = st.lists(
    st.one_of(st.builds(submitted, ONE), st.builds(submitted, ONE), *PLAIN[3:], *SETTINGS), min_size=5, max_size=30
)


@settings(max_examples=150)
@given(acts=MEMORY_FREE)
def test_a_book_that_has_lived_decides_as_one_opened_anew(acts: Iterable[Act]) -> None:
    """One organisation, whose people are charged nothing, for less than an hour: there is nothing to remember."""
    site = a_site(organisations=(1,), charged=False)
    for act in acts:
        act(site)
        assert site.book.differs_from(site.waiting.values(), site.holding.values()) == []
    site.wait(1)
    for name in site.machines:
        site.book.pool(site.pool(name), site.now)
    fresh = site.fresh()
    lived_plan, fresh_plan = site.book.decide(site.now), fresh.decide(site.now)
    assert told_alike(lived_plan, fresh_plan), (lived_plan, fresh_plan)


# -- told and forgotten ------------------------------------------------------------------------------------------------


def test_a_start_of_which_nobody_says_anything_waits_again() -> None:
    site = a_site()
    job = site.submit(Wish(gpus=8))
    for _ in range(5):
        assert [start.attempt_id for start in site.decide(lambda _: Hand.LOST).starts] == [job]
        site.wait(1)
    other = site.submit(Wish(gpus=8))
    assert [start.attempt_id for start in site.decide().starts] == [job]
    assert site.decide().starts == ()
    assert list(site.reasons) == [other]


@settings(max_examples=40)
@given(wishes=st.lists(WISHES, min_size=2, max_size=20), order=st.randoms(use_true_random=False))
def test_the_order_of_telling_at_one_instant_changes_nothing(wishes: Sequence[Wish], order: Any) -> None:
    """Submissions, ends, late words and settings. Arrays with a limit are not among them: who is in stays in."""
    one, other = a_site(), a_site()
    for site in (one, other):
        for wish in wishes[::2]:
            site.submit(wish)
        site.decide(lambda start: Hand.SLOW if start.attempt_id.int % 3 else Hand.OVER)
        site.wait(5)
    acts: list[Act] = [submitted(wish) for wish in wishes[1::2]]
    acts += [limited(Limits(max_gpus=6), 1, None), confirmed]
    for act in acts:
        act(one)
    jobs = list(one.waiting.values())
    order.shuffle(jobs)
    limited(Limits(max_gpus=6), 1, None)(other)
    for job in jobs:
        other.waiting[job.attempt_id], other.wishes[job.attempt_id] = job, one.wishes[job.attempt_id]
        other.book.waits(job, other.now)
    confirmed(other)
    assert told_alike(one.decide(), other.decide())


def test_what_is_remembered_of_use_survives_a_change_of_a_machine() -> None:
    """Whose turn it is within a project hangs on what its people have used, not on when the world was made."""
    site = Site({"m": Machine(8), "n": Machine(4)}, organisations=(1,))
    site.submit(Wish(person=1, gpus=8, limit_s=600))
    site.decide()
    site.wait(600)
    first, second = [site.submit(Wish(person=who, gpus=8)) for who in (1, 2)]
    site.machines["n"].gpus = 6
    assert [start.attempt_id for start in site.decide().starts] == [second]
    assert first in site.waiting


@pytest.mark.parametrize("change", ["another person", "another size"])
def test_what_ended_since_the_settings_were_read_counts_in_the_month(change: str) -> None:
    site = Site({"m": Machine(8), "n": Machine(4)}, organisations=(1,))
    site.limits[branch_of(1), None] = Limits(max_month_micro_nu=MICRO)
    site.agree()
    site.submit(Wish(person=1, gpus=6, limit_s=600))
    site.decide()
    site.wait(600)
    if change == "another size":
        site.machines["n"].gpus = 6
    site.submit(Wish(person=2, gpus=1, limit_s=600))
    assert site.decide().starts == ()
    assert list(site.reasons.values()) == ["NU_QUOTA"]


# -- shares ------------------------------------------------------------------------------------------------------------


def steady(site: Site, asking: Sequence[int], minutes: int) -> Counter[int]:
    """Each of these always has more waiting than fits, for nine or ten minutes each. What each held, summed up."""
    held = Counter[int]()
    for _ in range(minutes):
        for number in asking:
            mine = [each for each in site.waiting.values() if each.organisation_id == organisation(number)]
            for _ in range(12 - len(mine)):
                site.submit(Wish(organisation=number, limit_s=600, run_s=600 if len(site.wishes) % 3 else 540))
        site.decide()
        for each in site.holding.values():
            held[each.organisation_id.int - organisation(0).int] += each.needs.gpus
        site.wait(60)
    return held


def test_a_lent_share_is_given_back_within_the_run_time_of_what_borrows() -> None:
    site = Site({"m": Machine(8)})
    steady(site, [1], 30)
    assert steady(site, [1], 1) == {1: 8}
    steady(site, [1, 2], 10)
    assert steady(site, [1, 2], 1)[2] >= 4


@pytest.mark.parametrize("count", [2, 4])
def test_equal_weights_and_equal_demand_are_equal_shares(count: int) -> None:
    organisations = range(1, count + 1)
    site = Site({"m": Machine(8)}, organisations=organisations)
    steady(site, organisations, 60)
    used = steady(site, organisations, 120)
    for number in organisations:
        assert abs(used[number] / used.total() - 1 / count) < 0.02


def test_a_weight_of_three_is_three_parts_of_four() -> None:
    site = Site({"m": Machine(8)}, weights={1: 3})
    steady(site, [1, 2], 60)
    used = steady(site, [1, 2], 120)
    assert abs(used[1] / used.total() - 0.75) < 0.02
