"""Submission and cancellation: what customers ask for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID, uuid5

from accounts import service as accounts
from accounts.model import Principal, Scope
from hpc_adapters.contract import Capabilities, Feature, Resources
from infra.db.connection import Conn, notify
from pricing import service as pricing
from pricing.model import BillableAttempt, Quote
from pricing.quoting import cap_of
from scheduler.core.calls import all_calls_nu
from scheduler.core.events import Queued
from scheduler.core.model import Attempt, State
from scheduler.errors import (
    ArrayNotFound,
    DependencyNotFound,
    IdempotencyKeyReused,
    SessionNotFound,
    SessionOver,
    TooManyDependencies,
    UnsupportedFeature,
)
from scheduler.files import Freeze
from scheduler.hybrid import Hybrid, checked, request_sha256
from scheduler.options import Dependency, shown
from scheduler.reservations.model import Reservation
from scheduler.service import expecting
from scheduler.service.admitting import Asker, count_of, organisation_of
from scheduler.service.calling import admit_calls
from scheduler.service.limiting import Size, require_place, require_within_limits
from scheduler.service.phasing import admit_phases
from scheduler.service.placing import Services, admit_somewhere, within_rules
from scheduler.service.reading import job, job_ids_of
from scheduler.service.reserving import placed
from scheduler.service.viewing import as_new
from scheduler.store import attempts as attempt_store
from scheduler.store import calls as call_store
from scheduler.store import files as file_store
from scheduler.store import jobs as job_store
from scheduler.store import phases as phase_store
from scheduler.store import placing as placing_store
from scheduler.store import reads
from scheduler.store import reservations as reservation_store
from scheduler.store.calls import NewQpu
from scheduler.store.jobs import NewArray, NewJob
from scheduler.store.phases import NewPhase
from scheduler.store.placing import Candidate
from scheduler.submission import Submission, checked_key
from scheduler.views import JobView

MAX_PREREQUISITES = 2_000
"""Jobs that one job may wait for, when the tasks of arrays are counted."""
NO_CAPABILITIES: Mapping[str, Capabilities] = {}


async def submit(
    conn: Conn,
    *,
    principal: Principal,
    request: Submission,
    idempotency_key: str | None,
    job_id: UUID,
    attempt_id: UUID,
    quote_id: UUID,
    now: datetime,
    capabilities: Mapping[str, Capabilities] = NO_CAPABILITIES,
    freeze: Freeze | None = None,
    services: Services | None = None,
) -> tuple[JobView, bool]:
    """Steps 1–3 of the life of a job, in one transaction: job, quote, hold, attempt QUEUED. Wakes the dispatcher.

    An array is as many jobs, all or none of them, and its first task stands for it. capabilities: of the configured
    backends. freeze: looks up its input files; None: there are no files here. services: what the devices of its
    offerings expect of a circuit, else the model counts; a refusal is raised, unless the job was taken before. The same
    key with the same request again: the earlier
    job, and False. Refusals: those of submission.checked(); IdempotencyKeyReused, KindMismatch, QueueFull,
    OverQuota, UnsupportedFeature, RefusedByDevice, DependencyNotFound …; those of reserving.placed(); accounts'
    (ProjectNotFound, OrganisationSuspended, SiteUserMissing, SecretUnknown …); pricing's (UnknownOffering, NoPrice,
    TooManyGpus …, NoWallet, InsufficientFunds).
    """
    principal.require(Scope.JOBS_WRITE)
    organisation_id = organisation_of(principal)
    key, clean = checked_key(idempotency_key), checked(request)
    digest = request_sha256(clean)
    conn, queue = await expecting.entered(conn, principal, clean, key=key, job_id=job_id, now=now)
    if queue.earlier is not None:
        if queue.earlier.request_sha256 != digest:
            raise IdempotencyKeyReused(job_id=str(queue.earlier.job_id))
        return await job(conn, queue.earlier.job_id), False
    project, customer = await accounts.require_submitter(conn, organisation_id, project=clean.project, now=now)
    expecting.expect_owner(project, customer.customer_class)
    require_place(queue, asked=count_of(clean))
    clean, inside = await placed(conn, organisation_id, clean, now=now)
    clean = await within_rules(conn, organisation_id, clean)
    who = Asker(principal=principal, customer=customer, capabilities=capabilities, now=now)
    admitted = await _admitted(conn, who, clean, (job_id, quote_id), services)
    leaf = organisation_id, project.id, principal.person_id
    await require_within_limits(conn, leaf, admitted.sizes, asked=count_of(clean), now=now)
    waits_for = await _prerequisites(conn, organisation_id, clean.dependencies)
    clean = replace(clean, offering_id=admitted.offering_id)
    first = NewJob(
        id=job_id,
        number=queue.next_number,
        organisation_id=organisation_id,
        project_id=project.id,
        person_id=principal.person_id,
        request=clean,
        backend=admitted.backend,
        resources=admitted.resources,
        nu=admitted.nu,
        session_job_id=await _session(conn, organisation_id, clean),
        max_qpu_us=admitted.max_qpu_us,
        idempotency_key=key,
        request_sha256=digest,
        submitted_at=now,
    )
    stored = await _store(conn, first, replace(admitted, inside=inside), waits_for, attempt_id, now)
    if clean.inputs or clean.outputs or (isinstance(clean, Hybrid) and clean.hands_on()):
        await _keep_inputs(conn, first, freeze)
    return as_new(*stored), True


async def _store(
    conn: Conn,
    first: NewJob,
    admitted: _Admitted,
    waits_for: Sequence[job_store.Prerequisite],
    attempt_id: UUID,
    now: datetime,
) -> tuple[NewJob, Attempt]:
    """Quotes and holds, jobs with phases, and the first attempt of each, QUEUED. The first job and its attempt."""
    jobs = _jobs(first)
    attempts = _first_attempts(jobs, admitted.phases, attempt_id, now)
    billable = [_billable(new, attempt, admitted.phases) for new, attempt in zip(jobs, attempts, strict=True)]
    await pricing.place_holds(conn, quotes=_quotes(admitted.quote, jobs), attempts=billable, now=now)
    at_once = not (admitted.phases or admitted.qpu or admitted.candidates)  # of which is copied what an attempt asks
    await job_store.insert(conn, jobs, waits_for, attempts if at_once else ())
    if admitted.inside is not None:
        tasks = [each.id for each in jobs]
        await reservation_store.add_jobs(conn, admitted.inside, tasks, shorten=first.request.shorten)
    if admitted.candidates:
        await placing_store.insert(conn, first.id, first.organisation_id, admitted.candidates)
    if admitted.phases:
        await phase_store.insert(conn, first.id, first.organisation_id, admitted.phases)
    if admitted.qpu is not None:
        await call_store.insert(conn, first.id, first.organisation_id, admitted.qpu)
    if not at_once:
        await attempt_store.insert(conn, attempts)
    return jobs[0], attempts[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Admitted:
    """What is stored of an admitted request. phases: of a hybrid job; qpu: what it may call while it runs; inside: the
    reservation that it runs in.
    """

    quote: Quote
    offering_id: str
    backend: str
    resources: Resources
    nu: float
    max_qpu_us: int | None = None
    candidates: Sequence[Candidate] = ()
    phases: Sequence[NewPhase] = ()
    qpu: NewQpu | None = None
    inside: Reservation | None = None

    @property
    def sizes(self) -> Sequence[Size]:
        """What it takes at a time, one after the other; with its calls, if it makes any."""
        if self.phases:
            return [Size(each.backend, each.resources.gpus, each.nu) for each in self.phases]
        own = Size(self.backend, self.resources.gpus, self.nu)
        if self.qpu is None:
            return [own]
        return [replace(own, calls=self.qpu.backend, calls_nu=all_calls_nu(self.qpu.allowed))]


async def _admitted(
    conn: Conn, who: Asker, request: Submission, ids: tuple[UUID, UUID], services: Services | None
) -> _Admitted:
    if isinstance(request, Hybrid):
        all_ = await admit_phases(conn, who, request, ids=ids)
        return _Admitted(
            quote=all_.quote,
            offering_id=request.offering_id,
            backend=all_.phases[0].backend,
            resources=all_.resources,
            nu=all_.nu,
            phases=all_.phases,
        )
    placed = await admit_somewhere(conn, who, request, ids=ids, services=services)
    one, quote, qpu = placed.first, placed.quote, None
    if request.qpu is not None:
        quote, qpu = await admit_calls(conn, who, request, own=one)
    return _Admitted(
        quote=quote,
        offering_id=one.offering.id,
        backend=one.offering.backend,
        resources=one.resources,
        nu=placed.nu,
        max_qpu_us=None if qpu else cap_of(one.quote),
        candidates=placed.candidates,
        qpu=qpu,
    )


async def _keep_inputs(conn: Conn, first: NewJob, freeze: Freeze | None) -> None:
    """Each in the version that it has now."""
    if freeze is None:
        raise UnsupportedFeature(feature=Feature.FILES.value, offering=first.request.offering_id)
    frozen = await freeze(conn, first.organisation_id, first.request.inputs)
    await file_store.insert_inputs(conn, first.id, first.organisation_id, frozen)


async def _session(conn: Conn, organisation_id: UUID, request: Submission) -> UUID | None:
    """The session in which it runs. SessionNotFound, SessionOver."""
    name = request.session_job
    if name is None:
        return None
    meant = await job_ids_of(conn, organisation_id=organisation_id, name=name)
    found = await job_store.session_of(conn, meant[0]) if len(meant) == 1 else None
    if found is None or found[0] != request.offering_id:
        raise SessionNotFound(session=shown(name), offering=request.offering_id)
    if found[1].is_terminal or found[1] is State.CANCELLING:
        raise SessionOver(session=shown(name))
    return meant[0]


async def _prerequisites(
    conn: Conn, organisation_id: UUID, dependencies: Sequence[Dependency]
) -> Sequence[job_store.Prerequisite]:
    """The jobs that are meant, each once of each kind. DependencyNotFound, TooManyDependencies."""
    found: dict[job_store.Prerequisite, None] = {}
    for each in dependencies:
        meant = await job_ids_of(conn, organisation_id=organisation_id, name=each.job)
        if not meant:
            raise DependencyNotFound(job=shown(each.job))
        found |= dict.fromkeys((each.kind, job_id) for job_id in meant)
        if len(found) > MAX_PREREQUISITES:
            raise TooManyDependencies(count=len(found), limit=MAX_PREREQUISITES)
    return tuple(found)


# -- one job, or one for each task of an array -------------------------------------------------------------------------


def _jobs(first: NewJob) -> list[NewJob]:
    """All jobs of a request. An array has the id of its first task, which also keeps what all tasks share."""
    wish = first.request.array
    if wish is None:
        return [first]
    indices = sorted(wish.indices)
    array = NewArray(
        id=first.id,
        number=first.number,
        first=indices[0],
        last=indices[-1],
        step=wish.step,
        tasks=len(indices),
        max_running=wish.max_running,
    )
    return [
        replace(
            first,
            id=_of_task(first.id, place),
            number=first.number + place,
            idempotency_key=first.idempotency_key if place == 0 else f"§{first.id}:{index}",  # no customer's key: §
            array=array,
            array_index=index,
        )
        for place, index in enumerate(indices)
    ]


def _of_task(first: UUID, place: int) -> UUID:
    """The id of what belongs to a later task follows from that of the first."""
    return first if place == 0 else uuid5(first, str(place))


def _quotes(first: Quote, jobs: Sequence[NewJob]) -> list[Quote]:
    return [replace(first, id=_of_task(first.id, place), job_id=each.id) for place, each in enumerate(jobs)]


def _first_attempts(
    jobs: Sequence[NewJob], phases: Sequence[NewPhase], first_attempt_id: UUID, now: datetime
) -> Sequence[Attempt]:
    """The first attempt of each; of a job with phases that of its first phase."""
    attempts = [_first_attempt(each, _of_task(first_attempt_id, place), now) for place, each in enumerate(jobs)]
    return [_of_phase(attempt, phases[0]) for attempt in attempts] if phases else attempts


def _of_phase(attempt: Attempt, first: NewPhase) -> Attempt:
    asked = first.request
    return replace(
        attempt,
        phase=first.name,
        backend=first.backend,
        kind=asked.kind,
        max_attempts=asked.max_attempts,
        max_timeouts=asked.max_timeouts,
        walltime_s=asked.walltime_s,
        nu=first.nu,
    )


def _billable(new: NewJob, attempt: Attempt, phases: Sequence[NewPhase]) -> BillableAttempt:
    return BillableAttempt(
        attempt_id=attempt.id,
        job_id=new.id,
        organisation_id=new.organisation_id,
        project_id=new.project_id,
        person_id=new.person_id,
        offering_id=phases[0].request.offering_id if phases else new.request.offering_id,
        phase=attempt.phase,
        opened_at=attempt.queued_at,
    )


def _first_attempt(new: NewJob, attempt_id: UUID, now: datetime) -> Attempt:
    return Attempt(
        id=attempt_id,
        job_id=new.id,
        organisation_id=new.organisation_id,
        backend=new.backend,
        ordinal=1,
        kind=new.request.kind,
        max_attempts=new.request.max_attempts,
        max_timeouts=new.request.max_timeouts,
        walltime_s=new.request.walltime_s,
        nu=new.nu,
        queued_at=now,
        trail=(Queued.__name__,),
    )


# -- cancel ------------------------------------------------------------------------------------------------------------


async def request_cancel(conn: Conn, *, principal: Principal, job_id: UUID, now: datetime) -> JobView:
    """Records the wish, once, and wakes the canceller. A job that has ended stays as it ended. JobNotFound."""
    _require_canceller(principal)
    wanted = await job(conn, job_id)
    if not wanted.state.is_terminal:
        await job_store.request_cancel(
            conn,
            job_ids=[job_id],
            organisation_id=wanted.organisation_id,
            requested_by=principal.person_id,
            now=now,
        )
        await notify(conn, "cancel")
    return await job(conn, job_id)


async def request_cancel_array(conn: Conn, *, principal: Principal, number: int, now: datetime) -> JobView:
    """The same for all tasks of an array that have not ended; its first task. ArrayNotFound."""
    _require_canceller(principal)
    organisation_id = organisation_of(principal)
    tasks = await reads.tasks_of(conn, organisation_id=organisation_id, number=number)
    if not tasks:
        raise ArrayNotFound
    await job_store.request_cancel(
        conn, job_ids=tasks, organisation_id=organisation_id, requested_by=principal.person_id, now=now
    )
    await notify(conn, "cancel")
    return await job(conn, tasks[0])


async def cancel_waiting_of(
    conn: Conn, *, organisation_id: UUID, person_id: UUID, requested_by: UUID, now: datetime
) -> int:
    """A member has left: what waits in the queue would run as nobody, and is cancelled; how many. What runs goes on."""
    waiting = await reads.waiting_of(conn, organisation_id=organisation_id, person_id=person_id)
    await job_store.request_cancel(
        conn, job_ids=waiting, organisation_id=organisation_id, requested_by=requested_by, now=now
    )
    await notify(conn, "cancel")
    return len(waiting)


def _require_canceller(principal: Principal) -> None:
    if Scope.OPERATE not in principal.scopes:
        principal.require(Scope.JOBS_WRITE)
