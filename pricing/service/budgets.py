"""Limits that an organisation sets on what its projects and members spend."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from accounts.service import append_audit
from infra.db.connection import Conn
from pricing import budgets as rule
from pricing.budgets import Budget, Spent
from pricing.errors import AlreadyBooked, BudgetWrong
from pricing.store import ledger as ledger_store
from pricing.store import wallets as store

_MAX_LIMIT_YEN = 10**12
_MAX_REASON = 500


async def set_budget(conn: Conn, budget: Budget, *, lifted: bool = False) -> None:
    """Put a limit in force, or lift the one of the same project, member and period. Again: nothing happens.

    BudgetWrong, NoWallet; AlreadyBooked: the id stands for another limit. Whose project and member it may be
    is for the caller to know.
    """
    if not 0 <= budget.limit_yen <= _MAX_LIMIT_YEN:
        raise BudgetWrong(field="limit_yen")
    if not 1 <= len(budget.reason) <= _MAX_REASON:
        raise BudgetWrong(field="reason")
    await ledger_store.lock_wallet(conn, budget.organisation_id)  # no job is admitted between the look and the row
    if await store.add_budget(conn, budget, lifted=lifted):
        await append_audit(
            conn,
            actor=budget.decided_by,
            organisation_id=budget.organisation_id,
            action="wallet.lift_budget" if lifted else "wallet.set_budget",
            subject=f"budget:{budget.id}",
            facts={
                "project": str(budget.project_id) if budget.project_id else "",
                "person": str(budget.person_id) if budget.person_id else "",
                "period": budget.period.value,
                "limit_yen": "" if lifted else str(budget.limit_yen),
                "reason": budget.reason,
            },
            now=budget.decided_at,
        )
    elif not await store.is_budget(conn, budget, lifted=lifted):
        raise AlreadyBooked(id=str(budget.id))


async def budgets_of(conn: Conn, organisation_id: UUID, *, now: datetime) -> Sequence[Spent]:
    """The limits in force, and what of each is gone."""
    return await store.spent(conn, await store.budgets(conn, organisation_id), now=now)


async def require_within(
    conn: Conn, organisation_id: UUID, *, project_id: UUID, person_id: UUID, needed_micro_yen: int, now: datetime
) -> None:
    """Whether new ceilings find a place under the limits that cover them. Under the wallet's lock. BudgetExceeded."""
    of_these = [each for each in await store.budgets(conn, organisation_id) if each.covers(project_id, person_id)]
    rule.require_within(await store.spent(conn, of_these, now=now), needed_micro_yen=needed_micro_yen)
