"""Preemption over many cycles on a small invented machine: everything ends, and no limit is broken on the way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from hpc_adapters.contract import Resources
from pricing.model import ServiceClass
from scheduler.core.classes import goes_before
from scheduler.core.cycle import plan
from scheduler.core.snapshot import Holding, Plan, Policy, Pool, Preemption, Snapshot, Standing, Waiting

T0 = datetime(2026, 4, 1, tzinfo=UTC)
GPUS = 8
RULES = Preemption(protected_s=300, per_organisation=2, per_hour=3, leave_s=120)
ORGANISATIONS = [UUID(int=each) for each in (101, 102, 103)]
HORIZON = 2_000
"""Minutes. All the work of the largest case, one job after the other and each lost thrice, takes less."""


@dataclass(frozen=True)
class Job:
    """minutes: its run time and its limit."""

    number: int
    service_class: ServiceClass
    gpus: int
    minutes: int
    arrives: int
    organisation: UUID


@dataclass
class Machine:
    """A minute is a cycle. What is asked to leave does so after a minute, and then waits again with all its work."""

    jobs: list[Job]
    minute: int = 0
    running: dict[int, int] = field(default_factory=dict)
    asked: dict[int, int] = field(default_factory=dict)
    done: set[int] = field(default_factory=set)
    history: list[tuple[int, Job, int]] = field(default_factory=list)
    """Of each that was asked to leave: when, and for how long it had run."""

    @property
    def now(self) -> datetime:
        return T0 + timedelta(minutes=self.minute)

    def step(self) -> None:
        self._end()
        decided = self._decide()
        for each in decided.starts:
            self.running[each.attempt_id.int] = self.minute
        used = sum(self.jobs[number].gpus for number in self.running)
        assert used <= GPUS
        for one in decided.preempts:
            job = self.jobs[one.attempt_id.int]
            assert goes_before(one.for_class, job.service_class)
            assert job.number not in self.asked
            self.asked[job.number] = self.minute
            self.history.append((self.minute, job, self.minute - self.running[job.number]))
        self.minute += 1

    def _end(self) -> None:
        for number, since in list(self.running.items()):
            if self.minute - since >= self.jobs[number].minutes:
                self.done.add(number)
            elif self.asked.get(number, self.minute) < self.minute:
                pass
            else:
                continue
            del self.running[number]
            self.asked.pop(number, None)

    def _decide(self) -> Plan:
        waiting = [each for each in self.jobs if each.arrives <= self.minute and self._waits(each)]
        free = GPUS - sum(self.jobs[number].gpus for number in self.running)
        recent = Counter(job.organisation for at, job, _ in self.history if self.minute - at < 60)
        return plan(
            Snapshot(
                now=self.now,
                pools={"m": Pool(name="m", total=Resources(gpus=GPUS), free=Resources(gpus=free))},
                waiting=[self._waiting(each) for each in waiting],
                holding=[self._holding(number) for number in self.running],
                standings={each: Standing(organisation_id=each) for each in ORGANISATIONS},
                preempted=recent,
                policy=Policy(preemption=RULES),
            )
        )

    def _waits(self, job: Job) -> bool:
        return job.number not in self.running and job.number not in self.done

    def _waiting(self, job: Job) -> Waiting:
        return Waiting(
            attempt_id=UUID(int=job.number),
            organisation_id=job.organisation,
            backend="m",
            needs=Resources(gpus=job.gpus),
            walltime_s=job.minutes * 60,
            micro_nu=job.gpus * job.minutes * 1_000,
            submitted_at=T0 + timedelta(minutes=job.arrives),
            service_class=job.service_class,
        )

    def _holding(self, number: int) -> Holding:
        job, since = self.jobs[number], T0 + timedelta(minutes=self.running[number])
        asked = self.asked.get(number)
        return Holding(
            attempt_id=UUID(int=number),
            organisation_id=job.organisation,
            backend="m",
            needs=Resources(gpus=job.gpus),
            until=since + timedelta(minutes=job.minutes),
            micro_nu=job.gpus * job.minutes * 1_000,
            service_class=job.service_class,
            started_at=since,
            leaving=asked is not None,
            asked_to_leave_at=None if asked is None else T0 + timedelta(minutes=asked),
        )


JOBS = st.lists(
    st.tuples(
        st.sampled_from([ServiceClass.SPOT, ServiceClass.SPOT, ServiceClass.STANDARD, ServiceClass.INTERACTIVE]),
        st.integers(1, GPUS),
        st.integers(1, 40),
        st.integers(0, 60),
        st.sampled_from(ORGANISATIONS),
    ),
    min_size=2,
    max_size=10,
).map(lambda told: [Job(number, *each) for number, each in enumerate(told)])


def worst_hour(history: list[tuple[int, Job, int]], of: Mapping[UUID, int] | None = None) -> int:
    """The most that were asked within an hour."""
    times = [at for at, job, _ in history if of is None or job.organisation in of]
    return max((sum(0 <= later - at < 60 for later in times) for at in times), default=0)


@settings(max_examples=25)
@given(jobs=JOBS)
def test_everything_ends_and_nobody_is_asked_too_early_or_too_often(jobs: list[Job]) -> None:
    machine = Machine(jobs)
    while len(machine.done) < len(jobs):
        machine.step()
        assert machine.minute < HORIZON, "somebody is made to leave for ever"
    assert all(job.service_class is ServiceClass.SPOT for _, job, _ in machine.history)
    assert all(ran >= 5 for _, _, ran in machine.history)
    assert worst_hour(machine.history) <= 3
    assert all(worst_hour(machine.history, {each: 1}) <= 2 for each in ORGANISATIONS)


@settings(max_examples=40)
@given(gpus=st.integers(1, GPUS), spots=st.lists(st.integers(1, 3), min_size=3, max_size=6))
def test_nobody_is_asked_in_vain(gpus: int, spots: list[int]) -> None:
    """Where nobody else comes meanwhile, whoever was made room for starts as soon as they have left."""
    jobs = [
        Job(number, ServiceClass.SPOT, size, 200, 0, ORGANISATIONS[number % 3]) for number, size in enumerate(spots)
    ]
    urgent = Job(len(jobs), ServiceClass.STANDARD, gpus, 10, 30, ORGANISATIONS[0])
    machine = Machine([*jobs, urgent])
    while machine.minute < 33:
        machine.step()
    if machine.history:
        assert machine.running.get(urgent.number) == 31  # asked in minute 30, left a minute later
