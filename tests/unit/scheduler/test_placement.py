"""Which of several offerings a job runs on: one order whatever is told first, and moves that start at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpc_adapters.contract import Resources
from scheduler.core.book.elsewhere import Elsewhere
from scheduler.core.explain import why_it_waits
from scheduler.core.fairshare import MICRO
from scheduler.core.placement import TOLERANCE_S, Option, Rule, broken, chosen, order
from scheduler.core.reasons import Why
from scheduler.core.snapshot import Waiting
from scheduler.loops.places import REST, Places, lacks, moves
from scheduler.store.placing import Candidate, Flexible
from tests.support.site_checks import Machine
from tests.support.sites import Site, Wish
from tests.unit.scheduler.test_book import WISHES


def option(name: str, **told: object) -> Option:
    usual: dict[str, object] = {"offering_id": name, "backend": name, "ceiling_micro_yen": 100}
    return Option(**{**usual, **told})  # type: ignore[arg-type]


NOW, WAITS = {"starts_now": True}, {"expected_s": 3_600}
RULES = [
    ([option("a", **NOW)], "a", Rule.ONLY),
    ([option("a", barred="BACKEND_OFFLINE", **NOW), option("b")], "b", Rule.ONLY),
    ([option("a", ceiling_micro_yen=1), option("b", **NOW)], "b", Rule.STARTS_NOW),
    ([option("a", **NOW), option("b", ceiling_micro_yen=99, **NOW)], "b", Rule.CHEAPER),
    ([option("a", broken=4, **NOW), option("b", **NOW)], "b", Rule.FEWER_BROKEN),
    ([option("b", **NOW), option("a", **NOW)], "a", Rule.BY_NAME),
    ([option("a", **WAITS), option("b", expected_s=3_600 - TOLERANCE_S - 1)], "b", Rule.STARTS_EARLIER),
    (
        [option("a", expected_s=3_600, ceiling_micro_yen=1), option("b", expected_s=3_600 - TOLERANCE_S)],
        "a",
        Rule.CHEAPER,
    ),
    ([option("a", ceiling_micro_yen=1), option("b", **WAITS)], "b", Rule.STARTS_EARLIER),
    ([option("a", ceiling_micro_yen=2), option("b", ceiling_micro_yen=1)], "b", Rule.CHEAPER),
]


@pytest.mark.parametrize(("options", "best", "rule"), RULES)
def test_the_rule_case_by_case(options: Sequence[Option], best: str, rule: Rule) -> None:
    choice = chosen(options)
    assert choice is not None
    assert (choice.option.offering_id, choice.rule) == (best, rule)


OPTIONS = st.lists(
    st.builds(
        Option,
        offering_id=st.sampled_from("abcdefgh"),
        backend=st.just("m"),
        ceiling_micro_yen=st.integers(0, 3),
        barred=st.sampled_from([None, None, "BACKEND_OFFLINE"]),
        starts_now=st.booleans(),
        expected_s=st.sampled_from([None, 0, 500, 601, 5_000]),
        broken=st.integers(0, 2),
    ),
    max_size=8,
    unique_by=lambda each: each.offering_id,
)


@given(OPTIONS.flatmap(lambda known: st.tuples(st.just(known), st.permutations(known))))
def test_the_order_of_telling_changes_nothing(both: tuple[list[Option], list[Option]]) -> None:
    options, told = both
    assert (chosen(told), order(told)) == (chosen(options), order(options))
    choice = chosen(options)
    if choice is None:
        assert all(each.barred for each in options)
        return
    open_ = [each for each in options if each.barred is None]
    assert choice.option == order(options)[0]
    assert choice.option in open_
    assert choice.option.starts_now >= any(each.starts_now for each in open_)
    if choice.option.starts_now:
        assert choice.option.ceiling_micro_yen == min(each.ceiling_micro_yen for each in open_ if each.starts_now)


def test_whole_nodes_are_kept_whole() -> None:
    assert broken([8, 8, 3], node_units=8, nodes=1, units=2) == 0  # where one is broken already
    assert broken([8, 8, 1], node_units=8, nodes=1, units=2) == 6
    assert broken([8, 8, 3], node_units=8, nodes=1, units=8) == 0
    assert broken([8, 8], node_units=8, nodes=2, units=8) == 8  # four of each
    assert broken([], node_units=0, nodes=1, units=4) == 0  # nobody tells


# -- moves -------------------------------------------------------------------------------------------------------------

MACHINES = {"m": Machine(8), "n": Machine(4), "o": Machine(6)}
ALL = {"m": True, "n": True, "o": True}
ROUNDS = st.lists(st.tuples(st.lists(WISHES, max_size=6), st.sampled_from([0, 30, 400, 5_000])), min_size=1, max_size=5)


def flexible(site: Site, *, location: str | None = None) -> Places:
    """All that waits may run on every machine, the later the dearer."""
    places = Places()
    rows = [
        Flexible(
            attempt_id=attempt_id,
            job_id=attempt_id,
            organisation_id=job.organisation_id,
            person_id=UUID(int=1),
            seq=job.seq,
            offering_id=job.backend,
            nodes=1,
            data_location=location,
            code=None,
            candidates=[
                Candidate(
                    offering_id=name,
                    backend=name,
                    needs=job.needs,
                    nu=job.micro_nu / MICRO,
                    ceiling_micro_yen=price,
                )
                for price, name in enumerate(sorted(MACHINES))
            ],
        )
        for attempt_id, job in site.waiting.items()
        if job.inside is None
    ]
    places.looked_at(rows, ALL)
    return places


def settled(site: Site) -> None:
    while site.decide().starts:
        pass


def moved(site: Site, places: Places) -> list[UUID]:
    """As the feed tells the book of them."""
    found = moves(site.book.elsewhere(), places=places, now=site.now)
    for move in found:
        job = replace(site.waiting[move.attempt_id], backend=move.to.backend)
        site.waiting[move.attempt_id] = job
        site.book.waits(job, site.now)
    return [move.attempt_id for move in found]


@settings(max_examples=60)
@given(ROUNDS)
def test_whatever_is_moved_starts_at_once_and_nothing_that_fits_stays(rounds: list[tuple[list[Wish], int]]) -> None:
    site = Site(dict(MACHINES))
    for wishes, seconds in rounds:
        for wish in wishes:
            site.submit(wish)
        settled(site)
        while gone := moved(site, flexible(site)):
            assert not {start.attempt_id for start in site.decide().starts} ^ set(gone)  # the site checks that all fits
        assert moved(site, flexible(site)) == []
        site.wait(seconds)


@settings(max_examples=40)
@given(ROUNDS, st.fixed_dictionaries({name: st.sampled_from([True, False, None]) for name in MACHINES}))
def test_what_must_stay_is_moved_nowhere_else(
    rounds: list[tuple[list[Wish], int]], known: dict[str, bool | None]
) -> None:
    site = Site(dict(MACHINES))
    for wishes, seconds in rounds:
        for wish in wishes:
            site.submit(wish)
        settled(site)
        places = flexible(site, location="jp")
        places.domestic = {name: told for name, told in known.items() if told is not None}
        for attempt_id in moved(site, places):
            assert known[site.waiting[attempt_id].backend] is True
        settled(site)
        site.wait(seconds)


def test_they_go_in_the_order_in_which_they_would_be_served() -> None:
    site = Site({"m": Machine(8), "n": Machine(8)})
    site.submit(Wish(gpus=8, run_s=900, limit_s=900))
    settled(site)
    first, second = (site.submit(Wish(gpus=6, person=each, organisation=2)) for each in (1, 2))
    settled(site)
    assert moved(site, flexible(site)) == [first]
    assert second in site.waiting


def test_nobody_is_passed_over_by_who_comes_from_elsewhere() -> None:
    site = Site({"m": Machine(8), "n": Machine(8)})
    site.submit(Wish(gpus=8, run_s=900, limit_s=900))
    site.submit(Wish(backend="n", gpus=4, limit_s=600, run_s=600))
    settled(site)
    site.submit(Wish(backend="n", gpus=8, organisation=2))  # the first in line there
    long = site.submit(Wish(gpus=4, limit_s=900))
    settled(site)
    assert moved(site, _only(site, long)) == []
    told = [lacks(flexible(site).rows[long], site.book.elsewhere())["n"], site.book.would(long.int)]
    assert isinstance(told[0], Mapping)
    assert told[0]["why"] == "RESERVED_FOR_EARLIER"
    after = lacks(flexible(site).rows[long], site.book.elsewhere())  # the answer before has forgotten what is reserved
    assert after["n"] == {"why": "RESERVED_FOR_EARLIER"}
    assert "jobs ahead" in why_it_waits(Why.NO_CAPACITY, {"elsewhere": after}).en
    site.end(long)
    short = site.submit(Wish(gpus=4, limit_s=300))  # over before that one starts
    settled(site)
    assert moved(site, _only(site, short)) == [short]


def _only(site: Site, attempt_id: UUID) -> Places:
    places = flexible(site)
    places.rows = {attempt_id: places.rows[attempt_id]}
    return places


def test_a_cycle_tries_only_so_many_and_all_get_their_turn() -> None:
    site = Site({"m": Machine(8), "n": Machine(8)})
    site.submit(Wish(gpus=8, run_s=9_000, limit_s=9_000))
    site.submit(Wish(backend="n", gpus=4, limit_s=600, run_s=600))
    settled(site)
    site.submit(Wish(backend="n", gpus=8, organisation=2))  # the first in line there
    for _ in range(9):
        site.submit(Wish(gpus=4, limit_s=900))  # in its way
    short = site.submit(Wish(gpus=4, limit_s=300))
    settled(site)
    places = flexible(site)
    places.rows = {key: row for key, row in places.rows.items() if row.offering_id == "m"}
    tries: list[str] = []

    class Counted(Elsewhere):
        def starts(self, job: Waiting, beside: Sequence[Resources] = ()) -> bool:
            tries.append(job.backend)
            return super().starts(job, beside)

    found = list[UUID]()
    for cycle in range(1, 20):
        elsewhere = site.book.elsewhere()
        elsewhere.__class__ = Counted
        found += [move.attempt_id for move in moves(elsewhere, places=places, now=site.now, looks=4)]
        assert len(tries) <= 4 * cycle + 2  # two of one attempt are not torn apart
        if found:
            break
    assert found == [short]
    assert cycle <= 6  # ten attempts, two in a cycle


def test_one_that_was_moved_rests_and_a_machine_is_left_only_after_a_while() -> None:
    site = Site({"m": Machine(8), "n": Machine(8)})
    for backend in ("m", "n"):
        site.submit(Wish(backend=backend, gpus=8, run_s=5_000, limit_s=5_000))
    settled(site)
    job = site.submit(Wish(gpus=8))
    site.machines["m"] = replace(site.machines["m"], online=False)
    places = flexible(site)
    settled(site)
    assert moved(site, places) == []
    site.wait(REST.total_seconds())
    settled(site)
    assert moved(site, places) == [job]
    assert site.waiting[job].backend == "n"
    places = flexible(site)
    places.moved_at[job] = site.now
    site.machines["m"] = replace(site.machines["m"], online=True)
    settled(site)
    assert moved(site, places) == []


@pytest.mark.parametrize(("code", "goes"), [("unknown-secret", []), ("no-site-user", ["n"]), ("not-domestic", ["n"])])
def test_only_what_a_machine_refused_goes_to_another_and_never_back(code: str, goes: list[str]) -> None:
    site = Site({"m": Machine(8), "n": Machine(8)})
    job, places, seen = site.submit(Wish(gpus=2)), Places(), []
    for _ in range(6):  # both machines are idle, and neither takes it
        until = site.now + timedelta(seconds=50)
        site.waiting[job] = replace(site.waiting[job], not_before=until, refused=code)
        site.book.waits(site.waiting[job], site.now)
        settled(site)
        row = next(iter(flexible(site).rows.values()))
        places.looked_at([replace(row, code=code)], ALL)
        seen += [site.waiting[each].backend for each in moved(site, places)]
        site.wait(REST.total_seconds())
    assert seen == goes
    told = lacks(places.rows[job], site.book.elsewhere())
    assert bool(told) is bool(goes)  # of another machine nothing is said that is not known
