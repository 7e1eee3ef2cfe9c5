"""As whom an organisation or one of its members runs on a site that knows Unix users."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from accounts import store
from accounts.errors import (
    NotAMember,
    OrganisationNotFound,
    SiteAccountTaken,
    SiteUserExists,
    SiteUserMissing,
    SiteUserNotFound,
    SiteUserTaken,
)
from accounts.model import OrgRole, Principal, SiteUser
from accounts.names import clean_site_account, clean_unix_user
from accounts.standing import refusal_of
from accounts.store import sites
from accounts.trail import append_audit, person_of, require_operator
from infra.db.ahead import Look
from infra.db.connection import Conn
from infra.refusal import Refusal


async def site_user(conn: Conn, *, backend: str, organisation_id: UUID, person_id: UUID) -> SiteUser:
    """As whom this member runs there: by a row of their own, else by the organisation's. SiteUserMissing.

    Whoever has left runs as nobody, also with the organisation's row.
    """
    found = await sites.site_user(conn, backend=backend, organisation_id=organisation_id, person_id=person_id)
    if found is None:
        raise SiteUserMissing(backend=backend)
    return found


def site_user_look(*, backend: str, organisation_id: UUID, person_id: UUID) -> Look:
    """What site_user() is going to ask."""
    return sites.site_user_look(backend=backend, organisation_id=organisation_id, person_id=person_id)


async def may_start(
    conn: Conn, *, backend: str, organisation_id: UUID, person_id: UUID, now: datetime
) -> tuple[Refusal | None, SiteUser | None]:
    """In one look: as outlooks(), and as whom the member runs there; None: as nobody."""
    standing, user = await sites.standing_and_user(
        conn, backend=backend, organisation_id=organisation_id, person_id=person_id, at=now
    )
    return refusal_of(standing), user


def may_start_look(*, backend: str, organisation_id: UUID, person_id: UUID, now: datetime) -> Look:
    """What may_start() is going to ask."""
    return sites.standing_look(backend=backend, organisation_id=organisation_id, person_id=person_id, at=now)


async def list_site_users(conn: Conn, *, backend: str) -> list[SiteUser]:
    """Everybody who is or was mapped there, by name."""
    return await sites.site_users(conn, backend=backend)


async def map_site_user(
    conn: Conn,
    *,
    actor: Principal | None,
    backend: str,
    organisation_id: UUID,
    person_id: UUID | None,
    unix_user: str,
    account: str,
    now: datetime,
) -> SiteUser:
    """From now on the member (None: every member without a row of their own) runs as unix_user under account.

    BadSiteUser, BadSiteAccount, OrganisationNotFound, NotAMember, SiteUserTaken, SiteAccountTaken, SiteUserExists.
    """
    require_operator(actor)
    wanted = SiteUser(
        backend=backend,
        unix_user=clean_unix_user(unix_user),
        organisation_id=organisation_id,
        person_id=person_id,
        account=clean_site_account(account),
        created_at=now,
        removed_at=None,
    )
    await _require_known(conn, organisation_id, person_id)
    await _trace(conn, actor, "site_user.map", wanted, now)  # from here on one at a time: the trail has one head
    await _require_free(conn, wanted)
    await sites.insert(conn, wanted, created_by=person_of(actor))
    return wanted


async def unmap_site_user(
    conn: Conn, *, actor: Principal | None, backend: str, unix_user: str, now: datetime
) -> SiteUser:
    """Nobody runs as unix_user there any more, nor ever will again. SiteUserNotFound."""
    require_operator(actor)
    found = await sites.by_name(conn, backend=backend, unix_user=unix_user)
    if found is None or found.removed_at is not None:
        raise SiteUserNotFound(unix_user=unix_user[:32], backend=backend)
    await sites.remove(conn, backend=backend, unix_user=unix_user, now=now)
    await _trace(conn, actor, "site_user.unmap", found, now)
    return found


async def _require_known(conn: Conn, organisation_id: UUID, person_id: UUID | None) -> None:
    if await store.organisation(conn, organisation_id) is None:
        raise OrganisationNotFound
    if person_id is None:
        return
    roles = await store.roles_of(conn, person_id=person_id, organisation_id=organisation_id)
    if not any(isinstance(role, OrgRole) for role in roles):
        raise NotAMember


async def _require_free(conn: Conn, wanted: SiteUser) -> None:
    backend, organisation_id = wanted.backend, wanted.organisation_id
    if await sites.by_name(conn, backend=backend, unix_user=wanted.unix_user) is not None:
        raise SiteUserTaken(unix_user=wanted.unix_user, backend=backend)
    if await sites.account_is_anothers(conn, backend=backend, account=wanted.account, organisation_id=organisation_id):
        raise SiteAccountTaken(account=wanted.account, backend=backend)
    current = await sites.current_of(conn, backend=backend, organisation_id=organisation_id, person_id=wanted.person_id)
    if current is not None:
        raise SiteUserExists(unix_user=current.unix_user, backend=backend)


async def _trace(conn: Conn, actor: Principal | None, action: str, user: SiteUser, now: datetime) -> None:
    await append_audit(
        conn,
        actor=person_of(actor),
        organisation_id=user.organisation_id,
        action=action,
        subject=f"site-user:{user.backend}/{user.unix_user}",
        facts={"person": str(user.person_id) if user.person_id else None, "account": user.account},
        now=now,
    )
