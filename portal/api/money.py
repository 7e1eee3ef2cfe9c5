"""Money of the caller's organisation: balance, statement, usage, draft invoice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query
from pydantic import Field

from portal.api.offerings import percent_text
from portal.api.terms import ALWAYS, ForeignPriceOut, RuleOut, foreign_out, rules_out
from portal.api.wire import Items, Out, Yen, number_text
from portal.auth.caller import MoneyReader
from portal.language import Language
from pricing import service as pricing
from pricing.days import Month, day_of
from pricing.invoicing import Invoice
from pricing.model import ConvertedPrice
from pricing.statement import Balance, Position, Statement
from pricing.units import yen_text
from scheduler import service as scheduler

router = APIRouter(tags=["money"])

MonthQuery = Annotated[str | None, Query(description="YYYY-MM in Japan; default: the present one.", max_length=50)]
MonthPath = Annotated[str, Path(description="YYYY-MM in Japan.", max_length=50)]


class LotOut(Out):
    """Spendable value, in the order in which it is used."""

    kind: str
    expires_at: datetime | None
    available_yen: Yen


class BalanceOut(Out):
    """Grants count without tax, prepaid value and credit with it; `available_yen` is what a new job may hold."""

    available_yen: Yen
    grants_yen: Yen
    prepaid_yen: Yen
    credit_yen: Yen
    held_yen: Yen
    owed_yen: Yen
    lots: list[LotOut]
    as_of: datetime


class PositionOut(Out):
    available_yen: Yen
    held_yen: Yen
    owed_yen: Yen


class EntryOut(Out):
    at: datetime
    kind: str
    job_id: UUID | None
    phase: Annotated[str | None, Field(description="Of a hybrid job's settlement: whose use it is.")]
    vendor_id: Annotated[
        str | None, Field(description="Of a circuit's or session's settlement: its id at the vendor of the machine.")
    ]
    available_yen: Yen
    held_yen: Yen
    owed_yen: Yen


class TotalsOut(Out):
    """granted + paid in + credit used = used + expired + refunded + held + remaining, since the wallet was opened."""

    granted_yen: Yen
    paid_in_yen: Yen
    credit_used_yen: Yen
    used_yen: Yen
    expired_yen: Yen
    refunded_yen: Yen
    held_yen: Yen
    remaining_yen: Yen


class ConvertedOut(Out):
    """The price of `per` units of a component, as it was agreed and as it was charged."""

    offering: str
    component: str
    per: str
    foreign: ForeignPriceOut


class StatementOut(Out):
    month: str
    opening: PositionOut
    entries: list[EntryOut]
    closing: PositionOut
    totals: TotalsOut
    balanced: bool
    converted: Annotated[
        list[ConvertedOut], Field(description="Prices in other currencies by which the month's use was rated.")
    ]
    rules: list[RuleOut]


class UsageOut(Out):
    """What ran and was rated, by offering and component; `charged_yen` in whole yen without tax."""

    offering: str
    component: str
    quantity: str
    list_yen: Yen
    discount_yen: Yen
    waived_yen: Yen
    charged_yen: Yen
    charged_exact_yen: Yen


class UsagePage(Items[UsageOut]):
    month: str
    open_jobs: int


class InvoiceLineOut(Out):
    """`offering` null: what grants cover."""

    offering: str | None
    component: str | None
    quantity: str | None
    list_yen: Yen
    discount_yen: Yen
    waived_yen: Yen
    charged_yen: Yen


class InvoiceGroupOut(Out):
    tax_rate_percent: str
    taxable_yen: Yen
    tax_yen: Yen
    lines: list[InvoiceLineOut]


class InvoiceOut(Out):
    """A draft: what would be invoiced as it is known now. `open_jobs` are not final yet."""

    month: str
    status: str = "draft"
    drafted_at: datetime
    groups: list[InvoiceGroupOut]
    subtotal_yen: Yen
    tax_yen: Yen
    total_yen: Yen
    prepaid_applied_yen: Yen
    amount_due_yen: Yen
    open_jobs: int


@router.get("/balance")
async def get_balance(caller: MoneyReader) -> BalanceOut:
    """The wallet now."""
    async with caller.transaction() as conn:
        found = await pricing.balance(conn, caller.organisation_id, now=caller.now)
    return balance_out(found, caller.now)


@router.get("/statement")
async def get_statement(caller: MoneyReader, month: MonthQuery = None) -> StatementOut:
    """Everything that moved in a month, and the equation that proves the balance."""
    wanted = month_or_now(month, caller.now)
    async with caller.transaction() as conn:
        found = await pricing.statement(conn, caller.organisation_id, month=wanted)
        converted = await pricing.converted_prices(conn, caller.organisation_id, month=wanted)
        circuits = [each.quantum_attempt_id for each in found.entries if each.quantum_attempt_id is not None]
        vendor_ids = await scheduler.native_ids(conn, circuits)
    return statement_out(found, converted, vendor_ids, caller.language)


@router.get("/usage")
async def get_usage(caller: MoneyReader, month: MonthQuery = None) -> UsagePage:
    """What ran in a month and was rated. A job is rated when it has ended and its accounting is complete."""
    wanted = month_or_now(month, caller.now)
    async with caller.transaction() as conn:
        found = await pricing.draft_invoice(conn, caller.organisation_id, month=wanted, now=caller.now)
    lines = [line for group in found.groups for line in group.lines]
    return UsagePage(
        month=str(wanted),
        open_jobs=found.open_jobs,
        items=[
            UsageOut(
                offering=line.offering_id,
                component=line.component.value,
                quantity=number_text(line.quantity),
                list_yen=str(line.list_yen),
                discount_yen=str(line.discount_yen),
                waived_yen=str(line.waived_yen),
                charged_yen=str(line.charged_yen),
                charged_exact_yen=yen_text(line.charged_micro_yen),
            )
            for line in lines
            if line.offering_id is not None and line.component is not None and line.quantity is not None
        ],
    )


@router.get("/invoices/{month}")
async def get_invoice(caller: MoneyReader, month: MonthPath) -> InvoiceOut:
    """The draft invoice of a month."""
    wanted = Month.parse(month)
    async with caller.transaction() as conn:
        found = await pricing.draft_invoice(conn, caller.organisation_id, month=wanted, now=caller.now)
    return invoice_out(found)


def month_or_now(month: str | None, now: datetime) -> Month:
    """MonthInvalid."""
    return Month.of(day_of(now)) if month is None else Month.parse(month)


def balance_out(found: Balance, now: datetime) -> BalanceOut:
    """A balance on the wire."""
    return BalanceOut(
        available_yen=yen_text(found.available_micro_yen),
        grants_yen=yen_text(found.grants_micro_yen),
        prepaid_yen=yen_text(found.prepaid_micro_yen),
        credit_yen=yen_text(found.credit_micro_yen),
        held_yen=yen_text(found.held_micro_yen),
        owed_yen=yen_text(found.owed_micro_yen),
        lots=[
            LotOut(kind=lot.kind.value, expires_at=lot.expires_at, available_yen=yen_text(lot.available_micro_yen))
            for lot in found.lots
        ],
        as_of=now,
    )


def _position(found: Position) -> PositionOut:
    return PositionOut(
        available_yen=yen_text(found.available_micro_yen),
        held_yen=yen_text(found.held_micro_yen),
        owed_yen=yen_text(found.owed_micro_yen),
    )


def converted_out(found: ConvertedPrice) -> ConvertedOut:
    """A converted price on the wire."""
    foreign = foreign_out(found.foreign)
    assert foreign is not None
    return ConvertedOut(
        offering=found.offering_id, component=found.component.value, per=number_text(found.per), foreign=foreign
    )


def statement_out(
    found: Statement, converted: Sequence[ConvertedPrice], vendor_ids: Mapping[UUID, str], language: Language
) -> StatementOut:
    """A statement on the wire. vendor_ids: of the attempts of circuits and sessions."""
    totals = found.totals
    return StatementOut(
        month=str(found.month),
        opening=_position(found.opening),
        closing=_position(found.closing),
        balanced=found.balanced,
        converted=[converted_out(each) for each in converted],
        rules=rules_out(ALWAYS, language),
        entries=[
            EntryOut(
                at=each.effective_at,
                kind=each.kind,
                job_id=each.job_id,
                phase=each.phase,
                vendor_id=vendor_ids.get(each.quantum_attempt_id) if each.quantum_attempt_id else None,
                available_yen=yen_text(each.available_micro_yen),
                held_yen=yen_text(each.held_micro_yen),
                owed_yen=yen_text(each.owed_micro_yen),
            )
            for each in found.entries
        ],
        totals=TotalsOut(
            granted_yen=yen_text(totals.granted_micro_yen),
            paid_in_yen=yen_text(totals.paid_in_micro_yen),
            credit_used_yen=yen_text(totals.credit_used_micro_yen),
            used_yen=yen_text(totals.used_micro_yen),
            expired_yen=yen_text(totals.expired_micro_yen),
            refunded_yen=yen_text(totals.refunded_micro_yen),
            held_yen=yen_text(totals.held_micro_yen),
            remaining_yen=yen_text(totals.remaining_micro_yen),
        ),
    )


def invoice_out(found: Invoice) -> InvoiceOut:
    """A draft invoice on the wire."""
    return InvoiceOut(
        month=str(found.month),
        drafted_at=found.drafted_at,
        subtotal_yen=str(found.subtotal_yen),
        tax_yen=str(found.tax_yen),
        total_yen=str(found.total_yen),
        prepaid_applied_yen=str(found.prepaid_applied_yen),
        amount_due_yen=str(found.amount_due_yen),
        open_jobs=found.open_jobs,
        groups=[
            InvoiceGroupOut(
                tax_rate_percent=percent_text(group.tax_rate_bp),
                taxable_yen=str(group.taxable_yen),
                tax_yen=str(group.tax_yen),
                lines=[
                    InvoiceLineOut(
                        offering=line.offering_id,
                        component=line.component.value if line.component else None,
                        quantity=number_text(line.quantity) if line.quantity is not None else None,
                        list_yen=str(line.list_yen),
                        discount_yen=str(line.discount_yen),
                        waived_yen=str(line.waived_yen),
                        charged_yen=str(line.charged_yen),
                    )
                    for line in group.lines
                ],
            )
            for group in found.groups
        ],
    )
