"""The qualified invoice (適格請求書).

What must be on it, 消費税法 第57条の4第1項: 1 the issuer's name and registration number; 2 when it was supplied (of a
month: the period); 3 what was supplied; 4 the sum of each tax rate, and the rate; 5 the tax of each rate; 6 whom it is
for. The tax is rounded once per rate and invoice (施行令 第70条の10). Nothing that we sell has the reduced rate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal

from infra.paper.dates import japanese_date, japanese_period
from infra.paper.sheet import Attachment, Column, Fact, Row, Sheet, Table, Words
from pricing.model import Component
from pricing.papers.amounts import COMPONENTS, QUANTITIES_NOTE, percent, quantity, with_sign, yen
from pricing.papers.parties import Issuer, Receiver


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageLine:
    """What one project used of one offering's component in the month, without tax: list − discount = amount."""

    project: str
    offering: Words
    component: Component
    quantity: Decimal
    list_yen: int
    discount_yen: int
    """What the price lies below the list price, and what was not charged."""
    amount_yen: int
    tax_rate_bp: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reduction:
    """What lowers the taxable amount of one rate: a grant of the programme, a promotion, a volume discount."""

    what: Words
    amount_yen: int
    """Negative; positive for what an earlier month has to be raised by."""
    tax_rate_bp: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RateSum:
    """All lines of one tax rate."""

    tax_rate_bp: int
    taxable_yen: int
    tax_yen: int


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoicePaper:
    """All that an invoice shows. total = Σ taxable + tax; due = total + carried in − carried out + credited −
    prepaid.
    """

    number: str
    issue_date: date
    due_date: date | None
    """None: nothing is left to pay."""
    first: date
    last: date
    """The days of what was supplied."""
    issuer: Issuer
    receiver: Receiver
    lines: tuple[UsageLine, ...]
    reductions: tuple[Reduction, ...]
    rates: tuple[RateSum, ...]
    carried_in_yen: int
    prepaid_applied_yen: int
    amount_due_yen: int
    carried_out_yen: int = 0
    """Left to a later month: too little to be asked for."""
    credited_yen: int = 0
    """Taken off earlier documents that are still open."""
    annex_csv: str
    """The rows behind the lines; it travels in the file."""
    issued_at: datetime


def invoice_sheet(paper: InvoicePaper) -> Sheet:
    """The invoice as a sheet."""
    return Sheet(
        title=Words("請求書", "Qualified invoice（適格請求書）"),
        number=paper.number,
        facts=(
            Fact(Words("請求書番号", "Invoice no."), paper.number),
            Fact(Words("発行日", "Date of issue"), japanese_date(paper.issue_date)),
        ),
        receiver=paper.receiver.party,
        giver=paper.issuer.party,
        giver_facts=paper.issuer.facts,
        opening=Words("下記のとおりご請求申し上げます。", "We invoice the following."),
        headline=Fact(Words("ご請求金額（税込）", "Amount due, tax included"), with_sign(paper.amount_due_yen)),
        headline_facts=_terms(paper),
        tables=(_lines(paper), rate_table(paper.rates), _due(paper), _discount(paper)),
        closing_facts=_where_to_pay(paper),
        notes=_notes(paper),
        attachments=(
            Attachment(
                name=f"{paper.number}.csv",
                media_type="text/csv",
                description="明細の内訳 / the rows behind the lines",
                content=paper.annex_csv,
            ),
        ),
        made_at=paper.issued_at,
    )


def usage_sheet(paper: InvoicePaper) -> Sheet:
    """The list of a month's use that comes to nothing, so that there is no invoice (利用明細書)."""
    return replace(
        invoice_sheet(paper),
        title=Words("利用明細書", "List of use"),
        facts=(
            Fact(Words("番号", "No."), paper.number),
            Fact(Words("発行日", "Date of issue"), japanese_date(paper.issue_date)),
        ),
        opening=Words(
            "下記のとおりご利用いただきました。ご請求はありません。", "You used the following. Nothing is invoiced."
        ),
    )


def rate_table(rates: Sequence[RateSum]) -> Table:
    """The sums and the tax of each rate, and both together."""
    taxable, tax = sum(each.taxable_yen for each in rates), sum(each.tax_yen for each in rates)
    rows = [
        Row(
            cells=(
                f"{percent(each.tax_rate_bp)} 対象",
                yen(each.taxable_yen),
                yen(each.tax_yen),
                yen(each.taxable_yen + each.tax_yen),
            )
        )
        for each in rates
    ]
    total = Row(cells=(Words("合計", "Total"), yen(taxable), yen(tax), yen(taxable + tax)), total=True)
    return Table(
        title=Words("税率ごとの合計", "By tax rate (yen)"),
        columns=(
            Column(title=Words("税率", "Tax rate"), share=3),
            Column(title=Words("税抜金額", "Without tax"), number=True),
            Column(title=Words("消費税額", "Consumption tax"), number=True),
            Column(title=Words("税込金額", "With tax"), number=True),
        ),
        rows=(*rows, total),
        narrow=True,
    )


