"""Several records of one attempt: which one speaks, and what it says."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from hpc_adapters.contract import BY_OWNER, Seen
from hpc_adapters.jobhead.places import job_name
from hpc_adapters.jobhead.spool import End, Start
from hpc_adapters.slurm import telling
from hpc_adapters.slurm.models import DbJob, LiveJob
from hpc_adapters.slurm.models.jobs import db_job, live_job
from hpc_adapters.slurm.telling import Known

T0 = datetime(2026, 11, 20, 9, tzinfo=UTC)
ATTEMPT = UUID(int=7)
GPU = {"gres/gpu": 1, "cpu": 1}


def live(job_id: int, *state: str, start: float | None = 0, length: float | None = None, **more: object) -> LiveJob:
    job = live_job({"job_id": job_id, "name": job_name(ATTEMPT), "user_name": "alice", "job_state": list(state)})
    return replace(job, **_times(start, length), tres_alloc=GPU if start is not None else {}, **more)  # type: ignore[arg-type]


def recorded(job_id: int, *state: str, start: float = 0, length: float | None = None, **more: object) -> DbJob:
    job = db_job({"job_id": job_id, "name": job_name(ATTEMPT), "user": "alice", "state": {"current": list(state)}})
    return replace(job, **_times(start, length), tres_alloc=GPU, **more)  # type: ignore[arg-type]


def _times(start: float | None, length: float | None) -> dict[str, datetime | None]:
    started_at = None if start is None else T0 + timedelta(seconds=start)
    ended_at = None if length is None or started_at is None else started_at + timedelta(seconds=length)
    return {"submit_at": T0, "started_at": started_at, "ended_at": ended_at}


def start(job_id: int, at: float) -> Start:
    return Start(job_id, 0, int((T0 + timedelta(seconds=at)).timestamp()))


def said(known: Known) -> tuple[Seen, str] | None:
    told = telling.tell(known)
    return None if told is None else (told.verdict.seen, told.verdict.detail)


@pytest.mark.parametrize(
    ("job", "seen"),
    [
        (live(1, "PENDING", start=None), Seen.WAITING),
        (live(1, "RUNNING"), Seen.RUNNING),
        (live(1, "COMPLETED", length=9, exit_code=0), Seen.SUCCEEDED),
        (live(1, "COMPLETED", "COMPLETING", exit_code=0), Seen.RUNNING),
        (live(1, "FAILED", length=61, exit_code=3), Seen.FAILED),
        (live(1, "FAILED", length=61, exit_code=75), Seen.FAILED),  # too long for one that was turned away
    ],
)
def test_one_plain_record_is_told_at_a_glance(job: LiveJob, seen: Seen) -> None:
    told = telling.at_a_glance([job])
    assert told is not None
    assert told.verdict.seen is seen


@pytest.mark.parametrize(
    "jobs",
    [
        [],
        [live(1, "RUNNING"), live(2, "RUNNING")],
        [live(1, "CANCELLED", length=5)],
        [live(1, "TIMEOUT", length=99)],
        [live(1, "NODE_FAIL", length=99)],
        [live(1, "FAILED", length=5, exit_code=75)],
        [live(1, "FAILED", length=5, exit_code=74)],
        [live(1, "FAILED", length=0, exit_code=1)],
        [live(1, "PENDING", start=None, reason="launch failed requeued held")],
        [live(1, "PENDING", start=None, reason="JobHeldAdmin")],
        [live(1, "PENDING", start=None, restart_count=1)],
    ],
)
def test_what_a_glance_cannot_tell_is_looked_at_closer(jobs: list[LiveJob]) -> None:
    assert telling.at_a_glance(jobs) is None


def test_the_program_may_end_with_our_own_codes() -> None:
    own = live(1, "FAILED", length=5, exit_code=75)
    assert said(Known(live=[own], start=start(1, 0), end=End(75, by_itself=True, head=False))) == (Seen.FAILED, "")


def test_a_copy_of_one_that_slurm_has_lost_is_our_fault() -> None:
    """Rolled back after a crash: the same id, started twice, and the first was killed as an orphan."""
    second = recorded(1, "FAILED", start=20, length=6, exit_code=75)
    assert said(Known(recorded=[second], start=start(1, 0))) == (Seen.NODE_FAILED, "superseded")
    assert telling.is_turned_away(second, start(1, 0))


def test_a_second_start_that_slurmd_refused_is_our_fault() -> None:
    """Seen on 24.11 and 26.05: "already killed, do not launch batch job", and the job is FAILED with code 1."""
    second = live(1, "FAILED", start=3, length=0, exit_code=1)
    assert said(Known(live=[second], start=start(1, 0))) == (Seen.NODE_FAILED, "superseded")
    assert said(Known(live=[second])) == (Seen.NODE_FAILED, "head-failed")


def test_a_copy_may_repeat_how_the_program_ended() -> None:
    again = live(1, "FAILED", start=600, length=1, exit_code=3)
    ended = Known(live=[again], start=start(1, 0), end=End(3, by_itself=True, head=False))
    assert said(ended) == (Seen.FAILED, "")
    forced = Known(live=[again], start=start(1, 0), end=End(3, by_itself=False, head=False))
    assert said(forced) == (Seen.NODE_FAILED, "superseded")


def test_a_lost_run_that_was_killed_is_our_fault_and_one_that_slurm_knows_is_not() -> None:
    """Seen on 26.05: the first start's program died by slurmd, its head wrote that down, and the copy repeated it."""
    killed = End(137, by_itself=True, head=False)
    again = recorded(1, "FAILED", start=5, length=1, exit_code=137)
    assert said(Known(recorded=[again], start=start(1, 0), end=killed)) == (Seen.NODE_FAILED, "superseded")
    own = recorded(1, "FAILED", start=0, length=5, exit_code=137)
    assert said(Known(recorded=[own], start=start(1, 0), end=killed)) == (Seen.FAILED, "")
    assert said(Known(recorded=[own, again], start=start(1, 0), end=killed)) == (Seen.FAILED, "")


