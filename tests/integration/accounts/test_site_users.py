"""As whom members run on a site: data that an operator keeps, names that are given once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from uuid import UUID

import asyncpg
import pytest

from accounts import service
from accounts.errors import (
    BadSiteAccount,
    BadSiteUser,
    NotAMember,
    OrganisationNotFound,
    ScopeMissing,
    SiteAccountTaken,
    SiteUserExists,
    SiteUserMissing,
    SiteUserNotFound,
    SiteUserTaken,
)
from accounts.model import OrgRole, Principal
from infra.db.connection import Role, transaction
from tests.support.database import Database
from tests.support.people import AYA, KEN, NOW, ORG, OTHER_ORG, join, sign_in_owner

SITE = "gpu-site"
Map = Callable[..., Awaitable[None]]


@pytest.fixture
def give(world: Database) -> Map:
    async def give_one(
        unix_user: str,
        *,
        organisation: UUID = ORG,
        person: UUID | None = None,
        account: str = "alpha",
        actor: Principal | None = None,
    ) -> None:
        async with transaction(world.portal, role=Role.OPERATOR) as conn:
            await service.map_site_user(
                conn,
                actor=actor,
                backend=SITE,
                organisation_id=organisation,
                person_id=person,
                unix_user=unix_user,
                account=account,
                now=NOW,
            )

    return give_one


async def runs_as(world: Database, person: UUID = AYA, *, organisation: UUID = ORG, backend: str = SITE) -> str:
    async with transaction(world.portal, role=Role.TENANT, organisation_id=ORG) as conn:
        found = await service.site_user(conn, backend=backend, organisation_id=organisation, person_id=person)
    return f"{found.unix_user}:{found.account}"


async def test_a_row_of_ones_own_comes_before_the_organisations(world: Database, give: Map) -> None:
    with pytest.raises(SiteUserMissing):
        await runs_as(world)
    await give("alpha")
    assert await runs_as(world) == "alpha:alpha"
    await give("aya", person=AYA)
    assert await runs_as(world) == "aya:alpha"
    async with transaction(world.owner) as conn:
        await join(conn, KEN, OrgRole.MEMBER)
    assert await runs_as(world, KEN) == "alpha:alpha"
    with pytest.raises(SiteUserMissing):
        await runs_as(world, backend="another-site")


async def test_whoever_is_no_member_runs_as_nobody(world: Database, give: Map) -> None:
    await give("alpha")
    with pytest.raises(SiteUserMissing):
        await runs_as(world, KEN)


async def test_no_tenant_sees_who_another_runs_as(world: Database, give: Map) -> None:
    async with transaction(world.owner) as conn:
        await join(conn, KEN, OrgRole.MEMBER, organisation=OTHER_ORG)
    await give("beta", organisation=OTHER_ORG, account="beta")
    with pytest.raises(SiteUserMissing):
        await runs_as(world, KEN, organisation=OTHER_ORG)


@pytest.mark.parametrize(
    ("changed", "refusal"),
    [
        ({"unix_user": "root"}, BadSiteUser),
        ({"unix_user": "slurm"}, BadSiteUser),
        ({"unix_user": "Aya"}, BadSiteUser),
        ({"unix_user": "a" * 33}, BadSiteUser),
        ({"unix_user": "a\n"}, BadSiteUser),
        ({"unix_user": "aya", "account": "root"}, BadSiteAccount),
        ({"unix_user": "aya", "account": "../x"}, BadSiteAccount),
        ({"unix_user": "aya", "organisation": UUID(int=404)}, OrganisationNotFound),
        ({"unix_user": "ken", "person": KEN}, NotAMember),
        ({"unix_user": "taken"}, SiteUserTaken),
        ({"unix_user": "other", "organisation": OTHER_ORG}, SiteAccountTaken),
        ({"unix_user": "second"}, SiteUserExists),
    ],
)
async def test_refusals_leave_nothing_behind(
    world: Database, give: Map, changed: dict[str, object], refusal: type[Exception]
) -> None:
    await give("taken")
    before = await world.owner.fetchval("SELECT count(*) FROM accounts.audit_entry")
    with pytest.raises(refusal):
        await give(changed.pop("unix_user"), **changed)
    assert await world.owner.fetchval("SELECT count(*) FROM accounts.site_user") == 1
    assert await world.owner.fetchval("SELECT count(*) FROM accounts.audit_entry") == before


async def test_only_an_operator_maps(world: Database, give: Map) -> None:
    owner = await sign_in_owner(world)
    with pytest.raises(ScopeMissing):
        await give("aya", actor=owner)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with transaction(world.portal, role=Role.TENANT, organisation_id=ORG) as conn:
            await service.map_site_user(
                conn,
                actor=None,
                backend=SITE,
                organisation_id=ORG,
                person_id=None,
                unix_user="aya",
                account="alpha",
                now=NOW,
            )


async def test_a_name_that_was_taken_back_is_given_to_nobody_again(world: Database, give: Map) -> None:
    await give("aya", person=AYA)
    async with transaction(world.portal, role=Role.OPERATOR) as conn:
        await service.unmap_site_user(conn, actor=None, backend=SITE, unix_user="aya", now=NOW)
        with pytest.raises(SiteUserNotFound):
            await service.unmap_site_user(conn, actor=None, backend=SITE, unix_user="aya", now=NOW)
    with pytest.raises(SiteUserTaken):
        await give("aya", person=AYA)
    with pytest.raises(asyncpg.PostgresError, match="for good"):
        await world.owner.execute("UPDATE accounts.site_user SET removed_at = NULL")
    await give("aya2", person=AYA)
    assert await runs_as(world) == "aya2:alpha"


async def test_it_goes_with_the_membership(world: Database, give: Map) -> None:
    async with transaction(world.owner) as conn:
        await join(conn, KEN, OrgRole.MEMBER)
    await give("alpha")
    await give("ken", person=KEN)
    async with transaction(world.portal, role=Role.TENANT, organisation_id=ORG) as conn:
        await service.end_membership(conn, actor=None, organisation_id=ORG, person_id=KEN, now=NOW)
    async with transaction(world.portal, role=Role.OPERATOR) as conn:
        rows = await service.list_site_users(conn, backend=SITE)
    assert [(each.unix_user, each.removed_at is None) for each in rows] == [("alpha", True), ("ken", False)]
    with pytest.raises(SiteUserMissing):
        await runs_as(world, KEN)
    async with transaction(world.owner) as conn:
        assert await service.verify_audit_chain(conn) == []
        facts = await conn.fetchval("SELECT facts FROM accounts.audit_entry ORDER BY seq DESC LIMIT 1")
    assert facts == {"site_users": [f"{SITE}/ken"], "secrets": 0}
