"""A small world of persons and organisations: Aya owns alpha, Ken belongs nowhere, Ops is an operator."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from accounts import service
from accounts.model import IssuedToken, OrgRole, Principal, StaffRole
from infra.db.connection import Conn, transaction
from tests.support.database import Database

NOW = datetime(2026, 4, 1, 9, tzinfo=UTC)
LATER = NOW + timedelta(days=30)
ORG, OTHER_ORG = UUID(int=1), UUID(int=2)
AYA, KEN, OPS = UUID(int=11), UUID(int=12), UUID(int=13)


def an_id(number: int) -> UUID:
    return UUID(int=1_000 + number)


async def populate(database: Database) -> None:
    """Two organisations; Aya owns the first, Ken is nobody's member, Ops is an operator."""
    async with transaction(database.owner) as conn:
        for person, name in ((AYA, "彩"), (KEN, "健"), (OPS, "運用")):
            await service.create_person(
                conn,
                actor=None,
                person_id=person,
                display_name=name,
                email=f"{person.int}@example.jp",
                now=NOW,
            )
        await service.grant_staff_role(conn, actor=None, person_id=OPS, role=StaffRole.OPERATOR, now=NOW)
        for organisation, slug in ((ORG, "alpha"), (OTHER_ORG, "beta")):
            await service.create_organisation(
                conn,
                actor=None,
                organisation_id=organisation,
                project_id=UUID(int=organisation.int + 100),
                slug=slug,
                name=slug,
                now=NOW,
            )
        await join(conn, AYA, OrgRole.OWNER)


async def join(
    conn: Conn, person: UUID, role: OrgRole, organisation: UUID = ORG, actor: Principal | None = None
) -> None:
    await service.add_member(
        conn,
        actor=actor,
        membership_id=UUID(int=person.int * 1_000 + organisation.int),
        organisation_id=organisation,
        person_id=person,
        role=role,
        now=NOW,
    )


async def give_token(
    database: Database,
    person: UUID,
    organisation: UUID | None,
    *scopes: str,
    number: int = 1,
    actor: Principal | None = None,
) -> IssuedToken:
    async with transaction(database.owner) as conn:
        return await service.issue_token(
            conn,
            actor=actor,
            token_id=an_id(number),
            secret=bytes([number]) * 32,
            person_id=person,
            organisation_id=organisation,
            label="test",
            scopes=scopes,
            expires_at=LATER,
            now=NOW,
        )


async def sign_in(database: Database, token: IssuedToken, *, at: datetime = NOW) -> Principal:
    async with transaction(database.portal) as conn:
        return await service.authenticate(conn, token.plain, now=at)


async def sign_in_owner(world: Database) -> Principal:
    return await sign_in(world, await give_token(world, AYA, ORG, "members:write", number=90))
