"""What Slurm's records of one attempt come to, with what the head of the job wrote down. Pure.

An attempt may have several records: a submission that was repeated, a start that Slurm rolled back and made again, a
requeue. One of them passed the gate; it tells what became of the attempt, and the others ran nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from hpc_adapters.contract import BY_OWNER, Observation, Ref, Seen
from hpc_adapters.jobhead.spool import End, Start
from hpc_adapters.jobhead.wrapper import SUPERSEDED
from hpc_adapters.slurm import translate
from hpc_adapters.slurm.models import DbJob, LiveJob
from hpc_adapters.slurm.translate import Verdict

TURNED_AWAY_S: Final = 30
"""A start that another one has overtaken ends sooner than this."""
HEAD_S: Final = 60
"""A head that could not start the program gives up sooner than this."""
REFUSED_S: Final = 5
"""slurmd refuses a launch sooner than this."""
LAUNCH_REFUSED: Final = "launch-refused"
ENDED_WITH_NAMESAKE: Final = "ended-with-namesake"
END_FORGOTTEN: Final = "end-forgotten"
ENDING_TAKES_S: Final = 60
"""Longer Slurm does not take to end a job: its KillWait is 30 s as it comes."""
NAMESAKE_WITHIN: Final = timedelta(hours=1)
"""An id comes again so soon only where slurmctld has lost the job that bore it."""
KILLED: Final = 128 + 9
"""The exit code of what SIGKILL has ended, by its head's word and by Slurm's."""
SAME_START_S: Final = 2
SUPERSEDED_BY_ANOTHER: Final = "superseded"
ENDS_OF_FORGETTING: Final = frozenset({Seen.TIMED_OUT, Seen.NODE_FAILED})
"""What becomes of a job whose end slurmctld was told, forgot in a crash, and waits for again."""
NOT_RELEASED: Final = frozenset(
    {
        "launch-failed",
        "launch-failed-held",
        "requeued-held",
        "held-reservation-deleted",
        "reservation-deleted",
        "invalid-account",
        "invalid-qos",
    }
)
"""Details of a waiting copy that nobody will let go: it is cancelled, and the attempt is told as NODE_FAILED."""

Job = LiveJob | DbJob


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """All that is known of one attempt, each record already proved to be its own."""

    live: Sequence[LiveJob] = ()
    recorded: Sequence[DbJob] = ()
    start: Start | None = None
    end: End | None = None
    note: str = ""
    has_namesake: bool = False
    """Whether slurmctld gave the same id to an earlier job, and forgot that one."""


@dataclass(frozen=True, slots=True)
class Told:
    """The record that speaks for the attempt, and what it says."""

    job: Job
    verdict: Verdict


def verdict(job: Job) -> Verdict:
    """What a record says by itself."""
    return translate.live(job) if isinstance(job, LiveJob) else translate.recorded(job)


def at_a_glance(live: Sequence[LiveJob]) -> Told | None:
    """What slurmctld alone can tell. None: its accounting or the job's folder must be asked.

    That is so for an attempt with several records, for a cancelled one (by whom?), for one that waits for the second
    time or is held, for one that failed so soon that its program may not have run, and where its program may have
    ended before the end that Slurm tells.
    """
    if len(live) != 1:
        return None
    told = verdict(live[0])
    waits_again = told.seen is Seen.WAITING and (bool(live[0].restart_count) or told.is_stuck)
    if told.seen in {Seen.CANCELLED, *ENDS_OF_FORGETTING} or waits_again or may_be_of_head(live[0], told):
        return None
    return Told(live[0], told)


def was_refused(job: Job) -> bool:
    """Whether it is only the trace of a submission that Slurm refused: it keeps one, failed and with an id."""
    return job.base_state == "FAILED" and not job.tres_alloc and job.nodes in {"", "None assigned"}


def is_never_released(told: Verdict) -> bool:
    """Whether it waits for somebody who will not come."""
    return told.seen is Seen.WAITING and told.detail in NOT_RELEASED


def may_be_of_head(job: Job, told: Verdict) -> bool:
    """Whether it may have ended before the user's program ran: where slurmd itself refuses a start, the code is 1."""
    return told.seen is Seen.FAILED and length_s(job) <= HEAD_S


