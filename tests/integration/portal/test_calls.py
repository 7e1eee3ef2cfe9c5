"""A job that calls a QPU, over the API and on its page: quoted whole, each call a line of its bill."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any
from uuid import UUID

import httpx2
import pytest

from hpc_adapters.simulated.behaviour import Behaviour
from tests.integration.portal.test_pages import browser
from tests.support.database import Database
from tests.support.mailboxes import Mailboxes, a_call
from tests.support.portal_world import ALPHA, World, key, open_world, training

pytestmark = pytest.mark.postgres
QPU = {"offering": "qpu-demo", "shots": 500, "calls": 2}
SCRIPT = Behaviour(run_s=60).script().body.decode()
BODY = training(script=SCRIPT, walltime_s=120, qpu=QPU)
CALLS = (a_call(300), b"<script>", a_call(200))


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    async with open_world(database) as opened:
        await opened.market.pay_in("5000")
        yield opened


@pytest.fixture
def post(world: World) -> Mailboxes:
    made = Mailboxes(world.backends["local"])  # type: ignore[arg-type]  a simulated one
    world.backends["local"] = made  # type: ignore[index]  the portal and the worker share it
    return made


async def _run(world: World, post: Mailboxes, api: httpx2.AsyncClient) -> dict[str, Any]:
    """A job from its submission to its end, with its calls: as its owner is told of it."""
    job_id = (await api.post("/api/v1/jobs", json=BODY, headers=key())).json()["id"]
    job: dict[str, Any] = (await api.get(f"/api/v1/jobs/{job_id}")).json()
    assert (job["qpu"]["calls"], job["qpu"]["reserved"], job["qpu"]["idle_s"]) == ([], False, 300)
    for number, content in enumerate(CALLS, start=1):
        post.ask(_attempt(job), number, content)
    for _ in range(30):
        await world.step(4)
    return (await api.get(f"/api/v1/jobs/{job_id}")).json()


async def test_calls_are_quoted_shown_and_billed_with_their_job(world: World, post: Mailboxes) -> None:
    async with world.client() as api:
        estimate = (await api.post("/api/v1/estimates", json=BODY)).json()
        job = await _run(world, post, api)
    assert [(each["phase"], each["reserved"]) for each in estimate["phases"]] == [("main", True), ("calls", False)]
    assert Decimal(estimate["ceiling_yen"]) == sum(Decimal(each["ceiling_yen"]) for each in estimate["phases"])
    calls = job["qpu"]["calls"][::-1]
    assert [(each["shots"], each["state"], each["code"]) for each in calls] == [
        (300, "SUCCEEDED", None),
        (0, None, "malformed-call"),
        (200, "SUCCEEDED", None),
    ]
    assert job["state"] == "SUCCEEDED"
    assert Decimal(job["usage"]["shot"]) == 500
    own = Decimal(job["attempts"][0]["charge_yen"])
    assert Decimal(job["charge_yen"]) == own + sum(Decimal(each["charge_yen"] or 0) for each in calls) > own
    assert Decimal(job["held_yen"]) == 0
    async with browser(world, ALPHA, "en") as http:
        page = (await http.get(f"/en/jobs/{job['id']}")).text
    assert "Calls to the QPU qpu-demo: 3 (at most 2)" in page
    assert "refused (malformed-call)." in page
    assert "Check the form of the call" in page


async def test_calls_are_told_page_by_page(world: World, post: Mailboxes) -> None:
    async with world.client() as api:
        job = await _run(world, post, api)
        assert (job["qpu"]["asked"], job["qpu"]["next_cursor"]) == (3, None)
        calls = f"/api/v1/jobs/{job['id']}/calls"
        first = (await api.get(f"{calls}?limit=2")).json()
        rest = (await api.get(f"{calls}?cursor={first['next_cursor']}")).json()
        assert (first["items"] + rest["items"], rest["next_cursor"]) == (job["qpu"]["calls"], None)
        wrong = await api.get(f"{calls}?cursor=x")
        assert (wrong.status_code, wrong.json()["code"]) == (422, "bad-cursor")
        nobodys = await api.get(f"/api/v1/jobs/{UUID(int=7)}/calls")
        assert (nobodys.status_code, nobodys.json()["code"]) == (404, "job-not-found")
    async with browser(world, ALPHA, "en") as http:
        older = (await http.get(f"/en/jobs/{job['id']}?calls={first['next_cursor']}")).text
    assert "Calls to the QPU qpu-demo: 3 (at most 2)" in older
    assert "Check the form of the call" not in older


def _attempt(job: dict[str, Any]) -> Any:
    return UUID(job["attempts"][0]["id"])


async def test_what_cannot_have_a_qpu_is_told_so(world: World) -> None:
    wrong = {
        "offering": ("gpu-demo", "kind-mismatch"),
        "calls": (0, "option-out-of-range"),
        "shots": (10**9 + 1, "option-out-of-range"),
        "idle_s": (-1, "option-out-of-range"),
    }
    world.backends["local"] = Mailboxes(world.backends["local"])  # type: ignore[index,arg-type]
    async with world.client() as api:
        for name, (value, code) in wrong.items():
            answer = await api.post("/api/v1/estimates", json=training(qpu={**QPU, name: value}))
            assert (answer.status_code // 100, answer.json()["code"]) == (4, code), name
