"""The close of months: what is issued, by whom it is seen, what comes late, and that it happens once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import asyncpg
import pytest

from infra.db.connection import Conn, rehearsal, transaction
from infra.refusal import Refusal
from metering.audit.closes import check_close
from metering.audit.store import closes
from metering.audit.store.questions import ask
from pricing import service
from pricing.closing import CloseRules, Step
from pricing.days import Month
from pricing.document import Document, DocumentKind, Search
from pricing.errors import (
    BooksNotCompared,
    BooksNotReconciled,
    CloseReasonWrong,
    DocumentNotFound,
    EarlierMonthOpen,
    IssuerNotSet,
    LedgerConflict,
    MonthInGrace,
    MonthNotOver,
    SearchRangeWrong,
    UsageUnsettled,
)
from pricing.loops import closing as loop
from pricing.model import Ending, UsageToRate
from pricing.receipts import Paid
from pricing.units import micro
from tests.support.closes import ISSUER, RULES, after_grace, begin, close, documents, house, run
from tests.support.market import GPU, NOW, Market, an_id, gpu_price, gpu_usage, publish

APRIL, MAY, JUNE = Month(2026, 4), Month(2026, 5), Month(2026, 6)
END_OF_APRIL = APRIL.until


async def _ran(
    market: Market, job: object, seconds: int | str, *, at: datetime = NOW, ending: Ending = Ending.SUCCEEDED
) -> None:
    """A job of one GPU at 330 yen an hour that ran so long."""
    await market.submit(job, now=at)
    ended = at + timedelta(hours=1)
    await market.close(job, ending, at=ended)
    usage = gpu_usage(("usage", job), seconds, started_at=at, ended_at=ended)
    await market.use(job, usage, now=ended + timedelta(minutes=5))


async def _balanced(market: Market, month: Month) -> None:
    async with market.as_tenant() as conn:
        assert (await service.statement(conn, market.organisation, month=month)).balanced


async def test_a_month_becomes_one_document_with_every_line_and_the_books_say_the_same(market: Market) -> None:
    await market.grant("100")
    await market.pay_in("121.5")
    await market.give_credit("5000")
    await _ran(market, "a", 3600)  # 330: 100 granted, 110.45… + tax prepaid, the rest on credit
    async with market.as_operator() as conn:  # a price that changes while "b" runs: it keeps the one of its submission
        await publish(conn, GPU, [gpu_price("300")], valid_from=NOW + timedelta(minutes=30), key="second", now=NOW)
    await _ran(market, "b", 1800)
    await _ran(market, "c", 3599, ending=Ending.LOST)
    async with market.as_tenant() as conn:
        draft = await service.draft_invoice(conn, market.organisation, month=APRIL, now=END_OF_APRIL)
    await close(market.database, APRIL)
    (found,) = await documents(market.database, market.organisation)
    assert (draft.total_yen, draft.prepaid_applied_yen, draft.amount_due_yen) == (434, 122, 312)
    _require_april(found)
    books = await house(market.database)
    # earned: what is invoiced, and what grants covered; the wallet paid half a yen less than was applied.
    assert (books["earned"], books["tax"], books["owed"]) == (micro("495"), micro("39"), -micro("312"))
    assert books["rounding"] == -micro("0.5")
    await _balanced(market, APRIL)
    await _balanced(market, MAY)
    before = await _rows(market)
    assert (await begin(market.database, APRIL, now=after_grace(APRIL) + timedelta(days=9))).step is Step.CLOSED
    assert await run(market.database, now=after_grace(APRIL) + timedelta(days=9)) == 0
    assert await _rows(market) == before


def _require_april(found: Document) -> None:
    # 330 + 165 − 100 = 395; tax 39; 434 in all, of which the wallet had paid 121.5 and is not asked for the fraction.
    assert (found.number, found.kind, found.issue_date, found.due_date) == (
        "INV-2026-000001",
        DocumentKind.INVOICE,
        date(2026, 5, 4),
        date(2026, 5, 31),
    )
    amounts = found.amounts
    assert (amounts.subtotal_yen, amounts.tax_yen, amounts.total_yen) == (395, 39, 434)
    assert (amounts.prepaid_applied_yen, amounts.amount_due_yen, amounts.carried_out_yen) == (122, 312, 0)
    content = found.content
    assert content["issuer"] == ISSUER
    assert (content["recipient"]["name"], content["first"], content["last"]) == ("alpha", "2026-04-01", "2026-04-30")
    (group,) = content["groups"]
    (used, granted) = group["lines"]
    assert (used["quantity"], used["list_yen"], used["waived_yen"], used["charged_yen"]) == ("8999", 999, 329, 495)
    assert (used["offering"]["id"], used["used_in"], used["original"]) == (GPU, "2026-04", None)
    assert (granted["kind"], granted["charged_yen"]) == ("grant", -100)


async def _rows(market: Market) -> tuple[int, ...]:
    row = await market.database.owner.fetchrow(
        """SELECT (SELECT count(*) FROM pricing.document), (SELECT count(*) FROM pricing.closed_account),
                  (SELECT count(*) FROM pricing.month_close), (SELECT count(*) FROM pricing.ledger_entry)"""
    )
    assert row is not None
    return tuple(row)


async def test_what_comes_late_lies_in_the_open_month_and_names_the_document_that_it_changes(market: Market) -> None:
    await market.give_credit("5000")
    begun = END_OF_APRIL - timedelta(minutes=30)
    await market.submit("over", now=begun)  # runs over the end of April; its accounting comes after the close
    await _ran(market, "a", 3600)
    await market.close("over", at=begun + timedelta(hours=1))
    await close(market.database, APRIL)
    late = UsageToRate(
        usage_record_id=an_id("over"),
        component="gpu_s",
        quantity=Decimal(3600),
        started_at=begun,
        ended_at=begun + timedelta(hours=1),
    )
    await market.use("over", late, now=MAY.since + timedelta(days=10))
    await market.use("a", gpu_usage("less", 1800, supersedes=("usage", "a")), now=MAY.since + timedelta(days=11))
    await close(market.database, MAY)
    april, may = await documents(market.database, market.organisation)
    assert (april.amounts.total_yen, may.number, may.kind) == (363, "INV-2026-000002", DocumentKind.INVOICE)
    (group,) = may.content["groups"]
    shown = [(each["used_in"], each["charged_yen"], (each["original"] or {}).get("number")) for each in group["lines"]]
    assert shown == [("2026-05", 165, None), ("2026-04", 165, None), ("2026-04", -165, april.number)]
    assert (may.amounts.total_yen, may.content["originals"][0]["id"]) == (181, str(april.id))
    await _require_annexes(market, april, may)
    # Everything of May is taken back after its close: the paper is a credit note, and lowers what is open.
    await market.use("over", _less(late), now=JUNE.since + timedelta(days=1))
    await close(market.database, JUNE)
    _require_credit_note((await documents(market.database, market.organisation))[-1], may)
    books = await house(market.database)
    assert (books["owed"], books["earned"], books["tax"]) == (-micro("181"), micro("165"), micro("16"))
    assert books.get("rounding", 0) == 0
    await _balanced(market, JUNE)
    await _balanced(market, JUNE.following)


async def test_late_use_of_several_days_corrects_nothing(market: Market) -> None:
    """Its lines are several pieces of one record, each of a day of its own."""
    await market.give_credit("5000")
    begun = END_OF_APRIL - timedelta(days=2)
    await market.submit("long", now=begun)
    await market.close("long", at=END_OF_APRIL)
    await close(market.database, APRIL)
    late = gpu_usage("long", 3600, started_at=begun, ended_at=END_OF_APRIL)
    await market.use("long", late, now=MAY.since + timedelta(days=10))
    await close(market.database, MAY)
    (may,) = await documents(market.database, market.organisation)
    (group,) = may.content["groups"]
    assert [(each["used_in"], each["charged_yen"]) for each in group["lines"]] == [("2026-04", 330)]


def _require_credit_note(credit: Document, may: Document) -> None:
    assert (credit.number, credit.kind, credit.original_id) == ("CN-2026-000001", DocumentKind.CREDIT_NOTE, may.id)
    assert (credit.amounts.total_yen, credit.amounts.carried_out_yen, credit.amounts.amount_due_yen) == (-363, 0, 0)
    assert credit.amounts.credited_yen == 363  # April's invoice is still open


async def _require_annexes(market: Market, april: Document, may: Document) -> None:
    async with market.as_tenant() as conn:
        lines = [each async for each in service.annex(conn, may)]
        of_april = [each async for each in service.annex(conn, april)]
    corrected = [each for each in lines if each.corrects]
    assert [(each.corrects, each.original_number) for each in corrected] == [(of_april[0].line_id, april.number)]
    assert len(lines) == 4  # two days of the late one; one taken back, one in its place


def _less(late: UsageToRate) -> UsageToRate:
    return UsageToRate(
        usage_record_id=an_id("nothing"),
        supersedes=late.usage_record_id,
        component="gpu_s",
        quantity=Decimal(0),
        started_at=late.started_at,
        ended_at=late.ended_at,
    )


CHANGES = {
    "UPDATE pricing.document SET amount_due_yen = amount_due_yen + 1, prepaid_applied_yen = prepaid_applied_yen - 1 "
    "WHERE amount_due_yen > 0": "closed-month-differs",
    'UPDATE pricing.document SET content = content || \'{"month": "2026-09"}\'': "closed-month-differs",
    "UPDATE pricing.closed_account SET carried_in_yen = 7": "carried-differs",
    "UPDATE pricing.rated_line SET charged_micro_yen = charged_micro_yen - 9, price_micro_yen = price_micro_yen - 9": (
        "closed-month-differs"
    ),
    "UPDATE pricing.rated_line SET billed_month = '2026-03-01'": "rated-line-in-no-document",
    "UPDATE pricing.document SET ordinal = 9 WHERE ordinal = 3": "document-number",
    "DELETE FROM pricing.closed_account WHERE month = '2026-05-01'": "document-of-no-closed-month",
}


async def test_the_audit_finds_closed_months_right_and_what_somebody_changed(market: Market) -> None:
    await market.grant("300")
    await market.pay_in("121.5")
    await market.give_credit("5000")
    for number in range(3):
        for job in range(3):
            await _ran(market, (number, job), 1234 * (job + 1) % 3600, at=_day(number, job))
        if number:
            less = gpu_usage(("less", number), 7, supersedes=("usage", (number - 1, 0)))
            await market.use((number - 1, 0), less, now=_day(number, 4))
        await close(market.database, _month(number))
    assert await _audited(market) == []
    for sql, check in CHANGES.items():
        async with transaction(market.database.owner) as conn:
            await conn.execute("SET LOCAL session_replication_role = replica")
            async with rehearsal(conn):
                await conn.execute(sql)
                assert check in await _checks(conn), sql


def _day(number: int, day: int) -> datetime:
    return max(_month(number).since, NOW) + timedelta(days=day)


def _month(number: int) -> Month:
    return (APRIL, MAY, JUNE)[number]


async def _audited(market: Market) -> list[str]:
    async with transaction(market.database.worker) as conn:
        return await _checks(conn)


async def _checks(conn: Conn) -> list[str]:
    """By the rules of the close alone: this small market has no jobs of the scheduler."""
    found = await ask(conn, closes.QUESTIONS, young_since=NOW)
    for each in await closes.closed_months(conn):
        found += check_close(each)
    return [each.check for each in found]


async def test_small_sums_roll_over_and_nothing_is_invoiced_for_nothing(market: Market) -> None:
    await market.give_credit("5000")
    await _ran(market, "a", 300)  # 27.5: 27 and 2 of tax
    await close(market.database, APRIL)
    await close(market.database, MAY)  # nothing ran
    await _ran(market, "b", 300, at=JUNE.since)
    await close(market.database, JUNE)
    april, june = await documents(market.database, market.organisation)
    assert (april.amounts.total_yen, april.amounts.amount_due_yen, april.amounts.carried_out_yen) == (29, 0, 29)
    assert (april.due_date, april.content["due_date"]) == (None, None)
    assert (june.amounts.carried_in_yen, june.amounts.amount_due_yen) == (29, 58)
    assert (await house(market.database))["owed"] == -micro("58")
    free = await market.add_organisation("beta")
    await market.grant("500", key="beta", organisation=free)
    await market.submit("free", organisation=free, now=JUNE.following.since)
    await market.close("free", at=JUNE.following.since + timedelta(hours=1))
    usage = gpu_usage("free", 3600, started_at=JUNE.following.since, ended_at=JUNE.following.since + timedelta(hours=1))
    await market.use("free", usage, now=JUNE.following.since + timedelta(hours=2))
    await close(market.database, JUNE.following)
    (listed,) = await documents(market.database, free)
    assert (listed.number, listed.kind, listed.amounts.total_yen) == ("USE-2026-000001", DocumentKind.USAGE, 0)


async def test_the_close_is_refused_by_name(market: Market) -> None:
    await market.give_credit("5000")
    await market.submit("a")
    await market.close("a")
    database, instant = market.database, timedelta(microseconds=1)
    refused: list[tuple[type[Refusal], Month, dict[str, Any]]] = [
        (MonthNotOver, APRIL, {"now": END_OF_APRIL - instant}),
        (MonthInGrace, APRIL, {"now": after_grace(APRIL) - instant}),
        (EarlierMonthOpen, MAY, {}),
        (IssuerNotSet, APRIL, {"rules": CloseRules(issuer={"name": "x"})}),
        (BooksNotCompared, APRIL, {"unexplained": None}),
        (BooksNotReconciled, APRIL, {"unexplained": 1}),
        (UsageUnsettled, APRIL, {}),
        (CloseReasonWrong, APRIL, {"leave_unsettled": " "}),
    ]
    for refusal, month, told in refused:
        with pytest.raises(refusal):
            await begin(database, month, **told)
    assert await run(database, now=after_grace(APRIL)) == 1  # April is over, and nothing else is known of it
    async with market.as_operator() as conn:
        assert [(each.month, each.step) for each in await service.months(conn, now=after_grace(APRIL))] == [
            (APRIL, Step.GRACE),
            (MAY, Step.DRAFT),
        ]
    state = await begin(database, APRIL, leave_unsettled="the site lost its accounting of that day")
    assert (state.step, (state.facts or {})["unsettled"]) == (Step.CLOSING, 1)
    await run(database, now=after_grace(APRIL))
    assert await documents(database, market.organisation) == []


async def test_the_last_second_of_the_fiscal_year(market: Market) -> None:
    march, year_end = Month(2027, 3), datetime(2027, 3, 31, 14, 59, 59, tzinfo=UTC)
    february = Month(2027, 2)
    await market.give_credit("5000")
    for month in _until(APRIL, february):
        await close(market.database, month)
    begun = year_end - timedelta(seconds=1799)
    await market.submit("last", now=begun)
    await market.close("last", at=begun + timedelta(hours=1))
    usage = gpu_usage("last", 3600, started_at=begun, ended_at=begun + timedelta(hours=1))
    await market.use("last", usage, now=begun + timedelta(hours=2))
    await _ran(market, "feb", 3600, at=february.since)
    await begin(market.database, february, now=year_end)  # decided in the old year, done in the new one
    await run(market.database, now=year_end + timedelta(hours=1))
    await close(market.database, march)
    old, new = await documents(market.database, market.organisation)
    assert (old.number, old.issue_date, old.due_date) == ("INV-2026-000001", date(2027, 3, 31), date(2027, 4, 30))
    assert (new.number, new.issue_date) == ("INV-2027-000001", date(2027, 4, 4))
    # 1,800 of the 3,600 seconds lie before midnight of 1 April; half a yen of 165 … and the other half is April's.
    assert (old.amounts.total_yen, new.amounts.total_yen) == (363, 181)


def _until(first: Month, end: Month) -> list[Month]:
    months = [first]
    while months[-1].following < end:
        months.append(months[-1].following)
    return months


class _Dies:
    """A connection that is lost before its statement of this number (1, 2, …)."""

    def __init__(self, conn: object, at: int) -> None:
        self._conn, self._left = conn, at

    def __getattr__(self, name: str) -> Callable[..., Any]:
        told = getattr(self._conn, name)
        if name in {"fetch", "fetchrow", "fetchval", "execute", "executemany", "cursor"}:
            self._left -= 1
            if self._left == 0:
                raise ConnectionResetError(name)
        return told


async def test_killed_at_any_statement_or_by_two_at_once_it_comes_to_the_same(market: Market) -> None:
    database = market.database
    await market.give_credit("5000")
    await _ran(market, "a", 3600)
    for slug in ("beta", "gamma"):
        await _on_grants(market, slug)
    now = after_grace(APRIL)
    await run(database, now=now)
    await begin(database, APRIL)
    before = await _rows(market)
    assert await _survives(market, at=1, now=now) is False
    at = 2
    while not await _survives(market, at=at, now=now):
        assert await _rows(market) == before
        at += 1
    assert at > 8
    await asyncio.gather(*(loop.tick(database.worker, None, now, batch=2) for _ in range(4)))
    await run(database, now=now + timedelta(days=1))
    numbers = await database.owner.fetch("SELECT number FROM pricing.document ORDER BY number")
    assert [row["number"] for row in numbers] == ["INV-2026-000001", "USE-2026-000001", "USE-2026-000002"]
    days = await database.owner.fetch("SELECT DISTINCT issue_date FROM pricing.document")
    assert [row["issue_date"] for row in days] == [date(2026, 5, 4)]
    with pytest.raises(asyncpg.ForeignKeyViolationError):  # no number without the one before it
        await database.owner.execute(
            """INSERT INTO pricing.document (id, organisation_id, kind, fiscal_year, ordinal, number, month, issued_at,
                   issue_date, counterparty, subtotal_yen, tax_yen, total_yen, prepaid_applied_yen, carried_in_yen,
                   carried_out_yen, amount_due_yen, content, content_sha256)
               SELECT gen_random_uuid(), organisation_id, kind, fiscal_year, 9, 'INV-2026-000009', month, issued_at,
                   issue_date, counterparty, subtotal_yen, tax_yen, total_yen, prepaid_applied_yen, carried_in_yen,
                   carried_out_yen, 0, content, content_sha256 FROM pricing.document WHERE kind = 'usage' LIMIT 1"""
        )


async def _survives(market: Market, *, at: int, now: datetime) -> bool:
    """Close two organisations on a connection that is lost at a statement; whether it came to its end before."""
    try:
        async with transaction(market.database.worker) as conn:
            plan = await service.closing_month(conn)
            assert plan is not None
            assert await service.close_some(_Dies(conn, at), plan, limit=2, now=now) == 2
    except ConnectionResetError:
        return False
    return True


async def _on_grants(market: Market, slug: str) -> None:
    other = await market.add_organisation(slug)
    await market.grant("500", key=slug, organisation=other)
    await market.submit(slug, organisation=other)
    await market.close(slug)
    await market.use(slug, gpu_usage(slug, 3600))


async def test_documents_are_found_by_date_amount_and_counterparty_each_by_who_may(market: Market) -> None:
    await market.give_credit("5000")
    await _ran(market, "a", 3600)
    await close(market.database, APRIL)
    await _ran(market, "b", 1800, at=MAY.since + timedelta(days=9))
    await close(market.database, MAY)
    beta = await market.add_organisation("beta")
    found = await documents(market.database, market.organisation)
    assert [each.amounts.total_yen for each in found] == [363, 181]
    both = [each.number for each in found]
    searches: list[tuple[Search, list[str]]] = [
        (Search(since=date(2026, 5, 4), until=date(2026, 6, 4)), both),
        (Search(since=date(2026, 5, 5)), both[1:]),
        (Search(least_yen=181, most_yen=362), both[1:]),
        (Search(since=date(2026, 5, 5), least_yen=182), []),
        (Search(counterparty="ＡＬＰ", most_yen=363, until=date(2026, 5, 4)), both[:1]),
        (Search(counterparty="beta"), []),
        (Search(kind=DocumentKind.CREDIT_NOTE), []),
    ]
    for wanted, numbers in searches:
        assert [each.number for each in await documents(market.database, market.organisation, wanted)] == numbers
    assert await documents(market.database, beta) == []
    async with market.as_operator() as conn:
        assert [each.number for each in await service.documents(conn, Search(), limit=1)] == both[1:]
        rest = await service.documents(conn, Search(), limit=9, after=found[1].id)
        assert [each.number for each in rest] == both[:1]
        assert (await service.document(conn, both[0])).id == found[0].id
    async with market.as_tenant(beta) as conn:
        with pytest.raises(DocumentNotFound):
            await service.document(conn, both[0])
        with pytest.raises(SearchRangeWrong):
            await service.documents(conn, Search(least_yen=2, most_yen=1), limit=1)
    with pytest.raises(asyncpg.PostgresError, match="append-only"):
        await market.database.owner.execute(
            "UPDATE pricing.document SET total_yen = total_yen + 1, tax_yen = tax_yen + 1"
        )
    await _receipts(market, found[0])


async def _receipts(market: Market, invoice: Document) -> None:
    async def issue(yen: int) -> Document:
        async with market.as_operator() as conn:
            return await service.issue_receipt(
                conn,
                payment_id=an_id("paid"),
                organisation_id=market.organisation,
                parts=(Paid(yen, invoice.number), Paid(37)),
                means="bank_transfer",
                received_on=date(2026, 5, 29),
                issuer=ISSUER,
                now=MAY.until,
            )

    made = await issue(363)
    assert (made.number, made.original_id, made.amounts.total_yen) == ("RCT-2026-000001", invoice.id, 400)
    assert made == await issue(363)
    with pytest.raises(LedgerConflict):
        await issue(362)


async def test_a_dry_run_shows_everything_and_issues_nothing(market: Market) -> None:
    await market.give_credit("5000")
    await _ran(market, "a", 3600)
    async with market.as_operator() as conn:
        shown = [each async for each in service.preview(conn, APRIL, RULES, now=END_OF_APRIL)]
    assert [(each.customer.name, each.kind, each.total_yen, each.amount_due_yen) for each in shown] == [
        ("alpha", DocumentKind.INVOICE, 363, 363)
    ]
    assert (await _rows(market))[:3] == (0, 0, 0)
