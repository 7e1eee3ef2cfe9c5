"""The queue followed by its changes is the queue as Slurm's whole list would tell it, at fewer and smaller answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast
from uuid import UUID

import pytest

from hpc_adapters.errors import Unavailable
from hpc_adapters.jobhead.places import job_name
from hpc_adapters.slurm.calls import LiveJobs, Slurm
from hpc_adapters.slurm.models import LiveJob, Unreadable
from hpc_adapters.slurm.models.jobs import is_end, live_job
from hpc_adapters.slurm.view import Queue, View

FOLDER = Path("/shared")
T0 = datetime(2026, 11, 21, 9, tzinfo=UTC)
AWAY = Unavailable("away", maybe_done=False)


def job(job_id: int, *state: str, user: str = "alice", ours: bool = True, **more: object) -> LiveJob:
    """Of the attempt whose number is its id."""
    attempt_id = UUID(int=job_id)
    place = f"{FOLDER}/{user}/{attempt_id}" if ours else "/home"
    raw = {"job_id": job_id, "user_name": user, "job_state": list(state), "current_working_directory": place}
    ended = {"end_time": 1000, "start_time": 900, "tres_alloc_str": "cpu=1"} if is_end(state) else {}
    return live_job({**raw, **ended, "name": job_name(attempt_id) if ours else "theirs", **more})


@dataclass
class Slurmctld:
    """What it knows, and what it was asked."""

    jobs: dict[int, LiveJob] = field(default_factory=dict)
    unreadable: set[int] = field(default_factory=set)
    tells_states: bool = True
    away: bool = False
    asked: list[str] = field(default_factory=list)
    now: datetime = T0

    def has(self, *jobs: LiveJob) -> None:
        self.jobs.update({each.job_id: each for each in jobs})

    async def live_jobs(self, since: datetime | None, *, known: Mapping[int, LiveJob]) -> LiveJobs:
        self._hear("all")
        unreadable = tuple(Unreadable("no-user", str(job_id)) for job_id in self.unreadable)
        return LiveJobs(jobs=tuple(self.jobs.values()), unreadable=unreadable, updated_at=self.now)

    async def job_states(self) -> Mapping[int, frozenset[str]] | None:
        self._hear("states")
        if not self.tells_states:
            return None
        return {
            **{each.job_id: frozenset(each.state) for each in self.jobs.values()},
            **dict.fromkeys(self.unreadable, frozenset({"RUNNING"})),
        }

    async def live_job(self, job_id: int) -> LiveJob | None:
        self._hear(str(job_id))
        if job_id in self.unreadable:
            raise Unavailable("unreadable-job: no-user", maybe_done=False)
        return self.jobs.get(job_id)

    def _hear(self, asked: str) -> None:
        self.asked.append(asked)
        if self.away:
            raise AWAY

    def heard(self) -> list[str]:
        """Since this was asked last."""
        asked, self.asked = self.asked, []
        return asked


@dataclass
class House:
    slurm: Slurmctld
    view: View

    async def after(self, seconds: float) -> Queue:
        self.slurm.now += timedelta(seconds=seconds)
        return await self.view.now()


@pytest.fixture
async def house() -> House:
    """It has seen ten running jobs of ours, of which nothing is news."""
    slurm = Slurmctld()
    slurm.has(*(job(number, "RUNNING") for number in range(1, 11)))
    house = House(slurm, View(cast("Slurm", slurm), folder=FOLDER, clock=lambda: slurm.now))
    assert (await house.after(1)).is_whole
    assert slurm.heard() == ["all"]
    return house


async def test_nothing_new_costs_one_small_answer(house: House) -> None:
    queue = await house.after(1)
    assert house.slurm.heard() == ["states"]
    assert (len(queue.jobs), queue.asked_at, queue.is_whole) == (10, house.slurm.now, False)


async def test_only_what_has_changed_is_read(house: House) -> None:
    house.slurm.has(job(3, "COMPLETED"), job(11, "PENDING"))
    queue = await house.after(1)
    assert house.slurm.heard() == ["states", "3", "11"]
    assert queue.by_id == house.slurm.jobs
    assert list(queue.waiting) == [UUID(int=11)]
    await house.after(1)
    assert house.slurm.heard() == ["states"]


async def test_a_job_that_completes_is_read_when_it_has(house: House) -> None:
    """Its nodes clear up, and until then it runs for us."""
    house.slurm.has(job(3, "COMPLETED", "COMPLETING"))
    await house.after(1)
    assert house.slurm.heard() == ["states"]
    house.slurm.has(job(3, "FAILED"))
    queue = await house.after(1)
    assert house.slurm.heard() == ["states", "3"]
    assert queue.by_id == house.slurm.jobs


async def test_a_completing_job_in_words_that_we_do_not_know_is_read(house: House) -> None:
    house.slurm.has(job(3, "COMPLETED", "COMPLETING", "NEWWORD"))
    await house.after(1)
    assert house.slurm.heard() == ["states", "3"]


async def test_many_changes_are_read_at_once(house: House) -> None:
    house.slurm.has(*(job(number, "COMPLETED") for number in range(1, 8)))
    queue = await house.after(1)
    assert house.slurm.heard() == ["states", "all"]
    assert queue.by_id == house.slurm.jobs


async def test_an_ended_job_that_slurm_forgets_is_dropped(house: House) -> None:
    house.slurm.has(job(3, "COMPLETED"))
    await house.after(1)
    del house.slurm.jobs[3]
    house.slurm.heard()
    queue = await house.after(1)
    assert house.slurm.heard() == ["states"]
    assert queue.with_id(3) is None
    assert not queue.claiming(UUID(int=3))


@pytest.mark.parametrize("state", [("RUNNING",), ("COMPLETED", "COMPLETING"), ("PENDING",)])
async def test_what_had_not_ended_and_is_missing_is_gone_only_by_the_whole_list(
    house: House, state: tuple[str, ...]
) -> None:
    house.slurm.has(job(3, *state))
    await house.after(1)
    del house.slurm.jobs[3]
    house.slurm.heard()
    assert (await house.after(1)).is_whole
    assert house.slurm.heard() == ["states", "all"]


async def test_an_empty_list_of_states_is_not_believed(house: House) -> None:
    house.slurm.has(*(job(number, "COMPLETED") for number in range(1, 11)))
    await house.after(1)
    house.slurm.jobs.clear()
    assert (await house.after(1)).is_whole


async def test_a_job_that_ends_between_two_questions_is_no_error(house: House) -> None:
    """It was in the list of states, and is purged before it is read."""
    states = await house.slurm.job_states()
    assert states is not None

    async def with_one_more() -> Mapping[int, frozenset[str]]:
        return {**states, 12: frozenset({"COMPLETED"})}

    house.slurm.job_states = with_one_more  # type: ignore[method-assign]
    assert (await house.after(1)).by_id == house.slurm.jobs


async def test_the_whole_list_is_asked_for_again_and_again(house: House) -> None:
    """An id that a crash gave to another attempt, in the same state, is found then."""
    house.slurm.has(replace(job(3, "RUNNING"), name="another", working_directory=f"{FOLDER}/alice/{UUID(int=99)}"))
    assert not (await house.after(1)).claiming(UUID(int=99))
    for _ in range(9):
        queue = await house.after(1)
    assert queue.claiming(UUID(int=99))
    assert not queue.claiming(UUID(int=3))


async def test_a_whole_list_that_takes_long_is_asked_for_less_often(house: House) -> None:
    async def slowly(since: datetime | None, *, known: Mapping[int, LiveJob]) -> LiveJobs:
        house.slurm.now += timedelta(seconds=2)
        return await Slurmctld.live_jobs(house.slurm, since, known=known)

    house.slurm.live_jobs = slowly  # type: ignore[method-assign]
    await house.view.whole()
    house.slurm.heard()
    for _ in range(37):
        await house.after(1)
    assert "all" not in house.slurm.heard()
    await house.after(2)
    assert "all" in house.slurm.heard()


async def test_after_a_failure_the_whole_list_is_next(house: House) -> None:
    """The slurmctld may have been restarted without the jobs that it had accepted last."""
    house.slurm.away = True
    with pytest.raises(Unavailable):
        await house.after(1)
    house.slurm.away = False
    house.slurm.heard()
    assert (await house.after(1)).is_whole
    assert house.slurm.heard() == ["all"]


async def test_who_concludes_from_an_absence_gets_the_whole_list(house: House) -> None:
    await house.after(1)
    house.slurm.heard()
    assert (await house.view.whole()).is_whole
    assert house.slurm.heard() == ["all"]


async def test_a_waiting_job_of_ours_is_read_again_since_its_reason_alone_may_change(house: House) -> None:
    house.slurm.has(*(job(number, "PENDING") for number in range(20, 23)))
    await house.after(1)
    house.slurm.has(job(21, "PENDING", state_reason="JobHeldUser"))
    house.slurm.heard()
    queue = await house.after(3)
    assert house.slurm.heard() == ["states", "20", "21", "22"]
    assert queue.waiting[UUID(int=21)].reason == "JobHeldUser"


async def test_of_many_waiting_jobs_a_few_are_read_at_a_time(house: House) -> None:
    house.slurm.has(*(job(number, "PENDING") for number in range(20, 30)))
    await house.view.whole()
    house.slurm.heard()
    await house.after(3)
    await house.after(0.5)
    asked = [each for each in house.slurm.heard() if each != "states"]
    assert asked == [str(number) for number in range(20, 28)]


async def test_a_strangers_job_is_read_once(house: House) -> None:
    house.slurm.has(job(30, "PENDING", ours=False))
    await house.after(1)
    assert house.slurm.heard() == ["states", "30"]
    house.slurm.has(job(30, "RUNNING", ours=False))
    await house.after(1)
    house.slurm.has(job(30, "COMPLETED", ours=False))
    await house.after(1)
    del house.slurm.jobs[30]
    queue = await house.after(1)
    assert house.slurm.heard() == ["states", "states", "states"]
    assert queue.with_id(30) is None


async def test_a_job_that_cannot_be_read_is_told_as_such_and_hinders_no_other(house: House) -> None:
    house.slurm.unreadable.add(40)
    assert (await house.after(1)).unreadable_ids == {"40"}
    assert house.slurm.heard() == ["states", "40", "all"]
    house.slurm.has(job(3, "COMPLETED"))
    queue = await house.after(1)
    assert house.slurm.heard() == ["states", "3"]
    assert queue.unreadable_ids == {"40"}


async def test_where_the_version_tells_no_states_the_whole_list_is_asked_for(house: House) -> None:
    house.slurm.tells_states = False
    house.slurm.has(job(3, "COMPLETED"))
    queue = await house.after(1)
    assert queue.is_whole
    assert queue.by_id == house.slurm.jobs
