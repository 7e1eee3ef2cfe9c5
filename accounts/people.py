"""Persons, their memberships, and those who work for the house."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from accounts import store
from accounts.errors import AlreadyMember, LastOwner, NotAMember, OwnerRequired, PersonExists, PersonNotFound
from accounts.model import Member, OrgRole, Principal, Scope, StaffRole
from accounts.names import clean_email, clean_name
from accounts.store import secrets, sites
from accounts.trail import append_audit, person_of, require_for, require_operator
from infra.db.connection import Conn


async def create_person(
    conn: Conn,
    *,
    actor: Principal | None,
    person_id: UUID,
    display_name: str,
    email: str,
    counts: bool = True,
    now: datetime,
) -> UUID:
    """A new natural person; counts=False for staff and tests. PersonExists, InvalidName, InvalidEmail."""
    require_operator(actor)
    clean = {"display_name": clean_name(display_name, field="display_name"), "email": clean_email(email)}
    if not await store.insert_person(conn, person_id=person_id, counts=counts, now=now, **clean):
        raise PersonExists(email=email)
    await append_audit(
        conn,
        actor=person_of(actor),
        organisation_id=None,
        action="person.create",
        subject=f"person:{person_id}",
        facts={"counts": counts},  # the trail cannot be erased: it holds no personal data
        now=now,
    )
    return person_id


async def add_member(
    conn: Conn,
    *,
    actor: Principal | None,
    membership_id: UUID,
    organisation_id: UUID,
    person_id: UUID,
    role: OrgRole,
    now: datetime,
) -> None:
    """Makes a known person a member. AlreadyMember, PersonNotFound, OwnerRequired."""
    require_for(actor, organisation_id, Scope.MEMBERS_WRITE)
    if role is OrgRole.OWNER:
        _require_owner(actor)
    added = await store.insert_membership(
        conn,
        membership_id=membership_id,
        organisation_id=organisation_id,
        person_id=person_id,
        role=role,
        now=now,
    )
    if not added:
        raise PersonNotFound if added is None else AlreadyMember
    await _trace_member(conn, actor, "membership.begin", person_id, organisation_id, {"role": role.value}, now)


async def invite(
    conn: Conn,
    *,
    actor: Principal | None,
    membership_id: UUID,
    organisation_id: UUID,
    person_id: UUID,
    display_name: str,
    email: str,
    role: OrgRole,
    now: datetime,
) -> UUID:
    """Makes the person with this address a member, as a new person (person_id) if nobody has it. Returns who it is."""
    require_for(actor, organisation_id, Scope.MEMBERS_WRITE)
    invited = await store.find_or_add_person(
        conn,
        person_id=person_id,
        display_name=clean_name(display_name, field="display_name"),
        email=clean_email(email),
        now=now,
    )
    await add_member(
        conn,
        actor=actor,
        membership_id=membership_id,
        organisation_id=organisation_id,
        person_id=invited,
        role=role,
        now=now,
    )
    return invited


async def end_membership(
    conn: Conn, *, actor: Principal | None, organisation_id: UUID, person_id: UUID, now: datetime
) -> None:
    """The person leaves; with them go their tokens, secrets and site users of the organisation.

    NotAMember, LastOwner, OwnerRequired.
    """
    if actor is None or actor.person_id != person_id:  # whoever wants may leave
        require_for(actor, organisation_id, Scope.MEMBERS_WRITE)
    roles = await store.lock_members(conn, organisation_id)
    if person_id not in roles:
        raise NotAMember
    if roles[person_id] is OrgRole.OWNER:
        _require_owner(actor)
        if list(roles.values()).count(OrgRole.OWNER) == 1:
            raise LastOwner
    await store.end_membership(conn, organisation_id=organisation_id, person_id=person_id, now=now)
    await store.revoke_tokens_of(conn, organisation_id=organisation_id, person_id=person_id, now=now)
    left = await _take_back(conn, organisation_id=organisation_id, person_id=person_id, now=now)
    await _trace_member(conn, actor, "membership.end", person_id, organisation_id, left, now)


async def _take_back(conn: Conn, *, organisation_id: UUID, person_id: UUID, now: datetime) -> Mapping[str, object]:
    """What a member had by being one; told for the trail."""
    users = await sites.of_person(conn, organisation_id=organisation_id, person_id=person_id)
    for user in users:
        await sites.remove(conn, backend=user.backend, unix_user=user.unix_user, now=now)
    forgotten = await secrets.remove_all_of(conn, organisation_id=organisation_id, person_id=person_id, now=now)
    return {"site_users": [f"{user.backend}/{user.unix_user}" for user in users], "secrets": forgotten}


async def list_members(conn: Conn, organisation_id: UUID) -> list[Member]:
    """Present members, the oldest first."""
    return await store.members(conn, organisation_id)


async def grant_staff_role(
    conn: Conn, *, actor: Principal | None, person_id: UUID, role: StaffRole, now: datetime
) -> None:
    """Lets a person work for the house or the agency. PersonNotFound."""
    require_operator(actor)
    if not await store.person_exists(conn, person_id):
        raise PersonNotFound
    await store.insert_staff(conn, person_id=person_id, role=role, now=now)
    await _trace_member(conn, actor, "staff.grant", person_id, None, {"role": role.value}, now)


def _require_owner(actor: Principal | None) -> None:
    if actor is not None and actor.role is not OrgRole.OWNER and Scope.OPERATE not in actor.scopes:
        raise OwnerRequired


async def _trace_member(
    conn: Conn,
    actor: Principal | None,
    action: str,
    person_id: UUID,
    organisation_id: UUID | None,
    facts: Mapping[str, object],
    now: datetime,
) -> None:
    await append_audit(
        conn,
        actor=person_of(actor),
        organisation_id=organisation_id,
        action=action,
        subject=f"person:{person_id}",
        facts=facts,
        now=now,
    )
