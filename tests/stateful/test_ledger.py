"""The ledger as a machine: any transactions of the templates, repeated, contradicted, overdrawn.

In memory it says what must happen; beside it PostgreSQL must do the same, as the roles that serve.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from itertools import count
from typing import Protocol
from uuid import UUID

import asyncpg
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from infra.db.connection import transaction
from pricing.errors import LedgerConflict
from pricing.ledger import templates
from pricing.ledger.balances import Part
from pricing.ledger.entries import Account, Bucket, Entry, Transaction
from pricing.ledger.templates import InvoiceMove
from pricing.model import GrantPurpose, LotKind
from pricing.store import ledger as store
from pricing.units import MICRO
from tests.support.database import fresh_database
from tests.support.market import NEXT_YEAR, NOW, Market, an_id, open_market

_NUMBERS = count()
AMOUNT = st.integers(1, 1_000)
PICK = st.integers(0, 10**6)


class Overdraft(Exception):
    """A customer's account would fall below zero."""


class Ledger(Protocol):
    def add_lot(self, lot_id: UUID, kind: LotKind) -> None: ...
    def post(self, new: Transaction) -> bool: ...
    def balances(self) -> dict[Account, int]: ...


class LedgerInMemory:
    def __init__(self) -> None:
        self.posted: dict[UUID, Transaction] = {}
        self.sums: Counter[Account] = Counter()

    def add_lot(self, lot_id: UUID, kind: LotKind) -> None:
        """Lots need no row here."""

    def post(self, new: Transaction) -> bool:
        if new.id in self.posted:
            if self.posted[new.id] != new:
                raise LedgerConflict
            return False
        after = self.sums.copy()
        for entry in new.entries:
            after[entry.account] += entry.amount_micro_yen
        if any(amount < 0 for account, amount in after.items() if account.lot_id):
            raise Overdraft
        self.posted[new.id], self.sums = new, after
        return True

    def balances(self) -> dict[Account, int]:
        return {account: amount for account, amount in self.sums.items() if amount}


class LedgerOnPostgres:
    """Holds are posted as the tenant, everything else as the worker or the operator."""

    def __init__(self, market: Market, runner: asyncio.Runner) -> None:
        self.market, self.runner = market, runner

    def add_lot(self, lot_id: UUID, kind: LotKind) -> None:
        self.runner.run(self._add_lot(lot_id, kind))

    async def _add_lot(self, lot_id: UUID, kind: LotKind) -> None:
        async with self.market.as_operator() as conn:
            await store.add_lot(
                conn,
                lot_id=lot_id,
                organisation_id=self.market.organisation,
                kind=kind,
                expires_at=NEXT_YEAR if kind is LotKind.GRANT else None,
                reason="test",
                created_by=None,
                now=NOW,
                purpose=GrantPurpose.SUBSIDY if kind is LotKind.GRANT else None,
            )

    def post(self, new: Transaction) -> bool:
        return self.runner.run(self._post(new))

    async def _post(self, new: Transaction) -> bool:
        match new.template:
            case "hold":
                role = self.market.as_tenant()
            case "issue_grant" | "receive_payment" | "open_credit_line":
                role = self.market.as_operator()
            case _:
                role = self.market.as_worker()
        try:
            async with role as conn:
                return await store.post(conn, new, now=NOW)
        except asyncpg.CheckViolationError as refused:
            if refused.constraint_name != "balance_floor":
                raise
            raise Overdraft from refused

    def balances(self) -> dict[Account, int]:
        return self.runner.run(self._balances())

    async def _balances(self) -> dict[Account, int]:
        async with transaction(self.market.database.owner) as conn:
            entries = await conn.fetch(
                """SELECT e.bucket::text, e.organisation_id, e.lot_id, sum(e.amount_micro_yen)::bigint
                   FROM pricing.ledger_entry e JOIN pricing.ledger_transaction t ON t.id = e.transaction_id
                   WHERE t.organisation_id = $1 GROUP BY 1, 2, 3 HAVING sum(e.amount_micro_yen) <> 0""",
                self.market.organisation,
            )
            projected = await conn.fetch(
                """SELECT bucket::text, organisation_id, lot_id, amount_micro_yen FROM pricing.ledger_balance
                   WHERE organisation_id = $1 AND amount_micro_yen <> 0""",
                self.market.organisation,
            )
        assert {tuple(row) for row in projected} == {tuple(row) for row in entries if row["organisation_id"]}
        return {Account(Bucket(bucket), owner, lot): amount for bucket, owner, lot, amount in entries}


