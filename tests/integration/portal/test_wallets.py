"""Limits, notices, outlook, what lapses and what may be given out: over HTTP, on PostgreSQL, as the real roles."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from infra.tokyo import TOKYO
from pricing.loops import expire, notices
from tests.integration.portal.test_submission_refusals import refused
from tests.support.market import NOW, an_id
from tests.support.portal_world import ALPHA, BETA, OPERATOR, PEOPLE, SECOND, World, key, training

API = "/api/v1"


async def test_a_limit_stops_new_jobs_of_its_project_and_is_seen_by_nobody_else(world: World) -> None:
    await world.market.pay_in("10000")
    limit = {"project": "default", "period": "month", "limit_yen": 500, "reason": "試行"}
    async with world.client(ALPHA) as http:
        tried = await http.post(f"{API}/budgets?dry_run=true", json=limit, headers=key("dry"))
        none = (await http.get(f"{API}/budgets")).json()["items"]
        made = await http.post(f"{API}/budgets", json=limit, headers=key("b"))
        again = await http.post(f"{API}/budgets", json=limit, headers=key("b"))
        first = await http.post(f"{API}/jobs", json=training(), headers=key("1"))  # may cost 330 yen
        second = await http.post(f"{API}/jobs", json=training(), headers=key("2"))
        (seen,) = (await http.get(f"{API}/budgets")).json()["items"]
        await notices.tick(world.database.worker, None, world.clock.now)
        async with world.client(BETA) as stranger:
            theirs = [(await stranger.get(f"{API}/{what}")).json()["items"] for what in ("budgets", "notices")]
        other = await http.post(f"{API}/budgets", json=limit | {"limit_yen": 5}, headers=key("b"))
        lifted = await http.post(f"{API}/budgets", json=limit | {"limit_yen": None}, headers=key("l"))
        after = await http.post(f"{API}/jobs", json=training(), headers=key("2"))
    assert [each.status_code for each in (tried, made, again, first, after)] == [201] * 5
    assert none == []
    assert len(tried.json()["items"]) == 1, "a dry run tells what would be"
    assert refused(second) == (402, "budget-exceeded")
    assert (seen["project"], seen["held_yen"], seen["charged_yen"], seen["left_yen"]) == ("default", "330", "0", "170")
    assert theirs == [[], []]
    assert refused(other) == (409, "already-booked"), "a key stands for what it was first sent with"
    assert lifted.json()["items"] == []


async def test_a_limit_names_what_it_cannot_be(world: World) -> None:
    good = {"period": "month", "limit_yen": 5, "reason": "x"}
    async with world.client(ALPHA) as http:
        wrong = [
            (good | {"project": "nowhere"}, "project-not-found"),
            (good | {"person_id": str(PEOPLE[BETA][0])}, "person-not-found"),
            (good | {"limit_yen": -1}, "invalid-request"),
            (good | {"limit_yen": 10**13}, "invalid-request"),
            (good | {"period": "week"}, "invalid-request"),
            (good | {"reason": ""}, "invalid-request"),
        ]
        for number, (body, code) in enumerate(wrong):
            assert refused(await http.post(f"{API}/budgets", json=body, headers=key(str(number))))[1] == code
        assert (await http.get(f"{API}/budgets")).json()["items"] == []
    member = await world.token(ALPHA, scopes=["jobs:read"])
    async with world.client(member) as http:
        assert refused(await http.post(f"{API}/budgets", json=good, headers=key()))[1] == "scope-missing"


async def test_value_is_told_of_as_it_runs_out_and_once(world: World) -> None:
    await world.market.grant("400", expires_at=NOW + timedelta(days=5))
    async with world.client(ALPHA) as http:
        await http.post(f"{API}/jobs", json=training(), headers=key())  # 330 of 400 are held
        told = [await notices.tick(world.database.worker, None, world.clock.now) for _ in range(2)]
        seen = (await http.get(f"{API}/notices")).json()["items"]
        outlook = (await http.get(f"{API}/outlook")).json()
    assert told == [2, 0]
    facts = {each["kind"]: each["facts"] for each in seen}
    assert (facts["wallet_used"]["percent"], facts["wallet_used"]["left_yen"]) == ("75", "70")
    assert (facts["value_lapses"]["days"], facts["value_lapses"]["left_yen"]) == ("7", "70")
    assert (outlook["available_yen"], outlook["exhausted_on"], outlook["lapsing_yen"]) == ("70", None, "70")


async def test_prepaid_value_lapses_in_under_six_months_and_the_law_sees_it_until_then(world: World) -> None:
    paid = {"amount_yen": "12000000", "reason": "振込"}
    base = f"{API}/organisations/{PEOPLE[ALPHA][1]}"
    lasting = await world.token(OPERATOR, expires_in=timedelta(days=360))
    async with world.client(lasting) as http:
        assert (await http.post(f"{base}/payments", json=paid, headers=key("p"))).status_code == 201
        day = NOW.astimezone(TOKYO).date()
        now, before = [
            (await http.get(f"{API}/prepaid-balance", params={"on": str(on)})).json()
            for on in (day, day - timedelta(days=1))
        ]
        world.clock.now = NOW + timedelta(days=200)
        lapsed = await expire.tick(world.database.worker, None, world.clock.now)
        again = await http.post(f"{base}/payments", json=paid, headers=key("p"))
        later = (await http.get(f"{API}/prepaid-balance", params={"on": str(day + timedelta(days=200))})).json()
        default = (await http.get(f"{API}/prepaid-balance")).json()
    assert (now["exempt_yen"], now["counted_yen"], now["must_notify"], now["warns"]) == ("12000000", "0", False, True)
    assert (before["exempt_yen"], before["warns"]) == ("0", False)
    assert lapsed == 1
    assert again.json()["available_yen"] == "0", "the same payment again books nothing, and brings nothing back"
    assert later["exempt_yen"] == "0"
    assert default["is_base_date"]


async def test_nothing_is_granted_that_the_machines_cannot_deliver(world: World) -> None:
    base = f"{API}/organisations/{PEOPLE[ALPHA][1]}"
    grant = {"amount_yen": "1000", "reason": "採択", "expires_at": (NOW + timedelta(days=9)).isoformat()}
    async with world.client(OPERATOR) as http:
        free = (await http.get(f"{API}/issuance")).json()
        some = {"resource_type": "gpu:demo", "component": "gpu_s", "per_hour": 1, "reason": "検証機のみ"}
        unsold = await http.post(
            f"{API}/issuance/deliverable", json=some | {"resource_type": "gpu:other"}, headers=key("o")
        )
        tried = await http.post(f"{API}/issuance/deliverable?dry_run=true", json=some, headers=key("d"))
        assert (
            await http.post(f"{base}/grants/proposals?dry_run=true", json=grant, headers=key("t"))
        ).status_code == 201
        said = await http.post(f"{API}/issuance/deliverable", json=some, headers=key("d"))
        other = await http.post(f"{API}/issuance/deliverable", json=some | {"per_hour": 2}, headers=key("d"))
        too_much = await http.post(f"{base}/grants/proposals", json=grant, headers=key("g"))
        enough = await http.post(f"{base}/grants/proposals", json=grant | {"amount_yen": "0.5"}, headers=key("e"))
    assert free["deliverable_yen"] is None
    assert refused(unsold) == (422, "nothing-sold-of-it")
    assert tried.json() == said.json()
    assert refused(other) == (409, "already-booked")
    assert datetime.fromisoformat(said.json()["until"]) == datetime(2027, 3, 31, 15, tzinfo=UTC)
    assert refused(too_much) == (409, "more-than-deliverable")
    async with world.client(SECOND) as http:
        approved = await http.post(f"{API}/proposals/{enough.json()['id']}/approve", json={})
        twice = await http.post(f"{API}/proposals/{enough.json()['id']}/approve", json={})
    assert approved.json()["decision"]["effect"]["available_yen"] == "0.5"
    assert twice.status_code == 200
    rows = await world.database.owner.fetch(
        "SELECT purpose::text AS purpose FROM pricing.lot WHERE organisation_id = $1", an_id("organisation", ALPHA)
    )
    assert [row["purpose"] for row in rows] == ["subsidy"]