def length_s(job: Job) -> float:
    """From its start to its end; 0 for one that never started."""
    if job.started_at is None or job.ended_at is None:
        return 0.0
    return (job.ended_at - job.started_at).total_seconds()


def passed_gate(job: Job, start: Start | None) -> bool | None:
    """Whether this record is the start that passed the gate. None: nothing was written down."""
    if start is None:
        return None
    if job.job_id != start.job_id:
        return False
    if job.started_at is None or start.start_s is None:
        return job.started_at is not None
    return abs(job.started_at.timestamp() - start.start_s) <= SAME_START_S


def is_turned_away(job: Job, start: Start | None) -> bool:
    """Whether it was a second start that ran nothing: short, and another one has passed the gate."""
    return (
        job.started_at is not None
        and job.ended_at is not None
        and length_s(job) <= TURNED_AWAY_S
        and passed_gate(job, start) is False
    )


def tell(known: Known) -> Told | None:
    """Of all records together. None: Slurm has lost it, its accounting included."""
    winner = _winner(known)
    job = winner or _loudest(known)
    if job is None:
        return None
    told = verdict(job)
    if winner is not None:
        return Told(winner, _of_winner(winner, told, known))
    if may_be_of_head(job, told):
        return Told(job, _without_gate(job, told, known))
    refused = LAUNCH_REFUSED if _was_refused_by_node(job, told) else ""
    return Told(job, _unless_ours(told, known.note or refused))


def has_namesake(job: Job, recorded: Iterable[DbJob]) -> bool:
    """Whether the accounting knows an earlier job by the same id, submitted less than NAMESAKE_WITHIN before it."""
    at = job.submit_at
    if at is None:
        return False
    earlier = (each.submit_at for each in recorded if each.job_id == job.job_id and each.submit_at is not None)
    return any(at - NAMESAKE_WITHIN <= each < at for each in earlier)


def may_hide_another(told: Told, known: Known) -> bool:
    """Whether it says that the run which passed the gate is lost, and that run had an id of its own: ask for that."""
    is_lost = told.verdict == Verdict(Seen.NODE_FAILED, SUPERSEDED_BY_ANOTHER, told.verdict.exit_code)
    return is_lost and known.start is not None and known.start.job_id != told.job.job_id


def strays(known: Known) -> list[LiveJob]:
    """Copies that wait although the gate has been passed: they can never run anything, and may be cancelled."""
    return [] if known.start is None else [job for job in known.live if verdict(job).seen is Seen.WAITING]


def observation(ref: Ref, told: Told, *, now: datetime) -> Observation:
    """In the port's words."""
    job, said = told.job, told.verdict
    started_at = None if said.seen is Seen.WAITING else job.started_at
    ended_at = (job.ended_at or None) if said.seen.is_end else None
    if started_at is not None and ended_at is not None:
        ended_at = max(started_at, ended_at)
    return Observation(
        ref=ref,
        seen=said.seen,
        observed_at=now,
        started_at=started_at,
        ended_at=ended_at,
        exit_code=said.exit_code if said.seen.is_end else None,
        detail=said.detail,
    )


def was_requeued(job: Job) -> bool:
    """Whether it is a record that a requeue has closed; a preemption that requeues says PREEMPTED."""
    is_closed = isinstance(job, DbJob) and job.ended_at is not None
    return is_closed and job.base_state == "PENDING" and not translate.CLOSED.keys().isdisjoint(job.state)


def _was_refused_by_node(job: Job, told: Verdict) -> bool:
    """Whether slurmd had it cancelled, as root, because it still runs a job of that id which slurmctld has forgotten.

    An operator who cancels a job in its first seconds, before its program has started, looks the same: it comes again.
    """
    by_the_site = isinstance(job, DbJob) and told.seen is Seen.CANCELLED and told.detail != BY_OWNER
    return by_the_site and job.started_at is not None and length_s(job) <= REFUSED_S


def _was_ended_with_namesake(job: Job, told: Verdict, known: Known) -> bool:
    """Whether slurmd killed it while it cleared up after the forgotten job of the same id, which it still ran.

    It kills by id until nothing of that id is left, one process after the other: the head could write no end.
    """
    was_killed = told.seen is Seen.FAILED and told.exit_code == KILLED and known.end is None
    return was_killed and known.has_namesake and length_s(job) <= HEAD_S


