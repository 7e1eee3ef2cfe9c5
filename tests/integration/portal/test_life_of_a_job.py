"""A startup's job over HTTP, from estimate to invoice."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.support.portal_world import World, circuit, key, training

API = "/api/v1"


@pytest.fixture(autouse=True)
async def _value(world: World) -> None:
    await world.market.pay_in("5000")


async def test_a_training_job_runs_and_is_charged_for_what_it_used(world: World) -> None:
    async with world.client() as http:
        estimate = (await http.post(f"{API}/estimates", json=training())).json()
        submitted = await http.post(f"{API}/jobs", json=training(), headers=key())
        job_id = submitted.json()["id"]
        await world.run_to_end()
        job = (await http.get(f"{API}/jobs/{job_id}")).json()
        logs = (await http.get(f"{API}/jobs/{job_id}/logs")).json()
        result = (await http.get(f"{API}/jobs/{job_id}/result")).json()

    assert submitted.status_code == 201
    assert submitted.headers["location"] == f"{API}/jobs/{job_id}"
    assert estimate["admissible"] is True
    assert (estimate["ceiling_yen"], estimate["ceiling_with_tax_yen"]) == ("330", "363")
    assert job["state"] == "SUCCEEDED"
    assert (job["quote_yen"], job["held_yen"]) == ("330", "0")
    assert Decimal(0) < Decimal(job["charge_yen"]) < Decimal(5)
    assert [attempt["ordinal"] for attempt in job["attempts"]] == [1]
    assert job["story"][0]["kind"] == "Queued"
    assert all(line["sentence"] for line in job["story"])
    assert "epoch 2 ✓" in logs["text"]
    assert logs["ended"] is True
    assert result == {"accuracy": 0.97}


async def test_a_circuit_leaves_its_counts(world: World) -> None:
    async with world.client() as http:
        job_id = (await http.post(f"{API}/jobs", json=circuit(), headers=key())).json()["id"]
        await world.run_to_end()
        result = (await http.get(f"{API}/jobs/{job_id}/result")).json()
    assert sum(result["counts"].values()) == 4000


async def test_the_same_submission_again_is_the_same_job(world: World) -> None:
    async with world.client() as http:
        first = await http.post(f"{API}/jobs", json=training(), headers=key("k"))
        again = await http.post(f"{API}/jobs", json=training(), headers=key("k"))
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["id"] == again.json()["id"]


async def test_a_waiting_job_says_why_in_the_readers_language(world: World) -> None:
    async with world.client() as http:
        job_id = (await http.post(f"{API}/jobs", json=training(), headers=key())).json()["id"]
        english = (await http.get(f"{API}/jobs/{job_id}")).json()["waiting"]
        japanese = (await http.get(f"{API}/jobs/{job_id}", headers={"Accept-Language": "ja"})).json()["waiting"]
    assert english["reason"] == japanese["reason"]
    assert english["sentence"].isascii()
    assert not japanese["sentence"].isascii()


async def test_a_cancelled_job_is_charged_nothing_when_it_never_ran(world: World) -> None:
    async with world.client() as http:
        job_id = (await http.post(f"{API}/jobs", json=training(), headers=key())).json()["id"]
        answer = await http.post(f"{API}/jobs/{job_id}/cancel")
        again = await http.post(f"{API}/jobs/{job_id}/cancel")
        await world.run_to_end()
        job = (await http.get(f"{API}/jobs/{job_id}")).json()
    assert (answer.status_code, again.status_code) == (202, 202)
    assert answer.json()["cancel_requested_at"] is not None
    assert (job["state"], job["charge_yen"], job["held_yen"]) == ("CANCELLED", "0", "0")


async def test_the_list_pages_through_every_job_once(world: World) -> None:
    async with world.client() as http:
        for number in range(5):
            world.clock.pass_s(1)
            await http.post(f"{API}/jobs", json=training(name=f"job {number}"), headers=key(str(number)))
        names, cursor = [], None
        for _ in range(3):
            page = (await http.get(f"{API}/jobs", params={"limit": 2} | ({"cursor": cursor} if cursor else {}))).json()
            names += [job["name"] for job in page["items"]]
            cursor = page["next_cursor"]
        queued = (await http.get(f"{API}/jobs", params={"state": "QUEUED"})).json()
        ended = (await http.get(f"{API}/jobs", params={"state": "FAILED"})).json()
    assert names == [f"job {number}" for number in (4, 3, 2, 1, 0)]
    assert cursor is None
    assert (len(queued["items"]), len(ended["items"])) == (5, 0)


async def test_money_is_told_exactly_and_adds_up(world: World) -> None:
    async with world.client() as http:
        await http.post(f"{API}/jobs", json=training(), headers=key())
        held = (await http.get(f"{API}/balance")).json()
        await world.run_to_end()
        balance = (await http.get(f"{API}/balance")).json()
        statement = (await http.get(f"{API}/statement", params={"month": "2026-04"})).json()
        usage = (await http.get(f"{API}/usage")).json()
        invoice = (await http.get(f"{API}/invoices/2026-04")).json()
    assert (held["available_yen"], held["held_yen"]) == ("4637", "363")
    assert balance["held_yen"] == "0"
    assert statement["balanced"] is True
    assert statement["closing"]["available_yen"] == balance["available_yen"]
    assert [entry["kind"] for entry in statement["entries"]][:2] == ["receive_payment", "hold"]
    assert [(item["offering"], item["component"]) for item in usage["items"]] == [("gpu-demo", "gpu_s")]
    assert (invoice["status"], invoice["open_jobs"]) == ("draft", 0)
    assert invoice["groups"][0]["tax_rate_percent"] == "10"


async def test_offerings_show_price_list_and_market_side_by_side(world: World) -> None:
    async with world.client() as http:
        english = (await http.get(f"{API}/offerings")).json()["items"]
        japanese = (await http.get(f"{API}/offerings", headers={"Accept-Language": "ja-JP"})).json()["items"]
    assert {each["title"] for each in english} == {"Demo GPU", "Demo QPU"}
    assert {each["title"] for each in japanese} == {"実演用GPU", "実演用QPU"}
    price = next(each for each in english if each["kind"] == "gpu")["prices"][0]
    assert (price["per"], price["price_yen"], price["list_yen"], price["market_yen"]) == ("3600", "330", "400", "500")
    assert (price["tax_rate_percent"], price["market_source"][:8]) == ("10", "a public")