def test_a_copy_that_starts_in_the_second_of_the_first_is_told_by_its_code_and_the_missing_end() -> None:
    copy = recorded(1, "FAILED", start=2, length=6, exit_code=75)
    assert said(Known(recorded=[copy], start=start(1, 0))) == (Seen.NODE_FAILED, "superseded")
    own = End(75, by_itself=True, head=False)
    assert said(Known(recorded=[copy], start=start(1, 0), end=own)) == (Seen.FAILED, "")


def test_a_program_that_fails_at_once_has_failed_by_itself() -> None:
    job = live(1, "FAILED", length=0, exit_code=1)
    assert said(Known(live=[job], start=start(1, 0), end=End(1, by_itself=True, head=False))) == (Seen.FAILED, "")


def test_the_record_that_passed_the_gate_speaks_for_the_others() -> None:
    won = recorded(2, "COMPLETED", length=100, exit_code=0)
    lost = live(1, "FAILED", start=5, length=6, exit_code=75)
    assert said(Known(live=[lost], recorded=[won], start=start(2, 0))) == (Seen.SUCCEEDED, "")
    assert telling.is_turned_away(lost, start(2, 0))
    assert not telling.is_turned_away(won, start(2, 0))


def test_a_requeue_that_the_gate_turned_away_leaves_the_preemption() -> None:
    first = recorded(1, "PREEMPTED", length=100)
    second = replace(recorded(1, "FAILED", start=200, length=6, exit_code=75), submit_at=T0 + timedelta(seconds=100))
    assert said(Known(recorded=[first, second], start=start(1, 0))) == (Seen.PREEMPTED, "")


@pytest.mark.parametrize("flag", ["REQUEUED", "REQUEUE_HOLD", "SPECIAL_EXIT"])
def test_what_its_owner_requeues_after_hours_is_no_preemption(flag: str) -> None:
    """It was sent as not requeueable; `scontrol update requeue=1` and `scontrol requeue` are its owner's to give."""
    ran = recorded(1, "PENDING", flag, length=3600)
    again = live(1, "PENDING", start=None, restart_count=1)
    assert said(Known(live=[again], recorded=[ran], start=start(1, 0), note="requeued")) == (Seen.CANCELLED, BY_OWNER)


def test_a_launch_that_failed_after_a_crash_is_no_requeue_of_its_owners() -> None:
    short = recorded(1, "PENDING", "REQUEUE_HOLD", length=2)
    assert said(Known(recorded=[short], start=start(1, 0))) == (Seen.PREEMPTED, "requeued")
    taken = recorded(1, "PREEMPTED", "REQUEUED", length=3600)
    assert said(Known(recorded=[taken], start=start(1, 0))) == (Seen.PREEMPTED, "requeued")


def test_a_run_that_died_with_a_forgotten_bearer_of_its_id_is_no_failure_of_its_program() -> None:
    killed = recorded(1, "FAILED", length=2, signal=9)
    passed = Known(recorded=[killed], start=start(1, 0), has_namesake=True)
    assert said(passed) == (Seen.NODE_FAILED, "ended-with-namesake")
    assert said(replace(passed, recorded=[recorded(1, "FAILED", length=2, exit_code=137)])) == said(passed)
    own_end = End(137, by_itself=True, head=False)
    for plain in (
        replace(passed, has_namesake=False),
        replace(passed, end=own_end),
        replace(passed, recorded=[recorded(1, "FAILED", length=61, signal=9)]),
    ):
        assert said(plain) == (Seen.FAILED, "signal-9")
    assert said(replace(passed, recorded=[recorded(1, "FAILED", length=2, exit_code=9)])) == (Seen.FAILED, "")


