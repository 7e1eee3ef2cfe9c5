"""When a waiting job should start, as its owner is told: in the API, on the pages, and nothing of others' jobs."""

from __future__ import annotations

import pytest

from hpc_adapters.simulated.behaviour import Behaviour
from infra.clock import new_id
from scheduler.loops.deps import Deps
from scheduler.loops.forecasting import Foresight
from tests.integration.portal.test_pages import browser
from tests.support.market import an_id
from tests.support.portal_world import ALPHA, BETA, World, key, training

API = "/api/v1"


async def foresee(world: World) -> None:
    deps = Deps(pool=world.database.worker, lease=None, backends=world.backends, new_id=new_id)
    await Foresight().tick(deps, world.clock())


async def with_forecasts(world: World) -> tuple[dict[str, object], dict[str, object]]:
    """A full machine, and a job of each of two organisations that waits for it; what the API told of them."""
    for organisation in (ALPHA, BETA):
        await world.market.grant(
            "500000", key=("grant", organisation), organisation=an_id("organisation", organisation)
        )
    script = Behaviour(run_s=3000).script().body.decode()
    told = []
    for who, name in ((ALPHA, "first"), (BETA, "second")):
        async with world.client(who) as http:
            body = training(name=f"{name}-runs", gpus=4, script=script)
            assert (await http.post(f"{API}/jobs", json=body, headers=key(f"{name} runs"))).status_code == 201
    await world.step()
    for who, name in ((ALPHA, "first"), (BETA, "second")):
        async with world.client(who) as http:
            body = training(name=f"{name}-waits", gpus=8, script=script)
            told.append((await http.post(f"{API}/jobs", json=body, headers=key(f"{name} waits"))).json())
    await world.step()
    await foresee(world)
    return told[0], told[1]


async def test_a_waiting_job_tells_when_it_should_start(world: World) -> None:
    mine, theirs = await with_forecasts(world)
    async with world.client(ALPHA) as http:
        job = (await http.get(f"{API}/jobs/{mine['id']}")).json()
        listed = (await http.get(f"{API}/jobs", params={"state": "QUEUED"})).json()["items"]
    forecast = job["forecast"]
    assert set(forecast) == {"as_of", "position", "p50_at", "p90_at", "ahead"}
    assert forecast["as_of"] < forecast["p50_at"] <= forecast["p90_at"]
    assert sum(forecast["ahead"].values()) == forecast["position"] - 1
    assert [each["forecast"] for each in listed] == [forecast]
    assert "JST" in job["waiting"]["forecast"]
    (only,) = job["waiting"]["remedies"]
    assert (only["code"], set(only["facts"])) == ("only_time", {"at"})
    said = str(job) + str(listed)
    assert not [word for word in ("second", theirs["id"], theirs["person_id"]) if str(word) in said]


@pytest.mark.parametrize(
    ("language", "word", "remedy"),
    [("ja", "見込み: ", "自動で開始します"), ("en", "Expected: ", "it starts by itself")],
)
async def test_its_page_and_the_list_show_it(world: World, language: str, word: str, remedy: str) -> None:
    mine, _ = await with_forecasts(world)
    async with browser(world, ALPHA, language) as http:
        for path in (f"jobs/{mine['id']}", "jobs"):
            page = (await http.get(f"/{language}/{path}")).text
            assert word in page
            assert "second" not in page
            assert (remedy in page) is (path != "jobs")
