"""The SQL of accounts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import asyncpg

from accounts.audit import AuditEntry
from accounts.model import (
    CustomerClass,
    Declaration,
    Eligibility,
    Evidence,
    Member,
    Organisation,
    OrgRole,
    Principal,
    Project,
    StaffRole,
    Token,
)
from accounts.scopes import scopes_of
from infra.db.ahead import Look, row_of
from infra.db.connection import Conn, savepoint

_INSERTED = "INSERT 0 1"

# --- sign-in and eligibility ------------------------------------------------------------------------------------------


async def authenticate(conn: Conn, token_sha256: bytes, *, now: datetime) -> Principal | None:
    row = await conn.fetchrow("SELECT * FROM accounts.authenticate($1, $2)", token_sha256, now)
    if row is None:
        return None
    role = OrgRole(row["role"]) if row["role"] is not None else None
    staff_roles = frozenset(StaffRole(name) for name in row["staff_roles"])
    return Principal(
        person_id=row["person_id"],
        display_name=row["display_name"],
        organisation_id=row["organisation_id"],
        role=role,
        staff_roles=staff_roles,
        scopes=frozenset(row["scopes"]) & scopes_of([*staff_roles, *([role] if role else [])]),
        token_id=row["token_id"],
    )


class Gate(NamedTuple):
    """What decides whether an organisation may submit."""

    suspended_at: datetime | None
    declared: Eligibility | None
    """Of the declarations that cover the instant the one recorded last."""


async def eligibility_at(conn: Conn, organisation_id: UUID, *, at: datetime) -> Gate | None:
    """None: there is no such organisation."""
    found = await gate_and_project(conn, organisation_id, None, at=at)
    return None if found is None else found[0]


def gate_look(organisation_id: UUID, slug: str | None, *, at: datetime) -> Look:
    """What gate_and_project() asks."""
    return Look(
        "SELECT o.suspended_at, d.customer_class::text, d.valid_until, p.id, p.slug, p.name, p.created_at "
        "FROM accounts.organisation o LEFT JOIN LATERAL ("
        "SELECT customer_class, valid_until FROM accounts.declaration "
        "WHERE organisation_id = o.id AND valid_from <= $2 AND $2 < valid_until "
        "ORDER BY recorded_at DESC, id DESC LIMIT 1) d ON true "
        "LEFT JOIN accounts.project p ON p.organisation_id = o.id AND p.slug = $3::text WHERE o.id = $1",
        (organisation_id, at, slug),
    )


async def gate_and_project(
    conn: Conn, organisation_id: UUID, slug: str | None, *, at: datetime
) -> tuple[Gate, Project | None] | None:
    """What decides whether an organisation may submit, and its project of this slug. None: no such organisation."""
    found = await row_of(conn, gate_look(organisation_id, slug, at=at))
    if found is None:
        return None
    suspended_at, customer_class, valid_until, project_id, *named = found.values()
    declared = customer_class and Eligibility(organisation_id, CustomerClass(customer_class), valid_until)
    project = None if project_id is None else Project(project_id, organisation_id, *named)
    return Gate(suspended_at, declared), project


async def last_expiry(conn: Conn, organisation_id: UUID, *, before: datetime) -> datetime | None:
    """When the last declaration that has run out ran out."""
    expiry: datetime | None = await conn.fetchval(
        "SELECT max(valid_until) FROM accounts.declaration WHERE organisation_id = $1 AND valid_until <= $2",
        organisation_id,
        before,
    )
    return expiry


async def insert_declaration(
    conn: Conn,
    *,
    declaration_id: UUID,
    of: Eligibility,
    valid_from: datetime,
    evidence: Evidence | None,
    recorded_by: UUID | None,
    now: datetime,
) -> None:
    await conn.execute(
        "INSERT INTO accounts.declaration VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        declaration_id,
        of.organisation_id,
        of.customer_class.value,
        valid_from,
        of.valid_until,
        now,
        recorded_by,
        evidence.name if evidence else None,
        evidence.sha256 if evidence else None,
        evidence.size_bytes if evidence else None,
    )


async def declarations(conn: Conn, organisation_id: UUID) -> list[Declaration]:
    rows = await conn.fetch(
        """SELECT id, customer_class::text AS customer_class, valid_from, valid_until, recorded_at, evidence_name,
                  evidence_sha256, evidence_bytes
           FROM accounts.declaration WHERE organisation_id = $1 ORDER BY recorded_at DESC, valid_from DESC, id""",
        organisation_id,
    )
    return [
        Declaration(
            id=row["id"],
            customer_class=CustomerClass(row["customer_class"]),
            valid_from=row["valid_from"],
            valid_until=row["valid_until"],
            recorded_at=row["recorded_at"],
            evidence=None
            if row["evidence_name"] is None
            else Evidence(name=row["evidence_name"], sha256=row["evidence_sha256"], size_bytes=row["evidence_bytes"]),
        )
        for row in rows
    ]


# --- organisations ----------------------------------------------------------------------------------------------------


async def insert_organisation(conn: Conn, organisation: Organisation) -> bool:
    """False: the slug is taken."""
    status = await conn.execute(
        "INSERT INTO accounts.organisation (id, slug, name, corporate_number, counts, created_at) "
        "VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
        organisation.id,
        organisation.slug,
        organisation.name,
        organisation.corporate_number,
        organisation.counts,
        organisation.created_at,
    )
    return status == _INSERTED


async def organisation(conn: Conn, organisation_id: UUID) -> Organisation | None:
    row = await conn.fetchrow(
        "SELECT id, slug, name, corporate_number, counts, suspended_at, created_at "
        "FROM accounts.organisation WHERE id = $1",
        organisation_id,
    )
    return Organisation(**row) if row else None


async def organisations(conn: Conn) -> list[Organisation]:
    rows = await conn.fetch(
        "SELECT id, slug, name, corporate_number, counts, suspended_at, created_at "
        "FROM accounts.organisation ORDER BY slug"
    )
    return [Organisation(**row) for row in rows]


async def organisations_among(conn: Conn, ids: Sequence[UUID]) -> list[Organisation]:
    rows = await conn.fetch(
        "SELECT id, slug, name, corporate_number, counts, suspended_at, created_at "
        "FROM accounts.organisation WHERE id = ANY($1) ORDER BY id",
        ids,
    )
    return [Organisation(**row) for row in rows]


async def set_suspended(conn: Conn, organisation_id: UUID, *, at: datetime | None) -> None:
    await conn.execute("UPDATE accounts.organisation SET suspended_at = $2 WHERE id = $1", organisation_id, at)


# --- persons and members ----------------------------------------------------------------------------------------------


async def insert_person(
    conn: Conn, *, person_id: UUID, display_name: str, email: str, counts: bool, now: datetime
) -> bool:
    """False: somebody has this address."""
    status = await conn.execute(
        "INSERT INTO accounts.person VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
        person_id,
        display_name,
        email,
        counts,
        now,
    )
    return status == _INSERTED


async def find_or_add_person(conn: Conn, *, person_id: UUID, display_name: str, email: str, now: datetime) -> UUID:
    """The person with this address, who may be invisible to a tenant, or a new one under person_id."""
    found: UUID = await conn.fetchval(
        "SELECT accounts.find_or_add_person($1, $2, $3, $4)", person_id, display_name, email, now
    )
    return found


async def insert_membership(
    conn: Conn, *, membership_id: UUID, organisation_id: UUID, person_id: UUID, role: OrgRole, now: datetime
) -> bool | None:
    """False: is a member already. None: there is no such person."""
    try:
        async with savepoint(conn):
            status = await conn.execute(
                "INSERT INTO accounts.membership VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
                membership_id,
                organisation_id,
                person_id,
                role.value,
                now,
            )
    except asyncpg.ForeignKeyViolationError:
        return None
    return status == _INSERTED


async def lock_members(conn: Conn, organisation_id: UUID) -> dict[UUID, OrgRole]:
    """Role by person of all present members, who cannot change until this transaction ends."""
    rows = await conn.fetch(
        "SELECT person_id, role FROM accounts.membership WHERE organisation_id = $1 AND until IS NULL "
        "ORDER BY id FOR UPDATE",
        organisation_id,
    )
    return {row["person_id"]: OrgRole(row["role"]) for row in rows}


async def end_membership(conn: Conn, *, organisation_id: UUID, person_id: UUID, now: datetime) -> None:
    await conn.execute(
        "UPDATE accounts.membership SET until = greatest($3, since + interval '1 microsecond') "
        "WHERE organisation_id = $1 AND person_id = $2 AND until IS NULL",
        organisation_id,
        person_id,
        now,
    )


async def members(conn: Conn, organisation_id: UUID) -> list[Member]:
    rows = await conn.fetch(
        "SELECT m.id AS membership_id, p.id AS person_id, p.display_name, p.email, m.role, m.since "
        "FROM accounts.membership m JOIN accounts.person p ON p.id = m.person_id "
        "WHERE m.organisation_id = $1 AND m.until IS NULL ORDER BY m.since, m.id",
        organisation_id,
    )
    return [Member(**{**row, "role": OrgRole(row["role"])}) for row in rows]


async def roles_of(conn: Conn, *, person_id: UUID, organisation_id: UUID | None) -> list[OrgRole | StaffRole]:
    """The person's present role in the organisation, or the staff roles where organisation_id is None."""
    if organisation_id is None:
        rows = await conn.fetch("SELECT role FROM accounts.staff WHERE person_id = $1", person_id)
        return [StaffRole(row["role"]) for row in rows]
    rows = await conn.fetch(
        "SELECT role FROM accounts.membership WHERE person_id = $1 AND organisation_id = $2 AND until IS NULL",
        person_id,
        organisation_id,
    )
    return [OrgRole(row["role"]) for row in rows]


