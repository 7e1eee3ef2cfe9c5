from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpc_adapters.contract import Seen, UsageRow
from hpc_adapters.slurm import accounting
from hpc_adapters.slurm.models import DbJob, jobs
from tests.support.slurm_golden import Offer, offers

every_offer = pytest.mark.parametrize("offer", offers(), ids=str)
ATTEMPT = UUID(int=7)
NEWEST = offers()[-1]


def recorded(offer: Offer = NEWEST) -> list[DbJob]:
    return list(jobs.db_jobs(offer.body("db_jobs")["jobs"]).items)


def one(name: str, offer: Offer = NEWEST) -> DbJob:
    (job,) = [job for job in recorded(offer) if job.name == name]
    return job


def row(job: DbJob, *, turned_away: bool = False, runaway: bool = False) -> UsageRow:
    made = accounting.usage_row(job, cluster="c", attempt_id=ATTEMPT, turned_away=turned_away, runaway=runaway)
    assert made is not None
    return made


@every_offer
def test_a_row_is_the_allocation_times_the_elapsed_seconds(offer: Offer) -> None:
    job = one("timeout", offer)
    told = row(job)
    assert told.components == {"gpu_s": Decimal(job.elapsed_s), "cpu_s": Decimal(job.elapsed_s)}
    assert (told.final, told.ending, told.ended_at) == (True, Seen.TIMED_OUT, job.ended_at)
    assert (told.facts["gpus"], told.facts["cpus"], told.facts["memory_mb"], told.facts["nodes"]) == (1, 1, 100, 1)


@pytest.mark.parametrize(
    ("tres", "qpu", "held"),
    [
        ({"gres/qpu": 2, "gres/qpu:kyo": 2}, "gres/qpu:kyo", 2),
        ({"gres/qpu": 2, "gres/qpu:to": 2}, "gres/qpu:kyo", 0),
        ({"gres/qpu": 2}, "gres/qpu:kyo", 2),
        ({"gres/qpu:kyo": 1, "gres/qpu:to": 2}, "gres/qpu", 3),
        ({"gres/qpu": 2}, None, 0),
        ({"gres/qpux": 2}, "gres/qpu", 0),
    ],
)
def test_a_qpu_is_metered_as_it_was_allocated_and_says_so(tres: dict[str, int], qpu: str | None, held: int) -> None:
    job = one("timeout")
    job = replace(job, tres_alloc={"cpu": 1, **tres})
    made = accounting.usage_row(job, cluster="c", attempt_id=ATTEMPT, qpu=qpu)
    assert made is not None
    assert made.components.get("qpu_s") == (held * Decimal(job.elapsed_s) if held else None)
    assert (made.facts.get("qpus"), made.facts.get("qpu_from")) == ((held, "allocated") if held else (None, None))
    kept_away = accounting.usage_row(job, cluster="c", attempt_id=ATTEMPT, qpu=qpu, turned_away=True)
    assert kept_away is not None
    assert not any(kept_away.components.values())


@every_offer
def test_suspended_time_is_not_billed(offer: Offer) -> None:
    """It is not in elapsed any more: taking it out again would be wrong."""
    job = one("resumed", offer)
    assert job.ended_at is not None
    assert job.started_at is not None
    lasted = int((job.ended_at - job.started_at).total_seconds())
    assert job.suspended_s >= 3
    assert row(job).components["gpu_s"] == lasted - job.suspended_s


@every_offer
def test_what_still_runs_is_open(offer: Offer) -> None:
    told = row(one("running", offer))
    assert (told.final, told.ended_at, told.ending) == (False, None, Seen.RUNNING)
    assert told.components["gpu_s"] == 2 * one("running", offer).elapsed_s > 0


@every_offer
def test_a_requeued_job_is_two_rows_that_add_up(offer: Offer) -> None:
    first, second = (row(job) for job in recorded(offer) if job.name == "requeued")
    assert first.natural_key != second.natural_key
    assert {first.ending, second.ending} == {Seen.PREEMPTED, Seen.SUCCEEDED}
    assert first.final
    assert second.final


@every_offer
def test_what_never_started_has_no_row(offer: Offer) -> None:
    waiting = one("too-big-now", offer)
    assert accounting.usage_row(waiting, cluster="c", attempt_id=None) is None
    assert not accounting.is_open(waiting)


@every_offer
def test_every_record_has_one_key(offer: Offer) -> None:
    rows = [accounting.usage_row(job, cluster="c", attempt_id=None) for job in recorded(offer)]
    keys = [told.natural_key for told in rows if told is not None]
    assert len(set(keys)) == len(keys)
    assert all(key.startswith("c:") and key.endswith(":-") for key in keys)


