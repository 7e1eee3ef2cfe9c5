"""Members, as the roles that serve, on a real PostgreSQL."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest

from accounts import service
from accounts.errors import (
    AlreadyMember,
    LastOwner,
    NotAMember,
    OrganisationNotFound,
    OwnerRequired,
    PersonNotFound,
    ScopeMissing,
)
from accounts.model import OrgRole
from infra.db.connection import Role, transaction
from tests.support.database import Database
from tests.support.people import (
    AYA,
    KEN,
    NOW,
    OPS,
    ORG,
    OTHER_ORG,
    an_id,
    give_token,
    join,
    sign_in,
    sign_in_owner,
)


async def test_an_owner_invites_a_new_person_and_one_who_exists_unseen(world: Database) -> None:
    owner = await sign_in_owner(world)
    async with transaction(world.portal, role=Role.TENANT, organisation_id=ORG) as conn:
        for number, (email, expected) in enumerate((("new@example.jp", an_id(0)), (f"{KEN.int}@EXAMPLE.jp", KEN))):
            invited = await service.invite(
                conn,
                actor=owner,
                membership_id=an_id(10 + number),
                organisation_id=ORG,
                person_id=an_id(number),
                display_name="新人",
                email=email,
                role=OrgRole.MEMBER,
                now=NOW,
            )
            assert invited == expected
        assert {member.display_name for member in await service.list_members(conn, ORG)} == {"彩", "新人", "健"}


async def test_membership_refusals(world: Database) -> None:
    owner = await sign_in_owner(world)
    async with transaction(world.portal, role=Role.TENANT, organisation_id=ORG) as conn:
        with pytest.raises(AlreadyMember):
            await service.add_member(
                conn,
                actor=owner,
                membership_id=an_id(1),
                organisation_id=ORG,
                person_id=AYA,
                role=OrgRole.MEMBER,
                now=NOW,
            )
        with pytest.raises(PersonNotFound):
            await join(conn, an_id(99), OrgRole.MEMBER, actor=owner)
        with pytest.raises(OrganisationNotFound):
            await join(conn, KEN, OrgRole.MEMBER, organisation=OTHER_ORG, actor=owner)
        with pytest.raises(NotAMember):
            await service.end_membership(conn, actor=owner, organisation_id=ORG, person_id=KEN, now=NOW)
        with pytest.raises(LastOwner):
            await service.end_membership(conn, actor=owner, organisation_id=ORG, person_id=AYA, now=NOW)


async def test_two_owners_cannot_remove_each_other_at_the_same_time(world: Database) -> None:
    async with transaction(world.owner) as conn:
        await join(conn, KEN, OrgRole.OWNER)

    async def remove(person: UUID) -> None:
        async with transaction(world.portal, role=Role.TENANT, organisation_id=ORG) as conn:
            await service.end_membership(conn, actor=None, organisation_id=ORG, person_id=person, now=NOW)

    outcomes = await asyncio.gather(remove(AYA), remove(KEN), return_exceptions=True)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["LastOwner", "NoneType"]


async def test_an_administrator_neither_makes_nor_removes_an_owner(world: Database) -> None:
    async with transaction(world.owner) as conn:
        await join(conn, KEN, OrgRole.ADMINISTRATOR)
    administrator = await sign_in(world, await give_token(world, KEN, ORG, "members:write"))
    async with transaction(world.portal, role=Role.TENANT, organisation_id=ORG) as conn:
        with pytest.raises(OwnerRequired):
            await join(conn, OPS, OrgRole.OWNER, actor=administrator)
        with pytest.raises(OwnerRequired):
            await service.end_membership(conn, actor=administrator, organisation_id=ORG, person_id=AYA, now=NOW)


async def test_a_member_manages_nobody_but_may_leave(world: Database) -> None:
    async with transaction(world.owner) as conn:
        await join(conn, KEN, OrgRole.MEMBER)
    member = await sign_in(world, await give_token(world, KEN, ORG, "jobs:read"))
    async with transaction(world.portal, role=Role.TENANT, organisation_id=ORG) as conn:
        with pytest.raises(ScopeMissing):
            await join(conn, OPS, OrgRole.MEMBER, actor=member)
        await service.end_membership(conn, actor=member, organisation_id=ORG, person_id=KEN, now=NOW)
        assert [member.person_id for member in await service.list_members(conn, ORG)] == [AYA]
