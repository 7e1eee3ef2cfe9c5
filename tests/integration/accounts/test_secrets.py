"""Members' secrets at the database: who may set, see, open and remove them, role by role."""

from __future__ import annotations

from uuid import UUID

import asyncpg
import pytest

from accounts import service
from accounts.errors import ScopeMissing, SecretNotFound, SecretUnknown, TooManySecrets
from accounts.model import OrgRole, Principal
from accounts.sealing import Sealer
from accounts.secrets import MAX_SECRETS
from infra.db.connection import Role, open_pool, transaction
from tests.support.database import Database
from tests.support.people import AYA, KEN, NOW, ORG, OTHER_ORG, an_id, give_token, join, sign_in

SEALER = Sealer([b"n" * 32, b"o" * 32])
CANARY = "canary-9d1e"
READ = "SELECT ciphertext FROM accounts.secret"


async def submitter(world: Database, person: UUID = AYA, organisation: UUID = ORG) -> Principal:
    return await sign_in(world, await give_token(world, person, organisation, "jobs:write", number=person.int))


async def put(
    world: Database,
    actor: Principal,
    name: str = "HF_TOKEN",
    value: str = CANARY,
    *,
    number: int = 1,
    with_: Sealer = SEALER,
) -> None:
    async with transaction(world.portal, role=Role.TENANT, organisation_id=actor.organisation_id) as conn:
        await service.set_secret(
            conn,
            actor=actor,
            sealer=with_,
            secret_id=an_id(number),
            name=name,
            value=value,
            nonce=number.to_bytes(12, "big"),
            now=NOW,
        )


async def opened(world: Database, *names: str, person: UUID = AYA, sealer: Sealer = SEALER) -> dict[str, str]:
    async with transaction(world.worker) as conn:
        sealed = await service.sealed_secrets(conn, organisation_id=ORG, person_id=person, names=names)
    return {name: sealer.unseal(each) for name, each in sealed.items()}


async def test_a_secret_is_set_replaced_opened_for_a_job_and_removed(world: Database) -> None:
    aya = await submitter(world)
    await put(world, aya)
    await put(world, aya, value="second", number=2)
    await put(world, aya, name="OTHER", number=3)
    assert await opened(world, "HF_TOKEN") == {"HF_TOKEN": "second"}
    async with transaction(world.portal, role=Role.TENANT, organisation_id=ORG) as conn:
        assert [each.name for each in await service.list_secrets(conn, actor=aya)] == ["HF_TOKEN", "OTHER"]
        await service.remove_secret(conn, actor=aya, name="HF_TOKEN", now=NOW)
        with pytest.raises(SecretNotFound):
            await service.remove_secret(conn, actor=aya, name="HF_TOKEN", now=NOW)
    with pytest.raises(SecretUnknown):
        await opened(world, "HF_TOKEN", "OTHER")


async def test_what_is_removed_leaves_no_ciphertext_and_stays_removed(world: Database) -> None:
    aya = await submitter(world)
    await put(world, aya)
    await put(world, aya, value="second", number=2)
    rows = await world.owner.fetch("SELECT removed_at IS NULL AS held, ciphertext FROM accounts.secret ORDER BY id")
    assert [(row["held"], row["ciphertext"] is None) for row in rows] == [(False, True), (True, False)]
    with pytest.raises(asyncpg.PostgresError, match="for good"):
        await world.owner.execute("UPDATE accounts.secret SET removed_at = NULL WHERE removed_at IS NOT NULL")


async def test_nobody_but_the_worker_reads_a_ciphertext(world: Database) -> None:
    await put(world, await submitter(world))
    async with transaction(world.worker) as conn:
        assert len(await conn.fetch(READ)) == 1
    for role in Role:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with transaction(world.portal, role=role, organisation_id=ORG) as conn:
                await conn.execute(READ)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with transaction(world.portal) as conn:
            await conn.execute(READ)
    async with open_pool(world.url, user="kyoyo_auditor", size=1) as auditor:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await auditor.execute(READ)


@pytest.mark.parametrize("change", ["ciphertext = 'x'", "name = 'X'", "person_id = person_id", "created_at = now()"])
async def test_no_role_that_serves_people_changes_one_but_by_removing_it(world: Database, change: str) -> None:
    await put(world, await submitter(world))
    for role in Role:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with transaction(world.portal, role=role, organisation_id=ORG) as conn:
                await conn.execute(f"UPDATE accounts.secret SET {change}")


