"""What is refunded after a month's close comes back once, and what is due is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from metering.audit.closes import check_close
from metering.audit.store import closes
from metering.audit.store.questions import ask
from pricing import service
from pricing.days import Month
from pricing.discounts import Promotion
from pricing.document import Document, DocumentKind
from pricing.model import Cause, JobSize
from pricing.papers.issued import sheet_of
from pricing.service import job_refunds
from pricing.service.job_refunds import Wanted
from pricing.units import micro
from tests.support.closes import RULES, after_grace, close, documents
from tests.support.database import Database
from tests.support.market import NOW, Market, an_id, gpu_usage, open_market
from tests.support.staff import FIRST, SECOND

pytestmark = pytest.mark.postgres

APRIL, MAY, JUNE, JULY, AUGUST = (Month(2026, number) for number in range(4, 9))


@pytest.fixture
async def market(database: Database) -> Market:
    return await open_market(database)


@pytest.mark.parametrize("when", ["before", "after", "never"])
async def test_a_refund_comes_back_once_whenever_the_invoice_is_paid(market: Market, when: str) -> None:
    await market.give_credit("50000")
    await _ran(market, "a")
    await close(market.database, APRIL)
    at = after_grace(APRIL) + timedelta(days=1)
    if when == "before":
        await _pay_all(market, at)
    await _refund(market, "a", "330", at)
    if when == "after":
        await _pay_all(market, at)
    await close(market.database, MAY)
    [_, note] = await _documents(market)
    expected = {"carried_out_yen": 0, "credited_yen": 363} if when == "never" else {"carried_out_yen": -363}
    assert {name: getattr(note.amounts, name) for name in expected} == expected

    at = after_grace(MAY) + timedelta(days=1)
    async with market.as_tenant() as conn:  # nobody is shut out for what is not owed
        late = await service.collection_standing(conn, market.organisation, now=at + timedelta(days=90))
    assert late.overdue_yen == 0
    await _ran(market, "b", at=at)
    await _ran(market, "c", at=at + timedelta(hours=3))
    await close(market.database, JUNE)
    await _pay_all(market, after_grace(JUNE) + timedelta(days=1))
    paid = await market.database.owner.fetchval("SELECT sum(amount_yen) FROM pricing.payment")
    assert (paid, await _wallet(market)) == (726, {"prepaid": 0, "credit": micro("50000"), "owed": 0})
    await _audited(market)


@pytest.mark.parametrize(("percent_bp", "pays"), [(5000, "prepaid"), (10000, "credit")])
async def test_what_a_discount_took_off_does_not_come_back_with_a_refund(
    market: Market, percent_bp: int, pays: str
) -> None:
    """Half of 6,600, and all of it; one job of two is given back, in two steps, beside new use with a promotion."""
    await _promote(market, percent_bp)
    await (market.pay_in if pays == "prepaid" else market.give_credit)("100000")
    for number, job in enumerate("ab"):
        await _ran(market, job, at=NOW + timedelta(hours=30 * number), hours=20)
    await close(market.database, APRIL)
    at = after_grace(APRIL) + timedelta(days=1)
    for yen in ("1600", "5000"):
        await _refund(market, "a", yen, at)
    await _ran(market, "new", at=at, hours=2)
    await close(market.database, MAY)
    [_, note] = await _documents(market)
    share = percent_bp / 10000
    assert note.amounts.subtotal_yen == round((-6600 + 660) * (1 - share))
    lines = {
        each["kind"]: each["charged_yen"] for each in note.content["groups"][0]["lines"] if each["kind"] != "usage"
    }
    assert lines == {"promotion": -round(660 * share), "discount_returned": round(6600 * share)}
    wallet = await _wallet(market)
    used = round((6600 + 660) * (1 - share) * 1.1)
    left = micro("100000") - (micro(str(used)) if pays == "prepaid" else 0)  # what was returned is drawn of the wallet
    assert (wallet[pays], wallet["owed"], note.amounts.amount_due_yen) == (left, 0, 0)
    await _audited(market)


async def test_what_is_due_is_asked_for_by_a_credit_note_and_in_a_month_without_use(market: Market) -> None:
    await market.pay_in("36300")
    await market.give_credit("50000")
    await _ran(market, "a", hours=100)
    await close(market.database, APRIL)
    at = after_grace(APRIL) + timedelta(hours=1)
    await _ran(market, "b", at=at, hours=50)
    for day in (5, 6, 7):
        await _refund(market, "a", "10000", at + timedelta(days=day))
    await close(market.database, MAY)
    [_, note] = await _documents(market)
    assert (note.kind, note.amounts.total_yen, note.amounts.amount_due_yen) == (DocumentKind.CREDIT_NOTE, -14850, 18150)
    assert "18,150" in str(sheet_of(note.content, issued_at=note.issued_at, annex_csv=""))
    await _pay_all(market, after_grace(MAY))

    await _ran(market, "c", at=after_grace(MAY), hours=101)  # prepaid value pays 33,000 of 36,663
    await close(market.database, JUNE, rules=replace(RULES, minimum_yen=5000))
    await close(market.database, JULY)
    [*_, used, asked] = await _documents(market)
    assert (used.amounts.carried_out_yen, used.amounts.amount_due_yen) == (asked.amounts.carried_in_yen, 0)
    assert (asked.kind, asked.amounts.total_yen, asked.content["groups"]) == (DocumentKind.INVOICE, 0, [])
    assert asked.amounts.amount_due_yen == 3663
    assert "3,663" in str(sheet_of(asked.content, issued_at=asked.issued_at, annex_csv=""))
    await _pay_all(market, after_grace(JULY))
    assert (await _wallet(market))["owed"] == 0
    assert await close(market.database, AUGUST) is None  # nothing left: no document
    assert len(await _documents(market)) == 4
    await _audited(market)


async def _promote(market: Market, percent_bp: int) -> None:
    new = Promotion(
        id=an_id("promo"),
        title_ja="a",
        title_en="a",
        starts_at=NOW,
        ends_at=NOW + timedelta(days=300),
        percent_bp=percent_bp,
    )
    async with market.as_operator() as conn:
        await service.propose_promotion(conn, new, proposal_id=an_id("pp"), reason="x", actor=FIRST, now=NOW)
        await service.approve(conn, an_id("pp"), actor=SECOND, now=NOW)


async def _ran(market: Market, job: str, *, at: datetime = NOW, hours: int = 1) -> None:
    """330 yen an hour without tax."""
    await market.submit(job, now=at, size=JobSize(gpus=1, walltime_s=3600 * hours))
    ended = at + timedelta(hours=hours)
    await market.close(job, at=ended)
    usage = gpu_usage(("usage", job), 3600 * hours, started_at=at, ended_at=ended)
    await market.use(job, usage, now=ended + timedelta(minutes=5))


async def _refund(market: Market, job: str, yen: str, now: datetime) -> None:
    wanted = Wanted(
        id=an_id("refund", job, yen, now),
        organisation_id=market.organisation,
        job_id=an_id("job", job),
        cause=Cause.OUR_FAULT,
        reason="x",
        amount_micro_yen=micro(yen),
    )
    async with market.as_operator() as conn:
        decided = await job_refunds.refund(conn, wanted, actor=FIRST, now=now)
        if decided.proposal is not None:
            await service.approve(conn, decided.proposal.id, actor=SECOND, now=now)


async def _pay_all(market: Market, now: datetime) -> None:
    async with market.as_operator() as conn:
        for each in await service.receivables(conn, only_open=True):
            await service.mark_paid(
                conn, each.number, amount_yen=each.open_yen, reference="bank", paid_at=now, actor=None, now=now
            )


async def _wallet(market: Market) -> dict[str, int]:
    async with market.as_tenant() as conn:
        found = await service.balance(conn, market.organisation, now=NOW)
    return {"prepaid": found.prepaid_micro_yen, "credit": found.credit_micro_yen, "owed": found.owed_micro_yen}


async def _documents(market: Market) -> Sequence[Document]:
    return await documents(market.database, market.organisation)


async def _audited(market: Market) -> None:
    """Nothing is said against the closed months."""
    async with market.as_worker() as conn:
        assert await ask(conn, closes.QUESTIONS, young_since=NOW) == []
        assert [wrong for each in await closes.closed_months(conn) for wrong in check_close(each)] == []
