"""The book with machines that fail: whatever happens, no plan is wrong, and in the end everybody has run."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from pricing.model import ServiceClass
from scheduler.core.snapshot import Limits
from tests.support.site_checks import Machine, gpus
from tests.support.sites import MICRO, Hand, Site, Wish, branch_of

SIZES = {"m": 8, "n": 4}
NAMES = st.sampled_from(sorted(SIZES))
HANDS = st.lists(st.sampled_from([*[Hand.OVER] * 3, *Hand]), max_size=8)
WISHES: st.SearchStrategy[Any] = st.builds(
    Wish,
    organisation=st.integers(1, 3),
    person=st.integers(1, 3),
    backend=st.sampled_from(["m", "m", "n"]),
    gpus=st.sampled_from([0, 1, 1, 2, 4, 8]),
    limit_s=st.sampled_from([60, 300, 900, 3_600]),
    run_s=st.sampled_from([20, 300, 5_000]),
    service_class=st.sampled_from([*[ServiceClass.STANDARD] * 2, ServiceClass.SPOT, ServiceClass.INTERACTIVE]),
    begin_in_s=st.sampled_from([0, 0, 0, 100]),
)
LIMITS = st.builds(
    Limits,
    max_running_jobs=st.sampled_from([None, 0, 1, 3]),
    max_gpus=st.sampled_from([None, 2, 6]),
    max_month_micro_nu=st.sampled_from([None, MICRO // 2, 3 * MICRO]),
)
PEOPLE = st.sampled_from([None, 1, 2])


class Scheduler(RuleBasedStateMachine):
    """Three organisations and two machines. The site checks each plan from its own facts (tests/support/sites.py)."""

    @initialize()
    def open(self) -> None:
        self.site = Site({name: Machine(size) for name, size in SIZES.items()}, organisations=(1, 2, 3))
        self.arrays = 0

    # -- people --------------------------------------------------------------------------------------------------------

    @rule(wishes=st.lists(WISHES, min_size=1, max_size=3))
    def submit(self, wishes: list[Wish]) -> None:
        for wish in wishes:
            self.site.submit(wish)

    @rule(wish=WISHES, tasks=st.integers(2, 5), most=st.integers(1, 3))
    def submit_an_array(self, wish: Wish, tasks: int, most: int) -> None:
        self.arrays += 1
        for _ in range(tasks):
            self.site.submit(replace(wish, array=self.arrays, max_running=most))

    @rule(which=st.integers(0, 50))
    def cancel(self, which: int) -> None:
        """What waits is withdrawn, what runs ends early."""
        known = sorted([*self.site.waiting, *self.site.holding])
        if known:
            self.site.end(known[which % len(known)])

    @rule(
        size=st.integers(1, 6),
        in_s=st.sampled_from([30, 400]),
        for_s=st.sampled_from([300, 900]),
        wishes=st.lists(WISHES, max_size=3),
    )
    def reserve(self, size: int, in_s: int, for_s: int, wishes: list[Wish]) -> None:
        number = self.site.book_time(backend="m", size=size, in_s=in_s, for_s=for_s)
        for wish in wishes if number else ():
            self.site.submit(replace(wish, organisation=1, backend="m", gpus=min(size, wish.gpus), inside=number))

    @precondition(lambda self: self.site.bookings)
    @rule()
    def cancel_a_reservation(self) -> None:
        self.site.cancel_booking(max(self.site.bookings))

    # -- operators -----------------------------------------------------------------------------------------------------

    @rule(limits=LIMITS, organisation=st.integers(1, 3), person=PEOPLE, backend=st.sampled_from([None, "m"]))
    def limit(self, limits: Limits, organisation: int, person: int | None, backend: str | None) -> None:
        self.site.limits[branch_of(organisation, person), backend] = limits
        self.site.agree()

    @rule(organisation=st.integers(1, 3), weight=st.sampled_from([1, 2, 5]))
    def weigh(self, organisation: int, weight: int) -> None:
        self.site.weights[organisation] = weight
        self.site.agree()

    # -- machines ------------------------------------------------------------------------------------------------------

    @rule(name=NAMES, size=st.sampled_from([2, 4, 8, 12]))
    def resize(self, name: str, size: int) -> None:
        """No more than others have booked goes out of service: as the operator is told before."""
        if all(each.backend != name or each.until <= self.site.now for each in self.site.bookings.values()):
            self.site.machines[name].gpus = size

    @rule(name=NAMES, online=st.booleans(), foreign=st.integers(0, 3), lie=st.integers(0, 3))
    def trouble(self, name: str, online: bool, foreign: int, lie: int) -> None:  # noqa: FBT001  drawn by name
        machine = self.site.machines[name]
        machine.online, machine.foreign, machine.lie = online, foreign, lie

    @rule(times=st.integers(1, 2))
    def confirm(self, times: int) -> None:
        for attempt_id, held in list(self.site.holding.items()):
            if not held.accepted:
                self.site.confirm(attempt_id, times=times)

    @rule(which=st.integers(0, 20), late_s=st.sampled_from([30, 600]))
    def end_late(self, which: int, late_s: int) -> None:
        """Later than its walltime, too: a backend that is slow to end it."""
        known = sorted(self.site.ends)
        if known:
            self.site.put_off(known[which % len(known)], late_s)

    # -- the dispatcher ------------------------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([0.3, 1, 11, 60, 300]))
    def time_passes(self, seconds: float) -> None:
        self.site.wait(seconds)

    @rule(hands=HANDS)
    def decide(self, hands: list[Hand]) -> None:
        left = list(hands)
        plan = self.site.decide(lambda _: left.pop() if left else Hand.OVER)
        started = {start.attempt_id for start in plan.starts}
        assert self.site.waiting.keys() - started <= self.site.reasons.keys()

    @rule()
    def another_leads(self) -> None:
        self.site.restart()

    # -- always --------------------------------------------------------------------------------------------------------

    @invariant()
    def the_book_knows_what_is(self) -> None:
        site = self.site
        assert site.book.differs_from(site.waiting.values(), site.holding.values()) == []
        assert not site.waiting.keys() & site.holding.keys()

    def teardown(self) -> None:
        """Faults stop: nobody stands before a free machine, and everybody's work is done in the end."""
        if not hasattr(self, "site"):
            return
        site = self.site
        site.machines = {"m": Machine(12), "n": Machine(12)}
        site.limits.clear()
        site.agree()
        self.confirm(1)
        site.wait(2_000)
        while site.decide().starts:
            pass
        for name, machine in site.machines.items():
            self.nobody_stands_before_a_free_machine(name, machine)
        site.drain(rounds=600, step_s=120)
        assert len(site.done) + len(site.again) == len(site.wishes)
        assert site.book.in_contest == 0

    def nobody_stands_before_a_free_machine(self, name: str, machine: Machine) -> None:
        site = self.site
        is_booked = any(each.backend == name and each.until > site.now for each in site.bookings.values())
        if not is_booked and not any(each.backend == name for each in site.holding.values()):
            assert not [each for each in site.waiting.values() if each.backend == name]
        assert all(each.needs.fits(gpus(machine.gpus)) for each in site.waiting.values() if each.backend == name)


TestScheduler = Scheduler.TestCase
TestScheduler.settings = settings(max_examples=60, stateful_step_count=40)


@pytest.mark.long
@pytest.mark.timeout(1_800)
def test_many_long_histories() -> None:
    run_state_machine_as_test(Scheduler, settings=settings(max_examples=1_500, stateful_step_count=100))
