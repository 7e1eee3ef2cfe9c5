"""Organisations, eligibility and the audit trail, as the roles that serve, on a real PostgreSQL."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from accounts import service
from accounts.errors import (
    DeclarationExpired,
    DeclarationMissing,
    InvalidPeriod,
    OrganisationExists,
    OrganisationSuspended,
    PersonExists,
    ProjectExists,
    ProjectNotFound,
)
from accounts.model import CustomerClass
from infra.db.connection import Role, transaction
from tests.support.database import Database
from tests.support.people import (
    AYA,
    LATER,
    NOW,
    OPS,
    ORG,
    an_id,
    give_token,
    sign_in,
    sign_in_owner,
)

# --- organisations ----------------------------------------------------------------------------------------------------


async def test_what_exists_already_has_a_name(world: Database) -> None:
    async with transaction(world.owner) as conn:
        with pytest.raises(OrganisationExists):
            await service.create_organisation(
                conn, actor=None, organisation_id=an_id(1), project_id=an_id(2), slug="alpha", name="x", now=NOW
            )
        with pytest.raises(PersonExists):
            await service.create_person(
                conn, actor=None, person_id=an_id(3), display_name="x", email=f"{AYA.int}@Example.jp", now=NOW
            )
        with pytest.raises(ProjectExists):
            await service.create_project(
                conn, actor=None, project_id=an_id(4), organisation_id=ORG, slug="default", name="x", now=NOW
            )


async def test_an_organisation_begins_with_a_default_project_and_makes_more(world: Database) -> None:
    owner = await sign_in_owner(world)
    async with transaction(world.portal, role=Role.TENANT, organisation_id=ORG) as conn:
        await service.create_project(
            conn, actor=owner, project_id=an_id(1), organisation_id=ORG, slug="lab", name="研究室", now=NOW
        )
        assert [project.slug for project in await service.list_projects(conn, ORG)] == ["default", "lab"]
        assert (await service.project_by_slug(conn, ORG, "default")).organisation_id == ORG
        with pytest.raises(ProjectNotFound):
            await service.project_by_slug(conn, ORG, "nothing")


async def _declare(conn, number: int, of_class: CustomerClass, *, until: datetime, since: datetime = NOW) -> None:
    await service.declare(
        conn,
        actor=None,
        declaration_id=an_id(number),
        organisation_id=ORG,
        customer_class=of_class,
        valid_from=since,
        valid_until=until,
        now=NOW + timedelta(seconds=number),
    )


async def test_the_gate_asks_for_a_declaration_that_holds_now(world: Database) -> None:
    async with transaction(world.owner) as conn:
        with pytest.raises(DeclarationMissing):
            await service.require_eligible(conn, ORG, now=NOW)
        await _declare(conn, 1, CustomerClass.SME, until=LATER)
        with pytest.raises(DeclarationMissing):
            await service.require_eligible(conn, ORG, now=NOW - timedelta(seconds=1))
        with pytest.raises(DeclarationExpired) as refused:
            await service.require_eligible(conn, ORG, now=LATER)
        assert refused.value.facts == {"valid_until": LATER.isoformat()}
        with pytest.raises(InvalidPeriod):
            await _declare(conn, 2, CustomerClass.SME, until=NOW)
    async with transaction(world.portal, role=Role.TENANT, organisation_id=ORG) as conn:
        eligible = await service.require_eligible(conn, ORG, now=NOW)
        assert (eligible.customer_class, eligible.valid_until) == (CustomerClass.SME, LATER)


async def test_of_two_declarations_that_hold_the_later_recorded_decides(world: Database) -> None:
    async with transaction(world.owner) as conn:
        await _declare(conn, 1, CustomerClass.STARTUP, until=LATER)
        await _declare(conn, 2, CustomerClass.LARGE, until=LATER - timedelta(days=1))
        now = LATER - timedelta(days=2)
        assert (await service.require_eligible(conn, ORG, now=now)).customer_class is CustomerClass.LARGE
        now = LATER - timedelta(hours=1)
        assert (await service.require_eligible(conn, ORG, now=now)).customer_class is CustomerClass.STARTUP


async def test_a_suspended_organisation_is_stopped_until_it_is_resumed(world: Database) -> None:
    operator = await sign_in(world, await give_token(world, OPS, None, "operate"))
    async with transaction(world.owner) as conn:
        await _declare(conn, 1, CustomerClass.SME, until=LATER)
    async with transaction(world.portal, role=Role.OPERATOR) as conn:
        for suspended in (True, True):
            await service.set_suspended(
                conn, actor=operator, organisation_id=ORG, suspended=suspended, reason="unpaid", now=NOW
            )
        with pytest.raises(OrganisationSuspended):
            await service.require_eligible(conn, ORG, now=NOW)
        await service.set_suspended(conn, actor=operator, organisation_id=ORG, suspended=False, reason="paid", now=NOW)
        await service.require_eligible(conn, ORG, now=NOW)


# --- the audit trail --------------------------------------------------------------------------------------------------


async def test_every_change_leaves_an_entry_and_the_chain_is_whole(world: Database) -> None:
    await give_token(world, AYA, ORG, "jobs:read")
    async with transaction(world.worker, snapshot=True) as conn:
        assert await service.verify_audit_chain(conn) == []
        actions = [row["action"] for row in await conn.fetch("SELECT action FROM accounts.audit_entry ORDER BY seq")]
    assert actions == [
        *["person.create"] * 3,
        "staff.grant",
        *["organisation.create", "project.create"] * 2,
        "membership.begin",
        "token.issue",
    ]


async def test_a_rolled_back_change_leaves_no_entry_and_no_gap(world: Database) -> None:
    with pytest.raises(OrganisationExists):
        async with transaction(world.owner) as conn:
            await _declare(conn, 1, CustomerClass.SME, until=LATER)
            await service.create_organisation(
                conn, actor=None, organisation_id=an_id(1), project_id=an_id(2), slug="alpha", name="x", now=NOW
            )
    async with transaction(world.owner) as conn:
        await _declare(conn, 1, CustomerClass.SME, until=LATER)
        assert await service.verify_audit_chain(conn) == []


@pytest.mark.parametrize(
    ("forgery", "found"),
    [
        ("UPDATE accounts.audit_entry SET facts = '{}' WHERE seq = 3", [(3, "altered")]),
        ("UPDATE accounts.audit_entry SET actor_id = gen_random_uuid() WHERE seq = 4", [(4, "altered")]),
        ("DELETE FROM accounts.audit_entry WHERE seq = 3", [(3, "gap"), (4, "unlinked")]),
        (
            "UPDATE accounts.audit_entry SET sha256 = sha256('x') WHERE seq = 3",
            [(3, "altered"), (4, "unlinked")],
        ),
    ],
)
async def test_a_forged_trail_is_found_out(world: Database, forgery: str, found: list[tuple[int, str]]) -> None:
    await world.owner.execute("ALTER TABLE accounts.audit_entry DISABLE TRIGGER USER")
    await world.owner.execute(forgery)
    async with transaction(world.owner, snapshot=True) as conn:
        problems = await service.verify_audit_chain(conn)
    assert [(problem.seq, problem.kind) for problem in problems] == found
