"""Rules of elastic capacity, disruptions and the log over HTTP, and on the server itself."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from portal.elastic import elastic as app
from scheduler.elastic.model import Action, Because, Kind, Purpose
from scheduler.store import elastic as store
from tests.integration.portal.test_submission_refusals import refused
from tests.support.market import NOW
from tests.support.portal_world import OPERATOR, PEOPLE, World

API = "/api/v1"
RULE = {"backend": "local", "use": "lend", "lend_to": "partner", "surge_nodes": ["n1"], "reason": "夏季"}


async def test_an_operator_sets_rules_and_reads_what_was_done(world: World) -> None:
    async with world.client(OPERATOR) as http:
        made = await http.post(f"{API}/elastic/rules", json=RULE)
        again = await http.post(f"{API}/elastic/rules", json={**RULE, "use": None}, headers={"Accept-Language": "ja"})
        [rule] = (await http.get(f"{API}/elastic/rules")).json()["items"]
        action = Action(
            kind=Kind.WITHDRAW, node="n2", purpose=Purpose.LEND, because=Because.IDLE, facts={"idle_s": 1800}
        )
        async with world.market.as_worker() as conn:
            number = await store.add_action(conn, "local", action, rule_id=rule["id"], disruption_id=None, now=NOW)
        japanese = {"Accept-Language": "ja"}
        [open_] = (await http.get(f"{API}/elastic/actions", headers=japanese)).json()["items"]
        before = (await http.get(f"{API}/elastic/actions", params={"before": number})).json()["items"]
    assert made.status_code == 201
    assert refused(again) == (422, "invalid-elastic-rule")
    assert "貸し出さない" in again.json()["detail"]
    assert (rule["holds"], rule["use"], rule["lend_to"], rule["surge_nodes"]) == (True, "lend", "partner", ["n1"])
    assert (rule["reason"], rule["set_by"]) == ("夏季", str(PEOPLE[OPERATOR][0]))
    assert (open_["problem"], open_["sentence"]) == (None, "n2: 貸し出しのため切り離し(1800秒間使われていません)")
    assert before == []


async def test_a_disruption_is_declared_seen_and_ended(world: World) -> None:
    async with world.client(OPERATOR) as http:
        made = (await http.post(f"{API}/disruptions", json={"reason": "地震"})).json()
        on = (await http.get(f"{API}/disruptions")).json()["items"]
        end = f"{API}/disruptions/{made['id']}/end"
        answers = [await http.post(end, json={"reason": "復旧"}) for _ in range(2)]
        over = (await http.get(f"{API}/disruptions")).json()["items"]
        every = (await http.get(f"{API}/disruptions", params={"ended": True})).json()["items"]
        backwards = await http.post(f"{API}/disruptions", json={"reason": "x", "until": "2020-01-01T00:00:00Z"})
    assert on == [made]
    assert (made["backend"], made["until"], made["declared_by"]) == (None, None, str(PEOPLE[OPERATOR][0]))
    assert answers[0].status_code == 204
    assert refused(answers[1]) == (404, "disruption-not-found")
    assert over == []
    assert [each["id"] for each in every] == [made["id"]]
    assert refused(backwards)[0] == 422


async def test_the_same_on_the_server(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("DATABASE_URL", world.database.url), ("DATA_DIR", str(tmp_path))):
        monkeypatch.setenv(f"KYOYO_{name}", value)
    monkeypatch.setenv("LANG", "en_US.UTF-8")

    async def kyoyod(*arguments: str) -> tuple[int, str]:
        done = await asyncio.to_thread(CliRunner().invoke, app, arguments)
        return done.exit_code, done.output

    rule = ("set", "local", "--use", "power", "--floor", "4", "--surge", "n1", "--reason", "summer")
    assert (await kyoyod(*rule))[0] == 0
    assert (await kyoyod(*rule, "--lend-to", "x"))[0] == 2
    code, told = await kyoyod("rules")
    assert (code, told.startswith("* ")) == (0, True)
    assert "power  idle 1800 s  floor 4  spare 0  surge n1" in told
    code, told = await kyoyod("declare", "--reason", "earthquake", "--backend", "local")
    assert code == 0
    listed = json.loads((await kyoyod("disruptions", "--json"))[1])["items"]
    assert [(each["id"], each["backend"], each["reason"]) for each in listed] == [(told.strip(), "local", "earthquake")]
    assert (await kyoyod("end", told.strip(), "--reason", "over")) == (0, "ended\n")
    assert (await kyoyod("log")) == (0, "")
    assert (await kyoyod("declare", "--reason", "x", "--from", "today"))[0] == 2
