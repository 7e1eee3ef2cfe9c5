"""accounts.service as the roles that serve, on a real PostgreSQL."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from accounts import service
from accounts.errors import (
    AlreadyMember,
    DeclarationExpired,
    DeclarationMissing,
    InvalidPeriod,
    InvalidToken,
    LastOwner,
    NotAMember,
    OrganisationExists,
    OrganisationNotFound,
    OrganisationSuspended,
    OwnerRequired,
    PersonExists,
    PersonNotFound,
    ProjectExists,
    ProjectNotFound,
    ScopeMissing,
    ScopeNotHeld,
    TokenForAnother,
    TokenNotFound,
)
from accounts.model import CustomerClass, IssuedToken, OrgRole, Principal, StaffRole
from infra.db.connection import Role, transaction
from tests.support.database import Database

NOW = datetime(2026, 4, 1, 9, tzinfo=UTC)
LATER = NOW + timedelta(days=30)
ORG, OTHER_ORG = UUID(int=1), UUID(int=2)
AYA, KEN, OPS = UUID(int=11), UUID(int=12), UUID(int=13)


def _id(number: int) -> UUID:
    return UUID(int=1_000 + number)


@pytest.fixture
async def world(database: Database) -> Database:
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
        await _join(conn, AYA, OrgRole.OWNER)
    return database


async def _join(conn, person: UUID, role: OrgRole, organisation: UUID = ORG, actor: Principal | None = None) -> None:
    await service.add_member(
        conn,
        actor=actor,
        membership_id=UUID(int=person.int * 1_000 + organisation.int),
        organisation_id=organisation,
        person_id=person,
        role=role,
        now=NOW,
    )


async def _token(
    database: Database, person: UUID, organisation: UUID | None, *scopes: str, number: int = 1, actor=None
) -> IssuedToken:
    async with transaction(database.owner) as conn:
        return await service.issue_token(
            conn,
            actor=actor,
            token_id=_id(number),
            secret=bytes([number]) * 32,
            person_id=person,
            organisation_id=organisation,
            label="test",
            scopes=scopes,
            expires_at=LATER,
            now=NOW,
        )


async def _sign_in(database: Database, token: IssuedToken, *, at: datetime = NOW) -> Principal:
    async with transaction(database.portal) as conn:
        return await service.authenticate(conn, token.plain, now=at)


# --- sign-in ----------------------------------------------------------------------------------------------------------


async def test_a_token_says_who_it_is_for_whom_and_what_it_may(world: Database) -> None:
    issued = await _token(world, AYA, ORG, "jobs:read", "money:read")
    assert await _sign_in(world, issued) == Principal(
        person_id=AYA,
        display_name="彩",
        organisation_id=ORG,
        role=OrgRole.OWNER,
        staff_roles=frozenset(),
        scopes=frozenset({"jobs:read", "money:read"}),
        token_id=issued.id,
    )


async def test_a_staff_token_acts_for_the_house(world: Database) -> None:
    principal = await _sign_in(world, await _token(world, OPS, None, "operate"))
    assert (principal.organisation_id, principal.staff_roles) == (None, {StaffRole.OPERATOR})


async def test_only_the_hash_of_a_token_is_stored(world: Database) -> None:
    issued = await _token(world, AYA, ORG, "jobs:read")
    stored = await world.owner.fetchval("SELECT to_jsonb(t)::text FROM accounts.api_token t")
    assert issued.plain not in stored
    assert issued.plain not in repr(issued)


async def test_an_expired_revoked_or_strange_token_is_refused_alike(world: Database) -> None:
    issued = await _token(world, AYA, ORG, "jobs:read")
    with pytest.raises(InvalidToken):
        await _sign_in(world, issued, at=LATER)
    for strange in ("", "kyo_", "kyo_" + "A" * 43, issued.plain + "x", "Bearer", "\x00"):
        with pytest.raises(InvalidToken):
            await _sign_in(world, IssuedToken(id=issued.id, plain=strange))
    async with transaction(world.owner) as conn:
        await service.revoke_token(conn, actor=None, token_id=issued.id, now=NOW)
    with pytest.raises(InvalidToken):
        await _sign_in(world, issued)


async def test_who_leaves_is_signed_out_and_stays_so_after_coming_back(world: Database) -> None:
    async with transaction(world.owner) as conn:
        await _join(conn, KEN, OrgRole.MEMBER)
    issued = await _token(world, KEN, ORG, "jobs:read")
    async with transaction(world.owner) as conn:
        await service.end_membership(conn, actor=None, organisation_id=ORG, person_id=KEN, now=NOW)
    with pytest.raises(InvalidToken):
        await _sign_in(world, issued)
    await world.owner.execute("UPDATE accounts.membership SET id = gen_random_uuid() WHERE person_id = $1", KEN)
    async with transaction(world.owner) as conn:
        await _join(conn, KEN, OrgRole.MEMBER)
    with pytest.raises(InvalidToken):
        await _sign_in(world, issued)


async def test_a_demoted_role_takes_scopes_from_old_tokens(world: Database) -> None:
    issued = await _token(world, AYA, ORG, "jobs:read", "money:read")
    await world.owner.execute("UPDATE accounts.membership SET role = 'member'")
    assert (await _sign_in(world, issued)).scopes == {"jobs:read"}


# --- tokens -----------------------------------------------------------------------------------------------------------


async def test_a_token_holds_no_more_than_the_role(world: Database) -> None:
    with pytest.raises(ScopeNotHeld) as refused:
        await _token(world, AYA, ORG, "jobs:read", "operate")
    assert refused.value.facts == {"scopes": ["operate"]}


async def test_a_token_makes_no_token_with_more_than_itself(world: Database) -> None:
    narrow = await _sign_in(world, await _token(world, AYA, ORG, "tokens:write", "jobs:read"))
    with pytest.raises(ScopeNotHeld):
        await _token(world, AYA, ORG, "members:write", number=2, actor=narrow)
    async with transaction(world.portal, role=Role.TENANT, organisation_id=ORG) as conn:
        issued = await service.issue_token(
            conn,
            actor=narrow,
            token_id=_id(3),
            secret=b"3" * 32,
            person_id=AYA,
            organisation_id=ORG,
            label="CI",
            scopes=["jobs:read"],
            expires_at=LATER,
            now=NOW,
        )
        listed = await service.list_tokens(conn, organisation_id=ORG, person_id=AYA)
        assert {token.label for token in listed} == {"test", "CI"}
    assert (await _sign_in(world, issued)).scopes == {"jobs:read"}


async def test_only_an_operator_makes_a_token_for_somebody_else(world: Database) -> None:
    async with transaction(world.owner) as conn:
        await _join(conn, KEN, OrgRole.MEMBER)
    owner = await _sign_in(world, await _token(world, AYA, ORG, "tokens:write", "jobs:read"))
    with pytest.raises(TokenForAnother):
        await _token(world, KEN, ORG, "jobs:read", number=2, actor=owner)
    operator = await _sign_in(world, await _token(world, OPS, None, "operate", number=3))
    async with transaction(world.portal, role=Role.OPERATOR) as conn:
        await service.issue_token(
            conn,
            actor=operator,
            token_id=_id(4),
            secret=b"4" * 32,
            person_id=KEN,
            organisation_id=ORG,
            label="first",
            scopes=["jobs:read"],
            expires_at=LATER,
            now=NOW,
        )


async def test_a_person_revokes_their_own_token_and_no_other(world: Database) -> None:
    async with transaction(world.owner) as conn:
        await _join(conn, KEN, OrgRole.MEMBER)
    ayas = await _token(world, AYA, ORG, "jobs:read", number=1)
    ken = await _sign_in(world, await _token(world, KEN, ORG, "tokens:write", number=2))
    async with transaction(world.portal, role=Role.TENANT, organisation_id=ORG) as conn:
        with pytest.raises(TokenNotFound):
            await service.revoke_token(conn, actor=ken, token_id=ayas.id, now=NOW)
        await service.revoke_token(conn, actor=ken, token_id=_id(2), now=NOW)
        await service.revoke_token(conn, actor=ken, token_id=_id(2), now=LATER)
    assert await world.owner.fetchval("SELECT revoked_at FROM accounts.api_token WHERE id = $1", _id(2)) == NOW


# --- members ----------------------------------------------------------------------------------------------------------


async def _owner(world: Database) -> Principal:
    return await _sign_in(world, await _token(world, AYA, ORG, "members:write", number=90))


async def test_an_owner_invites_a_new_person_and_one_who_exists_unseen(world: Database) -> None:
    owner = await _owner(world)
    async with transaction(world.portal, role=Role.TENANT, organisation_id=ORG) as conn:
        for number, (email, expected) in enumerate((("new@example.jp", _id(0)), (f"{KEN.int}@EXAMPLE.jp", KEN))):
            invited = await service.invite(
                conn,
                actor=owner,
                membership_id=_id(10 + number),
                organisation_id=ORG,
                person_id=_id(number),
                display_name="新人",
                email=email,
                role=OrgRole.MEMBER,
                now=NOW,
            )
            assert invited == expected
        assert {member.display_name for member in await service.list_members(conn, ORG)} == {"彩", "新人", "健"}


async def test_membership_refusals(world: Database) -> None:
    owner = await _owner(world)
    async with transaction(world.portal, role=Role.TENANT, organisation_id=ORG) as conn:
        with pytest.raises(AlreadyMember):
            await service.add_member(
                conn,
                actor=owner,
                membership_id=_id(1),
                organisation_id=ORG,
                person_id=AYA,
                role=OrgRole.MEMBER,
                now=NOW,
            )
        with pytest.raises(PersonNotFound):
            await _join(conn, _id(99), OrgRole.MEMBER, actor=owner)
        with pytest.raises(OrganisationNotFound):
            await _join(conn, KEN, OrgRole.MEMBER, organisation=OTHER_ORG, actor=owner)
        with pytest.raises(NotAMember):
            await service.end_membership(conn, actor=owner, organisation_id=ORG, person_id=KEN, now=NOW)
        with pytest.raises(LastOwner):
            await service.end_membership(conn, actor=owner, organisation_id=ORG, person_id=AYA, now=NOW)


async def test_two_owners_cannot_remove_each_other_at_the_same_time(world: Database) -> None:
    async with transaction(world.owner) as conn:
        await _join(conn, KEN, OrgRole.OWNER)

    async def remove(person: UUID) -> None:
        async with transaction(world.portal, role=Role.TENANT, organisation_id=ORG) as conn:
            await service.end_membership(conn, actor=None, organisation_id=ORG, person_id=person, now=NOW)

    outcomes = await asyncio.gather(remove(AYA), remove(KEN), return_exceptions=True)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["LastOwner", "NoneType"]


async def test_an_administrator_neither_makes_nor_removes_an_owner(world: Database) -> None:
    async with transaction(world.owner) as conn:
        await _join(conn, KEN, OrgRole.ADMINISTRATOR)
    administrator = await _sign_in(world, await _token(world, KEN, ORG, "members:write"))
    async with transaction(world.portal, role=Role.TENANT, organisation_id=ORG) as conn:
        with pytest.raises(OwnerRequired):
            await _join(conn, OPS, OrgRole.OWNER, actor=administrator)
        with pytest.raises(OwnerRequired):
            await service.end_membership(conn, actor=administrator, organisation_id=ORG, person_id=AYA, now=NOW)


async def test_a_member_manages_nobody_but_may_leave(world: Database) -> None:
    async with transaction(world.owner) as conn:
        await _join(conn, KEN, OrgRole.MEMBER)
    member = await _sign_in(world, await _token(world, KEN, ORG, "jobs:read"))
    async with transaction(world.portal, role=Role.TENANT, organisation_id=ORG) as conn:
        with pytest.raises(ScopeMissing):
            await _join(conn, OPS, OrgRole.MEMBER, actor=member)
        await service.end_membership(conn, actor=member, organisation_id=ORG, person_id=KEN, now=NOW)
        assert [member.person_id for member in await service.list_members(conn, ORG)] == [AYA]


# --- organisations ----------------------------------------------------------------------------------------------------


async def test_what_exists_already_has_a_name(world: Database) -> None:
    async with transaction(world.owner) as conn:
        with pytest.raises(OrganisationExists):
            await service.create_organisation(
                conn, actor=None, organisation_id=_id(1), project_id=_id(2), slug="alpha", name="x", now=NOW
            )
        with pytest.raises(PersonExists):
            await service.create_person(
                conn, actor=None, person_id=_id(3), display_name="x", email=f"{AYA.int}@Example.jp", now=NOW
            )
        with pytest.raises(ProjectExists):
            await service.create_project(
                conn, actor=None, project_id=_id(4), organisation_id=ORG, slug="default", name="x", now=NOW
            )


async def test_an_organisation_begins_with_a_default_project_and_makes_more(world: Database) -> None:
    owner = await _owner(world)
    async with transaction(world.portal, role=Role.TENANT, organisation_id=ORG) as conn:
        await service.create_project(
            conn, actor=owner, project_id=_id(1), organisation_id=ORG, slug="lab", name="研究室", now=NOW
        )
        assert [project.slug for project in await service.list_projects(conn, ORG)] == ["default", "lab"]
        assert (await service.project_by_slug(conn, ORG, "default")).organisation_id == ORG
        with pytest.raises(ProjectNotFound):
            await service.project_by_slug(conn, ORG, "nothing")


async def _declare(conn, number: int, of_class: CustomerClass, *, until: datetime, since: datetime = NOW) -> None:
    await service.declare(
        conn,
        actor=None,
        declaration_id=_id(number),
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
    operator = await _sign_in(world, await _token(world, OPS, None, "operate"))
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
    await _token(world, AYA, ORG, "jobs:read")
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
                conn, actor=None, organisation_id=_id(1), project_id=_id(2), slug="alpha", name="x", now=NOW
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
