"""Organisations, what they declare about themselves, and their projects."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from accounts import store
from accounts.errors import (
    DeclarationExpired,
    DeclarationMissing,
    InvalidPeriod,
    OrganisationExists,
    OrganisationNotFound,
    OrganisationSuspended,
    ProjectExists,
    ProjectNotFound,
)
from accounts.model import CustomerClass, Declaration, Eligibility, Evidence, Organisation, Principal, Project, Scope
from accounts.names import clean_corporate_number, clean_name, clean_slug
from accounts.trail import append_audit, person_of, require_for, require_operator
from infra.db.ahead import Look
from infra.db.connection import Conn

DEFAULT_PROJECT = "default"
_MIN_SLUG = 2


async def create_organisation(
    conn: Conn,
    *,
    actor: Principal | None,
    organisation_id: UUID,
    project_id: UUID,
    slug: str,
    name: str,
    corporate_number: str | None = None,
    counts: bool = True,
    now: datetime,
) -> Organisation:
    """A new customer with its project 'default' (project_id). InvalidSlug, InvalidName, OrganisationExists …"""
    require_operator(actor)
    created = Organisation(
        id=organisation_id,
        slug=clean_slug(slug, min_length=_MIN_SLUG),
        name=clean_name(name, field="name"),
        corporate_number=clean_corporate_number(corporate_number) if corporate_number else None,
        counts=counts,
        suspended_at=None,
        created_at=now,
    )
    if not await store.insert_organisation(conn, created):
        raise OrganisationExists(slug=slug)
    await append_audit(
        conn,
        actor=person_of(actor),
        organisation_id=created.id,
        action="organisation.create",
        subject=f"organisation:{created.id}",
        facts={"slug": created.slug, "name": created.name, "corporate_number": created.corporate_number},
        now=now,
    )
    await _add_project(conn, actor, Project(project_id, created.id, DEFAULT_PROJECT, DEFAULT_PROJECT, now))
    return created


async def organisation(conn: Conn, organisation_id: UUID) -> Organisation:
    """OrganisationNotFound."""
    found = await store.organisation(conn, organisation_id)
    if found is None:
        raise OrganisationNotFound
    return found


async def organisations_among(conn: Conn, ids: Sequence[UUID]) -> list[Organisation]:
    """Those of these that there are, by id."""
    return await store.organisations_among(conn, ids)


async def list_organisations(conn: Conn) -> list[Organisation]:
    return await store.organisations(conn)


async def set_suspended(
    conn: Conn, *, actor: Principal | None, organisation_id: UUID, suspended: bool, reason: str, now: datetime
) -> None:
    """Stops an organisation from submitting, or lets it submit again. What runs goes on."""
    require_operator(actor)
    found = await organisation(conn, organisation_id)
    if (found.suspended_at is not None) == suspended:
        return
    await store.set_suspended(conn, organisation_id, at=now if suspended else None)
    await append_audit(
        conn,
        actor=person_of(actor),
        organisation_id=organisation_id,
        action="organisation.suspend" if suspended else "organisation.resume",
        subject=f"organisation:{organisation_id}",
        facts={"reason": reason},
        now=now,
    )


# --- eligibility ------------------------------------------------------------------------------------------------------


async def declare(
    conn: Conn,
    *,
    actor: Principal | None,
    declaration_id: UUID,
    organisation_id: UUID,
    customer_class: CustomerClass,
    valid_from: datetime,
    valid_until: datetime,
    now: datetime,
    evidence: Evidence | None = None,
) -> Eligibility:
    """Records what an organisation declared about itself. Of two that cover an instant the later recorded holds.

    evidence: the paper that shows its class. InvalidPeriod, OrganisationNotFound.
    """
    require_operator(actor)
    if not valid_from < valid_until:
        raise InvalidPeriod(valid_from=valid_from, valid_until=valid_until)
    await organisation(conn, organisation_id)
    declared = Eligibility(organisation_id, customer_class, valid_until)
    await store.insert_declaration(
        conn,
        declaration_id=declaration_id,
        of=declared,
        valid_from=valid_from,
        evidence=evidence,
        recorded_by=person_of(actor),
        now=now,
    )
    await append_audit(
        conn,
        actor=person_of(actor),
        organisation_id=organisation_id,
        action="declaration.record",
        subject=f"declaration:{declaration_id}",
        facts={
            "customer_class": customer_class.value,
            "valid_from": valid_from.isoformat(),
            "valid_until": valid_until.isoformat(),
            **({"evidence_sha256": evidence.sha256.hex()} if evidence else {}),
        },
        now=now,
    )
    return declared


async def declarations(conn: Conn, organisation_id: UUID) -> list[Declaration]:
    """Everything that an organisation has declared, the one recorded last first. OrganisationNotFound."""
    await organisation(conn, organisation_id)
    return await store.declarations(conn, organisation_id)


async def require_eligible(conn: Conn, organisation_id: UUID, *, now: datetime) -> Eligibility:
    """The gate before every submission: OrganisationSuspended, DeclarationMissing, DeclarationExpired."""
    found = await store.eligibility_at(conn, organisation_id, at=now)
    if found is None:
        raise OrganisationNotFound
    return await _require_open(conn, organisation_id, found, now=now)


async def require_submitter(
    conn: Conn, organisation_id: UUID, *, project: str, now: datetime
) -> tuple[Project, Eligibility]:
    """The project of a submission and as which class it is priced. ProjectNotFound; as require_eligible()."""
    found = await store.gate_and_project(conn, organisation_id, project, at=now)
    if found is None:
        raise OrganisationNotFound
    gate, billed = found
    if billed is None:
        raise ProjectNotFound(slug=project)
    return billed, await _require_open(conn, organisation_id, gate, now=now)


def submitter_look(organisation_id: UUID, *, project: str, now: datetime) -> Look:
    """What require_submitter() is going to ask."""
    return store.gate_look(organisation_id, project, at=now)


async def _require_open(conn: Conn, organisation_id: UUID, gate: store.Gate, *, now: datetime) -> Eligibility:
    if gate.suspended_at is not None:
        raise OrganisationSuspended(since=gate.suspended_at)
    if gate.declared is not None:
        return gate.declared
    expiry = await store.last_expiry(conn, organisation_id, before=now)
    raise DeclarationExpired(valid_until=expiry) if expiry else DeclarationMissing


# --- projects ---------------------------------------------------------------------------------------------------------


async def create_project(
    conn: Conn,
    *,
    actor: Principal | None,
    project_id: UUID,
    organisation_id: UUID,
    slug: str,
    name: str,
    now: datetime,
) -> Project:
    """ProjectExists, InvalidSlug, InvalidName."""
    require_for(actor, organisation_id, Scope.MEMBERS_WRITE)
    project = Project(project_id, organisation_id, clean_slug(slug), clean_name(name, field="name"), now)
    await _add_project(conn, actor, project)
    return project


async def _add_project(conn: Conn, actor: Principal | None, project: Project) -> None:
    if not await store.insert_project(conn, project):
        raise ProjectExists(slug=project.slug)
    await append_audit(
        conn,
        actor=person_of(actor),
        organisation_id=project.organisation_id,
        action="project.create",
        subject=f"project:{project.id}",
        facts={"slug": project.slug, "name": project.name},
        now=project.created_at,
    )


async def project_by_slug(conn: Conn, organisation_id: UUID, slug: str) -> Project:
    """ProjectNotFound."""
    project = await store.project_by_slug(conn, organisation_id, slug)
    if project is None:
        raise ProjectNotFound(slug=slug)
    return project


async def projects_of(conn: Conn, organisation_ids: Sequence[UUID]) -> list[Project]:
    """Every project of these organisations."""
    return await store.projects_of(conn, organisation_ids)


async def list_projects(conn: Conn, organisation_id: UUID) -> list[Project]:
    return await store.projects(conn, organisation_id)