async def insert_staff(conn: Conn, *, person_id: UUID, role: StaffRole, now: datetime) -> None:
    await conn.execute(
        "INSERT INTO accounts.staff VALUES ($1, $2, $3) ON CONFLICT DO NOTHING", person_id, role.value, now
    )


async def person_exists(conn: Conn, person_id: UUID) -> bool:
    return bool(await conn.fetchval("SELECT EXISTS (SELECT FROM accounts.person WHERE id = $1)", person_id))


# --- projects ---------------------------------------------------------------------------------------------------------


async def insert_project(conn: Conn, project: Project) -> bool:
    """False: the organisation has one with this slug."""
    status = await conn.execute(
        "INSERT INTO accounts.project VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
        project.id,
        project.organisation_id,
        project.slug,
        project.name,
        project.created_at,
    )
    return status == _INSERTED


async def project_by_slug(conn: Conn, organisation_id: UUID, slug: str) -> Project | None:
    row = await conn.fetchrow(
        "SELECT id, organisation_id, slug, name, created_at FROM accounts.project "
        "WHERE organisation_id = $1 AND slug = $2",
        organisation_id,
        slug,
    )
    return Project(**row) if row else None


async def projects(conn: Conn, organisation_id: UUID) -> list[Project]:
    rows = await conn.fetch(
        "SELECT id, organisation_id, slug, name, created_at FROM accounts.project "
        "WHERE organisation_id = $1 ORDER BY slug",
        organisation_id,
    )
    return [Project(**row) for row in rows]


