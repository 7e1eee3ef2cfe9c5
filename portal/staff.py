"""`kyoyod add-staff`: the first operator of a fresh house, and every other. Nobody can do this over the network."""

from __future__ import annotations

from datetime import timedelta

from accounts import service as accounts
from accounts.model import StaffRole
from accounts.scopes import scopes_of
from infra.clock import new_id, new_secret, utc_now
from infra.db.connection import Role, transaction
from portal.bootstrap import DatabaseUrls, current_pool

TOKEN_LIFETIME = timedelta(days=30)


async def add_staff(urls: DatabaseUrls, *, name: str, email: str, role: StaffRole) -> str:
    """A new person who works for the house, and a token to sign in with. InvalidName, InvalidEmail, PersonExists."""
    now = utc_now()
    async with current_pool(urls.portal, size=1) as pool, transaction(pool, role=Role.OPERATOR) as conn:
        person_id = await accounts.create_person(
            conn, actor=None, person_id=new_id(), display_name=name, email=email, counts=False, now=now
        )
        await accounts.grant_staff_role(conn, actor=None, person_id=person_id, role=role, now=now)
        issued = await accounts.issue_token(
            conn,
            actor=None,
            token_id=new_id(),
            secret=new_secret(),
            person_id=person_id,
            organisation_id=None,
            label="first sign-in",
            scopes=scopes_of([role]),
            expires_at=now + TOKEN_LIFETIME,
            now=now,
        )
    return issued.plain
