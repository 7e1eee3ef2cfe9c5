"""Numbers, arrays, dependencies and attempts as they are asked for and told over HTTP, and as a page shows them."""

from __future__ import annotations

import pytest

from hpc_adapters.simulated.behaviour import Behaviour
from tests.integration.portal.test_pages import browser
from tests.support.portal_world import ALPHA, BETA, World, key, training

API = "/api/v1"


@pytest.fixture
async def funded(world: World) -> World:
    await world.market.pay_in("50000")
    return world


async def test_a_job_answers_to_its_id_its_number_and_its_place_in_an_array(funded: World) -> None:
    async with funded.client() as http:
        one = (await http.post(f"{API}/jobs", json=training(), headers=key())).json()
        body = training(array={"indices": [4, 6], "max_running": 1}, dependencies=[{"kind": "afterok", "job": 1}])
        array = (await http.post(f"{API}/jobs", json=body, headers=key("array"))).json()
        assert (one["number"], one["array"]) == (1, None)
        assert (array["number"], array["array"]) == (2, {"number": 2, "index": 4, "tasks": 2})
        for name in (one["id"], "1"):
            assert (await http.get(f"{API}/jobs/{name}")).json()["id"] == one["id"]
        second = (await http.get(f"{API}/jobs/2_6")).json()
        assert (second["number"], second["array"]["index"]) == (3, 6)
        assert second["dependencies"] == [{"kind": "afterok", "job": "1", "job_id": one["id"], "state": "QUEUED"}]
        listed = (await http.get(f"{API}/jobs", params={"array": 2})).json()["items"]
        assert sorted(job["number"] for job in listed) == [2, 3]
        for name in ("9", "2_5", "1_1", "one", "0x1", "'"):
            answer = await http.get(f"{API}/jobs/{name}")
            assert (answer.status_code, answer.json()["code"]) == (404, "job-not-found")
        assert (await http.get(f"{API}/jobs/1/logs")).json()["text"] == ""
        assert (await http.get(f"{API}/jobs/1/result")).json()["code"] == "no-result"


async def test_an_array_is_estimated_and_cancelled_whole(funded: World) -> None:
    async with funded.client() as http:
        single = (await http.post(f"{API}/estimates", json=training())).json()
        body = training(array={"indices": [1, 2, 3]})
        whole = (await http.post(f"{API}/estimates", json=body)).json()
        assert (single["jobs"], whole["jobs"]) == (1, 3)
        assert int(whole["ceiling_yen"]) == 3 * int(single["ceiling_yen"])
        patient = (await http.post(f"{API}/estimates", json=training(max_attempts=3, max_timeouts=2))).json()
        assert int(patient["ceiling_yen"]) == 3 * int(single["ceiling_yen"])
        await http.post(f"{API}/jobs", json=body, headers=key())
        assert (await http.post(f"{API}/arrays/1/cancel")).status_code == 202
        assert (await http.post(f"{API}/arrays/2/cancel")).json()["code"] == "array-not-found"
        await funded.step()
        listed = (await http.get(f"{API}/jobs", params={"array": 1})).json()["items"]
        assert {job["state"] for job in listed} == {"CANCELLED"}
    async with funded.client(BETA) as http:
        assert (await http.post(f"{API}/arrays/1/cancel")).json()["code"] == "array-not-found"
        assert (await http.get(f"{API}/jobs/1")).json()["code"] == "job-not-found"


async def test_each_attempt_is_told_with_its_use_its_end_and_its_charge(funded: World) -> None:
    slow = Behaviour(run_s=1_000).script().body.decode()
    async with funded.client() as http:
        body = training(script=slow, walltime_s=10, max_attempts=2, max_timeouts=1)
        await http.post(f"{API}/jobs", json=body, headers=key())
        await funded.run_to_end()
        await funded.run_to_end()
        job = (await http.get(f"{API}/jobs/1")).json()
        assert [(each["state"], each["ending"]) for each in job["attempts"]] == [("FAILED", "failed")] * 2
        assert sum(float(each["usage"]["gpu_s"]) for each in job["attempts"]) == float(job["usage"]["gpu_s"])
        assert sum(float(each["charge_yen"]) for each in job["attempts"]) == float(job["charge_yen"])
        assert float(job["charge_yen"]) <= float(job["quote_yen"])
    async with browser(funded, ALPHA) as http:
        page = (await http.get(f"/ja/jobs/{job['id']}")).text
        assert page.count('<th scope="row">') == 2
        assert "失敗" in page
        assert (await http.get("/ja/jobs")).status_code == 200
