"""Whether every phase of a hybrid job may become one, and what all of them would cost: before anything is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from accounts.model import Principal
from hpc_adapters.contract import Capabilities, Feature, Resources
from infra.db.connection import Conn
from infra.refusal import Refusal
from pricing import service as pricing
from pricing.model import Quote
from pricing.phases import joined
from pricing.quoting import cap_of
from scheduler.core.model import JobKind
from scheduler.errors import UnsupportedFeature
from scheduler.hybrid import Hybrid, PhaseWish, checked
from scheduler.service import admitting
from scheduler.service.admitting import Admitted, Asker, admit, nu_of
from scheduler.service.calling import admit_calls
from scheduler.service.placing import Services, admit_somewhere, within_rules
from scheduler.store import jobs as job_store
from scheduler.store import phases as phase_store
from scheduler.store.phases import NewPhase
from scheduler.submission import Submission
from scheduler.views import PhaseView


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmittedPhases:
    """What a hybrid job would be: one quote, its phases in order, and the most that it holds at a time."""

    quote: Quote
    phases: Sequence[NewPhase]

    @property
    def resources(self) -> Resources:
        """The most of each kind that one of its phases holds."""
        held = [each.resources for each in self.phases]
        return Resources(
            gpus=max(each.gpus for each in held),
            cpus=max(each.cpus for each in held),
            memory_mb=max(each.memory_mb for each in held),
            qpus=max(each.qpus for each in held),
        )

    @property
    def nu(self) -> float:
        """Normalised units if every phase runs its full walltime."""
        return sum(each.nu for each in self.phases)


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimated:
    """The quote of one job of a request, and how many jobs it would be. left_out: as of placing.Placed."""

    quote: Quote
    jobs: int = 1
    left_out: Mapping[str, str] = field(default_factory=dict)


async def estimate(
    conn: Conn,
    *,
    principal: Principal,
    request: Submission,
    capabilities: Mapping[str, Capabilities],
    ids: tuple[UUID, UUID],
    now: datetime,
    services: Services | None = None,
) -> Estimated:
    """Of any request; keeps nothing. ids: of the job, of the quote.

    services: what the devices of its offerings expect of a circuit; else as the offering's model says.
    Refusals as those of submitting, but for what depends on the place in the queue.
    """
    clean = checked(request)
    who = await admitting.asker(conn, principal, capabilities, now=now)
    clean = await within_rules(conn, who.customer.organisation_id, clean)
    if isinstance(clean, Hybrid):
        return Estimated(quote=(await admit_phases(conn, who, clean, ids=ids)).quote)
    placed = await admit_somewhere(conn, who, clean, ids=ids, services=services)
    if clean.qpu is not None:
        quote, _ = await admit_calls(conn, who, clean, own=placed.first)
        return Estimated(quote=quote)
    return Estimated(quote=placed.quote, jobs=admitting.count_of(clean), left_out=placed.left_out)


async def admit_phases(conn: Conn, who: Asker, request: Hybrid, *, ids: tuple[UUID, UUID]) -> AdmittedPhases:
    """Each phase of a checked request as admit() judges it; a refusal names it in the fact `phase`."""
    known: dict[str, tuple[Admitted, float]] = {}
    for wish in request.phases:
        try:
            one = await admit(conn, who, _of_job(wish, request), ids=ids)
            _require_files(request, wish, one, who.capabilities)
        except Refusal as refused:
            refused.facts.setdefault("phase", wish.name)
            raise
        known[wish.name] = one, await nu_of(conn, one, now=who.now)
    steps = request.steps()
    quote = joined([(step.name, known[step.base][0].quote) for step, _ in steps])
    pricing.require_within(quote, request.max_cost_micro_yen)
    phases = [
        NewPhase(
            name=step.name,
            base=step.base,
            request=wish.request,
            backend=known[step.base][0].offering.backend,
            resources=known[step.base][0].resources,
            nu=known[step.base][1],
            options=job_store.options_of(wish.request),
            takes=step.takes,
            body_from=wish.program_from,
            skippable=wish.skippable,
            max_qpu_us=cap_of(known[step.base][0].quote),
        )
        for step, wish in steps
    ]
    return AdmittedPhases(quote=quote, phases=phases)


def _of_job(wish: PhaseWish, request: Hybrid) -> Submission:
    """What the whole job is asked for holds for each phase."""
    return replace(
        wish.request,
        service_class=request.service_class,
        begin_at=request.begin_at,
        data_location=request.data_location,
    )


def _require_files(request: Hybrid, wish: PhaseWish, one: Admitted, capabilities: Mapping[str, Capabilities]) -> None:
    """What reads or leaves files needs a machine to which they can be brought. A circuit's result is one anyway."""
    backend = capabilities.get(one.offering.backend)
    if backend is None or wish.request.kind is JobKind.QUANTUM or not (request.hands_on() or request.inputs):
        return
    if Feature.FILES not in backend.features:
        raise UnsupportedFeature(feature=Feature.FILES.value, offering=one.offering.id)


async def phases(conn: Conn, job_id: UUID) -> Sequence[PhaseView]:
    """The phases of a hybrid job in their order, each with what has become of it; of any other job none."""
    return await phase_store.told(conn, job_id)
