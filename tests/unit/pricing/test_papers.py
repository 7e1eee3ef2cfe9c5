"""What the law and the customer must find on each paper."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID

import pytest

from infra.paper.sheet import Row, Sheet, Table, Words
from pricing.days import Month
from pricing.model import Component
from pricing.papers.amounts import percent, quantity, with_sign
from pricing.papers.credit_note import CreditNotePaper, Returned, credit_note_sheet
from pricing.papers.invoice import InvoicePaper, RateSum, Reduction, UsageLine, invoice_sheet
from pricing.papers.parties import Issuer, Receiver
from pricing.papers.receipt import Paid, ReceiptPaper, receipt_sheet
from pricing.papers.settlement import Earned, SettlementPaper, settlement_sheet
from pricing.papers.statement import StatementPaper, exact_yen, statement_sheet
from pricing.statement import Position, Statement, StatementEntry, Totals

NOW = datetime(2026, 12, 1, 0, 30, tzinfo=UTC)
ISSUER = Issuer(
    name="共用計算機構",
    registration_number="T7000012050002",
    postal_code="305-8560",
    address="茨城県つくば市梅園1-1-1",
    contact="billing@kyoyo.example.jp",
    bank_account="みどり銀行 つくば支店 普通 1234567 キョウヨウ",
    programme="計算資源整備事業",
)
RECEIVER = Receiver(name="株式会社さくら研究所", postal_code="100-0001", address="東京都千代田区千代田1-1")
INVOICE = InvoicePaper(
    number="2026-000123",
    issue_date=date(2026, 12, 1),
    due_date=date(2027, 1, 4),
    first=date(2026, 11, 1),
    last=date(2026, 11, 30),
    issuer=ISSUER,
    receiver=RECEIVER,
    lines=(
        UsageLine(
            project="llm",
            offering=Words("H200 標準", "H200 standard"),
            component=Component.GPU_S,
            quantity=Decimal(4500),
            list_yen=1000,
            discount_yen=400,
            amount_yen=600,
            tax_rate_bp=1000,
        ),
    ),
    reductions=(Reduction(what=Words("補助金による減額", "Grant"), amount_yen=-105, tax_rate_bp=1000),),
    rates=(RateSum(tax_rate_bp=1000, taxable_yen=495, tax_yen=49),),
    carried_in_yen=40,
    prepaid_applied_yen=84,
    amount_due_yen=500,
    annex_csv="day,yen\r\n",
    issued_at=NOW,
)


def shown(sheet: Sheet) -> set[str]:
    """Each text of a sheet that people read."""

    def words(value: object) -> Iterator[str]:
        match value:
            case str():
                yield value
            case Words(ja, en):
                yield from (ja, en)
            case tuple():
                for each in value:
                    yield from words(each)
            case Row():
                yield from words(value.cells)
            case Table():
                yield from words((value.title, value.rows))
            case _:
                return

    facts = (*sheet.facts, *sheet.giver_facts, *sheet.headline_facts, *sheet.closing_facts)
    headline = () if sheet.headline is None else (sheet.headline,)
    of_facts = tuple(each for fact in (*facts, *headline) for each in (fact.label, fact.value))
    parties = (sheet.receiver.name, sheet.receiver.lines, sheet.giver.name, sheet.giver.lines)
    return set(words((sheet.title, sheet.number, of_facts, parties, sheet.tables, sheet.notes)))


def cells(sheet: Sheet, title: str) -> list[tuple[str | Words, ...]]:
    """The rows of a table, by its Japanese title."""
    return [row.cells for table in sheet.tables if table.title.ja == title for row in table.rows]


def test_an_invoice_has_the_six_items_of_the_law() -> None:
    sheet = invoice_sheet(INVOICE)
    assert {"共用計算機構", "T7000012050002"} <= shown(sheet), "1 issuer and registration number"
    assert "2026年11月1日～11月30日" in shown(sheet), "2 when"
    assert "H200 標準　GPU" in shown(sheet), "3 what"
    assert cells(sheet, "税率ごとの合計")[0] == ("10% 対象", "495", "49", "544"), "4 sum and rate, 5 tax"
    assert (sheet.receiver.name, sheet.receiver.honorific) == ("株式会社さくら研究所", "御中"), "6 for whom"


def test_an_invoice_adds_up_to_what_is_due_and_shows_what_was_spared() -> None:
    sheet = invoice_sheet(INVOICE)
    assert [row[-1] for row in cells(sheet, "ご請求金額の計算")] == ["544", "40", "-84", "500"]
    assert [row[-1] for row in cells(sheet, "補助による割引")] == ["1,000", "-400", "-105", "495"]
    assert sheet.headline is not None
    assert sheet.headline.value == "¥500"
    assert "みどり銀行 つくば支店 普通 1234567 キョウヨウ" in shown(sheet)
    assert sheet.attachments[0].name == "2026-000123.csv"


def test_an_invoice_that_is_paid_already_asks_for_nothing() -> None:
    sheet = invoice_sheet(replace(INVOICE, due_date=None, prepaid_applied_yen=584, amount_due_yen=0))
    assert "お支払いは不要です" in shown(sheet)
    assert not sheet.closing_facts, "no account to pay into"


def test_a_credit_note_names_the_original_and_its_date() -> None:
    sheet = credit_note_sheet(
        CreditNotePaper(
            number="2026-C00004",
            issue_date=date(2026, 12, 20),
            original_number="2026-000123",
            original_date=date(2026, 12, 1),
            month=date(2026, 11, 1),
            issuer=ISSUER,
            receiver=RECEIVER,
            returned=(
                Returned(
                    what=Words("ジョブ 7", "Job 7"),
                    reason=Words("機器故障", "Node failure"),
                    amount_yen=1234,
                    tax_rate_bp=1000,
                ),
            ),
            rates=(RateSum(tax_rate_bp=1000, taxable_yen=1234, tax_yen=123),),
            how=Words("次回のご請求から差し引きます。", "Deducted from the next invoice."),
            issued_at=NOW,
        )
    )
    texts = shown(sheet)
    assert {"T7000012050002", "2026-000123", "2026年12月1日（令和8年）", "2026年12月20日（令和8年）"} <= texts
    assert {"2026年11月", "機器故障", "¥1,357"} <= texts


def test_a_receipt_says_what_for_and_that_it_needs_no_stamp() -> None:
    sheet = receipt_sheet(
        ReceiptPaper(
            number="2026-R00009",
            issue_date=date(2027, 1, 4),
            received_on=date(2027, 1, 4),
            means=Words("銀行振込", "Bank transfer"),
            issuer=ISSUER,
            receiver=RECEIVER,
            parts=(
                Paid(what=Words("請求書 2026-000123", "Invoice 2026-000123"), amount_yen=500),
                Paid(what=Words("前払金", "Prepaid value"), amount_yen=1500),
            ),
            issued_at=NOW,
        )
    )
    texts = shown(sheet)
    assert {"¥2,000", "銀行振込", "前払金", "2027年1月4日（令和9年）"} <= texts
    assert any("収入印紙" in each for each in texts)


def test_a_settlement_shows_share_and_tax() -> None:
    sheet = settlement_sheet(
        SettlementPaper(
            number="2026-P00001",
            issue_date=date(2026, 12, 10),
            first=date(2026, 11, 1),
            last=date(2026, 11, 30),
            pay_on=date(2026, 12, 25),
            issuer=ISSUER,
            provider=Receiver(name="量子クラウド株式会社"),
            provider_registration_number="T1180301018771",
            earned=(
                Earned(
                    offering=Words("量子 A", "Quantum A"),
                    component=Component.QPU_S,
                    quantity=Decimal("184.125"),
                    charged_yen=38920,
                    share_bp=7000,
                    share_yen=27244,
                ),
            ),
            corrections=((Words("10月分の訂正", "Correction"), -44),),
            rates=(RateSum(tax_rate_bp=1000, taxable_yen=27200, tax_yen=2720),),
            issued_at=NOW,
        )
    )
    assert cells(sheet, "内訳")[-1][-1] == "27,200"
    assert {"¥29,920", "70%", "184.125 QPU秒", "T1180301018771"} <= shown(sheet)


def test_a_statement_groups_a_day_and_proves_itself() -> None:
    def entry(number: int, kind: str, at: datetime, available: int, held: int) -> StatementEntry:
        return StatementEntry(
            transaction_id=UUID(int=number),
            kind=kind,
            effective_at=at,
            recorded_at=NOW,
            job_id=None,
            available_micro_yen=available,
            held_micro_yen=held,
            owed_micro_yen=0,
        )

    first = datetime(2026, 10, 31, 15, tzinfo=UTC)  # midnight in Tokyo: the first of November
    entries = (
        entry(1, "hold", first, -2_000_000, 2_000_000),
        entry(2, "hold", first, -1_000_000, 1_000_000),
        entry(3, "settle", first, 0, -1_500_000),
    )
    statement = Statement(
        organisation_id=UUID(int=9),
        month=Month(2026, 11),
        opening=Position(available_micro_yen=10_000_000, held_micro_yen=0, owed_micro_yen=0),
        entries=entries,
        closing=Position(available_micro_yen=7_000_000, held_micro_yen=1_500_000, owed_micro_yen=0),
        totals=Totals(
            granted_micro_yen=10_000_000,
            paid_in_micro_yen=0,
            credit_used_micro_yen=0,
            used_micro_yen=1_500_000,
            expired_micro_yen=0,
            refunded_micro_yen=0,
            held_micro_yen=1_500_000,
            remaining_micro_yen=7_000_000,
        ),
    )
    sheet = statement_sheet(
        StatementPaper(
            number="2026-S00001",
            issue_date=date(2026, 12, 1),
            issuer=ISSUER,
            receiver=RECEIVER,
            statement=statement,
            issued_at=NOW,
        )
    )
    rows = cells(sheet, "月中の動き")
    assert rows[1] == ("2026-11-01", Words("ジョブの確保", "Held for a job"), "2", "-3", "3", "0")
    assert rows[2][4] == "-1.5"
    came, went = (row[1] for row in cells(sheet, "開設以来の合計") if isinstance(row[0], Words) and "合計" in row[0].ja)
    assert came == went == "10"


@pytest.mark.parametrize(
    ("rate_bp", "text"), [(1000, "10%"), (800, "8%"), (780, "7.8%"), (0, "0%"), (10_000, "100%"), (5, "0.05%")]
)
def test_rates_are_written_without_needless_digits(rate_bp: int, text: str) -> None:
    assert percent(rate_bp) == text


def test_quantities_and_amounts_as_people_know_them() -> None:
    assert quantity(Component.GPU_S, Decimal("4501800.25")) == "1,250.5 GPU時間"
    assert quantity(Component.GPU_S, Decimal(1)) == "0 GPU時間"
    assert quantity(Component.GPU_S, Decimal(2)) == "0.001 GPU時間"
    assert quantity(Component.SHOT, Decimal(1_200_000)) == "1,200,000 回"
    assert (with_sign(-5), with_sign(1234)) == ("-¥5", "¥1,234")
    assert (exact_yen(-1_500_000), exact_yen(1_000_000_001), exact_yen(0)) == ("-1.5", "1,000.000001", "0")
