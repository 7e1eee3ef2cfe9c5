"""Money that comes back after its lot has lapsed is of use again; what was given free is not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from metering.audit.store import ledger, postings
from metering.audit.store.questions import ask
from pricing import prepaid, service
from pricing.days import Month
from pricing.discounts import Promotion
from pricing.model import Cause, JobSize
from pricing.service import job_refunds
from pricing.service.job_refunds import Wanted
from pricing.statement import Balance
from pricing.store.wallets import issued_lots
from pricing.units import micro
from tests.support.closes import after_grace, close, house
from tests.support.market import NOW, Market, an_id, gpu_usage
from tests.support.staff import FIRST, SECOND

pytestmark = pytest.mark.postgres

LAPSE = prepaid.expiry(NOW)
SEPTEMBER = Month(2026, 9)


async def _ran(market: Market, job: str, at: datetime) -> None:
    """330 yen without tax."""
    await market.submit(job, now=at, size=JobSize(gpus=1, walltime_s=3600))
    ended = at + timedelta(hours=1)
    await market.close(job, at=ended)
    await market.use(job, gpu_usage(("usage", job), 3600, started_at=at, ended_at=ended), now=ended)


async def _lapse(market: Market, now: datetime) -> Balance:
    """What is left when the tick has come by."""
    async with market.as_worker() as conn:
        await service.expire_lots(conn, organisation_id=market.organisation, now=now)
    async with market.as_tenant() as conn:
        assert (await service.statement(conn, market.organisation, month=Month.of(now.date()))).balanced
        return await service.balance(conn, market.organisation, now=now)


async def _wrong(market: Market) -> list[str]:
    async with market.as_worker() as conn:
        found = await ask(conn, [*ledger.QUESTIONS, *postings.QUESTIONS], young_since=NOW)
    return [each.check for each in found if each.explanation is None]


async def test_what_a_refund_or_correction_gives_back_is_a_lot_of_today(market: Market) -> None:
    assert LAPSE is not None
    await market.grant("100", expires_at=LAPSE)
    await market.pay_in("1000")
    for job in ("refunded", "corrected"):
        await _ran(market, job, LAPSE - timedelta(days=9))
    later = LAPSE + timedelta(days=20)
    await _lapse(market, later)
    wanted = Wanted(
        id=an_id("refund"),
        organisation_id=market.organisation,
        job_id=an_id("job", "refunded"),
        cause=Cause.OUR_FAULT,
        reason="x",
        amount_micro_yen=micro("330"),
    )
    async with market.as_operator() as conn:
        await job_refunds.refund(conn, wanted, actor=FIRST, now=later)
    tomorrow = later + timedelta(days=1)
    await market.use("corrected", gpu_usage("less", 1800, supersedes=("usage", "corrected")), now=tomorrow)
    left = await _lapse(market, tomorrow)
    # 230 and 165 with their tax; the 100 were a grant's, and lapse as that did
    assert [(lot.available_micro_yen, lot.expires_at) for lot in left.lots] == [
        (micro("253"), prepaid.expiry(later)),
        (micro("181.5"), prepaid.expiry(tomorrow)),
    ]
    assert (left.grants_micro_yen, (await house(market.database))["expired"]) == (0, micro("484"))
    async with market.as_worker() as conn:  # notices count it as they do what was paid in
        put_in = {each.lot.lot_id: each.issued_micro_yen for each in await issued_lots(conn, market.organisation)}
    assert [put_in[lot.lot_id] for lot in left.lots] == [micro("253"), micro("181.5")]
    assert await _wrong(market) == []


async def test_what_a_discount_gives_back_is_a_lot_of_the_day_of_the_close(market: Market) -> None:
    async with market.as_operator() as conn:
        half = Promotion(
            id=an_id("half"), title_ja="a", title_en="a", starts_at=NOW, ends_at=SEPTEMBER.until, percent_bp=5_000
        )
        await service.propose_promotion(conn, half, proposal_id=an_id("p"), reason="x", actor=FIRST, now=NOW)
        await service.approve(conn, an_id("p"), actor=SECOND, now=NOW)
    await market.pay_in("1000")
    await _ran(market, "a", datetime(2026, 9, 25, tzinfo=UTC))
    for number in range(4, 10):
        await close(market.database, Month(2026, number))
    closed_at = after_grace(SEPTEMBER)
    left = await _lapse(market, closed_at + timedelta(hours=1))
    assert [(lot.available_micro_yen, lot.expires_at) for lot in left.lots] == [
        (micro("182"), prepaid.expiry(closed_at)),
    ]
    assert await _wrong(market) == []