async def test_another_tenant_sees_not_even_the_name(world: Database) -> None:
    await put(world, await submitter(world))
    async with transaction(world.portal, role=Role.TENANT, organisation_id=OTHER_ORG) as conn:
        assert await conn.fetch("SELECT name FROM accounts.secret") == []
        assert await conn.execute("UPDATE accounts.secret SET removed_at = now()") == "UPDATE 0"


async def test_another_member_can_neither_name_nor_remove_it(world: Database) -> None:
    async with transaction(world.owner) as conn:
        await join(conn, KEN, OrgRole.MEMBER)
    await put(world, await submitter(world))
    ken = await submitter(world, KEN)
    async with transaction(world.portal, role=Role.TENANT, organisation_id=ORG) as conn:
        assert await service.list_secrets(conn, actor=ken) == []
        with pytest.raises(SecretNotFound):
            await service.remove_secret(conn, actor=ken, name="HF_TOKEN", now=NOW)
        with pytest.raises(SecretUnknown):
            await service.require_secrets(conn, organisation_id=ORG, person_id=KEN, names=["HF_TOKEN"])
        await service.require_secrets(conn, organisation_id=ORG, person_id=AYA, names=["HF_TOKEN"])
    with pytest.raises(SecretUnknown):
        await opened(world, "HF_TOKEN", person=KEN)


async def test_a_row_whose_owner_was_changed_does_not_open(world: Database) -> None:
    await put(world, await submitter(world))
    await world.owner.execute("UPDATE accounts.secret SET person_id = $1", KEN)
    with pytest.raises(Exception, match="not of this row"):
        await opened(world, "HF_TOKEN", person=KEN)


async def test_who_may_not_submit_has_no_secrets(world: Database) -> None:
    reader = await sign_in(world, await give_token(world, AYA, ORG, "jobs:read", number=77))
    with pytest.raises(ScopeMissing):
        await put(world, reader)


async def test_there_may_be_so_many(world: Database) -> None:
    aya = await submitter(world)
    for number in range(MAX_SECRETS):
        await put(world, aya, name=f"S{number}", number=number)
    with pytest.raises(TooManySecrets):
        await put(world, aya, name="ONE_MORE", number=900)
    await put(world, aya, name="S0", number=901)


async def test_who_leaves_takes_their_secrets_out_of_the_house(world: Database) -> None:
    async with transaction(world.owner) as conn:
        await join(conn, KEN, OrgRole.MEMBER)
    await put(world, await submitter(world, KEN))
    async with transaction(world.portal, role=Role.TENANT, organisation_id=ORG) as conn:
        await service.end_membership(conn, actor=None, organisation_id=ORG, person_id=KEN, now=NOW)
    assert await world.owner.fetchval("SELECT count(ciphertext) FROM accounts.secret") == 0
    facts = await world.owner.fetchval("SELECT facts FROM accounts.audit_entry ORDER BY seq DESC LIMIT 1")
    assert facts == {"site_users": [], "secrets": 1}


async def test_the_trail_tells_who_set_what_and_neither_name_nor_value(world: Database) -> None:
    await put(world, await submitter(world))
    row = await world.owner.fetchrow("SELECT * FROM accounts.audit_entry ORDER BY seq DESC LIMIT 1")
    assert row is not None
    assert (row["action"], row["actor_id"], row["facts"]) == ("secret.set", AYA, {})
    assert "HF_TOKEN" not in str(row)
    assert CANARY not in str(row)


async def test_the_encryption_is_renewed_with_the_newest_key(world: Database) -> None:
    old = Sealer([b"o" * 32])
    aya = await submitter(world)
    await put(world, aya, with_=old)
    await put(world, aya, name="OTHER", number=2)
    async with transaction(world.worker) as conn:
        assert await service.renew_encryption(conn, SEALER, fresh=lambda: b"f" * 32) == 1
        assert await service.renew_encryption(conn, SEALER, fresh=lambda: b"f" * 32) == 0
    assert await opened(world, "HF_TOKEN", "OTHER", sealer=Sealer([b"n" * 32])) == {"HF_TOKEN": CANARY, "OTHER": CANARY}
