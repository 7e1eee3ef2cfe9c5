"""What cannot start whatever the others do, by something of its own: why, and until when at the earliest. Pure.

It takes nobody's turn. What concerns many at once (its organisation may start nothing, the machine is offline or soon
closed) is not here but in the gate: no list of jobs is walked when it changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from scheduler.core.dependencies import Fate
from scheduler.core.reasons import Why
from scheduler.core.snapshot import Never, Waiting
from scheduler.core.walls import limit_inside

_NAMED_JOBS = 20


class Aside(NamedTuple):
    """until: when to look again; None: when something of it has changed."""

    why: Why
    facts: Mapping[str, object]
    until: datetime | None = None


def never(job: Waiting, *, now: datetime, grace_s: int) -> Never | None:
    """What it waits for can no longer happen, or its reservation has too little time left for it."""
    if job.cancel_wanted:
        return None
    if job.outlook.fate is Fate.NEVER:
        return Never(attempt_id=job.attempt_id, jobs=job.outlook.jobs)
    inside = job.inside
    if inside is not None and limit_inside(inside, walltime_s=job.walltime_s, now=now, grace_s=grace_s) is None:
        return Never(attempt_id=job.attempt_id, reservation=inside.name)
    return None


def aside(job: Waiting, *, now: datetime) -> Aside | None:  # noqa: PLR0911  a list of reasons
    """None: it is in the contest."""
    if job.cancel_wanted:
        return Aside(Why.CANCEL_PENDING, {})
    if job.outlook.fate is not Fate.MET:
        return Aside(Why.DEPENDENCY, {"jobs": list(job.outlook.jobs[:_NAMED_JOBS])})
    if job.begin_at is not None and now < job.begin_at:
        return Aside(Why.BEGIN_TIME, {"until": job.begin_at.isoformat()}, job.begin_at)
    if job.inside is not None and now < job.inside.since:
        facts = {"reservation": job.inside.name, "until": job.inside.since.isoformat()}
        return Aside(Why.RESERVATION_AHEAD, facts, job.inside.since)
    if job.staging is not None:
        return Aside(Why.STAGING, {"problem": job.staging} if job.staging else {})
    if job.not_before is not None and now < job.not_before:
        return _backing_off(job, job.not_before)
    return None


def _backing_off(job: Waiting, until: datetime) -> Aside:
    if job.refused is not None:
        return Aside(Why.NOT_ELIGIBLE, {"code": job.refused}, until)
    if job.parked is not None:
        return Aside(Why.PARKED, {"until": until.isoformat(), "problem": job.parked}, until)
    return Aside(Why.RETRY_LATER, {"until": until.isoformat()}, until)
