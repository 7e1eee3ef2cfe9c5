"""From ends and usage to the ledger, as the worker: late, twice, corrected."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from prometheus_client import REGISTRY

from pricing import service
from pricing.errors import LedgerConflict, UnknownAttempt
from pricing.loops import watch
from pricing.model import Ending, JobMoney, JobSize, UsageToRate
from pricing.units import micro, yen_text
from tests.support.market import NOW, QPU, Market, an_id, gpu_usage

AFTER = NOW + timedelta(hours=3)


async def _money(market: Market, job: object = "a") -> JobMoney:
    async with market.as_tenant() as conn:
        return (await service.charges_by_job(conn, [an_id("job", job)]))[an_id("job", job)]


async def _balance(market: Market, now: datetime = AFTER):
    async with market.as_tenant() as conn:
        return await service.balance(conn, market.organisation, now=now)


async def _house(market: Market) -> dict[str, str]:
    async with market.as_worker() as conn:
        rows = await conn.fetch(
            """SELECT bucket::text, sum(amount_micro_yen)::bigint AS amount FROM pricing.ledger_entry
               WHERE organisation_id IS NULL GROUP BY bucket HAVING sum(amount_micro_yen) <> 0"""
        )
    return {row["bucket"]: yen_text(row["amount"]) for row in rows}


async def _lines(market: Market) -> list[tuple[str, str, str, str | None]]:
    """quantity, price, charge (yen) and waiver of every line in the order of writing."""
    async with market.as_worker() as conn:
        rows = await conn.fetch(
            """SELECT quantity, price_micro_yen, charged_micro_yen, waiver FROM pricing.rated_line
               ORDER BY recorded_at, quantity > 0, attempt_id, piece, accounting_date"""
        )
    return [
        (
            f"{row['quantity'].normalize():f}",
            yen_text(row["price_micro_yen"]),
            yen_text(row["charged_micro_yen"]),
            row["waiver"],
        )
        for row in rows
    ]


async def test_what_ran_is_charged_and_the_rest_goes_back(market: Market) -> None:
    await market.pay_in("1000")
    await market.submit("a")
    await market.close("a")
    recorded = await market.use("a", gpu_usage("u", 1800))
    assert (recorded.settled, recorded.parked) == (True, [])
    assert await _money(market) == JobMoney(
        ceiling_micro_yen=micro("330"),
        expected_micro_yen=micro("330"),
        held_micro_yen=0,
        charged_micro_yen=micro("165"),
        settled=True,
    )
    assert (await _balance(market)).prepaid_micro_yen == micro("1000") - micro("181.5")
    assert await _house(market) == {"cash": "-1000", "earned": "165", "tax": "16.5"}


async def test_usage_may_come_before_the_end(market: Market) -> None:
    await market.grant("1000")
    await market.submit("a")
    assert not (await market.use("a", gpu_usage("u", 1800))).settled
    assert (await _money(market)).charged_micro_yen == 0
    await market.close("a")
    assert (await _money(market)).charged_micro_yen == micro("165")


async def test_usage_that_is_not_final_is_kept_and_not_charged(market: Market) -> None:
    await market.grant("1000")
    await market.submit("a")
    await market.use("a", gpu_usage("u", 100), final=False)
    await market.close("a")
    assert not (await market.use("a", gpu_usage("v", 200, supersedes="u"), final=False)).settled
    assert (await _money(market)).held_micro_yen == micro("330")
    assert await _lines(market) == []
    assert (await market.use("a", final=True)).settled
    assert await _lines(market) == [("200", "18.333333", "18.333333", None)]


async def test_without_accounting_nothing_is_charged_and_the_hold_stays_until_metering_says_there_is_none(
    market: Market,
) -> None:
    await market.grant("1000")
    await market.submit("a")
    await market.close("a", Ending.FAILED)
    assert ((await _money(market)).held_micro_yen, (await _money(market)).settled) == (micro("330"), False)
    assert (await market.use("a", final=True)).settled
    assert await _money(market) == JobMoney(
        ceiling_micro_yen=micro("330"),
        expected_micro_yen=micro("330"),
        held_micro_yen=0,
        charged_micro_yen=0,
        settled=True,
    )


@pytest.mark.parametrize("ending", [Ending.PREEMPTED, Ending.LOST, Ending.NEVER_RAN])
async def test_lost_work_is_settled_at_once_and_its_late_usage_recorded_at_nothing(
    market: Market, ending: Ending
) -> None:
    await market.grant("1000")
    await market.submit("a")
    await market.close("a", ending)
    assert (await _balance(market)).available_micro_yen == micro("1000")
    await market.use("a", gpu_usage("u", 1800))
    assert await _lines(market) == [("1800", "165", "0", ending.value)]
    assert (await _balance(market)).available_micro_yen == micro("1000")
    assert "earned" not in await _house(market)


async def test_a_requeued_job_draws_on_one_hold_and_pays_only_for_what_counted(market: Market) -> None:
    await market.pay_in("1000")
    await market.submit("a")
    await market.close("a", Ending.PREEMPTED, last=False)
    async with market.as_worker() as conn:
        await market.open_attempt(conn, "a", 2, now=NOW + timedelta(minutes=30))
    await market.use("a", gpu_usage("u", 1800))
    assert (await _money(market)).held_micro_yen == micro("363")
    await market.close("a", Ending.SUCCEEDED, ordinal=2, at=NOW + timedelta(hours=2))
    await market.use("a", gpu_usage("v", 3600), ordinal=2)
    money = await _money(market)
    assert (money.charged_micro_yen, money.held_micro_yen, money.settled) == (micro("330"), 0, True)


async def test_the_release_waits_for_the_usage_of_every_attempt(market: Market) -> None:
    await market.grant("1000")
    await market.submit("a")
    await market.close("a", Ending.FAILED, last=False)
    async with market.as_worker() as conn:
        await market.open_attempt(conn, "a", 2, now=NOW + timedelta(minutes=30))
    await market.close("a", Ending.SUCCEEDED, ordinal=2, at=NOW + timedelta(hours=2))
    await market.use("a", gpu_usage("v", 600), ordinal=2)
    assert not (await _money(market)).settled
    await market.use("a", gpu_usage("u", 1200))
    assert (await _money(market)).settled
    assert (await _money(market)).charged_micro_yen == micro("165")


async def test_nobody_pays_more_than_the_ceiling_the_rest_is_the_houses(market: Market) -> None:
    await market.pay_in("1000")
    await market.submit("a")
    await market.close("a", Ending.FAILED)
    await market.use("a", gpu_usage("u", 3630))
    assert await _lines(market) == [("3630", "332.75", "330", "beyond_ceiling")]
    assert (await _balance(market)).available_micro_yen == micro("1000") - micro("363")
    house = await _house(market)
    assert (house["earned"], house["overrun"], house["tax"]) == ("332.75", "-2.75", "33")


async def test_a_correction_before_the_release_moves_value_within_the_hold(market: Market) -> None:
    await market.grant("1000")
    await market.submit("a")
    await market.close("a", Ending.FAILED, last=False)
    async with market.as_worker() as conn:
        await market.open_attempt(conn, "a", 2, now=NOW + timedelta(minutes=30))
    await market.use("a", gpu_usage("u", 3600))
    await market.use("a", gpu_usage("v", 1200, supersedes="u"), now=AFTER)
    money = await _money(market)
    assert (money.charged_micro_yen, money.held_micro_yen) == (micro("110"), micro("220"))
    assert await _lines(market) == [
        ("3600", "330", "330", None),
        ("-3600", "-330", "-330", None),
        ("1200", "110", "110", None),
    ]


async def test_a_lower_count_after_the_release_is_refunded_to_the_lots_drawn_last(market: Market) -> None:
    await market.grant("100")
    await market.pay_in("110")
    await market.give_credit("1000")
    await market.submit("a")
    await market.close("a")
    await market.use("a", gpu_usage("u", 3600))  # 330: 100 granted; 230 + 23 tax: 110 prepaid, 143 on credit
    assert (await _balance(market)).owed_micro_yen == micro("143")
    await market.use("a", gpu_usage("v", 1800, supersedes="u"))  # 165: 100 granted; 65 + 6.5 tax: 71.5 prepaid
    balance = await _balance(market)
    assert (balance.owed_micro_yen, balance.prepaid_micro_yen, balance.credit_micro_yen, balance.grants_micro_yen) == (
        0,
        micro("38.5"),
        micro("1000"),
        0,
    )


async def test_a_higher_count_after_the_release_is_the_houses(market: Market) -> None:
    await market.pay_in("1000")
    await market.submit("a")
    await market.close("a")
    await market.use("a", gpu_usage("u", 1800))
    before = await _balance(market)
    await market.use("a", gpu_usage("v", 2400, supersedes="u"))
    assert await _balance(market) == before
    house = await _house(market)
    assert (house["earned"], house["overrun"]) == ("220", "-55")
    assert (await _lines(market))[-1][2:] == ("165", "late_correction")


async def test_a_correction_that_overtakes_what_it_corrects_counts(market: Market) -> None:
    await market.grant("1000")
    await market.submit("a")
    await market.close("a")
    await market.use("a", gpu_usage("v", 1200, supersedes="u"))
    await market.use("a", gpu_usage("u", 3600))
    assert (await _money(market)).charged_micro_yen == micro("110")


async def test_every_call_may_come_twice_and_at_the_same_moment(market: Market) -> None:
    await market.grant("1000")
    await market.submit("a")
    calls = [market.close("a") for _ in range(4)] + [market.use("a", gpu_usage("u", 1800)) for _ in range(4)]
    await asyncio.gather(*calls)
    assert (await _money(market)).charged_micro_yen == micro("165")
    assert len(await _lines(market)) == 1
    async with market.as_worker() as conn:
        posted = await conn.fetch("SELECT template, count(*) FROM pricing.ledger_transaction GROUP BY 1 ORDER BY 1")
    assert [tuple(row) for row in posted] == [("hold", 1), ("issue_grant", 1), ("release", 1), ("settle", 1)]


async def test_a_fact_that_contradicts_an_earlier_one_is_loud(market: Market) -> None:
    await market.grant("1000")
    await market.submit("a")
    await market.use("a", gpu_usage("u", 1800))
    with pytest.raises(LedgerConflict):
        await market.use("a", gpu_usage("u", 1801))
    await market.close("a")
    with pytest.raises(LedgerConflict):
        await market.close("a", Ending.LOST)
    assert (await _money(market)).charged_micro_yen == micro("165")


async def test_usage_of_an_attempt_that_was_never_opened_is_loud(market: Market) -> None:
    with pytest.raises(UnknownAttempt):
        await market.use("nobody", gpu_usage("u", 1))
    with pytest.raises(UnknownAttempt):
        await market.close("nobody")
    async with market.as_worker() as conn:
        assert await service.billing_of(conn, an_id("attempt", "nobody", 1)) is None


async def test_usage_without_a_price_is_parked_and_its_attempt_waits_for_a_decision(market: Market) -> None:
    await market.grant("1000")
    await market.submit("a")
    await market.close("a")
    stray = gpu_usage("stray", 5, component="qpu_s")
    recorded = await market.use("a", gpu_usage("u", 1800), stray)
    assert (recorded.parked, recorded.settled) == ([stray.usage_record_id], False)
    async with market.as_worker() as conn:
        parked = await conn.fetch("SELECT usage_record_id, reason, resolved_at FROM pricing.parked_usage")
    assert [tuple(row) for row in parked] == [(stray.usage_record_id, "no-price-for-component", None)]
    assert not (await _money(market)).settled
    async with market.as_worker() as conn:
        await service.waive_parked(conn, usage_record_id=stray.usage_record_id, now=AFTER)
    money = await _money(market)
    assert (money.charged_micro_yen, money.settled) == (micro("165"), True)


async def test_operators_hear_of_what_is_parked_or_overdue(market: Market) -> None:
    await market.grant("1000")
    await market.submit("a")
    await market.close("a")
    await market.use("a", gpu_usage("stray", 5, component="qpu_s"))
    assert await watch.tick(market.database.worker, None, NOW + timedelta(hours=2)) == 0
    assert _gauges() == (1, 1)
    async with market.as_worker() as conn:
        await service.waive_parked(conn, usage_record_id=an_id("usage", "stray"), now=AFTER)
    await watch.tick(market.database.worker, None, NOW + timedelta(hours=2))
    assert _gauges() == (0, 0)


def _gauges() -> tuple[float | None, float | None]:
    sample = REGISTRY.get_sample_value
    return sample("kyoyo_parked_usage"), sample("kyoyo_unsettled_attempts")


async def test_a_correction_that_takes_the_place_of_parked_usage_ends_the_wait(market: Market) -> None:
    await market.grant("1000")
    await market.submit("a")
    await market.close("a")
    await market.use("a", gpu_usage("stray", 5, component="qpu_s"))
    assert (await market.use("a", gpu_usage("u", 1800, supersedes="stray"))).settled


async def test_cpu_time_is_part_of_the_gpus_price(market: Market) -> None:
    await market.grant("1000")
    await market.submit("a")
    await market.close("a")
    recorded = await market.use("a", gpu_usage("u", 1800), gpu_usage("c", 7200, component="cpu_s"))
    assert (recorded.parked, recorded.settled) == ([], True)
    assert (await _money(market)).charged_micro_yen == micro("165")


async def test_a_quantum_job_pays_for_service_time_and_shots(market: Market) -> None:
    await market.grant("1000")
    await market.submit("q", size=JobSize(walltime_s=600, shots=4000), offering_id=QPU)
    await market.close("q", at=NOW + timedelta(seconds=3))
    ended = NOW + timedelta(seconds=3)
    await market.use(
        "q",
        gpu_usage("time", "3", component="qpu_s", ended_at=ended),
        gpu_usage("shots", 4000, component="shot", ended_at=ended),
    )
    assert (await _money(market, "q")).charged_micro_yen == micro("500")


async def test_a_job_over_midnight_has_a_line_on_each_day(market: Market) -> None:
    await market.grant("1000")
    await market.submit("a")
    midnight = datetime(2026, 4, 1, 15, tzinfo=UTC)
    over = UsageToRate(
        usage_record_id=an_id("over"),
        component="gpu_s",
        quantity=Decimal(3600),
        started_at=midnight - timedelta(minutes=20),
        ended_at=midnight + timedelta(minutes=40),
    )
    await market.close("a", at=over.ended_at)
    await market.use("a", over, now=over.ended_at)
    async with market.as_tenant() as conn:
        lines = await conn.fetch(
            "SELECT accounting_date, quantity, charged_micro_yen FROM pricing.rated_line ORDER BY accounting_date"
        )
    assert [tuple(line) for line in lines] == [
        (date(2026, 4, 1), Decimal(1200), micro("110")),
        (date(2026, 4, 2), Decimal(2400), micro("220")),
    ]


async def test_a_grant_that_lapses_while_held_serves_its_job_and_what_is_left_lapses(market: Market) -> None:
    await market.grant("400", expires_at=NOW + timedelta(minutes=30))
    await market.submit("a")
    async with market.as_worker() as conn:
        later = NOW + timedelta(minutes=40)
        assert await service.expire_lots(conn, organisation_id=market.organisation, now=later) == 1
    await market.close("a")
    await market.use("a", gpu_usage("u", 1800))
    assert (await _money(market)).charged_micro_yen == micro("165")
    house = await _house(market)
    assert (house["earned"], house["expired"]) == ("165", "235")  # 70 when it lapsed, 165 when the hold was released
    async with market.as_worker() as conn:
        assert await service.expire_lots(conn, organisation_id=market.organisation, now=AFTER) == 0


async def test_a_settlement_counts_when_the_attempt_ended_and_a_correction_when_it_came(market: Market) -> None:
    await market.grant("1000")
    await market.submit("a")
    await market.close("a")
    await market.use("a", gpu_usage("u", 1800))
    await market.use("a", gpu_usage("v", 600, supersedes="u"), now=AFTER)
    async with market.as_tenant() as conn:
        rows = await conn.fetch("SELECT template, effective_at FROM pricing.ledger_transaction ORDER BY recorded_at")
    assert {row["template"]: row["effective_at"] - NOW for row in rows} == {
        "issue_grant": timedelta(0),
        "hold": timedelta(0),
        "settle": timedelta(hours=1),
        "release": timedelta(hours=1),
        "refund": timedelta(hours=3),
    }
