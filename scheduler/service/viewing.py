"""A new job as others will read it: what was stored a moment ago need not be asked for again."""

from __future__ import annotations

from scheduler.core.explain import why_it_waits
from scheduler.core.model import Attempt
from scheduler.core.reasons import Why
from scheduler.store.jobs import NewJob
from scheduler.views import ArrayView, JobView, WaitingView


def as_new(new: NewJob, attempt: Attempt) -> JobView:
    """Equal to what reading.job() tells of it before the next plan."""
    asked = new.request
    array = None
    if new.array is not None and new.array_index is not None:
        array = ArrayView(number=new.array.number, index=new.array_index, tasks=new.array.tasks)
    why = Why.NOT_PLANNED_YET
    return JobView(
        id=new.id,
        organisation_id=new.organisation_id,
        project_id=new.project_id,
        project=asked.project,
        person_id=new.person_id,
        name=asked.name,
        kind=asked.kind,
        offering_id=asked.offering_id,
        backend=new.backend,
        service_class=asked.service_class,
        gpus=new.resources.gpus,
        cpus=new.resources.cpus,
        memory_mb=new.resources.memory_mb,
        nodes=asked.placement.nodes,
        shots=asked.shots,
        walltime_s=asked.walltime_s,
        max_attempts=asked.max_attempts,
        max_timeouts=asked.max_timeouts,
        begin_at=asked.begin_at,
        array=array,
        number=new.number,
        submitted_at=new.submitted_at,
        state=attempt.state,
        attempt_id=attempt.id,
        attempt_count=attempt.ordinal,
        phase=attempt.phase,
        started_at=None,
        ended_at=None,
        exit_code=None,
        reason=None,
        cancel_requested_at=None,
        waiting=WaitingView(reason=why, facts={}, sentence=why_it_waits(why, {})),
        data_location=asked.data_location,
    )
