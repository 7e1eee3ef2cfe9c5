"""A job that may run on several offerings, over HTTP: its price, its candidates, and where its data must stay."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pricing import service as pricing
from tests.integration.portal.test_submission_refusals import refused
from tests.support import market
from tests.support.market import GPU, GPU_OFFERING, NOW
from tests.support.portal_world import BETA, World, key, training

API = "/api/v1"
DEAR = "gpu-dear"


@pytest.fixture(autouse=True)
async def _market(world: World) -> None:
    await world.market.pay_in("5000")
    async with world.market.as_operator() as conn:
        await pricing.create_offering(conn, replace(GPU_OFFERING, id=DEAR), now=NOW)
        await market.publish(conn, DEAR, [market.gpu_price("390")])


async def test_several_offerings_from_the_estimate_to_the_job(world: World) -> None:
    both = training(offering=[GPU, DEAR])
    async with world.client() as http:
        one = (await http.post(f"{API}/estimates", json=training())).json()
        estimate = (await http.post(f"{API}/estimates", json=both)).json()
        capped = (
            await http.post(f"{API}/estimates", json={**both, "max_cost_yen": one["ceiling_with_tax_yen"]})
        ).json()
        job_id = (await http.post(f"{API}/jobs", json=both, headers=key())).json()["id"]
        job = (await http.get(f"{API}/jobs/{job_id}")).json()
    assert (one["candidates"], one["left_out"]) == ([], {})
    assert [each["offering"] for each in estimate["candidates"]] == [GPU, DEAR]
    assert estimate["ceiling_yen"] == estimate["candidates"][1]["ceiling_yen"] != one["ceiling_yen"]
    assert (capped["candidates"], capped["left_out"]) == ([], {DEAR: "cost-cap-too-small"})
    assert job["quote_yen"] == estimate["ceiling_yen"]
    assert (job["offering"], job["data_location"]) == (GPU, None)
    assert [(each["offering"], each["chosen"]) for each in job["candidates"]] == [(GPU, True), (DEAR, False)]
    async with world.client(BETA) as http:
        assert (await http.get(f"{API}/jobs/{job_id}")).status_code == 404


async def test_where_data_must_stay_is_said_once_for_all(world: World) -> None:
    rule = {"project": None, "location": "jp"}
    async with world.client() as http:
        elsewhere = await http.post(f"{API}/jobs", json=training(data_location="us"), headers=key())
        nowhere = await http.post(f"{API}/jobs", json=training(anywhere=True, data_location="jp"), headers=key())
        unknown = await http.put(f"{API}/data-rules", json={**rule, "project": "nothing"})
        told = (await http.put(f"{API}/data-rules", json=rule)).json()
        barred = await http.post(f"{API}/jobs", json=training(), headers=key())
        await http.put(f"{API}/data-rules", json={**rule, "location": None})
        free = await http.post(f"{API}/jobs", json=training(), headers=key())
    assert refused(elsewhere) == refused(nowhere) == (422, "bad-placement")
    assert refused(unknown) == (404, "project-not-found")
    assert told["items"] == [{"project": None, "location": "jp"}]
    assert refused(barred) == (422, "not-domestic")
    assert free.status_code == 201
    async with world.client(BETA) as http:
        assert (await http.get(f"{API}/data-rules")).json() == {"items": []}
