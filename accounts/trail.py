"""The audit trail, and the right to do what is written in it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from accounts import store
from accounts.audit import AuditProblem, ChainCheck
from accounts.errors import OrganisationNotFound
from accounts.model import Principal, Scope
from infra.db.connection import Conn


async def append_audit(
    conn: Conn,
    *,
    actor: UUID | None,
    organisation_id: UUID | None,
    action: str,
    subject: str,
    facts: Mapping[str, object],
    now: datetime,
) -> int:
    """Adds an entry and returns its number. action: 'noun.verb'; subject: 'noun:id'; facts: JSON values.

    Holds the chain's head until the transaction ends, so other audited transactions wait for this one.
    """
    return await store.append_audit(
        conn,
        actor=actor,
        organisation_id=organisation_id,
        action=action,
        subject=subject,
        facts=dict(facts),
        now=now,
    )


async def verify_audit_chain(conn: Conn) -> list[AuditProblem]:
    """Everything wrong with the audit trail; empty when it is whole."""
    check = ChainCheck()
    async for entry in store.audit_trail(conn):
        check.follow(entry)
    return check.problems


def require_operator(actor: Principal | None) -> None:
    """ScopeMissing: the actor is neither the system nor an operator."""
    if actor is not None:
        actor.require(Scope.OPERATE)


def require_for(actor: Principal | None, organisation_id: UUID | None, scope: Scope) -> None:
    """The actor may do this for this organisation: as one of its own with the scope, or as an operator.

    ScopeMissing; OrganisationNotFound when it is another's (whose existence is not told).
    """
    if actor is None or Scope.OPERATE in actor.scopes:
        return
    actor.require(scope)
    if actor.organisation_id != organisation_id:
        raise OrganisationNotFound


def person_of(actor: Principal | None) -> UUID | None:
    return actor.person_id if actor else None