@pytest.mark.parametrize("state", ["TIMEOUT", "NODE_FAIL"])
def test_an_end_that_slurm_forgot_in_a_crash_is_the_programs_own(state: str) -> None:
    job = recorded(1, state, length=99)
    at_s = int(T0.timestamp()) + 9
    own = Known(recorded=[job], start=start(1, 0), end=End(0, by_itself=True, head=False, at_s=at_s))
    assert said(own) == (Seen.SUCCEEDED, "end-forgotten")
    told = telling.tell(replace(own, end=End(3, by_itself=True, head=False, at_s=at_s)))
    assert told is not None
    assert (told.verdict.seen, told.verdict.exit_code) == (Seen.FAILED, 3)
    as_slurm_says = telling.verdict(job).seen
    forced = End(0, by_itself=False, head=False, at_s=at_s)
    late = End(0, by_itself=True, head=False, at_s=at_s + 60)
    undated = End(0, by_itself=True, head=False)
    for other in (*(replace(own, end=each) for each in (forced, late, undated, None)), replace(own, start=start(2, 0))):
        told = telling.tell(other)
        assert told is not None
        assert told.verdict.seen is as_slurm_says


def test_a_namesake_is_an_earlier_job_by_the_same_id() -> None:
    job = recorded(1, "FAILED", length=2)
    minutes = [replace(job, submit_at=T0 - timedelta(minutes=each)) for each in (-1, 0, 1, 61)]
    assert [telling.has_namesake(job, [each]) for each in minutes] == [False, False, True, False]
    assert not telling.has_namesake(job, [replace(minutes[2], job_id=2)])
    assert not telling.has_namesake(replace(job, submit_at=None), minutes)


def test_a_head_that_could_not_begin_is_our_fault_and_only_for_a_moment() -> None:
    soon = live(1, "FAILED", length=20, exit_code=74)
    assert said(Known(live=[soon])) == (Seen.NODE_FAILED, "head-failed")
    late = live(1, "FAILED", length=600, exit_code=74)
    assert said(Known(live=[late])) == (Seen.FAILED, "")
    began = Known(
        live=[live(1, "FAILED", length=9, exit_code=73)], start=start(1, 0), end=End(73, by_itself=False, head=True)
    )
    assert said(began) == (Seen.NODE_FAILED, "head-failed")


def test_a_cancel_is_its_owners_only_when_slurmdbd_says_so() -> None:
    killed = live(1, "CANCELLED", length=5)
    assert said(Known(live=[killed])) == (Seen.CANCELLED, "")
    by_owner = recorded(1, "CANCELLED", length=5, kill_by="alice")
    assert said(Known(live=[killed], recorded=[by_owner])) == (Seen.CANCELLED, BY_OWNER)
    by_root = recorded(1, "CANCELLED", length=6, kill_by="root")
    assert said(Known(live=[killed], recorded=[by_root])) == (Seen.CANCELLED, "")


def test_a_launch_that_slurmd_refused_and_had_cancelled_is_our_fault() -> None:
    """After a crash: "Job 4 already running, do not launch second copy", then a kill by root."""
    refused = recorded(4, "CANCELLED", length=1, kill_by="root")
    assert said(Known(recorded=[refused])) == (Seen.NODE_FAILED, "launch-refused")
    assert said(Known(recorded=[refused], start=start(4, -60))) == (Seen.NODE_FAILED, "launch-refused")
    assert said(Known(recorded=[refused], start=start(4, 0))) == (Seen.CANCELLED, "")  # its program had started
    late = recorded(4, "CANCELLED", length=60, kill_by="root")
    assert said(Known(recorded=[late])) == (Seen.CANCELLED, "")


def test_a_copy_that_we_ended_because_nobody_would_release_it_is_our_fault() -> None:
    ended = recorded(1, "CANCELLED", length=0, kill_by="alice")
    assert said(Known(recorded=[ended], note="launch-failed-held")) == (Seen.NODE_FAILED, "launch-failed-held")


def test_what_slurmctld_lost_while_slurmdbd_waits_for_its_end_is_nothing() -> None:
    assert said(Known(recorded=[recorded(1, "RUNNING")])) is None
    assert said(Known()) is None


def test_only_copies_that_can_never_run_are_strays() -> None:
    waiting, running = live(2, "PENDING", start=None), live(1, "RUNNING")
    assert telling.strays(Known(live=[waiting, running])) == []
    assert telling.strays(Known(live=[waiting, running], start=start(1, 0))) == [waiting]
    again = live(1, "PENDING", start=None, restart_count=1)
    assert telling.strays(Known(live=[again], start=start(1, 0))) == [again]
    assert telling.strays(Known(live=[again])) == []


def test_the_trace_of_a_refusal_is_no_attempt() -> None:
    refused = replace(live(1, "FAILED", start=None), reason="BadConstraints")
    assert telling.was_refused(refused)
    assert not telling.was_refused(live(1, "FAILED", length=4, exit_code=1))
