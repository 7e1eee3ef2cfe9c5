"""The exchange table and the share tree over HTTP, and on the server itself."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from tests.integration.portal import test_kyoyod
from tests.integration.portal.test_submission_refusals import refused
from tests.support.market import NOW, an_id
from tests.support.portal_world import ALPHA, BETA, OFFICER, OPERATOR, PEOPLE, World, key, training

API = "/api/v1"
ORGANISATION = an_id("organisation", ALPHA)
OF_ALPHA = f"{API}/organisations/{ORGANISATION}/shares"


async def test_an_operator_sets_what_the_organisation_then_sees_and_meets(world: World) -> None:
    await world.market.grant("100000")
    async with world.client(OPERATOR) as operator:
        limits = {"project": "default", "max_gpus": 2, "max_queued_jobs": 1, "reason": "契約"}
        answers = [
            await operator.post(OF_ALPHA, json={"weight": 3, "reason": "contract"}),
            await operator.post(OF_ALPHA, json=limits),
        ]
        seen = (await operator.get(OF_ALPHA)).json()
        queue = (await operator.get(f"{API}/queue")).json()
    assert [each.status_code for each in answers] == [201, 201]
    async with world.client() as http:
        own = (await http.get(f"{API}/shares")).json()
        too_large = await http.post(f"{API}/jobs", json=training(gpus=4), headers=key("a"))
        taken = await http.post(f"{API}/jobs", json=training(), headers=key("b"))
        full = await http.post(f"{API}/jobs", json=training(), headers={**key("c"), "Accept-Language": "ja"})
    assert own == seen
    assert [each["level"] for each in own["branches"]] == ["organisation", "project"]
    assert own["branches"][0]["weight"] == 3
    assert own["branches"][1]["limits"][0]["max_gpus"] == 2
    assert [(each["reason"], each["set_by"]) for each in own["history"]] == [
        ("contract", str(PEOPLE[OPERATOR][0])),
        ("契約", str(PEOPLE[OPERATOR][0])),
    ]
    assert [each["weight"] for each in queue["standings"]] == [3]
    assert refused(too_large) == (422, "over-quota")
    assert "GPUs at a time" in too_large.json()["detail"]
    assert taken.status_code == 201
    assert refused(full) == (429, "queue-full")
    assert "プロジェクトの上限" in full.json()["detail"]


async def test_what_is_set_badly_is_refused_by_name(world: World, subtests: pytest.Subtests) -> None:
    cases: list[tuple[dict[str, object], str]] = [
        ({"weight": 0}, "invalid-share"),
        ({"weight": None}, "invalid-share"),
        ({"weight": 1.5}, "invalid-request"),
        ({"max_gpus": -1}, "invalid-share"),
        ({"max_running_jobs": None}, "invalid-share"),
        ({"max_ponies": 3}, "invalid-request"),
        ({"backend": "nowhere", "max_gpus": 1}, "unknown-backend"),
        ({"backend": "local", "weight": 1}, "backend-has-no-weight"),
        ({"backend": "local", "max_lend_percent": 1}, "only-organisations-lend"),
        ({"project": "default", "max_borrow_percent": None}, "only-organisations-lend"),
        ({"max_lend_percent": 101}, "invalid-share"),
        ({"max_borrow_percent": -1}, "invalid-share"),
        ({"max_borrow_percent": 0.5}, "invalid-request"),
        ({"project": "nothing", "weight": 1}, "project-not-found"),
        ({"project": "default", "person_id": str(PEOPLE[BETA][0]), "weight": 1}, "not-a-member"),
        ({"person_id": str(PEOPLE[ALPHA][0]), "weight": 1}, "user-without-project"),
        ({"weight": 2, "effective_at": (NOW - timedelta(days=1)).isoformat()}, "not-retroactive"),
        ({"weight": 2, "effective_at": "0001-01-01T00:00:00+14:00"}, "invalid-request"),
        ({"weight": 2, "effective_at": "9999-12-31T23:59:59-14:00"}, "invalid-request"),
        ({"weight": 2, "effective_at": "2100-01-01T00:00:00Z"}, "too-far-ahead"),
        ({"weight": 2, "reason": "  "}, "reason-missing"),
        ({"weight": 2, "reason": "x" * 501}, "reason-missing"),
    ]
    rates: list[tuple[dict[str, object], str]] = [
        ({"resource_type": "pony", "nu_per_hour": 1}, "invalid-resource-type"),
        ({"resource_type": "gpu:x", "nu_per_hour": -1}, "invalid-exchange-rate"),
        ({"resource_type": "gpu:x", "nu_per_hour": 1e300}, "invalid-exchange-rate"),
        ({"resource_type": "gpu:x", "nu_per_hour": "much"}, "invalid-request"),
        ({"resource_type": "gpu:x", "nu_per_hour": 1, "effective_at": "2020-01-01T00:00:00Z"}, "not-retroactive"),
    ]
    async with world.client(OPERATOR) as http:
        for path, bodies in ((OF_ALPHA, cases), (f"{API}/exchange-rates", rates)):
            for body, code in bodies:
                with subtests.test(f"{body}"):
                    assert refused(await http.post(path, json={"reason": "x", **body}))[1] == code
        unknown = await http.get(f"{API}/organisations/{an_id('nobody')}/shares")
    assert refused(unknown) == (404, "organisation-not-found")


async def test_the_exchange_table_is_everybodys_and_only_operators_set_it(world: World) -> None:
    new = {"resource_type": "gpu:demo", "nu_per_hour": 36.0, "reason": "measured"}
    async with world.client(OPERATOR) as http:
        made = await http.post(f"{API}/exchange-rates", json=new)
        again = await http.post(f"{API}/exchange-rates", json=new)
    assert (made.status_code, refused(again)) == (201, (409, "exchange-rate-exists"))
    for who in (ALPHA, OPERATOR, OFFICER):
        async with world.client(who) as http:
            (rate,) = (await http.get(f"{API}/exchange-rates")).json()["items"]
        assert (rate["unit"], rate["nu_per_hour"], rate["nu_per_second"], rate["holds"]) == ("gpu", 36.0, 0.01, True)
        assert (rate["version"], rate["reason"]) == (made.json()["version"], "measured")
    for who in (ALPHA, OFFICER):
        async with world.client(who) as http:
            assert refused(await http.post(f"{API}/exchange-rates", json=new)) == (403, "scope-missing")
            assert refused(await http.post(OF_ALPHA, json={"weight": 2, "reason": "x"})) == (403, "scope-missing")
            assert refused(await http.get(OF_ALPHA)) == (403, "scope-missing")


async def test_every_change_is_in_the_audit_trail(world: World) -> None:
    async with world.client(OPERATOR) as http:
        await http.post(OF_ALPHA, json={"project": "default", "weight": 2, "reason": "x"})
        await http.post(
            f"{API}/exchange-rates", json={"resource_type": "gpu:demo", "nu_per_hour": 2, "reason": "measured"}
        )
    rows = await world.database.owner.fetch(
        "SELECT action, actor_id, facts FROM accounts.audit_entry "
        "WHERE action IN ('share.set', 'exchange_rate.publish') ORDER BY action"
    )
    assert [(row["action"], row["actor_id"]) for row in rows] == [
        ("exchange_rate.publish", PEOPLE[OPERATOR][0]),
        ("share.set", PEOPLE[OPERATOR][0]),
    ]
    assert (rows[0]["facts"]["nu_per_hour"], rows[1]["facts"]["weight"]) == (2, 2)


@pytest.mark.timeout(180)
@pytest.mark.takes(30)
async def test_on_the_server_itself(world: World, tmp_path: Path) -> None:
    async def kyoyod(*arguments: str) -> tuple[int, str]:
        code, out, err = await test_kyoyod.kyoyod(
            tmp_path, *arguments, KYOYO_DATABASE_URL=world.database.url, LANG="en_US.UTF-8"
        )
        return code, out + err

    set_ = ("share", "set", ALPHA, "--reason", "contract")
    assert (await kyoyod(*set_, "--project", "default", "--weight", "2", "--max-gpus", "8"))[0] == 0
    assert (await kyoyod(*set_, "--max-borrow-percent", "none", "--max-lend-percent", "50"))[0] == 0
    assert (await kyoyod(*set_, "--weight", "0")) == (
        2,
        "The value 0 cannot be used for “weight”. Enter a whole number from 1 to 1,000,000.\n",
    )
    code, told = await kyoyod("share", "show", ALPHA)
    assert (code, "  default  weight 2" in told, "GPUs 0/8" in told) == (0, True, True)
    assert "borrows any, lends 50 %" in told
    assert (await kyoyod("rate", "publish", "gpu:demo", "1.5", "--reason", "measured"))[0] == 0
    code, told = await kyoyod("rate", "list", "--json")
    assert [each["nu_per_hour"] for each in json.loads(told)["items"]] == [1.5]
