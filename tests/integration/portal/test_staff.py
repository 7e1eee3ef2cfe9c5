"""The operator's and the officer's side of the API."""

from __future__ import annotations

import csv
import io
from datetime import timedelta

import pytest

from tests.integration.portal.test_submission_refusals import refused
from tests.support.market import NOW
from tests.support.portal_world import OFFICER, OPERATOR, SECOND, World, key, training

API = "/api/v1"
NEW = {
    "slug": "minato",
    "name": "みなと精密工業",
    "customer_class": "startup",
    "declaration_valid_until": (NOW + timedelta(days=100)).isoformat(),
    "owner": {"display_name": "伊藤 実", "email": "minoru@example.jp"},
}


async def test_an_operator_brings_a_startup_from_nothing_to_its_first_job(world: World) -> None:
    async with world.client(OPERATOR) as operator:
        made = (await operator.post(f"{API}/organisations", json=NEW)).json()
        base = f"{API}/organisations/{made['id']}"
        grant = {"amount_yen": "1000.5", "reason": "採択", "expires_at": (NOW + timedelta(days=90)).isoformat()}
        proposed = await operator.post(f"{base}/grants/proposals", json=grant, headers=key("g"))
        again = await operator.post(f"{base}/grants/proposals", json=grant, headers=key("g"))
        alone = await operator.post(f"{API}/proposals/{proposed.json()['id']}/approve", json={})
        async with world.client(SECOND) as second:
            granted = await second.post(f"{API}/proposals/{proposed.json()['id']}/approve", json={})
        paid = await operator.post(f"{base}/payments", json={"amount_yen": "500", "reason": "振込"}, headers=key("p"))
        credit = await operator.post(f"{base}/credit", json={"amount_yen": "200", "reason": "契約"}, headers=key("c"))
        issued = await operator.post(
            f"{base}/tokens",
            json={"person_id": made["owner_id"], "label": "first", "scopes": ["jobs:read", "jobs:write", "money:read"]},
        )
    assert [each.status_code for each in (proposed, again, granted, paid, credit, issued)] == [
        201,
        201,
        200,
        *[201] * 3,
    ]
    assert again.json() == proposed.json()
    assert refused(alone) == (403, "own-proposal")
    assert granted.json()["decision"]["effect"]["available_yen"] == "1000.5"
    assert [each.json()["available_yen"] for each in (paid, credit)] == ["1500.5", "1700.5"]
    async with world.client(issued.json()["token"]) as http:
        job = await http.post(f"{API}/jobs", json=training(), headers=key())
        balance = (await http.get(f"{API}/balance")).json()
    assert job.status_code == 201
    assert [lot["kind"] for lot in balance["lots"]] == ["grant", "prepaid", "credit"]
    assert balance["held_yen"] == "330"  # the grant covers it, without tax


async def test_an_operator_is_refused_by_name(world: World, subtests: pytest.Subtests) -> None:
    async with world.client(OPERATOR) as http:
        made = (await http.post(f"{API}/organisations", json=NEW)).json()
        base = f"{API}/organisations/{made['id']}"
        value = {"amount_yen": "10", "reason": "x"}
        cases = [
            (f"{API}/organisations", NEW, "organisation-exists"),
            (f"{API}/organisations", NEW | {"slug": "Bad Slug"}, "invalid-slug"),
            (f"{API}/organisations", NEW | {"slug": "other", "corporate_number": "123"}, "invalid-corporate-number"),
            (f"{API}/organisations", NEW | {"slug": "other", "customer_class": "vip"}, "invalid-request"),
            (f"{base}/payments", value | {"amount_yen": "0"}, "amount-not-positive"),
            (f"{base}/payments", value | {"amount_yen": "-5"}, "amount-not-positive"),
            (f"{base}/payments", value | {"amount_yen": "1.0000001"}, "invalid-request"),
            (f"{base}/payments", value | {"amount_yen": "1e3"}, "invalid-request"),
            (f"{base}/payments", value | {"amount_yen": "9" * 20}, "invalid-request"),
            (f"{base}/payments", value | {"amount_yen": 10}, "invalid-request"),
            (f"{base}/grants/proposals", value | {"expires_at": NOW.isoformat()}, "grant-expired"),
            (f"{API}/organisations/{made['owner_id']}/payments", value, "organisation-not-found"),
        ]
        for number, (path, body, code) in enumerate(cases):
            with subtests.test(f"{number} {code}"):
                assert refused(await http.post(path, json=body, headers=key(str(number))))[1] == code
        await http.post(f"{base}/payments", json=value, headers=key("same"))
        other = await http.post(f"{base}/payments", json=value | {"amount_yen": "11"}, headers=key("same"))
        without = await http.post(f"{base}/payments", json=value)
    assert refused(other) == (409, "already-booked")
    assert refused(without) == (400, "idempotency-key-missing")


