"""Whether a request may become a job, and what it would cost: before anything is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from accounts import service as accounts
from accounts.model import Eligibility, Principal
from hpc_adapters.contract import Capabilities, Resources
from hpc_adapters.features import names_asked
from infra.db.connection import Conn
from pricing import service as pricing
from pricing.model import JobSize, Offering, OfferingKind, Quote, ServiceClass, ServiceTime
from pricing.quoting import OFFERING_MODEL, qpu_time_us
from scheduler import policy
from scheduler.core import fairshare, units
from scheduler.core.branches import Level
from scheduler.core.model import JobKind
from scheduler.core.snapshot import Limits
from scheduler.errors import (
    DeviceLimit,
    InteractiveTooLong,
    JobNotFound,
    KindMismatch,
    NotAtThisSite,
    NotDomestic,
    OverQuota,
    ReservedWithoutReservation,
    UnsupportedFeature,
)
from scheduler.options import check_begin, resources_within, shown
from scheduler.reservations.model import number_of
from scheduler.service.expecting import expect_sold
from scheduler.store import devices as device_store
from scheduler.store import exchange, tree
from scheduler.store import placing as placing_store
from scheduler.submission import Submission

_MICRO_S = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """Who asks, as which customer, when, and what the configured backends can do."""

    principal: Principal
    customer: Eligibility
    capabilities: Mapping[str, Capabilities]
    now: datetime


async def asker(conn: Conn, principal: Principal, capabilities: Mapping[str, Capabilities], *, now: datetime) -> Asker:
    """For whoever only wants to know a price. Refusals of require_eligible()."""
    customer = await accounts.require_eligible(conn, organisation_of(principal), now=now)
    return Asker(principal=principal, customer=customer, capabilities=capabilities, now=now)


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """What one job of a request would be: its quote, its offering, what it holds while it runs."""

    quote: Quote
    offering: Offering
    size: JobSize
    resources: Resources


def count_of(request: Submission) -> int:
    """How many jobs a request makes."""
    return 1 if request.array is None else len(request.array.indices)


async def admit(
    conn: Conn, who: Asker, request: Submission, *, ids: tuple[UUID, UUID], service: ServiceTime | None = None
) -> Admitted:
    """A checked request against what its organisation may, its offering sells and its backend does."""
    _require_class(request)
    of_reservation, request = request, _without_ours(request)
    job_id, quote_id = ids
    customer_class, now = who.customer.customer_class, who.now
    check_begin(request.begin_at, now=now)
    sold = await pricing.priced(
        conn,
        request.offering_id,
        customer_class=customer_class,
        service_class=request.service_class,
        now=now,
    )
    offering = sold.offering
    expect_sold(offering)
    _require_kind(request, offering)
    size = size_of(request)
    await _require_share(conn, who, of_reservation, offering, size)
    size = replace(size, service=service or _by_elements(offering, size, request.elements))
    quote = pricing.quote(
        sold,
        quote_id=quote_id,
        job_id=job_id,
        organisation_id=who.customer.organisation_id,
        customer_class=customer_class,
        service_class=request.service_class,
        size=size,
        now=now,
    )
    resources = resources_within(
        resources_of(offering, size),
        nodes=request.placement.nodes,
        cpus=request.cpus,
        memory_mb=request.memory_mb,
    )
    await _require_location(conn, who, request, offering)
    await _require_offered(conn, who.principal, request, offering, who.capabilities.get(offering.backend))
    if request.kind is JobKind.QUANTUM:
        await _require_device(conn, request, offering.backend)
    if request.session_job is not None:  # its session holds the device for it
        resources = Resources()
    return Admitted(quote=quote, offering=offering, size=size, resources=resources)


def _require_class(request: Submission) -> None:
    """InteractiveTooLong."""
    if request.service_class is ServiceClass.INTERACTIVE and request.walltime_s > policy.MAX_INTERACTIVE_S:
        raise InteractiveTooLong(requested_s=request.walltime_s, limit_s=policy.MAX_INTERACTIVE_S)


async def _require_share(conn: Conn, who: Asker, request: Submission, offering: Offering, size: JobSize) -> None:
    """Of class reserved, in no advance reservation: ReservedWithoutReservation; OverQuota where it is larger."""
    if request.service_class is not ServiceClass.RESERVED or number_of(request.placement.reservation) is not None:
        return
    organisation = who.customer.organisation_id
    known = await tree.settings(conn, at=who.now, organisation_id=organisation)
    share = known.limits.get(((organisation,), offering.backend), Limits()).reserved_units
    if not share:
        raise ReservedWithoutReservation
    asked = max(1, size.gpus)
    if asked > share:
        raise OverQuota(
            quota="reserved_units",
            level=Level.ORGANISATION.value,
            on=offering.backend,
            asked=asked,
            max=share,
        )


def _without_ours(request: Submission) -> Submission:
    """A reservation of ours is nothing that the machine knows."""
    if number_of(request.placement.reservation) is None:
        return request
    return replace(request, placement=replace(request.placement, reservation=None))


async def _require_location(conn: Conn, who: Asker, request: Submission, offering: Offering) -> None:
    """Of a machine of which nobody knows where it stands, it is not known to stand in Japan. NotDomestic."""
    if request.data_location is None:
        return
    backend = who.capabilities.get(offering.backend)
    told = await placing_store.told_domestic(conn, [offering.backend])
    if not told.get(offering.backend, backend is not None and backend.domestic):
        raise NotDomestic(machine=offering.id)


async def _require_offered(
    conn: Conn, principal: Principal, request: Submission, offering: Offering, backend: Capabilities | None
) -> None:
    """Refused now, and not after a wait in the queue. backend None: it is not configured here, and nobody knows."""
    organisation_id = organisation_of(principal)
    if backend is not None:
        missing = sorted(request.features() - backend.features)
        if missing:
            raise UnsupportedFeature(feature=missing[0].value, offering=offering.id)
        _require_names(request, offering, backend)
        if backend.needs_identity:
            await accounts.site_user(
                conn, backend=offering.backend, organisation_id=organisation_id, person_id=principal.person_id
            )
    if request.secrets:
        await accounts.require_secrets(
            conn, organisation_id=organisation_id, person_id=principal.person_id, names=request.secrets
        )


async def _require_device(conn: Conn, request: Submission, backend: str) -> None:
    """Within what the device takes in one job. One that nobody has heard of says so itself, when it is handed over."""
    known = await device_store.device(conn, backend, calibrated=False)
    if known is None:
        return
    shots = request.shots if request.pub_shots is None else request.pub_shots  # a document's own are all its executions
    limits = {
        "circuits": (request.circuits, known.device.max_circuits),
        "shots": (shots, known.device.max_shots),
    }
    for unit, (requested, limit) in limits.items():
        if requested > limit:
            raise DeviceLimit(unit=unit, requested=requested, limit=limit, device=backend)


def _require_names(request: Submission, offering: Offering, backend: Capabilities) -> None:
    for feature, asked in names_asked(request.placement).items():
        offered = backend.choices.get(feature, asked)
        if asked - offered:
            raise NotAtThisSite(
                feature=feature.value,
                asked=shown(", ".join(sorted(asked - offered))),
                offered=", ".join(sorted(offered)),
                offering=offering.id,
            )


def _require_kind(request: Submission, offering: Offering) -> None:
    runs_circuits = offering.kind is OfferingKind.QUANTUM
    if runs_circuits != (request.kind is JobKind.QUANTUM):
        raise KindMismatch(kind=request.kind.value, offering=offering.id, offering_kind=offering.kind.value)


def size_of(request: Submission) -> JobSize:
    """The most that one job of it may use: each time-out that is continued may use the whole walltime again."""
    return JobSize(
        walltime_s=request.walltime_s,
        gpus=request.gpus,
        shots=request.shots,
        runs=1 + request.max_timeouts,
        max_cost_micro_yen=request.max_cost_micro_yen,
        jobs=count_of(request),
        session_idle_s=None if request.session is None else request.session.idle_s,
    )


def resources_of(offering: Offering, size: JobSize) -> Resources:
    """What a job of this size holds while it runs: CPUs and memory come in proportion to its GPUs."""
    if offering.kind is OfferingKind.QUANTUM:
        return Resources(qpus=1)
    return Resources(
        gpus=size.gpus, cpus=size.gpus * offering.cpus_per_gpu, memory_mb=size.gpus * offering.memory_mb_per_gpu
    )


async def nu_of(conn: Conn, admitted: Admitted, *, now: datetime) -> float:
    """Normalised units of one run of its full walltime; of a circuit those of its service time."""
    rate = await exchange.nu_per_hour(conn, admitted.offering.resource_type, at=now)
    return largest_nu(
        admitted.offering,
        admitted.size,
        policy.DEFAULT_NU_PER_HOUR if rate is None else rate,
        held=admitted.resources,
    )


def _by_elements(offering: Offering, size: JobSize, elements: int) -> ServiceTime | None:
    """By the offering's model, where its base time may be taken for each element. None: once, as is usual."""
    if elements == 1:
        return None
    once_us = qpu_time_us(offering, size)
    return ServiceTime(once_us, once_us + (elements - 1) * offering.qpu_base_us, OFFERING_MODEL)


def largest_nu(offering: Offering, size: JobSize, nu_per_hour: float, *, held: Resources) -> float:
    """nu_per_hour: of one GPU, or of a QPU or simulator that serves. held: what counts by its dominant share."""
    if offering.kind is OfferingKind.QUANTUM:
        in_session = size.session_idle_s is not None
        seconds = size.walltime_s if in_session else qpu_time_us(offering, size) / _MICRO_S
        return fairshare.nu_of(units=1, seconds=seconds, nu_per_hour=nu_per_hour)
    rates = units.gpu_rates(
        nu_per_hour, cpus_per_gpu=offering.cpus_per_gpu, memory_mb_per_gpu=offering.memory_mb_per_gpu
    )
    return units.dominant_nu(held, rates, seconds=size.walltime_s)


def organisation_of(principal: Principal) -> UUID:
    """Whoever may write jobs acts for an organisation: staff have no such scope."""
    if principal.organisation_id is None:
        raise JobNotFound
    return principal.organisation_id
