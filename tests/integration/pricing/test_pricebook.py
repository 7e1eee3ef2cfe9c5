"""Prices, promotions and policies that two persons set, as the operator, the tenant and the worker."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from accounts.model import CustomerClass, Evidence
from infra.refusal import Refusal
from metering.audit.closes import check_close
from metering.audit.store import closes
from metering.audit.store.questions import ask
from pricing import service
from pricing.days import Month, day_of
from pricing.discounts import PROMOTION, VOLUME, Promotion
from pricing.errors import (
    MarketReferenceTooOld,
    MarketReferenceUnknown,
    OfferingRetired,
    PolicyExists,
    PolicyWrong,
    PriceGap,
    PriceNotBelowMarket,
    PriceVersionsOverlap,
    PromotionWrong,
    UnknownOffering,
)
from pricing.model import ForeignPrice, JobSize
from pricing.units import micro
from tests.support.closes import close, documents, house
from tests.support.market import GPU, MARKET, NOW, QPU, Market, a_new_version, an_id, gpu_price, gpu_usage
from tests.support.staff import FIRST, SECOND, published

APRIL = Month.of(day_of(NOW))
TOMORROW = NOW + timedelta(days=1)


async def test_a_price_of_which_nobody_else_knows_is_refused_by_the_database(market: Market) -> None:
    copy = """INSERT INTO pricing.price_version (id, offering_id, customer_class, service_class, valid_from,
                  tax_rate_bp, recorded_at, proposal_id)
              SELECT $1, offering_id, 'sme', service_class, valid_from, tax_rate_bp, recorded_at, $2
              FROM pricing.price_version WHERE offering_id = 'gpu-demo'"""
    async with market.as_operator() as conn:
        open_one = await service.propose_prices(
            conn,
            [a_new_version(GPU, [gpu_price("300")], key="open", valid_from=TOMORROW)],
            proposal_id=an_id("open"),
            reason="x",
            actor=FIRST,
            now=NOW,
        )
        assert len(await service.price_history(conn, GPU)) == 1  # the rehearsal left nothing
    for proposal in (None, open_one.id):
        with pytest.raises(asyncpg.PostgresError) as refused:
            async with market.as_operator() as conn:
                await conn.execute(copy, an_id("alone"), proposal)
        assert refused.value.sqlstate == "KY008"


async def test_versions_neither_overlap_nor_leave_a_gap(market: Market) -> None:
    spring = a_new_version(GPU, [gpu_price("200")], key="spring", valid_from=TOMORROW)
    week = TOMORROW + timedelta(days=7)
    spring = replace(spring, valid_until=week)
    after = a_new_version(GPU, [gpu_price("330")], key="after", valid_from=week)
    with pytest.raises(PriceGap):
        async with market.as_operator() as conn:
            await published(conn, spring, now=NOW)
    async with market.as_operator() as conn:
        await published(conn, spring, after, now=NOW)
        found = await service.published_prices(conn, offering_id=GPU)
    assert [(each.version.valid_from, each.valid_until) for each in found] == [
        (NOW, TOMORROW),
        (TOMORROW, week),
        (week, None),
    ]
    assert {each.id for one in found for each in one.references.values()} == {MARKET[0].id}
    between = a_new_version(GPU, [gpu_price("100")], key="between", valid_from=week - timedelta(days=1))
    with pytest.raises(PriceVersionsOverlap):
        async with market.as_operator() as conn:
            await published(conn, between, now=NOW)


@pytest.mark.parametrize(
    ("age_days", "said"), [(90, "market-reference-without-evidence"), (91, "market-reference-old"), (181, None)]
)
async def test_an_old_look_at_the_market_warns_and_then_supports_no_price(
    market: Market, age_days: int, said: str | None
) -> None:
    looked_on = MARKET[0].observed_on
    now = NOW + timedelta(days=age_days - (day_of(NOW) - looked_on).days)
    new = a_new_version(GPU, [gpu_price("300")], key="new", valid_from=None)
    async with market.as_operator() as conn:
        if said is None:
            with pytest.raises(MarketReferenceTooOld):
                await published(conn, new, now=now)
            return
        done = await published(conn, new, now=now)
    assert done.decision is not None
    assert done.decision.effect is not None
    assert [each["code"] for each in done.decision.effect["warnings"]] == [said]
    assert done.decision.effect["versions"][0]["valid_from"] == now.isoformat()  # from the approval on


async def test_two_persons_set_how_old_a_reference_may_be(market: Market) -> None:
    async def wanted(value: dict[str, Any], key: str, effective_at: Any = None) -> None:
        async with market.as_operator() as conn:
            made = await service.propose_policy(
                conn,
                "market_reference_age",
                value,
                effective_at=effective_at,
                proposal_id=an_id(key),
                reason="strict",
                actor=FIRST,
                now=NOW,
            )
            await service.approve(conn, made.id, actor=SECOND, now=NOW)

    await wanted({"warn_after_days": 10, "block_after_days": 20}, "strict")
    for value, key, at, refusal in (
        ({"warn_after_days": 0, "block_after_days": 20}, "a", None, PolicyWrong),
        ({"warn_after_days": 1, "block_after_days": 20}, "b", NOW - timedelta(days=1), PolicyWrong),
        ({"warn_after_days": 1, "block_after_days": 20}, "c", NOW, PolicyExists),
    ):
        with pytest.raises(refusal):
            await wanted(value, key, at)
    async with market.as_operator() as conn:
        assert (await service.reference_age(conn, now=NOW)).block_after_days == 20
        assert (await service.reference_age(conn, now=NOW - timedelta(seconds=1))).block_after_days == 180
        assert [name for name, _, _ in await service.policy_history(conn)] == ["market_reference_age"]
    with pytest.raises(MarketReferenceTooOld):
        async with market.as_operator() as conn:
            await published(conn, a_new_version(GPU, [gpu_price("1")], key="x", valid_from=None), now=TOMORROW)


async def test_a_reference_is_kept_with_its_proof(market: Market) -> None:
    on = date(2026, 3, 31)
    new = replace(
        MARKET[0],
        id=an_id("dollars"),
        amount_micro_yen=micro("477.6"),
        terms="on demand, Tokyo region, without support",
        foreign=ForeignPrice(
            currency="USD", amount=Decimal("3.2"), exchange_rate=Decimal("149.25"), source="a bank", on=on
        ),
        evidence=Evidence(name="価格表.pdf", sha256=bytes(range(32)), size_bytes=123_456),
    )
    async with market.as_operator() as conn:
        await service.record_market_reference(conn, new, now=NOW, actor=FIRST)
        await service.record_market_reference(conn, new, now=TOMORROW, actor=SECOND)
        assert new in await service.market_references(conn)
    price = replace(gpu_price("400"), market_reference_id=new.id)
    async with market.as_operator() as conn:
        done = await published(conn, a_new_version(GPU, [price], key="d", valid_from=TOMORROW), now=NOW)
    assert done.effect["warnings"] == []
    with pytest.raises(PriceNotBelowMarket):
        async with market.as_operator() as conn:
            dear = replace(price, price_micro_yen=micro("477.6"), list_micro_yen=micro("500"))
            await published(conn, a_new_version(GPU, [dear], key="e", valid_from=NOW + timedelta(days=2)), now=NOW)
    with pytest.raises(MarketReferenceUnknown):
        async with market.as_operator() as conn:
            strange = replace(price, market_reference_id=an_id("none"))
            await published(conn, a_new_version(GPU, [strange], key="f", valid_from=NOW + timedelta(days=2)), now=NOW)


async def test_a_slice_and_a_short_job_are_charged_as_they_were_quoted(market: Market) -> None:
    version = a_new_version(
        GPU,
        [gpu_price("300")],
        key="sliced",
        valid_from=TOMORROW,
        slice_below_gpus=4,
        slice_premium_bp=2_000,
        minimum_s=60,
    )
    async with market.as_operator() as conn:
        await published(conn, version, now=NOW)
    await market.grant("10000")
    quoted = await market.submit("a", size=JobSize(gpus=1, walltime_s=30), now=TOMORROW)
    assert quoted.ceiling_micro_yen == micro("6")  # 360 yen an hour, a minute
    ended = TOMORROW + timedelta(seconds=10)
    await market.use("a", gpu_usage("u", 10, started_at=TOMORROW, ended_at=ended), now=ended)
    await market.close("a", at=ended)
    (line,) = await market.database.owner.fetch("SELECT * FROM pricing.rated_line")
    assert (line["quantity"], line["charged_micro_yen"], line["list_micro_yen"], line["market_micro_yen"]) == (
        60,
        micro("6"),
        micro("8"),
        micro("500") // 60,
    )


async def test_an_offering_retires_when_it_was_said(market: Market) -> None:
    async with market.as_operator() as conn:
        await service.retire_offering(conn, QPU, at=TOMORROW, now=NOW, actor=FIRST)
    for again, refusal in ((QPU, OfferingRetired), ("nothing", UnknownOffering)):
        with pytest.raises(refusal):
            async with market.as_operator() as conn:
                await service.retire_offering(conn, again, at=TOMORROW, now=NOW)
    async with market.as_tenant() as conn:
        for now, sold in ((NOW, {GPU, QPU}), (TOMORROW, {GPU})):
            found = await service.offerings(conn, customer_class=CustomerClass.STARTUP, now=now)
            assert {each.offering.id for each in found} == sold
        (last,) = await service.published_prices(conn, offering_id=QPU)
    assert last.valid_until == TOMORROW


# -- promotions and the volume discount --------------------------------------------------------------------------------


async def _promoted(market: Market, key: str, **other: Any) -> UUID:
    new = Promotion(
        **{
            "id": an_id(key),
            "title_ja": "春のキャンペーン",
            "title_en": "Spring",
            "starts_at": TOMORROW,
            "ends_at": TOMORROW + timedelta(days=3),
            "percent_bp": 1_000,
            **other,
        }
    )
    async with market.as_operator() as conn:
        made = await service.propose_promotion(
            conn, new, proposal_id=an_id("proposal", key), reason="spring", actor=FIRST, now=NOW
        )
        await service.approve(conn, made.id, actor=SECOND, now=NOW)
    return new.id


async def _run(market: Market, job: str, at: Any) -> None:
    """An hour of one GPU: 330 yen."""
    ended = at + timedelta(hours=1)
    await market.submit(job, now=at)
    await market.use(job, gpu_usage(job, 3600, started_at=at, ended_at=ended), now=ended)
    await market.close(job, at=ended)


async def test_promotions_and_the_volume_discount_lower_a_month(market: Market) -> None:
    await market.pay_in("10000")
    spring = await _promoted(market, "spring", offering_id=GPU, customer_class=CustomerClass.STARTUP)
    await _promoted(market, "others", customer_class=CustomerClass.UNIVERSITY)
    async with market.as_operator() as conn:
        made = await service.propose_policy(
            conn,
            "volume_discount",
            {"tiers": [{"above_yen": "100", "percent_bp": 1_000}]},
            effective_at=None,
            proposal_id=an_id("tiers"),
            reason="contract",
            actor=FIRST,
            now=APRIL.since,
        )
        await service.approve(conn, made.id, actor=SECOND, now=APRIL.since)
    await _run(market, "before", TOMORROW - timedelta(minutes=30))  # submitted before the promotion, and ran into it
    await _run(market, "during", TOMORROW)
    await _run(market, "after", TOMORROW + timedelta(days=3))
    async with market.as_tenant() as conn:
        invoice = await service.draft_invoice(conn, market.organisation, month=APRIL, now=TOMORROW + timedelta(days=9))
    (group,) = invoice.groups
    assert [(line.extra, line.charged_micro_yen) for line in group.lines] == [
        (None, micro("990")),
        (PROMOTION, -micro("33")),
        (VOLUME, -micro("85.7")),
    ]
    assert (group.taxable_yen, group.tax_yen) == (871, 87)
    async with market.as_tenant() as conn:
        assert {each.id for each in await service.promotions(conn, now=TOMORROW)} == {spring, an_id("others")}


async def test_what_is_taken_off_stands_in_the_months_document_and_in_the_books(market: Market) -> None:
    await market.grant("100")
    await market.pay_in("121.5")
    await market.give_credit("5000")
    await _promoted(market, "spring", percent_bp=2_500)
    await _run(market, "granted", NOW)
    await _run(market, "during", TOMORROW)
    async with market.as_tenant() as conn:
        draft = await service.draft_invoice(conn, market.organisation, month=APRIL, now=APRIL.until)
    await close(market.database, APRIL)
    (found,) = await documents(market.database, market.organisation)
    (group,) = found.content["groups"]
    assert [(line["kind"], line["charged_yen"]) for line in group["lines"]] == [
        ("usage", 660),
        ("grant", -100),
        ("promotion", -70),  # a quarter of 330, of which the customer pays 560 ÷ 660 itself: 70 yen, cut to a micro-yen
    ]
    assert (found.amounts.total_yen, found.amounts.amount_due_yen) == (draft.total_yen, draft.amount_due_yen)
    async with market.as_worker() as conn:
        wrong = await ask(conn, closes.QUESTIONS, young_since=NOW)
        for each in await closes.closed_months(conn):
            wrong += check_close(each)
    assert wrong == []
    await house(market.database)  # sums to zero


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("title_ja", {"title_ja": " "}),
        ("percent", {"percent_bp": 0}),
        ("percent", {"month_micro_yen": 5}),
        ("percent", {"percent_bp": None}),
        ("month_yen", {"percent_bp": None, "month_micro_yen": -5}),
        ("starts_at", {"starts_at": NOW - timedelta(seconds=1)}),
        ("ends_at", {"ends_at": TOMORROW}),
        ("offering", {"offering_id": "nothing"}),
    ],
)
async def test_a_promotion_that_cannot_be_is_refused_by_name(market: Market, field: str, wrong: dict[str, Any]) -> None:
    with pytest.raises(Refusal) as refused:
        await _promoted(market, "wrong", **wrong)
    assert isinstance(refused.value, PromotionWrong | UnknownOffering)
    assert field in (refused.value.facts.get("field"), "offering")