@pytest.mark.parametrize("release", ["24.11", "26.05"])
def test_a_record_has_the_same_key_and_amounts_in_every_version_of_the_api(release: str) -> None:
    """Or an upgrade of the REST server would charge it again."""
    told = []
    for offer in (offer for offer in offers() if offer.release == release):
        rows = [accounting.usage_row(job, cluster="c", attempt_id=None) for job in recorded(offer)]
        told.append({each.natural_key: each.components for each in rows if each is not None and each.final})
    assert all(each == told[0] for each in told)
    assert len(told[0]) > 10


@every_offer
def test_the_owners_own_cancel_is_told(offer: Offer) -> None:
    assert row(one("by-owner", offer)).facts["cancelled_by"] == "owner"
    assert "cancelled_by" not in row(one("by-root", offer)).facts


@every_offer
def test_measures_come_from_the_steps_and_are_absent_without(offer: Offer) -> None:
    facts = row(one("resumed", offer)).facts
    assert isinstance(facts["cpu_used_s"], float)
    assert isinstance(facts["peak_memory_mb"], int)
    assert 1 < facts["peak_memory_mb"] < 100
    assert not {"cpu_used_s", "peak_memory_mb", "energy_j"} & set(row(replace(one("done", offer), steps=())).facts)


def test_what_the_gate_turned_away_is_recorded_and_free() -> None:
    told = row(replace(one("failed"), exit_code=75, elapsed_s=4), turned_away=True)
    assert told.components == {"gpu_s": 0, "cpu_s": 0}
    assert (told.facts["turned_away"], told.facts["held_gpu_s"]) == ("yes", 4)


def test_a_runaway_is_closed_at_its_start_and_its_true_end_corrects_it() -> None:
    job = one("running")
    assert accounting.is_open(job)
    told = row(job, runaway=True)
    assert (told.final, told.ended_at, told.ending) == (True, told.started_at, Seen.NODE_FAILED)
    assert set(told.components.values()) == {0}
    assert told.facts["runaway"] == "yes"
    assert job.started_at is not None
    ended = replace(job, state=("COMPLETED",), ended_at=job.started_at + timedelta(seconds=9), elapsed_s=9)
    assert not accounting.is_open(ended)
    truth = row(ended, runaway=True)
    assert truth.natural_key == told.natural_key
    assert truth.components["gpu_s"] == 18


def test_gpus_by_type_only_are_counted_by_type() -> None:
    assert accounting.gpus({"gres/gpu:h200": 2, "gres/gpu:b300": 1}) == 3
    assert accounting.gpus({"gres/gpu": 2, "gres/gpu:h200": 2}) == 2
    assert accounting.gpus({"cpu": 2}) == 0


def test_a_record_told_twice_is_one_in_its_latest_state() -> None:
    job = one("timeout")
    before = replace(job, state=("RUNNING",), ended_at=None, elapsed_s=5)
    for order in ((before, job), (job, before), (job, job)):
        assert accounting.newest(order) == (job,)
    assert len(accounting.newest(recorded())) == len(recorded())


_amounts = st.integers(min_value=0, max_value=10_000)


@given(gpus=_amounts, cpus=st.integers(1, 1000), elapsed=_amounts, suspended=_amounts, steps=st.integers(0, 5))
def test_steps_add_nothing_and_nothing_is_negative(
    gpus: int, cpus: int, elapsed: int, suspended: int, steps: int
) -> None:
    job = replace(
        one("resumed"),
        tres_alloc={"cpu": cpus, "gres/gpu": gpus},
        elapsed_s=elapsed,
        suspended_s=suspended,
        steps=one("resumed").steps * steps,
    )
    assert row(job).components == {"gpu_s": gpus * elapsed, "cpu_s": cpus * elapsed}
    turned_away = row(job, turned_away=True)
    assert set(turned_away.components.values()) == {0}
    assert turned_away.facts["held_cpu_s"] == cpus * elapsed


@given(first=_amounts, later=_amounts)
def test_a_record_that_will_never_end_is_the_same_however_often_it_is_read(first: int, later: int) -> None:
    job = replace(one("resumed"), state=("RUNNING",), ended_at=None)
    rows = {elapsed: row(replace(job, elapsed_s=elapsed), runaway=True) for elapsed in (first, later)}
    assert rows[first] == rows[later]
    assert set(rows[first].components.values()) == {0}
