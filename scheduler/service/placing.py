"""A job that may run on one of several offerings: which of them can take it, and where it waits at first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from accounts import service as accounts
from accounts.errors import ProjectNotFound
from accounts.model import Principal, Scope
from infra.db.connection import Conn
from infra.refusal import Refusal
from pricing import service as pricing
from pricing.candidates import among
from pricing.errors import CostCapTooSmall
from pricing.model import OfferingKind, Quote, ServiceTime
from pricing.quoting import cap_of
from scheduler.core.model import JobKind
from scheduler.core.placement import JAPAN, Choice
from scheduler.errors import BadPlacement, NoPlaceFits, RefusedByDevice
from scheduler.options import shown
from scheduler.service.admitting import Admitted, Asker, admit, nu_of, organisation_of
from scheduler.store import placing as store
from scheduler.store.placing import Candidate, first_choice
from scheduler.submission import MAX_CANDIDATES, Submission

Foreseen = ServiceTime | RefusedByDevice
Services = Mapping[str, Foreseen]
"""What the devices behind offerings expect of a circuit, where they were asked and answered in time."""
BEYOND_LIMIT = "too-many"
"""As the code of a refusal: more offerings fit than a job may have, and it is none of the cheapest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """first: where it waits at first. candidates: all on which it may run, the cheapest first; none: it named one.

    quote: of all of them. left_out: those that were named or are sold and cannot take it, with the refusal's code.
    """

    first: Admitted
    nu: float
    quote: Quote
    choice: Choice | None = None
    candidates: Sequence[Candidate] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)


async def within_rules(conn: Conn, organisation_id: UUID, request: Submission) -> Submission:
    """The request with the location that the rules of its organisation and project demand, where it has none itself."""
    if request.data_location is not None:
        return request
    return replace(request, data_location=await store.data_location(conn, organisation_id, request.project))


async def admit_somewhere(
    conn: Conn, who: Asker, request: Submission, *, ids: tuple[UUID, UUID], services: Services | None = None
) -> Placed:
    """A checked request against each of its offerings, as admit() judges it.

    Of those that it names, what costs more than its owner will pay and what its device refuses is left out, and any
    other refusal is raised; `anywhere`, what cannot take it is left out. NoPlaceFits, or the one refusal of all.
    """
    services = services or {}
    if not (request.anywhere or request.alternatives):
        one = await _admit(conn, who, request, request.offering_id, ids, services)
        return Placed(first=one, nu=await nu_of(conn, one, now=who.now), quote=one.quote)
    found, refused = await _found(conn, who, request, ids, services)
    if not found:
        codes = {each.code for each in refused.values()}
        if len(codes) == 1:
            raise next(iter(refused.values()))
        raise NoPlaceFits(offerings=", ".join(f"{name}: {each.code}" for name, each in sorted(refused.items())))
    cheapest = sorted(found.values(), key=lambda each: (each.quote.ceiling_micro_yen, each.offering.id))
    kept, left_out = cheapest[:MAX_CANDIDATES], {name: each.code for name, each in refused.items()}
    left_out |= {each.offering.id: BEYOND_LIMIT for each in cheapest[MAX_CANDIDATES:]}
    return await _placed(conn, who, kept, left_out)


async def _found(
    conn: Conn, who: Asker, request: Submission, ids: tuple[UUID, UUID], services: Services
) -> tuple[dict[str, Admitted], dict[str, Refusal]]:
    found: dict[str, Admitted] = {}
    refused: dict[str, Refusal] = {}
    for name in await _names(conn, who, request):
        try:
            found[name] = await _admit(conn, who, request, name, ids, services)
        except Refusal as refusal:
            if not request.anywhere and not isinstance(refusal, CostCapTooSmall | RefusedByDevice):
                raise
            refused[name] = refusal
    return found, refused


async def _names(conn: Conn, who: Asker, request: Submission) -> Sequence[str]:
    if not request.anywhere:
        return (request.offering_id, *request.alternatives)
    kind = OfferingKind.QUANTUM if request.kind is JobKind.QUANTUM else OfferingKind.GPU
    sold = await pricing.offerings(conn, customer_class=who.customer.customer_class, now=who.now)
    names = [
        each.offering.id for each in sold if each.offering.kind is kind and each.offering.backend in who.capabilities
    ]
    if not names:
        raise NoPlaceFits(offerings="-")
    return names


async def _admit(
    conn: Conn, who: Asker, request: Submission, name: str, ids: tuple[UUID, UUID], services: Services
) -> Admitted:
    service = services.get(name)
    if isinstance(service, RefusedByDevice):
        raise service
    one = replace(request, offering_id=name, alternatives=(), anywhere=False)
    return await admit(conn, who, one, ids=ids, service=service)


async def _placed(conn: Conn, who: Asker, kept: Sequence[Admitted], left_out: Mapping[str, str]) -> Placed:
    """Nothing is known here of what is free: it waits for the cheapest, and is placed anew where it starts first."""
    candidates = [
        Candidate(
            offering_id=each.offering.id,
            backend=each.offering.backend,
            needs=each.resources,
            nu=await nu_of(conn, each, now=who.now),
            ceiling_micro_yen=each.quote.ceiling_micro_yen,
            max_qpu_us=cap_of(each.quote),
        )
        for each in kept
    ]
    choice = first_choice(candidates)
    assert choice is not None  # none is barred
    index = next(place for place, each in enumerate(candidates) if each.offering_id == choice.option.offering_id)
    others = [each.quote for place, each in enumerate(kept) if place != index]
    return Placed(
        first=kept[index],
        nu=candidates[index].nu,
        quote=among(kept[index].quote, others),
        choice=choice,
        candidates=candidates if others else (),
        left_out=left_out,
    )


async def candidates(conn: Conn, job_id: UUID) -> Sequence[Candidate]:
    """On which a job may run, the cheapest first; none: it runs on its own offering."""
    return await store.candidates_of(conn, job_id)


# -- where the data of an organisation must stay -----------------------------------------------------------------------


async def data_rules(conn: Conn, *, organisation_id: UUID) -> Mapping[str | None, str | None]:
    """The rule of an organisation (None), and of each of its projects that ever had one, by slug."""
    return await store.rules(conn, organisation_id)


async def set_data_rule(
    conn: Conn, *, principal: Principal, project: str | None, location: str | None, now: datetime
) -> None:
    """For jobs that are submitted from now on. location: 'jp', or None: anywhere. project: its slug; None: all.

    ScopeMissing: only who manages members may. BadPlacement, ProjectNotFound.
    """
    principal.require(Scope.MEMBERS_WRITE)
    if location not in {None, JAPAN}:
        raise BadPlacement(problem="location")
    organisation_id = organisation_of(principal)
    if not await store.set_rule(conn, organisation_id, project, location, set_by=principal.person_id, now=now):
        raise ProjectNotFound(slug=shown(project or ""))
    await accounts.append_audit(
        conn,
        actor=principal.person_id,
        organisation_id=organisation_id,
        action="data-rule.set",
        subject=f"organisation:{organisation_id}",
        facts={"project": project, "location": location},
        now=now,
    )