async def projects_of(conn: Conn, organisation_ids: Sequence[UUID]) -> list[Project]:
    rows = await conn.fetch(
        "SELECT id, organisation_id, slug, name, created_at FROM accounts.project "
        "WHERE organisation_id = ANY($1) ORDER BY organisation_id, slug",
        organisation_ids,
    )
    return [Project(**row) for row in rows]


# --- tokens -----------------------------------------------------------------------------------------------------------


async def insert_token(conn: Conn, token: Token, *, token_sha256: bytes) -> None:
    await conn.execute(
        "INSERT INTO accounts.api_token VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        token.id,
        token.person_id,
        token.organisation_id,
        token.label,
        token_sha256,
        sorted(token.scopes),
        token.created_at,
        token.expires_at,
    )


async def tokens(conn: Conn, *, organisation_id: UUID | None, person_id: UUID) -> list[Token]:
    rows = await conn.fetch(
        "SELECT id, person_id, organisation_id, label, scopes, created_at, expires_at, revoked_at "
        "FROM accounts.api_token "
        "WHERE organisation_id IS NOT DISTINCT FROM $1 AND person_id = $2 ORDER BY created_at DESC, id",
        organisation_id,
        person_id,
    )
    return [_token(row) for row in rows]


async def token(conn: Conn, token_id: UUID) -> Token | None:
    row = await conn.fetchrow(
        "SELECT id, person_id, organisation_id, label, scopes, created_at, expires_at, revoked_at "
        "FROM accounts.api_token WHERE id = $1",
        token_id,
    )
    return _token(row) if row else None


async def revoke_token(conn: Conn, token_id: UUID, *, now: datetime) -> None:
    await conn.execute(
        "UPDATE accounts.api_token SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL", token_id, now
    )


async def revoke_tokens_of(conn: Conn, *, organisation_id: UUID, person_id: UUID, now: datetime) -> None:
    await conn.execute(
        "UPDATE accounts.api_token SET revoked_at = $3 "
        "WHERE organisation_id = $1 AND person_id = $2 AND revoked_at IS NULL",
        organisation_id,
        person_id,
        now,
    )


def _token(row: asyncpg.Record) -> Token:
    return Token(**{**row, "scopes": frozenset(row["scopes"])})


# --- audit trail ------------------------------------------------------------------------------------------------------


async def append_audit(
    conn: Conn,
    *,
    actor: UUID | None,
    organisation_id: UUID | None,
    action: str,
    subject: str,
    facts: dict[str, object],
    now: datetime,
) -> int:
    seq: int = await conn.fetchval(
        "SELECT accounts.append_audit($1, $2, $3, $4, $5, $6)", now, actor, organisation_id, action, subject, facts
    )
    return seq


async def audit_trail(conn: Conn) -> AsyncIterator[AuditEntry]:
    """The whole chain in order, a little at a time."""
    last = 0
    while True:
        rows = await conn.fetch(
            "SELECT seq, recorded_at, actor_id, organisation_id, action, subject, facts::text AS facts_text, "
            "previous_sha256, sha256 FROM accounts.audit_entry WHERE seq > $1 ORDER BY seq LIMIT 500",
            last,
        )
        for row in rows:
            yield AuditEntry(**row)
        if not rows:
            return
        last = rows[-1]["seq"]
