"""The close of months in tests: decided by an operator, done by the worker's loop, and what the books then say."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID

from infra.db.connection import Role, transaction
from pricing import service
from pricing.closing import CloseRules, MonthState
from pricing.days import Month
from pricing.document import Document, Search
from pricing.loops import closing
from tests.support.database import Database

ISSUER = {
    "name": "共用計算株式会社",
    "registration_number": "T7000012050002",
    "postal_code": "100-0001",
    "address": "東京都千代田区千代田1-1",
    "contact": "billing@kyoyo.example",
    "bank_account": "架空銀行 本店 普通 1234567 キヨウヨウケイサン(カ",
    "programme": "クラウドプログラム供給確保計画",
}
EVERYTHING = Search()
RULES = CloseRules(issuer=ISSUER, grace=timedelta(days=3))


def after_grace(month: Month) -> datetime:
    """The first instant at which it can be closed."""
    return month.until + RULES.grace


async def begin(
    database: Database,
    month: Month,
    *,
    now: datetime | None = None,
    rules: CloseRules = RULES,
    unexplained: int | None = 0,
    leave_unsettled: str | None = None,
) -> MonthState:
    async with transaction(database.portal, role=Role.OPERATOR) as conn:
        return await service.begin_close(
            conn,
            month,
            unexplained=unexplained,
            rules=rules,
            leave_unsettled=leave_unsettled,
            actor=None,
            now=now or after_grace(month),
        )


async def run(database: Database, *, now: datetime, batch: int = 2) -> int:
    """The loop until it has nothing to do; how much it did."""
    done = 0
    while moved := await closing.tick(database.worker, None, now, batch=batch):
        done += moved
    return done


async def close(database: Database, month: Month, *, now: datetime | None = None, **told: object) -> None:
    now = now or after_grace(month)
    await begin(database, month, now=now, **told)
    await run(database, now=now)


async def documents(database: Database, organisation: UUID, wanted: Search = EVERYTHING) -> list[Document]:
    """The organisation's own, the oldest first."""
    async with transaction(database.portal, role=Role.TENANT, organisation_id=organisation) as conn:
        found = await service.documents(conn, wanted, limit=100)
    return found[::-1]


async def house(database: Database) -> Mapping[str, int]:
    """Every bucket's sum in micro-yen."""
    rows = await database.owner.fetch(
        "SELECT bucket::text, sum(amount_micro_yen)::bigint FROM pricing.ledger_entry GROUP BY 1"
    )
    found = {row["bucket"]: row["sum"] for row in rows}
    assert sum(found.values()) == 0
    return found
