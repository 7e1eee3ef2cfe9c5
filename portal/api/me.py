"""Who the token acts for."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter

from accounts import service as accounts
from portal.api.wire import Out
from portal.auth.caller import AnyCaller

router = APIRouter(tags=["me"])


class MyOrganisation(Out):
    id: UUID
    slug: str
    name: str


class Me(Out):
    person_id: UUID
    display_name: str
    organisation: MyOrganisation | None
    role: str | None
    staff_roles: list[str]
    scopes: list[str]


@router.get("/me")
async def get_me(caller: AnyCaller) -> Me:
    """Who the token acts for, and what it may do."""
    who = caller.principal
    mine = None
    if who.organisation_id is not None:
        async with caller.transaction() as conn:
            found = await accounts.organisation(conn, who.organisation_id)
        mine = MyOrganisation(id=found.id, slug=found.slug, name=found.name)
    return Me(
        person_id=who.person_id,
        display_name=who.display_name,
        organisation=mine,
        role=who.role.value if who.role else None,
        staff_roles=sorted(role.value for role in who.staff_roles),
        scopes=sorted(who.scopes),
    )
