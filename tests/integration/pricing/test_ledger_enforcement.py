"""What the database refuses, whatever the code does: tried as the roles that serve, with committed transactions.

Trap: a rolled-back test never fires a deferred check. Each test here lets the transaction commit.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from uuid import UUID

import asyncpg
import pytest

from infra.db.connection import Conn, transaction
from pricing.errors import LedgerConflict
from pricing.ledger import templates
from pricing.model import JobSize
from pricing.store import ledger as store
from pricing.units import micro
from tests.support.market import NOW, Market, an_id, gpu_usage

UNBALANCED, LATE, APPEND_ONLY = "KY003", "KY004", "KY001"
INSUFFICIENT_PRIVILEGE = "42501"
Role = Callable[[Market], AbstractAsyncContextManager[Conn]]


def _worker(market: Market) -> AbstractAsyncContextManager[Conn]:
    return market.as_worker()


def _operator(market: Market) -> AbstractAsyncContextManager[Conn]:
    return market.as_operator()


@asynccontextmanager
async def _owner(market: Market) -> AsyncIterator[Conn]:
    async with transaction(market.database.owner) as conn:
        await conn.execute("SET LOCAL ROLE kyoyo_owner")
        yield conn


WRITERS = pytest.mark.parametrize("role", [_worker, _operator, _owner], ids=["worker", "operator", "owner"])


async def _head(conn: Conn, market: Market, key: object = "x", template: str = "by_hand") -> UUID:
    await conn.execute(
        """INSERT INTO pricing.ledger_transaction (id, template, organisation_id, effective_at, recorded_at)
           VALUES ($1, $2, $3, $4, $4)""",
        an_id(key),
        template,
        market.organisation,
        NOW,
    )
    return an_id(key)


async def _entry(
    conn: Conn,
    transaction_id: UUID,
    line: int,
    bucket: str,
    amount: int,
    *,
    organisation: UUID | None = None,
    lot: UUID | None = None,
) -> None:
    await conn.execute(
        "INSERT INTO pricing.ledger_entry VALUES ($1, $2, $3, $4::text::pricing.bucket, $5, $6)",
        transaction_id,
        line,
        organisation,
        bucket,
        lot,
        amount,
    )


async def _entries(conn: Conn, transaction_id: UUID, *rows: tuple[str, int, UUID | None, UUID | None]) -> None:
    """Bucket, amount, organisation, lot: all in one statement, as a transaction is written."""
    await conn.execute(
        """INSERT INTO pricing.ledger_entry
           SELECT $1, place - 1, organisation, bucket::pricing.bucket, lot, amount
           FROM unnest($2::text[], $3::bigint[], $4::uuid[], $5::uuid[]) WITH ORDINALITY
                AS e (bucket, amount, organisation, lot, place)""",
        transaction_id,
        *(list(column) for column in zip(*rows, strict=True)),
    )


async def _refused(sqlstate: str, market: Market, role: Role, *statements: str) -> None:
    with pytest.raises(asyncpg.PostgresError) as refused:
        async with role(market) as conn:
            for statement in statements:
                await conn.execute(statement)
    assert refused.value.sqlstate == sqlstate


@WRITERS
async def test_a_transaction_that_does_not_sum_to_zero_cannot_be_committed(market: Market, role: Role) -> None:
    with pytest.raises(asyncpg.PostgresError, match="does not balance") as refused:
        async with role(market) as conn:
            head = await _head(conn, market)
            await _entry(conn, head, 0, "cash", 5)
            await _entry(conn, head, 1, "earned", -4)
    assert refused.value.sqlstate == UNBALANCED


@WRITERS
async def test_a_transaction_without_entries_cannot_be_committed(market: Market, role: Role) -> None:
    with pytest.raises(asyncpg.PostgresError) as refused:
        async with role(market) as conn:
            await _head(conn, market)
    assert refused.value.sqlstate == UNBALANCED


@WRITERS
async def test_no_entry_joins_a_transaction_later_not_even_a_balanced_pair(market: Market, role: Role) -> None:
    grant = templates.transaction_id("issue_grant", await market.grant("10"))
    with pytest.raises(asyncpg.PostgresError) as refused:
        async with role(market) as conn:
            await _entry(conn, grant, 2, "cash", 5)
            await _entry(conn, grant, 3, "earned", -5)
    assert refused.value.sqlstate == LATE


async def test_what_is_written_cannot_be_taken_back_not_even_by_the_owner(market: Market) -> None:
    await market.grant("1000")
    await market.submit("a")
    await market.close("a")
    await market.use("a", gpu_usage("u", 60))
    for table in (
        "ledger_entry",
        "ledger_transaction",
        "rated_line",
        "billable_usage",
        "quote",
        "lot",
        "price_version",
        "price_component",
        "market_reference",
    ):
        for statement in (f"DELETE FROM pricing.{table}", f"TRUNCATE pricing.{table} CASCADE"):
            await _refused(INSUFFICIENT_PRIVILEGE, market, _worker, statement)
            await _refused(INSUFFICIENT_PRIVILEGE, market, _operator, statement)
            await _refused(APPEND_ONLY, market, _owner, statement)


async def test_an_amount_cannot_be_changed(market: Market) -> None:
    await market.grant("10")
    change = "UPDATE pricing.ledger_entry SET amount_micro_yen = amount_micro_yen * 2"
    await _refused(INSUFFICIENT_PRIVILEGE, market, _worker, change)
    await _refused(INSUFFICIENT_PRIVILEGE, market, _operator, change)
    await _refused(APPEND_ONLY, market, _owner, change)


async def test_the_projection_cannot_be_written_by_those_who_serve(market: Market) -> None:
    await market.grant("10")
    change = "UPDATE pricing.ledger_balance SET amount_micro_yen = amount_micro_yen + 1"
    for role in (_worker, _operator):
        await _refused(INSUFFICIENT_PRIVILEGE, market, role, change)
        await _refused(INSUFFICIENT_PRIVILEGE, market, role, "DELETE FROM pricing.ledger_balance")


async def test_an_overdraft_is_refused_by_a_check(market: Market) -> None:
    lot = await market.grant("10")
    too_much = templates.expire(
        organisation_id=market.organisation, lot_id=lot, ordinal=0, amount_micro_yen=micro("10") + 1, at=NOW
    )
    with pytest.raises(asyncpg.CheckViolationError, match="balance_floor"):
        async with market.as_worker() as conn:
            await store.post(conn, too_much, now=NOW)


async def test_the_same_transaction_again_is_nothing_and_another_under_its_id_a_conflict(market: Market) -> None:
    lot = await market.grant("10")

    def expiry(amount: str):
        return templates.expire(
            organisation_id=market.organisation, lot_id=lot, ordinal=0, amount_micro_yen=micro(amount), at=NOW
        )

    async with market.as_worker() as conn:
        assert await store.post(conn, expiry("4"), now=NOW)
    async with market.as_worker() as conn:
        assert not await store.post(conn, expiry("4"), now=NOW)
    with pytest.raises(LedgerConflict):
        async with market.as_worker() as conn:
            await store.post(conn, expiry("5"), now=NOW)


async def test_the_projection_is_the_sum_of_the_entries(market: Market) -> None:
    await market.grant("100")
    await market.pay_in("1000")
    await market.submit("a")
    async with market.as_worker() as conn:
        differences = await conn.fetch(
            """SELECT FROM pricing.ledger_balance b FULL JOIN (
                   SELECT organisation_id, bucket, lot_id, sum(amount_micro_yen) AS amount FROM pricing.ledger_entry
                    WHERE organisation_id IS NOT NULL GROUP BY organisation_id, bucket, lot_id) e
                 ON (b.organisation_id, b.bucket) = (e.organisation_id, e.bucket)
                    AND b.lot_id IS NOT DISTINCT FROM e.lot_id
               WHERE b.amount_micro_yen IS DISTINCT FROM e.amount"""
        )
        entries = await conn.fetchval("SELECT count(*) FROM pricing.ledger_entry")
    assert (differences, entries) == ([], 8)


# --- the tenant ---


async def test_a_tenant_posts_nothing_but_a_hold(market: Market) -> None:
    lot = await market.grant("100")
    mine, house = (market.organisation, lot), (None, None)
    attempts = [
        ("issue_grant", [("available", 5, *mine), ("issued", -5, *house)]),
        ("hold", [("available", 5, *mine), ("issued", -5, *house)]),
        ("hold", [("held", 5, *mine), ("cash", -5, *house)]),
        ("hold", [("owed", 5, market.organisation, None), ("earned", -5, *house)]),
        ("release", [("available", 5, *mine), ("held", -5, *mine)]),
    ]
    for template, entries in attempts:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with market.as_tenant() as conn:
                head = await _head(conn, market, template=template)
                await _entries(conn, head, *entries)


async def test_a_tenant_cannot_give_its_own_hold_back_under_the_name_of_a_hold(market: Market) -> None:
    lot = await market.grant("1000")
    await market.submit("a")
    mine = (market.organisation, lot)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with market.as_tenant() as conn:
            head = await _head(conn, market, template="hold")
            await _entries(conn, head, ("available", 5, *mine), ("held", -5, *mine))


async def test_a_tenant_cannot_touch_anothers_wallet(market: Market) -> None:
    lot = await market.grant("100")
    stranger = await market.add_organisation("beta")
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="not your wallet"):
        async with market.as_tenant(stranger) as conn:
            await store.lock_wallet(conn, market.organisation)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with market.as_tenant(stranger) as conn:
            await _head(conn, market, template="hold")
    async with market.as_tenant(stranger) as conn:
        assert await store.lots(conn, market.organisation) == []
    assert lot


async def test_a_tenant_sees_nothing_of_anothers_money(market: Market) -> None:
    await market.grant("1000")
    await market.submit("a")
    stranger = await market.add_organisation("beta")
    tables = ["wallet", "lot", "quote", "hold", "billable_attempt", "rated_line", "ledger_transaction",
              "ledger_entry", "ledger_balance"]  # fmt: skip
    for organisation, sees in ((market.organisation, True), (stranger, False)):
        async with market.as_tenant(organisation) as conn:
            for table in set(tables) - {"rated_line"}:
                seen = await conn.fetchval(
                    f"SELECT count(*) FROM pricing.{table} WHERE organisation_id = $1", market.organisation
                )
                assert (seen > 0) == sees, table


async def test_a_tenant_cannot_settle_publish_or_see_the_houses_entries(market: Market) -> None:
    await market.grant("1000")
    await market.submit("a", size=JobSize(gpus=1, walltime_s=60))
    for statement in (
        "UPDATE pricing.hold SET closed_at = now()",
        "UPDATE pricing.billable_attempt SET settled_at = now()",
        "INSERT INTO pricing.rated_line SELECT FROM pricing.rated_line",
        "INSERT INTO pricing.billable_usage SELECT FROM pricing.billable_usage",
        "INSERT INTO pricing.price_version SELECT FROM pricing.price_version",
        "UPDATE pricing.wallet SET opened_at = now()",
        "SELECT FROM pricing.parked_usage",
        "DELETE FROM pricing.quote",
    ):
        await _refused(INSUFFICIENT_PRIVILEGE, market, lambda market: market.as_tenant(), statement)
    async with market.as_tenant() as conn:
        assert await conn.fetchval("SELECT count(*) FROM pricing.ledger_entry WHERE organisation_id IS NULL") == 0


async def test_an_attempt_is_opened_open(market: Market) -> None:
    await market.grant("1000")
    await market.submit("a")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with market.as_tenant() as conn:
            await conn.execute(
                """INSERT INTO pricing.billable_attempt (attempt_id, job_id, organisation_id, project_id, person_id,
                       offering_id, opened_at, accounting_final_at) VALUES ($1, $2, $3, $1, $1, 'gpu-demo', $4, $4)""",
                an_id("forged"),
                an_id("job", "a"),
                market.organisation,
                NOW,
            )


async def test_a_price_at_the_markets_is_refused_by_the_database_too(market: Market) -> None:
    with pytest.raises(asyncpg.CheckViolationError, match="below_market"):
        async with market.as_operator() as conn:
            await conn.execute(
                """INSERT INTO pricing.price_component
                   SELECT price_version_id, 'shot', per, market_micro_yen, market_micro_yen, market_micro_yen,
                          market_reference_id FROM pricing.price_component WHERE component = 'gpu_s'"""
            )


async def test_the_portal_itself_sees_and_does_nothing(market: Market) -> None:
    await market.grant("10")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with transaction(market.database.portal) as conn:
            await conn.fetch("SELECT FROM pricing.ledger_entry")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with transaction(market.database.portal) as conn:
            await store.lock_wallet(conn, market.organisation)