async def test_an_operator_sees_the_queue_with_reasons_and_the_machines(world: World) -> None:
    await world.market.pay_in("50000")
    async with world.client() as http:
        for number in range(3):
            await http.post(f"{API}/jobs", json=training(gpus=4, name=f"n{number}"), headers=key(str(number)))
    await world.step()
    await world.step()
    async with world.client(OPERATOR) as http:
        queue = (await http.get(f"{API}/queue")).json()
        machines = (await http.get(f"{API}/backends")).json()["items"]
    states = sorted(entry["state"] for entry in queue["entries"])
    waiting = next(entry for entry in queue["entries"] if entry["state"] == "QUEUED")
    assert len(states) == 3
    assert waiting["waiting"]["sentence"]
    assert {entry["organisation"] for entry in queue["entries"]} == {"alpha"}
    assert queue["standings"][0]["queued_jobs"] == 1
    assert [(each["name"], each["ok"], each["online"]) for each in machines] == [
        ("aer", True, True),
        ("local", True, True),
    ]
    assert machines[1]["total"]["gpus"] == 8


async def test_a_machine_that_is_away_is_shown_as_such(world: World) -> None:
    world.backends["local"].cluster.reachable = False  # type: ignore[attr-defined]  # the simulated one
    async with world.client(OPERATOR) as http:
        machines = {each["name"]: each for each in (await http.get(f"{API}/backends")).json()["items"]}
    assert (machines["local"]["ok"], machines["local"]["total"]) == (False, None)
    assert machines["aer"]["ok"] is True


async def test_an_officer_reads_the_figures_and_takes_them_along(world: World) -> None:
    await world.market.pay_in("5000")
    async with world.client() as http:
        await http.post(f"{API}/jobs", json=training(), headers=key())
    await world.run_to_end()
    async with world.client(OFFICER) as http:
        month = (await http.get(f"{API}/kpi", params={"period": "2026-04"})).json()
        year = await http.get(f"{API}/kpi.csv", params={"period": "FY2026"})
        bad = await http.get(f"{API}/kpi", params={"period": "soon"})
    figures = {item["key"]: item["value"] for item in month["items"] if not item["resource"]}
    assert (figures["active_users"], figures["active_organisations"], figures["jobs"]) == (1, 1, 1)
    assert float(figures["gpu_hours"]) > 0
    assert (month["period"]["code"], month["complete"]) == ("2026-04", False)
    rows = list(csv.DictReader(io.StringIO(year.content.decode("utf-8-sig"))))
    assert {row["period"] for row in rows} == {"FY2026"}
    assert 'filename="kyoyo-kpi-FY2026.csv"' in year.headers["content-disposition"]
    assert refused(bad) == (422, "unknown-period")


async def test_prices_of_another_class_are_for_staff(world: World) -> None:
    async with world.client(OPERATOR) as http:
        large = (await http.get(f"{API}/offerings", params={"customer_class": "large"})).json()["items"]
    async with world.client() as http:
        own = (await http.get(f"{API}/offerings", params={"customer_class": "large"})).json()["items"]
    assert [each["prices"] for each in large] == [[], []]
    assert all(each["prices"] for each in own)