def _terms(paper: InvoicePaper) -> tuple[Fact, ...]:
    due = "お支払いは不要です" if paper.due_date is None else japanese_date(paper.due_date)
    return (
        Fact(Words("ご利用期間", "Period of use"), japanese_period(paper.first, paper.last)),
        Fact(Words("お支払期限", "Payment due"), due),
    )


def _lines(paper: InvoicePaper) -> Table:
    used = [
        Row(
            cells=(
                each.project,
                Words(
                    f"{each.offering.ja}　{COMPONENTS[each.component].ja}",
                    f"{each.offering.en}, {COMPONENTS[each.component].en}",
                ),
                quantity(each.component, each.quantity),
                yen(each.list_yen),
                yen(-each.discount_yen),
                yen(each.amount_yen),
                percent(each.tax_rate_bp),
            )
        )
        for each in paper.lines
    ]
    reduced = [
        Row(cells=("", each.what, "", "", "", yen(each.amount_yen), percent(each.tax_rate_bp)))
        for each in paper.reductions
    ]
    subtotal = sum(each.taxable_yen for each in paper.rates)
    total = Row(cells=("", Words("小計（税抜）", "Subtotal without tax"), "", "", "", yen(subtotal), ""), total=True)
    return Table(
        title=Words("ご利用明細", "What was used (yen, without tax)"),
        columns=(
            Column(title=Words("プロジェクト", "Project"), share=5),
            Column(title=Words("内容", "Item"), share=9),
            Column(title=Words("数量", "Quantity"), number=True),
            Column(title=Words("定価", "List price"), number=True),
            Column(title=Words("割引", "Discount"), number=True),
            Column(title=Words("金額", "Amount"), number=True),
            Column(title=Words("税率", "Tax"), number=True),
        ),
        rows=(*used, *reduced, total),
    )


def _due(paper: InvoicePaper) -> Table:
    total = sum(each.taxable_yen + each.tax_yen for each in paper.rates)
    steps = [(Words("今回の合計（税込）", "Total of this invoice"), total)]
    if paper.carried_in_yen:
        steps.append((Words("前月までの繰越額", "Carried over from earlier months"), paper.carried_in_yen))
    if paper.prepaid_applied_yen:
        steps.append((Words("前払金の充当", "Paid from prepaid value"), -paper.prepaid_applied_yen))
    if paper.carried_out_yen:
        steps.append((Words("翌月以降への繰越", "Left to a later month"), -paper.carried_out_yen))
    if paper.credited_yen:
        steps.append((Words("未払いのご請求から差引", "Taken off earlier invoices still open"), paper.credited_yen))
    return Table(
        title=Words("ご請求金額の計算", "Amount due (yen)"),
        columns=_WHAT_AND_YEN,
        rows=(
            *(Row(cells=(what, yen(amount))) for what, amount in steps),
            Row(cells=(Words("ご請求金額", "Amount due"), yen(paper.amount_due_yen)), total=True),
        ),
        narrow=True,
    )


def _discount(paper: InvoicePaper) -> Table:
    """What the customer was spared: design.md §5 and P2 ask for it beside what is charged."""
    listed = sum(each.list_yen for each in paper.lines)
    below = sum(each.discount_yen for each in paper.lines)
    reduced = sum(each.amount_yen for each in paper.reductions)
    return Table(
        title=Words("補助による割引", "Discount given (yen, without tax)"),
        columns=_WHAT_AND_YEN,
        rows=(
            Row(cells=(Words("定価の合計", "At list prices"), yen(listed))),
            Row(cells=(Words("定価からの割引・減免", "Below list prices, or not charged"), yen(-below))),
            Row(cells=(Words("補助金・特典などによる減額", "Grants, promotions, volume"), yen(reduced))),
            Row(cells=(Words("ご負担額（税抜）", "Charged without tax"), yen(listed - below + reduced)), total=True),
        ),
        narrow=True,
    )


_WHAT_AND_YEN = (
    Column(title=Words("項目", "Item"), share=7),
    Column(title=Words("金額", "Yen"), number=True),
)


def _where_to_pay(paper: InvoicePaper) -> tuple[Fact, ...]:
    if paper.due_date is None:
        return ()
    return (
        Fact(Words("お振込先", "Pay to"), paper.issuer.bank_account),
        Fact(Words("お振込時のお名前の前に", "Before your name, please write"), paper.number),
    )


def _notes(paper: InvoicePaper) -> tuple[Words, ...]:
    programme = paper.issuer.programme
    subsidised = Words(
        f"割引は「{programme}」の補助によるものです。", f"The discount is made possible by the programme “{programme}”."
    )
    attached = Words(
        f"明細の内訳は、このファイルに添付の {paper.number}.csv にあります。",
        f"The rows behind each line are in {paper.number}.csv, which is attached to this file.",
    )
    return (*((subsidised,) if programme else ()), attached, QUANTITIES_NOTE)
