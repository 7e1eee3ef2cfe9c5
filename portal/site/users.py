"""Who runs as whom: the operator's side of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from accounts import service as accounts
from accounts.errors import NotAMember, OrganisationNotFound
from accounts.model import Organisation, SiteUser
from infra.db.connection import Conn


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One user of a site. person: a name, or None for every member without a user of their own."""

    user: SiteUser
    organisation: str
    person: str | None

    @property
    def is_current(self) -> bool:
        """Whether somebody runs as this user now."""
        return self.user.removed_at is None

    def as_json(self) -> dict[str, object]:
        return {
            "unix_user": self.user.unix_user,
            "account": self.user.account,
            "organisation": self.organisation,
            "person_id": str(self.user.person_id) if self.user.person_id else None,
            "person": self.person,
            "since": self.user.created_at.isoformat(),
            "removed_at": self.user.removed_at.isoformat() if self.user.removed_at else None,
        }


async def listed(conn: Conn, *, backend: str) -> list[Row]:
    """Everybody who is or was mapped, by name."""
    slugs = {each.id: each.slug for each in await accounts.list_organisations(conn)}
    found = await accounts.list_site_users(conn, backend=backend)
    names: dict[UUID, Mapping[UUID, str]] = {}
    for organisation_id in {each.organisation_id for each in found}:
        members = await accounts.list_members(conn, organisation_id)
        names[organisation_id] = {each.person_id: each.display_name for each in members}
    return [
        Row(
            user=each,
            organisation=slugs[each.organisation_id],
            person=names[each.organisation_id].get(each.person_id, str(each.person_id)) if each.person_id else None,
        )
        for each in found
    ]


async def give(
    conn: Conn,
    *,
    backend: str,
    organisation: str,
    unix_user: str,
    email: str | None,
    account: str | None,
    now: datetime,
) -> SiteUser:
    """Maps a member (by address) or a whole organisation (by slug). Refusals of accounts.map_site_user."""
    known = await _organisation(conn, organisation)
    return await accounts.map_site_user(
        conn,
        actor=None,
        backend=backend,
        organisation_id=known.id,
        person_id=await _member(conn, known.id, email) if email else None,
        unix_user=unix_user,
        account=account or known.slug,
        now=now,
    )


async def _organisation(conn: Conn, slug: str) -> Organisation:
    found = next((each for each in await accounts.list_organisations(conn) if each.slug == slug), None)
    if found is None:
        raise OrganisationNotFound
    return found


async def _member(conn: Conn, organisation_id: UUID, email: str) -> UUID:
    for each in await accounts.list_members(conn, organisation_id):
        if each.email.lower() == email.lower():
            return each.person_id
    raise NotAMember