class LedgerMachine(RuleBasedStateMachine):
    def make_ledgers(self) -> tuple[list[Ledger], UUID]:
        return [LedgerInMemory()], an_id("org")

    @initialize()
    def open(self) -> None:
        self.number = next(_NUMBERS)
        self.ledgers, self.org = self.make_ledgers()
        self.posted: list[Transaction] = []
        self.jobs: dict[UUID, list[Part]] = {}
        self.keys = count()
        self.lots = {self._key(): kind for kind in (LotKind.GRANT, LotKind.GRANT, LotKind.PREPAID, LotKind.CREDIT)}
        for lot_id, kind in self.lots.items():
            for ledger in self.ledgers:
                ledger.add_lot(lot_id, kind)

    def _key(self) -> UUID:
        return an_id("ledger", self.number, next(self.keys))

    def _post(self, new: Transaction) -> bool:
        """Whether it was accepted; every ledger must say the same."""
        answers = {self._answer(ledger, new) for ledger in self.ledgers}
        (answer,) = answers
        if answer is True:
            self.posted.append(new)
        return answer is True

    def _answer(self, ledger: Ledger, new: Transaction) -> bool | type[Exception]:
        try:
            return ledger.post(new)
        except (Overdraft, LedgerConflict) as refused:
            return type(refused)

    @rule(pick=PICK, amount=AMOUNT)
    def value_comes_in(self, pick: int, amount: int) -> None:
        lot_id, kind = list(self.lots.items())[pick % len(self.lots)]
        common = {"organisation_id": self.org, "lot_id": lot_id, "amount_micro_yen": amount, "at": NOW}
        match kind:
            case LotKind.GRANT:
                is_first = not any(each.template == "issue_grant" and _touches(each, lot_id) for each in self.posted)
                assert self._post(templates.issue_grant(**common)) == is_first
            case LotKind.PREPAID:
                assert self._post(templates.receive_payment(payment_id=self._key(), **common))
            case LotKind.CREDIT:
                assert self._post(templates.open_credit_line(credit_id=self._key(), **common))

    @rule(pick=PICK, amount=AMOUNT)
    def value_goes(self, pick: int, amount: int) -> None:
        lot_id, kind = list(self.lots.items())[pick % len(self.lots)]
        common = {"organisation_id": self.org, "lot_id": lot_id, "amount_micro_yen": amount, "at": NOW}
        if kind is LotKind.GRANT:
            self._post(templates.expire(ordinal=next(self.keys), **common))
        else:
            back = {"organisation_id": self.org, "parts": {lot_id: amount}, "at": NOW}
            self._post(templates.pay_back(payment_id=self._key(), **back))

    @rule(amounts=st.lists(AMOUNT, min_size=1, max_size=4))
    def hold(self, amounts: list[int]) -> None:
        parts = [
            Part(lot_id=lot_id, kind=kind, expires_at=None, amount_micro_yen=amount)
            for (lot_id, kind), amount in zip(self.lots.items(), amounts, strict=False)
        ]
        job_id = self._key()
        if self._post(templates.hold(organisation_id=self.org, job_id=job_id, parts=parts, at=NOW)):
            self.jobs[job_id] = parts

    @precondition(lambda self: self.jobs)
    @rule(pick=PICK, more=st.sampled_from([0, 0, 0, 1]))
    def release(self, pick: int, more: int) -> None:
        job_id = list(self.jobs)[pick % len(self.jobs)]
        rest = [replace(part, amount_micro_yen=part.amount_micro_yen + more) for part in self.jobs[job_id]]
        if self._post(templates.release(organisation_id=self.org, job_id=job_id, rest=rest, at=NOW)):
            del self.jobs[job_id]

    @rule(
        net=st.integers(-5_000_000, 5_000_000),
        tax=st.integers(-500_000, 500_000),
        credit=st.integers(-5_000_000, 5_000_000),
        yen=st.tuples(st.integers(-5, 5), st.integers(-1, 1), st.integers(-5, 5), st.integers(0, 2)),
        has_lots=st.booleans(),
    )
    def invoice(self, net: int, tax: int, credit: int, yen: tuple[int, int, int, int], *, has_lots: bool) -> None:
        """Whatever the books and the document say: the house is left with whole yen, and rounding with the rest."""
        lots = {kind: lot_id for lot_id, kind in self.lots.items()}
        free = self.ledgers[0].balances().get(Account(Bucket.AVAILABLE, self.org, lots[LotKind.CREDIT]), 0)
        subtotal, tax_yen, due, back = yen
        move = InvoiceMove(
            organisation_id=self.org,
            document_id=self._key(),
            net_micro_yen=net,
            tax_micro_yen=tax,
            credit_micro_yen=credit,
            subtotal_yen=subtotal,
            tax_yen=tax_yen,
            due_yen=due,
            given_back_yen=back if has_lots else 0,
            prepaid_lot=lots[LotKind.PREPAID] if has_lots else None,
            credit_lot=lots[LotKind.CREDIT] if has_lots else None,
            free_credit_micro_yen=free,
            at=NOW,
        )
        new = templates.invoice(move)
        if new is None:
            return
        amounts = {entry.account.bucket: entry.amount_micro_yen for entry in new.entries}
        assert net + amounts.get(Bucket.EARNED, 0) == subtotal * MICRO
        assert tax + amounts.get(Bucket.TAX, 0) == tax_yen * MICRO
        assert amounts.get(Bucket.OWED, 0) - credit == -due * MICRO
        assert self._post(new)

    @precondition(lambda self: self.posted)
    @rule(pick=PICK)
    def repeat(self, pick: int) -> None:
        again = self.posted[pick % len(self.posted)]
        assert {self._answer(ledger, again) for ledger in self.ledgers} == {False}

    @precondition(lambda self: self.posted)
    @rule(pick=PICK)
    def contradict(self, pick: int) -> None:
        told = self.posted[pick % len(self.posted)]
        doubled = tuple(Entry(entry.account, entry.amount_micro_yen * 2) for entry in told.entries)
        other = replace(told, entries=doubled)
        assert {self._answer(ledger, other) for ledger in self.ledgers} == {LedgerConflict}

    @invariant()
    def balances_agree_and_sum_to_zero(self) -> None:
        if not hasattr(self, "ledgers"):
            return
        first, *others = (ledger.balances() for ledger in self.ledgers)
        assert all(other == first for other in others)
        assert sum(first.values()) == 0
        assert all(amount > 0 for account, amount in first.items() if account.lot_id)


