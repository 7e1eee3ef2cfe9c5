"""Statement, draft invoice and figures, read as the roles that read them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from infra.db.connection import Role, transaction
from pricing import service
from pricing.days import Month
from pricing.figures import DiscountTotals
from pricing.invoicing import Invoice
from pricing.ledger.templates import Template
from pricing.model import Component, Ending, JobSize, UsageToRate
from pricing.statement import Position, Statement, Totals
from pricing.units import micro
from tests.support.market import NOW, QPU, Market, an_id, gpu_usage

APRIL, MAY = Month(2026, 4), Month(2026, 5)
END_OF_APRIL = datetime(2026, 4, 30, 15, tzinfo=UTC)
AFTER = END_OF_APRIL + timedelta(days=1)


async def _statement(market: Market, month: Month = APRIL) -> Statement:
    async with market.as_tenant() as conn:
        return await service.statement(conn, market.organisation, month=month)


async def _invoice(market: Market, month: Month = APRIL) -> Invoice:
    async with market.as_tenant() as conn:
        return await service.draft_invoice(conn, market.organisation, month=month, now=AFTER)


async def _run(market: Market, job: object, seconds: int, ending: Ending = Ending.SUCCEEDED) -> None:
    await market.submit(job)
    await market.close(job, ending)
    await market.use(job, gpu_usage(("usage", job), seconds))


async def test_a_statement_tells_the_month_and_proves_itself(market: Market) -> None:
    await market.grant("100")
    await market.pay_in("110")
    await market.give_credit("1000")
    await _run(market, "a", 3600)  # 330: 100 granted, 110 prepaid and 143 on credit with tax
    await market.submit("b")
    statement = await _statement(market)
    assert statement.balanced
    assert statement.opening == Position(available_micro_yen=0, held_micro_yen=0, owed_micro_yen=0)
    assert statement.closing == Position(
        available_micro_yen=micro("1000") - micro("143") - micro("363"),
        held_micro_yen=micro("363"),
        owed_micro_yen=micro("143"),
    )
    assert statement.totals == Totals(
        granted_micro_yen=micro("100"),
        paid_in_micro_yen=micro("110"),
        credit_used_micro_yen=micro("143") + micro("363"),
        used_micro_yen=micro("353"),
        expired_micro_yen=0,
        refunded_micro_yen=0,
        held_micro_yen=micro("363"),
        remaining_micro_yen=0,
    )
    assert sorted(entry.kind for entry in statement.entries) == sorted(
        [
            Template.ISSUE_GRANT,
            Template.RECEIVE_PAYMENT,
            Template.OPEN_CREDIT_LINE,
            Template.HOLD,
            Template.SETTLE,
            Template.HOLD,
        ]
    )


async def test_the_next_month_opens_as_the_last_one_closed(market: Market) -> None:
    await market.grant("500", expires_at=END_OF_APRIL + timedelta(days=2))
    await _run(market, "a", 1800)
    async with market.as_worker() as conn:
        await service.expire_lots(conn, organisation_id=market.organisation, now=AFTER + timedelta(days=3))
    april, may = await _statement(market), await _statement(market, MAY)
    assert may.opening == april.closing
    assert [entry.kind for entry in may.entries] == [Template.EXPIRE]
    assert (may.totals.expired_micro_yen, may.totals.remaining_micro_yen) == (micro("335"), 0)
    assert april.balanced
    assert may.balanced


async def test_another_organisation_gets_an_empty_statement(market: Market) -> None:
    await market.grant("500")
    stranger = await market.add_organisation("beta")
    async with market.as_tenant(stranger) as conn:
        statement = await service.statement(conn, market.organisation, month=APRIL)
        invoice = await service.draft_invoice(conn, market.organisation, month=APRIL, now=AFTER)
    assert (statement.entries, statement.closing.available_micro_yen, invoice.total_yen) == ((), 0, 0)


async def test_an_invoice_has_a_line_per_offering_and_component_and_one_for_the_grant(market: Market) -> None:
    await market.grant("100")
    await market.give_credit("5000")
    await _run(market, "a", 1800)
    await _run(market, "b", 900)
    await market.submit("q", size=JobSize(walltime_s=60, shots=1000), offering_id=QPU)
    await market.close("q", at=NOW + timedelta(seconds=3))
    await market.use("q", gpu_usage("t", "2.25", component="qpu_s"), gpu_usage("s", 1000, component="shot"))
    invoice = await _invoice(market)
    (group,) = invoice.groups
    shown = [
        (line.offering_id, line.component, line.quantity, line.list_yen, line.discount_yen, line.charged_yen)
        for line in group.lines
    ]
    assert shown == [
        ("gpu-demo", Component.GPU_S, Decimal(2700), 300, 52, 248),  # 247.5: of equal remainders the first
        ("qpu-demo", Component.QPU_S, Decimal("2.25"), 495, 158, 337),  # 337.5
        ("qpu-demo", Component.SHOT, Decimal(1000), 20, 8, 12),  # 12.5
        (None, None, None, 0, 0, -100),
    ]
    assert (invoice.subtotal_yen, invoice.tax_yen, invoice.total_yen) == (497, 49, 546)
    assert (invoice.prepaid_applied_yen, invoice.amount_due_yen, invoice.open_jobs) == (0, 546, 0)


async def test_a_waived_charge_is_shown_as_waived(market: Market) -> None:
    await market.give_credit("5000")
    await _run(market, "a", 1800, Ending.PREEMPTED)
    (group,) = (await _invoice(market)).groups
    (line,) = group.lines
    assert (line.list_yen, line.discount_yen, line.waived_yen, line.charged_yen) == (200, 35, 165, 0)


async def test_a_job_over_the_end_of_the_month_is_on_both_invoices_and_its_grant_on_the_first(market: Market) -> None:
    await market.grant("200")
    await market.give_credit("5000")
    begun = END_OF_APRIL - timedelta(minutes=30)
    await market.submit("a", now=begun)
    over = UsageToRate(
        usage_record_id=an_id("over"),
        component="gpu_s",
        quantity=Decimal(3600),
        started_at=begun,
        ended_at=begun + timedelta(hours=1),
    )
    assert (await _invoice(market)).open_jobs == 1
    await market.close("a", at=over.ended_at)
    await market.use("a", over, now=over.ended_at)
    april, may = await _invoice(market), await _invoice(market, MAY)
    assert (april.total_yen, april.open_jobs) == (0, 0)  # 165 of the grant's 200
    assert (may.subtotal_yen, may.total_yen, may.amount_due_yen) == (130, 143, 143)  # 165 − 35


async def test_prepaid_value_is_applied_and_the_rest_is_due(market: Market) -> None:
    await market.pay_in("110")
    await market.give_credit("5000")
    await _run(market, "a", 3600)
    invoice = await _invoice(market)
    assert (invoice.total_yen, invoice.prepaid_applied_yen, invoice.amount_due_yen) == (363, 110, 253)
    async with market.as_tenant() as conn:
        assert (await service.balance(conn, market.organisation, now=AFTER)).owed_micro_yen == micro("253")


async def test_a_corrected_record_is_on_the_invoice_once(market: Market) -> None:
    await market.give_credit("5000")
    await _run(market, "a", 3600)
    await market.use("a", gpu_usage("v", 1800, supersedes=("usage", "a")), now=AFTER)
    (group,) = (await _invoice(market)).groups
    assert [(line.quantity, line.charged_yen) for line in group.lines] == [(Decimal(1800), 165)]


async def test_a_draft_posts_nothing(market: Market) -> None:
    await market.give_credit("5000")
    await _run(market, "a", 3600)
    async with market.as_worker() as conn:
        before = await conn.fetchval("SELECT count(*) FROM pricing.ledger_transaction")
    await _invoice(market)
    async with market.as_worker() as conn:
        assert await conn.fetchval("SELECT count(*) FROM pricing.ledger_transaction") == before


async def test_the_discount_is_a_sum_that_an_officer_can_read_as_known_at_a_time(market: Market) -> None:
    await market.grant("1000")
    await _run(market, "a", 3600)
    await _run(market, "b", 1800, Ending.LOST)
    async with transaction(market.database.portal, role=Role.OFFICER) as conn:
        (totals,) = await service.discount_totals(
            conn, since=date(2026, 4, 1), until=date(2026, 5, 1), as_known_at=AFTER
        )
        before = await service.discount_totals(conn, since=date(2026, 4, 1), until=date(2026, 5, 1), as_known_at=NOW)
    assert totals == DiscountTotals(
        organisation_id=market.organisation,
        list_micro_yen=micro("600"),
        market_micro_yen=micro("750"),
        price_micro_yen=micro("495"),
        charged_micro_yen=micro("330"),
    )
    assert (totals.discount_micro_yen, totals.waived_micro_yen) == (micro("105"), micro("165"))
    assert before == []
