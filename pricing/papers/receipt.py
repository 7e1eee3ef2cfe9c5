"""The receipt (領収書) of a payment. Sent as a file it bears no stamp: duty lies on what is made out on paper.

Source: 印紙税法 第2条, 第3条; 国税庁 文書回答事例「請求書や領収書をファクシミリや電子メールにより貼付して送信した場合の
印紙税の取扱い」.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from infra.paper.dates import japanese_date
from infra.paper.sheet import Column, Fact, Row, Sheet, Table, Words
from pricing.papers.amounts import with_sign, yen
from pricing.papers.parties import Issuer, Receiver


@dataclass(frozen=True, slots=True, kw_only=True)
class Paid:
    """A part of a payment: what it was for, with tax."""

    what: Words
    amount_yen: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptPaper:
    """All that a receipt shows. amount = Σ parts."""

    number: str
    issue_date: date
    received_on: date
    means: Words
    """How it was paid, such as '銀行振込'."""
    issuer: Issuer
    receiver: Receiver
    parts: tuple[Paid, ...]
    issued_at: datetime

    @property
    def amount_yen(self) -> int:
        """What was received."""
        return sum(each.amount_yen for each in self.parts)


def receipt_sheet(paper: ReceiptPaper) -> Sheet:
    """The receipt as a sheet."""
    parts = tuple(Row(cells=(each.what, yen(each.amount_yen))) for each in paper.parts)
    total = Row(cells=(Words("合計", "Total"), yen(paper.amount_yen)), total=True)
    return Sheet(
        title=Words("領収書", "Receipt"),
        number=paper.number,
        facts=(
            Fact(Words("番号", "No."), paper.number),
            Fact(Words("発行日", "Date of issue"), japanese_date(paper.issue_date)),
        ),
        receiver=paper.receiver.party,
        giver=paper.issuer.party,
        giver_facts=paper.issuer.facts,
        opening=Words("下記の金額を正に領収いたしました。", "We have received the following amount."),
        headline=Fact(Words("領収金額（税込）", "Amount received, tax included"), with_sign(paper.amount_yen)),
        headline_facts=(
            Fact(Words("領収日", "Received on"), japanese_date(paper.received_on)),
            Fact(Words("お支払方法", "Means of payment"), paper.means.ja),
        ),
        tables=(
            Table(
                title=Words("内訳", "For (yen)"),
                columns=(
                    Column(title=Words("但し書き", "For"), share=8),
                    Column(title=Words("金額", "Amount"), number=True),
                ),
                rows=(*parts, total),
            ),
        ),
        notes=(
            Words(
                "電子データで発行しているため、収入印紙の貼付は不要です。",
                "Issued as a file: no revenue stamp is needed.",
            ),
            Words(
                "消費税額は、それぞれの請求書に記載しています。前払金は、ご利用時に課税されます。",
                "The tax is on each invoice; prepaid value is taxed when it is used.",
            ),
        ),
        made_at=paper.issued_at,
    )
