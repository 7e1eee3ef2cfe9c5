"""Sign-in and tokens, as the roles that serve, on a real PostgreSQL."""

from __future__ import annotations

import pytest

from accounts import service
from accounts.errors import (
    InvalidToken,
    ScopeNotHeld,
    TokenForAnother,
    TokenNotFound,
)
from accounts.model import IssuedToken, OrgRole, Principal, StaffRole
from infra.db.connection import Role, transaction
from tests.support.database import Database
from tests.support.people import (
    AYA,
    KEN,
    LATER,
    NOW,
    OPS,
    ORG,
    an_id,
    give_token,
    join,
    sign_in,
)

# --- sign-in ----------------------------------------------------------------------------------------------------------


async def test_a_token_says_who_it_is_for_whom_and_what_it_may(world: Database) -> None:
    issued = await give_token(world, AYA, ORG, "jobs:read", "money:read")
    assert await sign_in(world, issued) == Principal(
        person_id=AYA,
        display_name="彩",
        organisation_id=ORG,
        role=OrgRole.OWNER,
        staff_roles=frozenset(),
        scopes=frozenset({"jobs:read", "money:read"}),
        token_id=issued.id,
    )


async def test_a_staff_token_acts_for_the_house(world: Database) -> None:
    principal = await sign_in(world, await give_token(world, OPS, None, "operate"))
    assert (principal.organisation_id, principal.staff_roles) == (None, {StaffRole.OPERATOR})


async def test_only_the_hash_of_a_token_is_stored(world: Database) -> None:
    issued = await give_token(world, AYA, ORG, "jobs:read")
    stored = await world.owner.fetchval("SELECT to_jsonb(t)::text FROM accounts.api_token t")
    assert issued.plain not in stored
    assert issued.plain not in repr(issued)


async def test_an_expired_revoked_or_strange_token_is_refused_alike(world: Database) -> None:
    issued = await give_token(world, AYA, ORG, "jobs:read")
    with pytest.raises(InvalidToken):
        await sign_in(world, issued, at=LATER)
    for strange in ("", "kyo_", "kyo_" + "A" * 43, issued.plain + "x", "Bearer", "\x00"):
        with pytest.raises(InvalidToken):
            await sign_in(world, IssuedToken(id=issued.id, plain=strange))
    async with transaction(world.owner) as conn:
        await service.revoke_token(conn, actor=None, token_id=issued.id, now=NOW)
    with pytest.raises(InvalidToken):
        await sign_in(world, issued)


async def test_who_leaves_is_signed_out_and_stays_so_after_coming_back(world: Database) -> None:
    async with transaction(world.owner) as conn:
        await join(conn, KEN, OrgRole.MEMBER)
    issued = await give_token(world, KEN, ORG, "jobs:read")
    async with transaction(world.owner) as conn:
        await service.end_membership(conn, actor=None, organisation_id=ORG, person_id=KEN, now=NOW)
    with pytest.raises(InvalidToken):
        await sign_in(world, issued)
    await world.owner.execute("UPDATE accounts.membership SET id = gen_random_uuid() WHERE person_id = $1", KEN)
    async with transaction(world.owner) as conn:
        await join(conn, KEN, OrgRole.MEMBER)
    with pytest.raises(InvalidToken):
        await sign_in(world, issued)


async def test_a_demoted_role_takes_scopes_from_old_tokens(world: Database) -> None:
    issued = await give_token(world, AYA, ORG, "jobs:read", "money:read")
    await world.owner.execute("UPDATE accounts.membership SET role = 'member'")
    assert (await sign_in(world, issued)).scopes == {"jobs:read"}


# --- tokens -----------------------------------------------------------------------------------------------------------


async def test_a_token_holds_no_more_than_the_role(world: Database) -> None:
    with pytest.raises(ScopeNotHeld) as refused:
        await give_token(world, AYA, ORG, "jobs:read", "operate")
    assert refused.value.facts == {"scopes": ["operate"]}


async def test_a_token_makes_no_token_with_more_than_itself(world: Database) -> None:
    narrow = await sign_in(world, await give_token(world, AYA, ORG, "tokens:write", "jobs:read"))
    with pytest.raises(ScopeNotHeld):
        await give_token(world, AYA, ORG, "members:write", number=2, actor=narrow)
    async with transaction(world.portal, role=Role.TENANT, organisation_id=ORG) as conn:
        issued = await service.issue_token(
            conn,
            actor=narrow,
            token_id=an_id(3),
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
    assert (await sign_in(world, issued)).scopes == {"jobs:read"}


async def test_only_an_operator_makes_a_token_for_somebody_else(world: Database) -> None:
    async with transaction(world.owner) as conn:
        await join(conn, KEN, OrgRole.MEMBER)
    owner = await sign_in(world, await give_token(world, AYA, ORG, "tokens:write", "jobs:read"))
    with pytest.raises(TokenForAnother):
        await give_token(world, KEN, ORG, "jobs:read", number=2, actor=owner)
    operator = await sign_in(world, await give_token(world, OPS, None, "operate", number=3))
    async with transaction(world.portal, role=Role.OPERATOR) as conn:
        await service.issue_token(
            conn,
            actor=operator,
            token_id=an_id(4),
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
        await join(conn, KEN, OrgRole.MEMBER)
    ayas = await give_token(world, AYA, ORG, "jobs:read", number=1)
    ken = await sign_in(world, await give_token(world, KEN, ORG, "tokens:write", number=2))
    async with transaction(world.portal, role=Role.TENANT, organisation_id=ORG) as conn:
        with pytest.raises(TokenNotFound):
            await service.revoke_token(conn, actor=ken, token_id=ayas.id, now=NOW)
        await service.revoke_token(conn, actor=ken, token_id=an_id(2), now=NOW)
        await service.revoke_token(conn, actor=ken, token_id=an_id(2), now=LATER)
    assert await world.owner.fetchval("SELECT revoked_at FROM accounts.api_token WHERE id = $1", an_id(2)) == NOW