def _was_requeued_by_hand(winner: Job) -> bool:
    """Of a run that passed the gate: it was sent as not requeueable, so somebody changed that before.

    Slurm lets the owner, and never says who it was. A short one may be a launch that failed after a crash.
    """
    return was_requeued(winner) and length_s(winner) > HEAD_S


def _winner(known: Known) -> Job | None:
    """The record that passed the gate, as slurmctld knows it now or slurmdbd kept it."""
    if known.start is None:
        return None
    passed = [job for job in _all(known) if passed_gate(job, known.start)]
    ended = [job for job in passed if verdict(job).seen.is_end]
    alive = [job for job in passed if isinstance(job, LiveJob) and not verdict(job).seen.is_end]
    return next(iter([*ended, *alive]), None)


def _all(known: Known) -> list[Job]:
    """Those of slurmdbd first: of two records of the same end it says more."""
    return [*known.recorded, *known.live]


def _loudest(known: Known) -> Job | None:
    """Without a winner: what runs, else what waits, else the latest record."""
    alive = sorted((job for job in known.live if not verdict(job).seen.is_end), key=_rank)
    if alive:
        return alive[0]
    ended = [job for job in _all(known) if verdict(job).seen.is_end]
    return max(ended, key=_latest, default=None)


def _rank(job: LiveJob) -> tuple[bool, int]:
    return verdict(job).seen is not Seen.RUNNING, job.job_id


def _latest(job: Job) -> tuple[float, bool]:
    """Of two records of the same end, slurmdbd's says more."""
    end = job.ended_at or job.started_at or job.submit_at
    return (end.timestamp() if end else 0.0), isinstance(job, DbJob)


def _of_winner(winner: Job, told: Verdict, known: Known) -> Verdict:
    """Of the run that passed the gate."""
    if _was_requeued_by_hand(winner):
        return Verdict(Seen.CANCELLED, BY_OWNER)
    if may_be_of_head(winner, told) and known.end is not None and known.end.head:
        return Verdict(Seen.NODE_FAILED, "head-failed", told.exit_code)
    if may_be_of_head(winner, told) and told.exit_code == SUPERSEDED and known.end is None:  # a copy of the same second
        return Verdict(Seen.NODE_FAILED, SUPERSEDED_BY_ANOTHER, told.exit_code)
    if _was_ended_with_namesake(winner, told, known):
        return Verdict(Seen.NODE_FAILED, ENDED_WITH_NAMESAKE, told.exit_code)
    if told.seen in ENDS_OF_FORGETTING and known.end is not None and _ended_long_before(winner, known.end):
        code = known.end.exit_code
        return Verdict(Seen.FAILED if code else Seen.SUCCEEDED, END_FORGOTTEN, code)
    return _unless_ours(told, known.note)


def _ended_long_before(job: Job, end: End) -> bool:
    """Whether its program had ended by itself before Slurm could have been ending it: a step that Slurm ends at the
    time limit looks the same to the head, some seconds before the job's own end.
    """
    if not end.by_itself or end.head or end.at_s is None or job.ended_at is None:
        return False
    return job.ended_at.timestamp() - end.at_s > ENDING_TAKES_S


def _unless_ours(told: Verdict, why: str) -> Verdict:
    """A cancel that has a reason of ours, or of the machine, is none by a person."""
    return Verdict(Seen.NODE_FAILED, why) if why and told.seen is Seen.CANCELLED else told


def _without_gate(job: Job, told: Verdict, known: Known) -> Verdict:
    """Of a short failure that did not pass the gate. Nobody did: the head, or Slurm itself, could not begin.

    Another run did, and is in nobody's records: the crash that made this copy has killed it. A copy that repeats its
    recorded end says what became of the program, but for one that was killed: slurmd kills what slurmctld has lost.
    """
    if known.start is None and told.exit_code != SUPERSEDED:
        return Verdict(Seen.NODE_FAILED, "head-failed", told.exit_code)
    repeats = known.end is not None and known.end.by_itself and known.end.exit_code == told.exit_code
    if (repeats and told.exit_code != KILLED) or length_s(job) > TURNED_AWAY_S:
        return told
    return Verdict(Seen.NODE_FAILED, SUPERSEDED_BY_ANOTHER, told.exit_code)
