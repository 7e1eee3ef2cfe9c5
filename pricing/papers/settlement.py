"""The settlement statement (支払明細書) of a provider: what its machines earned in a month, and what we pay for it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from infra.paper.dates import japanese_date, japanese_period
from infra.paper.sheet import Column, Fact, Row, Sheet, Table, Words
from pricing.model import Component
from pricing.papers.amounts import COMPONENTS, QUANTITIES_NOTE, percent, quantity, with_sign, yen
from pricing.papers.invoice import RateSum, rate_table
from pricing.papers.parties import Issuer, Receiver


@dataclass(frozen=True, slots=True, kw_only=True)
class Earned:
    """What one offering's component earned, and the provider's share of it; without tax."""

    offering: Words
    component: Component
    quantity: Decimal
    charged_yen: int
    share_bp: int
    share_yen: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SettlementPaper:
    """All that a settlement statement shows."""

    number: str
    issue_date: date
    first: date
    last: date
    pay_on: date
    issuer: Issuer
    provider: Receiver
    provider_registration_number: str
    """'' of a provider that is not registered: its tax cannot be deducted in full (附則 第52条, 第53条)."""
    earned: tuple[Earned, ...]
    corrections: tuple[tuple[Words, int], ...]
    """What earlier months have to be changed by, without tax."""
    rates: tuple[RateSum, ...]
    issued_at: datetime


def settlement_sheet(paper: SettlementPaper) -> Sheet:
    """The settlement statement as a sheet."""
    total = sum(each.taxable_yen + each.tax_yen for each in paper.rates)
    return Sheet(
        title=Words("支払明細書", "Settlement statement"),
        number=paper.number,
        facts=(
            Fact(Words("番号", "No."), paper.number),
            Fact(Words("作成日", "Made on"), japanese_date(paper.issue_date)),
        ),
        receiver=paper.provider.party,
        giver=paper.issuer.party,
        giver_facts=paper.issuer.facts,
        opening=Words("下記のとおりお支払いいたします。", "We pay you the following."),
        headline=Fact(Words("お支払金額（税込）", "Amount paid, tax included"), with_sign(total)),
        headline_facts=(
            Fact(Words("対象期間", "Period"), japanese_period(paper.first, paper.last)),
            Fact(Words("お支払日", "Paid on"), japanese_date(paper.pay_on)),
            Fact(Words("貴社の登録番号", "Your registration no."), paper.provider_registration_number or "—"),
        ),
        tables=(_earned(paper), rate_table(paper.rates)),
        notes=(
            QUANTITIES_NOTE,
            Words(
                "記載内容に誤りがある場合は、受領後14日以内にご連絡ください。ご連絡がない場合は、確認いただいたものとします"
                "（消費税法第30条第9項第3号の仕入明細書）。",
                "Please tell us of an error within 14 days; without word from you the statement counts as confirmed.",
            ),
        ),
        made_at=paper.issued_at,
    )


def _earned(paper: SettlementPaper) -> Table:
    rows = [
        Row(
            cells=(
                Words(
                    f"{each.offering.ja}　{COMPONENTS[each.component].ja}",
                    f"{each.offering.en}, {COMPONENTS[each.component].en}",
                ),
                quantity(each.component, each.quantity),
                yen(each.charged_yen),
                percent(each.share_bp),
                yen(each.share_yen),
            )
        )
        for each in paper.earned
    ]
    corrected = [Row(cells=(what, "", "", "", yen(amount))) for what, amount in paper.corrections]
    total = sum(each.share_yen for each in paper.earned) + sum(amount for _, amount in paper.corrections)
    return Table(
        title=Words("内訳", "What was earned (yen, without tax)"),
        columns=(
            Column(title=Words("内容", "Item"), share=8),
            Column(title=Words("数量", "Quantity"), number=True),
            Column(title=Words("利用料", "Charged to users"), number=True),
            Column(title=Words("貴社の割合", "Your share"), number=True),
            Column(title=Words("金額", "Amount"), number=True),
        ),
        rows=(*rows, *corrected, Row(cells=(Words("小計（税抜）", "Subtotal"), "", "", "", yen(total)), total=True)),
    )