def _touches(posted: Transaction, lot_id: UUID) -> bool:
    return any(entry.account.lot_id == lot_id for entry in posted.entries)


TestLedger = LedgerMachine.TestCase
TestLedger.settings = settings(max_examples=60, stateful_step_count=40)


@pytest.mark.postgres
@pytest.mark.parametrize("histories", [15, pytest.param(300, marks=[pytest.mark.long, pytest.mark.timeout(1_800)])])
def test_postgres_keeps_the_same_books(histories: int) -> None:
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        market = runner.run(open_market(runner.run(stack.enter_async_context(fresh_database()))))
        try:
            run_state_machine_as_test(
                _machine_on(market, runner),
                settings=settings(
                    max_examples=histories,
                    stateful_step_count=30,
                    deadline=None,
                    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # shrinking on a database takes minutes
                    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
                ),
            )
        finally:
            runner.run(stack.aclose())


def _machine_on(market: Market, runner: asyncio.Runner) -> Callable[[], LedgerMachine]:
    class OnPostgres(LedgerMachine):
        def make_ledgers(self) -> tuple[list[Ledger], UUID]:
            organisation = runner.run(market.add_organisation(f"ledger-{self.number}"))
            on_postgres = LedgerOnPostgres(replace(market, organisation=organisation), runner)
            return [LedgerInMemory(), on_postgres], organisation

    return OnPostgres
