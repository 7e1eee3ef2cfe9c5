"""Submission and cancellation: what customers ask for."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from accounts import service as accounts
from accounts.model import Principal, Scope
from hpc_adapters.contract import Resources
from infra.db.connection import Conn, notify
from pricing import service as pricing
from pricing.model import JobSize, Offering, OfferingKind
from pricing.quoting import qpu_time_us
from scheduler import policy
from scheduler.core import fairshare, quotas
from scheduler.core.events import Queued
from scheduler.core.model import Attempt, JobKind
from scheduler.errors import IdempotencyKeyReused, JobNotFound, KindMismatch, QueueFull
from scheduler.service.reading import job
from scheduler.store import attempts as attempt_store
from scheduler.store import jobs as job_store
from scheduler.submission import Submission, checked, checked_key, request_sha256
from scheduler.views import JobView

_MICRO_S = 1_000_000


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
) -> tuple[JobView, bool]:
    """Steps 1–3 of the life of a job, in one transaction: job, quote, hold, attempt QUEUED. Wakes the dispatcher.

    The same key with the same request again: the earlier job, and False. Refusals: those of submission.checked();
    IdempotencyKeyReused, KindMismatch, QueueFull; accounts' (ProjectNotFound, OrganisationSuspended, Declaration…);
    pricing's (UnknownOffering, NoPrice, TooManyGpus …, NoWallet, InsufficientFunds).
    """
    principal.require(Scope.JOBS_WRITE)
    organisation_id = _organisation_of(principal)
    key, clean = checked_key(idempotency_key), checked(request)
    digest = request_sha256(clean)
    await job_store.lock_queue(conn, organisation_id)
    earlier = await job_store.earlier(conn, organisation_id=organisation_id, person_id=principal.person_id, key=key)
    if earlier is not None:
        if earlier.request_sha256 != digest:
            raise IdempotencyKeyReused(job_id=str(earlier.job_id))
        return await job(conn, earlier.job_id), False
    new = await _admitted(
        conn,
        principal=principal,
        request=clean,
        ids=(job_id, quote_id),
        key=(key, digest),
        now=now,
    )
    await job_store.insert(conn, new)
    await _queue(conn, new, attempt_id=attempt_id, now=now)
    await notify(conn, "dispatch")
    return await job(conn, job_id), True


async def _admitted(
    conn: Conn,
    *,
    principal: Principal,
    request: Submission,
    ids: tuple[UUID, UUID],
    key: tuple[str, bytes],
    now: datetime,
) -> job_store.NewJob:
    """The job, when its organisation may and can pay for it: its ceiling is held then."""
    organisation_id = _organisation_of(principal)
    job_id, quote_id = ids
    eligible = await accounts.require_eligible(conn, organisation_id, now=now)
    project = await accounts.project_by_slug(conn, organisation_id, request.project)
    offering = await pricing.offering(conn, request.offering_id)
    _require_kind(request, offering)
    await _require_place(conn, organisation_id, now=now)
    size = JobSize(walltime_s=request.walltime_s, gpus=request.gpus, shots=request.shots)
    quote = await pricing.quote(
        conn,
        quote_id=quote_id,
        job_id=job_id,
        organisation_id=organisation_id,
        customer_class=eligible.customer_class,
        service_class=request.service_class,
        offering_id=offering.id,
        size=size,
        now=now,
    )
    await pricing.place_hold(conn, quote=quote, now=now)
    rate = await job_store.nu_per_hour(conn, offering.resource_type, at=now)
    return job_store.NewJob(
        id=job_id,
        organisation_id=organisation_id,
        project_id=project.id,
        person_id=principal.person_id,
        request=request,
        backend=offering.backend,
        resources=resources_of(offering, size),
        nu=largest_nu(offering, size, policy.DEFAULT_NU_PER_HOUR if rate is None else rate),
        idempotency_key=key[0],
        request_sha256=key[1],
        submitted_at=now,
    )


async def _queue(conn: Conn, new: job_store.NewJob, *, attempt_id: UUID, now: datetime) -> None:
    await pricing.open_attempt(
        conn,
        attempt_id=attempt_id,
        job_id=new.id,
        organisation_id=new.organisation_id,
        project_id=new.project_id,
        person_id=new.person_id,
        offering_id=new.request.offering_id,
        now=now,
    )
    first = Attempt(
        id=attempt_id,
        job_id=new.id,
        organisation_id=new.organisation_id,
        backend=new.backend,
        ordinal=1,
        kind=new.request.kind,
        max_attempts=new.request.max_attempts,
        walltime_s=new.request.walltime_s,
        nu=new.nu,
        queued_at=now,
        trail=(Queued.__name__,),
    )
    await attempt_store.insert(conn, first)


async def _require_place(conn: Conn, organisation_id: UUID, *, now: datetime) -> None:
    share = await job_store.share_of(conn, organisation_id, at=now) or policy.DEFAULT_SHARE
    queued = await job_store.count_queued(conn, organisation_id)
    if not quotas.may_queue(share, queued=queued):
        raise QueueFull(queued=queued, max=share.max_queued_jobs)


def _require_kind(request: Submission, offering: Offering) -> None:
    runs_circuits = offering.kind is OfferingKind.QUANTUM
    if runs_circuits != (request.kind is JobKind.QUANTUM):
        raise KindMismatch(kind=request.kind.value, offering=offering.id, offering_kind=offering.kind.value)


def resources_of(offering: Offering, size: JobSize) -> Resources:
    """What a job of this size holds while it runs: CPUs and memory come in proportion to its GPUs."""
    if offering.kind is OfferingKind.QUANTUM:
        return Resources(qpus=1)
    return Resources(
        gpus=size.gpus, cpus=size.gpus * offering.cpus_per_gpu, memory_mb=size.gpus * offering.memory_mb_per_gpu
    )


def largest_nu(offering: Offering, size: JobSize, nu_per_hour: float) -> float:
    """Normalised units of its full walltime; of a circuit those of its service time."""
    if offering.kind is OfferingKind.QUANTUM:
        seconds = qpu_time_us(offering, size) / _MICRO_S
        return fairshare.nu_of(units=1, seconds=seconds, nu_per_hour=nu_per_hour)
    return fairshare.nu_of(units=size.gpus, seconds=size.walltime_s, nu_per_hour=nu_per_hour)


def _organisation_of(principal: Principal) -> UUID:
    """Whoever may write jobs acts for an organisation: staff have no such scope."""
    if principal.organisation_id is None:
        raise JobNotFound
    return principal.organisation_id


async def request_cancel(conn: Conn, *, principal: Principal, job_id: UUID, now: datetime) -> JobView:
    """Records the wish, once, and wakes the canceller. A job that has ended stays as it ended. JobNotFound."""
    if Scope.OPERATE not in principal.scopes:
        principal.require(Scope.JOBS_WRITE)
    wanted = await job(conn, job_id)
    if not wanted.state.is_terminal:
        await job_store.request_cancel(
            conn,
            job_id=job_id,
            organisation_id=wanted.organisation_id,
            requested_by=principal.person_id,
            now=now,
        )
        await notify(conn, "cancel")
    return await job(conn, job_id)
