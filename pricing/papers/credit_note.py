"""The qualified credit note (適格返還請求書).

What must be on it, 消費税法 第57条の4第3項: 1 the issuer's name and registration number; 2 the date of the return and
that of the supply that it belongs to; 3 what that was; 4 the sum of each tax rate; 5 the tax of each rate, or the rate.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from infra.paper.dates import japanese_date
from infra.paper.sheet import Column, Fact, Row, Sheet, Table, Words
from pricing.papers.amounts import percent, with_sign, yen
from pricing.papers.invoice import RateSum, rate_table
from pricing.papers.parties import Issuer, Receiver


@dataclass(frozen=True, slots=True, kw_only=True)
class Returned:
    """One thing that is given back, as a positive amount without tax."""

    what: Words
    reason: Words
    amount_yen: int
    tax_rate_bp: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditNotePaper:
    """All that a credit note shows; amounts are positive: what the customer gets back."""

    number: str
    issue_date: date
    original_number: str
    original_date: date
    month: date
    """Any day of the month of the original supply."""
    issuer: Issuer
    receiver: Receiver
    returned: tuple[Returned, ...]
    rates: tuple[RateSum, ...]
    how: Words
    """What becomes of the amount, such as '次回のご請求から差し引きます'."""
    issued_at: datetime


def credit_note_sheet(paper: CreditNotePaper) -> Sheet:
    """The credit note as a sheet."""
    total = sum(each.taxable_yen + each.tax_yen for each in paper.rates)
    return Sheet(
        title=Words("返還請求書", "Qualified credit note（適格返還請求書）"),
        number=paper.number,
        facts=(
            Fact(Words("番号", "No."), paper.number),
            Fact(Words("返還日", "Date of return"), japanese_date(paper.issue_date)),
        ),
        receiver=paper.receiver.party,
        giver=paper.issuer.party,
        giver_facts=paper.issuer.facts,
        opening=Words("下記のとおり返還いたします。", "We credit the following."),
        headline=Fact(Words("返還金額（税込）", "Amount credited, tax included"), with_sign(total)),
        headline_facts=(
            Fact(Words("元の請求書", "Original invoice"), paper.original_number),
            Fact(Words("その発行日", "Its date"), japanese_date(paper.original_date)),
            Fact(Words("ご利用月", "Month of use"), f"{paper.month.year}年{paper.month.month}月"),
        ),
        tables=(_returned(paper), rate_table(paper.rates)),
        notes=(paper.how,),
        made_at=paper.issued_at,
    )


def _returned(paper: CreditNotePaper) -> Table:
    return Table(
        title=Words("返還の内容", "What is credited (yen, without tax)"),
        columns=(
            Column(title=Words("内容", "Item"), share=6),
            Column(title=Words("理由", "Reason"), share=6),
            Column(title=Words("金額", "Amount"), number=True),
            Column(title=Words("税率", "Tax"), number=True),
        ),
        rows=tuple(
            Row(cells=(each.what, each.reason, yen(each.amount_yen), percent(each.tax_rate_bp)))
            for each in paper.returned
        ),
    )
