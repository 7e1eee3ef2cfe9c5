"""Invoices that are open, payments, cases and Stripe's events over HTTP, and on the server itself."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from typer.testing import CliRunner

from portal.app import create_app
from portal.payments import payments as app
from pricing.payments import CaseKind
from pricing.service import receiving
from tests.integration.portal.test_submission_refusals import refused
from tests.support.collecting import LATER, House
from tests.support.fake_stripe.house import OLDER_SECRET, SECRET
from tests.support.market import an_id
from tests.support.portal_world import ALPHA, BETA, OPERATOR, SECOND, World, key

API = "/api/v1"
EVENTS = f"{API}/stripe/events"


async def _with_stripe(world: World, *secrets: str) -> House:
    """The month is over."""
    world.clock.now = LATER
    for who in (ALPHA, BETA, OPERATOR, SECOND):
        world.tokens[who] = await world.token(who, expires_in=timedelta(days=90))
    world.deps = replace(world.deps, webhook_secrets=secrets, address="https://kyoyo.test")
    world.app = create_app(world.deps)
    return House.of(world.market)


async def _post(world: World, body: bytes, header: str | None) -> tuple[int, str]:
    async with world.client(None) as http:
        signed = {} if header is None else {"Stripe-Signature": header}
        answer = await http.post(EVENTS, content=body, headers={"Content-Type": "application/json", **signed})
    return (200, "") if answer.status_code == 200 else refused(answer)


async def test_events_are_taken_under_either_secret_once_and_no_others(world: World) -> None:
    house = await _with_stripe(world, SECRET, OLDER_SECRET)
    await house.invoice(1000)
    await house.collect()
    house.fake.transfer(house.customer_of(), 1100)
    [*_, paid] = house.fake.mail()
    for secret in (SECRET, OLDER_SECRET):
        assert await _post(world, paid, house.fake.signature(paid, at=LATER, secrets=[secret])) == (200, "")
    wrong = house.fake.signature(paid, at=LATER, secrets=["whsec_other"])
    for body, header in ((paid, None), (paid, wrong), (paid + b" ", house.fake.signature(paid, at=LATER))):
        assert await _post(world, body, header) == (400, "webhook-refused")
    old = house.fake.signature(paid, at=LATER - timedelta(hours=1))
    assert await _post(world, paid, old) == (400, "webhook-refused")
    assert await world.database.owner.fetchval("SELECT count(*) FROM pricing.inbox") == 1
    await house.deliver([])
    async with world.client() as http:
        mine = (await http.get(f"{API}/receivables")).json()
        [payment] = (await http.get(f"{API}/payments")).json()["items"]
    assert (mine["stage"], [each["open_yen"] for each in mine["items"]]) == ("good", ["0"])
    assert (payment["method"], payment["amount_yen"]) == ("bank_transfer", "1100")
    async with world.client(BETA) as http:
        assert (await http.get(f"{API}/payments")).json()["items"] == []


async def test_without_stripe_there_are_no_events_and_no_cards(world: World) -> None:
    assert await _post(world, b"{}", "t=1,v1=2") == (404, "stripe-off")
    async with world.client() as http:
        answer = await http.post(f"{API}/top-ups", json={"amount_yen": 1000}, headers=key())
        strange = await http.get(f"{API}/top-ups/{an_id('none')}")
    assert refused(answer) == (404, "stripe-off")
    assert refused(strange) == (404, "top-up-not-found")


async def test_a_customer_pays_in_by_card_and_two_operators_pay_it_back(world: World) -> None:
    house = await _with_stripe(world, SECRET)
    async with world.client() as http:
        tiny = await http.post(f"{API}/top-ups", json={"amount_yen": 49}, headers=key("tiny"))
        begun = [await http.post(f"{API}/top-ups", json={"amount_yen": 3000}, headers=key("k")) for _ in range(2)]
        await house.collect()
        asked = (await http.get(f"{API}/top-ups/{begun[0].json()['id']}")).json()
    assert refused(tiny) == (422, "top-up-out-of-range")
    assert [each.status_code for each in begun] == [201, 201]
    assert begun[0].json()["pay_url"] is None
    assert asked["pay_url"].startswith("https://checkout.stripe.test/")
    house.fake.pay_checkout(house.fake.of("checkout.session")[0]["id"])
    await house.deliver()
    async with world.client(OPERATOR) as http:
        [payment] = (await http.get(f"{API}/collection/payments")).json()["items"]
        refunds = f"{API}/collection/payments/{payment['id']}/refunds"
        much = await http.post(refunds, json={"amount_yen": 3001, "reason": "x"}, headers=key("much"))
        made = (await http.post(refunds, json={"amount_yen": 1000, "reason": "返金"}, headers=key("r"))).json()
    assert refused(much) == (422, "payment-refund-too-large")
    async with world.client(SECOND) as http:
        done = await http.post(f"{API}/proposals/{made['id']}/approve", json={})
    assert done.status_code == 200, done.text
    await house.collect()
    assert [each["amount"] for each in house.fake.of("refund")] == [1000]
    async with world.client() as http:
        assert (await http.get(f"{API}/balance")).json()["prepaid_yen"] == "2000"


async def test_an_operator_marks_what_came_elsewhere_and_ends_cases(world: World) -> None:
    house = await _with_stripe(world)
    number = await house.invoice(1000)
    async with world.market.as_worker() as conn:
        await receiving.open_case(
            conn,
            CaseKind.UNMATCHED,
            "pi_1",
            case_id=an_id("case"),
            organisation_id=None,
            amount_yen=700,
            now=LATER,
        )
    told = {"amount_yen": 1100, "reference": "みずほ 0531-77", "paid_at": "2026-05-29T10:00:00+09:00"}
    paid = f"{API}/collection/receivables/{number}/paid"
    resolve = f"{API}/collection/cases/{an_id('case')}/resolve"
    async with world.client(OPERATOR) as http:
        dry = await http.post(paid, json=told, params={"dry_run": True})
        [still] = (await http.get(f"{API}/collection/receivables")).json()["items"]
        more = await http.post(paid, json={**told, "amount_yen": 1101})
        marked = [(await http.post(paid, json=told)).json()["open_yen"] for _ in range(2)]
        none = await http.post(f"{API}/collection/receivables/INV-1/paid", json=told)
        unfit = await http.post(resolve, json={"resolution": "taken", "reason": "?"})
        ended = (await http.post(resolve, json={"resolution": "explained", "reason": "社内振替"})).json()
        cases = (await http.get(f"{API}/collection/cases")).json()["items"]
        night = (await http.get(f"{API}/collection/reconciliation")).json()
    assert (dry.json()["open_yen"], still["open_yen"], marked) == ("0", "1100", ["0", "0"])
    assert [refused(each) for each in (more, none, unfit)] == [
        (422, "more-than-open"),
        (404, "receivable-not-found"),
        (422, "resolution-unfit"),
    ]
    assert (ended["resolution"], cases, night["day"]) == ("explained", [], None)
    async with world.client(ALPHA) as http:
        assert refused(await http.get(f"{API}/collection/cases"))[0] == 403


async def test_the_same_on_the_server_itself(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    number = await (await _with_stripe(world)).invoice(1000)
    monkeypatch.setenv("KYOYO_DATABASE_URL", world.database.url)
    monkeypatch.delenv("KYOYO_STRIPE_KEY_FILE", raising=False)

    def kyoyod(*words: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, words)
        return done.exit_code, done.output

    mark = ("paid", number, "1100", "--reference", "b1", "--at", "2026-05-29T10:00:00+09:00")
    runs = [("open",), (*mark, "--dry-run"), mark, mark, ("open",), ("cases",), ("reconcile",)]
    told = [await asyncio.to_thread(kyoyod, *words) for words in runs]
    assert told[0][1].startswith(f"{number}  2026-05-31  1100  1100")
    assert [output.strip() for _, output in told[1:4]] == [
        f"would leave ¥0 of {number} open",
        f"leaves ¥0 of {number} open",
        f"leaves ¥0 of {number} open",
    ]
    assert [code for code, _ in told] == [0, 0, 0, 0, 0, 0, 2]
    assert "KYOYO_STRIPE_KEY_FILE" in told[-1][1]
