"""What slurmctld remembers and slurmdbd was never told of."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hpc_adapters.contract import Window
from hpc_adapters.slurm import accounting, unrecorded
from hpc_adapters.slurm.models.jobs import live_job

T0 = datetime(2026, 11, 20, 9, tzinfo=UTC)
WINDOW = Window(T0, T0 + timedelta(minutes=2))
BEFORE = T0 + timedelta(minutes=1)
ENDED = replace(
    live_job({"job_id": 7, "name": "ky", "user_name": "alice", "job_state": ["COMPLETED"]}),
    submit_at=T0,
    started_at=T0 + timedelta(seconds=1),
    ended_at=T0 + timedelta(seconds=31),
    tres_alloc={"gres/gpu": 2},
)


def told(**changes: object) -> list[int]:
    job = replace(ENDED, **changes)  # type: ignore[arg-type]
    return [each.job_id for each in unrecorded.ended_long_enough([job], window=WINDOW, before=BEFORE)]


def test_only_an_end_that_slurmdbd_should_know_stands_for_itself() -> None:
    assert told() == [7]
    assert told(state=("RUNNING",), ended_at=None) == []
    assert told(state=("COMPLETED", "COMPLETING")) == []
    assert told(ended_at=BEFORE) == []
    assert told(started_at=None) == []
    assert told(was_suspended=True) == []
    assert told(started_at=T0 - timedelta(hours=1), ended_at=T0 - timedelta(minutes=1)) == []


def test_a_record_of_the_same_id_and_time_is_the_jobs_own() -> None:
    [record] = unrecorded.as_records([ENDED])
    assert unrecorded.missing_from([record], [ENDED]) == []
    later = replace(ENDED, submit_at=T0 + timedelta(seconds=1))
    assert unrecorded.missing_from([record], [later]) == [later]
    assert unrecorded.missing_from([record], [replace(ENDED, submit_at=None)]) == []
    assert unrecorded.missing_from([], [ENDED]) == [ENDED]


def test_it_is_billed_for_its_allocation_from_start_to_end() -> None:
    [record] = unrecorded.as_records([ENDED])
    assert (record.elapsed_s, record.tres_alloc, record.state) == (30, {"gres/gpu": 2}, ("COMPLETED",))


def test_only_a_whole_record_needs_nothing_of_slurmctlds() -> None:
    [record] = unrecorded.as_records([ENDED])
    assert accounting.is_whole(record)
    assert not accounting.is_whole(replace(record, state=("RUNNING",), ended_at=None))
    assert not accounting.is_whole(replace(record, tres_alloc={}))
    assert not accounting.is_whole(replace(record, started_at=None))
    still_open = replace(record, state=("RUNNING",), ended_at=None, elapsed_s=99)
    assert accounting.newest([still_open, record]) == (record,)
