"""The wallet's statement (残高明細書): how a month began, what happened, how it ended, and the equation."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from infra.paper.dates import japanese_date, japanese_period
from infra.paper.sheet import Column, Fact, Row, Sheet, Table, Words
from infra.tokyo import TOKYO
from pricing.papers.amounts import with_sign
from pricing.papers.parties import Issuer, Receiver
from pricing.statement import Position, Statement, StatementEntry, Totals
from pricing.units import MICRO

_KINDS = {
    "issue_grant": Words("補助・特典の付与", "Grant"),
    "receive_payment": Words("ご入金", "Payment received"),
    "pay_back": Words("ご返金", "Paid back"),
    "open_credit_line": Words("後払い枠の設定", "Credit line"),
    "repay_credit": Words("後払い分のお支払い", "Credit repaid"),
    "hold": Words("ジョブの確保", "Held for a job"),
    "settle": Words("ジョブのご利用", "Use by a job"),
    "release": Words("確保の解除", "Hold released"),
    "refund": Words("訂正による返還", "Given back by correction"),
    "adjust": Words("訂正", "Correction"),
    "expire": Words("有効期限切れ", "Expired"),
    "invoice": Words("ご請求（円未満の整理）", "Invoice: made whole yen"),
}
_FRACTION_DIGITS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementPaper:
    """A statement with its parties."""

    number: str
    issue_date: date
    issuer: Issuer
    receiver: Receiver
    statement: Statement
    issued_at: datetime


def statement_sheet(paper: StatementPaper) -> Sheet:
    """The statement as a sheet; movements by day and kind, so that a month of many jobs stays readable."""
    statement = paper.statement
    last = statement.month.following.first - timedelta(days=1)
    return Sheet(
        title=Words("残高明細書", "Statement"),
        number=paper.number,
        facts=(
            Fact(Words("番号", "No."), paper.number),
            Fact(Words("作成日", "Made on"), japanese_date(paper.issue_date)),
        ),
        receiver=paper.receiver.party,
        giver=paper.issuer.party,
        giver_facts=paper.issuer.facts,
        headline=Fact(
            Words("月末の利用可能額", "Available at the end of the month"),
            with_sign(statement.closing.available_micro_yen // MICRO),
        ),
        headline_facts=(
            Fact(Words("対象月", "Month"), japanese_period(statement.month.first, last)),
            Fact(Words("確保中", "Held for jobs"), f"¥{exact_yen(statement.closing.held_micro_yen)}"),
            Fact(Words("後払いの未払額", "Owed on credit"), f"¥{exact_yen(statement.closing.owed_micro_yen)}"),
        ),
        tables=(_movements(statement), _equation(statement.totals)),
        notes=(
            Words(
                "補助・特典は税抜、前払金と後払い枠は税込の金額です。1円未満の端数は請求書で一度だけ処理します。",
                "Grants count without tax, prepaid value and credit with tax. Fractions of a yen are dealt with once, "
                "on the invoice.",
            ),
        ),
        made_at=paper.issued_at,
    )


def exact_yen(micro_yen: int) -> str:
    """Micro-yen as yen, with the fraction if there is one: '1,234' or '1,234.5'."""
    whole, fraction = divmod(abs(micro_yen), MICRO)
    tail = f".{fraction:0{_FRACTION_DIGITS}d}".rstrip("0") if fraction else ""
    return f"{'-' if micro_yen < 0 else ''}{whole:,}{tail}"


def _movements(statement: Statement) -> Table:
    columns = (
        Column(title=Words("日付", "Date")),
        Column(title=Words("内容", "What"), share=6),
        Column(title=Words("件数", "Count"), number=True),
        Column(title=Words("利用可能額", "Available"), number=True),
        Column(title=Words("確保中", "Held"), number=True),
        Column(title=Words("未払額", "Owed"), number=True),
    )
    opening, closing = statement.opening, statement.closing
    return Table(
        title=Words("月中の動き", "Movements (yen)"),
        columns=columns,
        rows=(
            _row("", Words("前月末の残高", "Brought forward"), "", opening, total=True),
            *(_day_row(day, kind, entries) for (day, kind), entries in _by_day(statement).items()),
            _row("", Words("当月末の残高", "Carried forward"), "", closing, total=True),
        ),
    )


def _by_day(statement: Statement) -> dict[tuple[date, str], list[StatementEntry]]:
    groups: dict[tuple[date, str], list[StatementEntry]] = {}
    for entry in statement.entries:
        groups.setdefault((entry.effective_at.astimezone(TOKYO).date(), entry.kind), []).append(entry)
    return dict(sorted(groups.items(), key=lambda item: item[0][0]))


def _day_row(day: date, kind: str, entries: list[StatementEntry]) -> Row:
    return Row(
        cells=(
            f"{day:%Y-%m-%d}",
            _KINDS.get(kind, Words(kind, kind)),
            str(len(entries)),
            exact_yen(sum(each.available_micro_yen for each in entries)),
            exact_yen(sum(each.held_micro_yen for each in entries)),
            exact_yen(sum(each.owed_micro_yen for each in entries)),
        )
    )


def _row(day: str, what: Words, count: str, at: Position, *, total: bool) -> Row:
    amounts = (at.available_micro_yen, at.held_micro_yen, at.owed_micro_yen)
    return Row(cells=(day, what, count, *map(exact_yen, amounts)), total=total)


def _equation(totals: Totals) -> Table:
    came = (
        (Words("付与された補助・特典", "Granted"), totals.granted_micro_yen),
        (Words("ご入金", "Paid in"), totals.paid_in_micro_yen),
        (Words("後払い枠の利用", "Used on credit"), totals.credit_used_micro_yen),
    )
    went = (
        (Words("ご利用", "Used"), totals.used_micro_yen),
        (Words("有効期限切れ", "Expired"), totals.expired_micro_yen),
        (Words("ご返金", "Refunded"), totals.refunded_micro_yen),
        (Words("確保中", "Held"), totals.held_micro_yen),
        (Words("残り", "Remaining"), totals.remaining_micro_yen),
    )
    return Table(
        title=Words("開設以来の合計", "Since the wallet was opened (yen)"),
        columns=(
            Column(title=Words("項目", "Item"), share=7),
            Column(title=Words("金額", "Yen"), number=True),
        ),
        rows=(
            *(Row(cells=(what, exact_yen(amount))) for what, amount in came),
            Row(cells=(Words("入りの合計", "Came in"), exact_yen(sum(a for _, a in came))), total=True),
            *(Row(cells=(what, exact_yen(amount))) for what, amount in went),
            Row(
                cells=(Words("出と残りの合計", "Went out or is there"), exact_yen(sum(a for _, a in went))), total=True
            ),
        ),
        narrow=True,
    )
