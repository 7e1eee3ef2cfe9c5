"""Tokens, scopes and roles over HTTP."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.integration.portal.test_submission_refusals import refused
from tests.support.portal_world import ALPHA, BETA, OFFICER, OPERATOR, PEOPLE, World, key, training

API = "/api/v1"


STRANGERS = [
    (None, "unauthenticated"),
    ("", "unauthenticated"),
    ("Bearer", "unauthenticated"),
    ("Basic a3lvOmt5bw==", "unauthenticated"),
    ("Bearer kyo_" + "A" * 43, "invalid-token"),
    ("Bearer ' OR 1=1 --", "invalid-token"),
]


async def test_nobody_gets_in_without_a_good_token(world: World, subtests: pytest.Subtests) -> None:
    async with world.client(None) as http:
        for header, code in STRANGERS:
            with subtests.test(header or "none"):
                answer = await http.get(f"{API}/jobs", headers={} if header is None else {"Authorization": header})
                assert refused(answer) == (401, code)
                assert answer.headers["www-authenticate"] == "Bearer"


async def test_an_expired_token_opens_nothing(world: World) -> None:
    token = await world.token(ALPHA, expires_in=timedelta(hours=1))
    async with world.client(token) as http:
        before = await http.get(f"{API}/me")
        world.clock.pass_s(3600)
        after = await http.get(f"{API}/me")
    assert before.status_code == 200
    assert refused(after) == (401, "invalid-token")


async def test_a_token_does_what_its_scopes_say_and_no_more(world: World) -> None:
    reader = await world.token(ALPHA, scopes=["jobs:read"])
    async with world.client(reader) as http:
        allowed = await http.get(f"{API}/jobs")
        submit = await http.post(f"{API}/jobs", json=training(), headers=key())
        money = await http.get(f"{API}/balance")
    assert allowed.status_code == 200
    assert refused(submit) == refused(money) == (403, "scope-missing")
    assert submit.json()["facts"] == {"scope": "jobs:write"}


CUSTOMERS_ONLY = (
    *("/jobs", "/balance", "/statement", "/usage", "/invoices/2026-04", "/members", "/projects", "/shares"),
    "/data-rules",
)
OPERATORS_ONLY = (
    *("/organisations", "/queue", "/backends", "/elastic/rules", "/elastic/actions", "/disruptions"),
    *("/proposals", "/policies", "/market-references"),
)
OFFICERS_ONLY = ("/kpi", "/kpi.csv")


ALLOWED = {ALPHA: CUSTOMERS_ONLY, BETA: CUSTOMERS_ONLY, OPERATOR: OPERATORS_ONLY, OFFICER: OFFICERS_ONLY}


async def test_every_role_sees_its_own_and_nothing_else(world: World, subtests: pytest.Subtests) -> None:
    for who, allowed in ALLOWED.items():
        async with world.client(who) as http:
            for path in (*CUSTOMERS_ONLY, *OPERATORS_ONLY, *OFFICERS_ONLY):
                with subtests.test(f"{who} {path}"):
                    answer = await http.get(f"{API}{path}")
                    assert answer.status_code == 200 if path in allowed else refused(answer)[0] == 403


async def test_me_says_for_whom_a_token_acts(world: World) -> None:
    async with world.client() as http:
        mine = (await http.get(f"{API}/me")).json()
    async with world.client(OPERATOR) as http:
        staff = (await http.get(f"{API}/me")).json()
    assert (mine["organisation"]["slug"], mine["role"], mine["staff_roles"]) == ("alpha", "owner", [])
    assert (staff["organisation"], staff["role"], staff["staff_roles"]) == (None, None, ["operator"])


async def test_a_person_issues_and_ends_tokens_of_their_own(world: World) -> None:
    async with world.client() as http:
        issued = await http.post(
            f"{API}/tokens", json={"label": "laptop", "scopes": ["jobs:read"], "expires_in_days": 7}
        )
        too_much = await http.post(f"{API}/tokens", json={"label": "root", "scopes": ["operate"]})
        unknown = await http.post(f"{API}/tokens", json={"label": "x", "scopes": ["everything"]})
        async with world.client(issued.json()["token"]) as reader:
            works = await reader.get(f"{API}/jobs")
            await http.delete(f"{API}/tokens/{issued.json()['id']}")
            ended = await reader.get(f"{API}/jobs")
        listed = await http.get(f"{API}/tokens")
    assert (issued.status_code, works.status_code) == (201, 200)
    assert refused(too_much) == (403, "scope-not-held")
    assert refused(unknown) == (422, "unknown-scope")
    assert refused(ended) == (401, "invalid-token")
    assert issued.json()["token"] not in listed.text


async def test_another_organisations_token_cannot_be_ended(world: World) -> None:
    async with world.client() as http:
        issued = (await http.post(f"{API}/tokens", json={"label": "x", "scopes": ["jobs:read"]})).json()
    async with world.client(BETA) as stranger:
        answer = await stranger.delete(f"{API}/tokens/{issued['id']}")
    assert refused(answer) == (404, "token-not-found")


async def test_an_owner_adds_members_and_projects(world: World) -> None:
    new = {"display_name": "中村 健", "email": "ken@example.jp", "role": "member"}
    async with world.client() as http:
        added = await http.post(f"{API}/members", json=new)
        again = await http.post(f"{API}/members", json=new)
        bad = await http.post(f"{API}/members", json=new | {"email": "not an address"})
        project = await http.post(f"{API}/projects", json={"slug": "vision", "name": "画像認識"})
        members = (await http.get(f"{API}/members")).json()["items"]
        projects = (await http.get(f"{API}/projects")).json()["items"]
        left = await http.delete(f"{API}/members/{added.json()['person_id']}")
    assert (added.status_code, project.status_code, left.status_code) == (201, 201, 204)
    assert refused(again) == (409, "already-member")
    assert refused(bad) == (422, "invalid-email")
    assert {member["email"] for member in members} == {"aya@example.jp", "ken@example.jp"}
    assert {each["slug"] for each in projects} == {"default", "vision"}


async def test_what_a_member_who_leaves_has_waiting_is_cancelled_and_what_runs_goes_on(world: World) -> None:
    await world.market.pay_in("50000")
    async with world.client() as http:
        runs = (await http.post(f"{API}/jobs", json=training(gpus=8), headers=key("runs"))).json()["number"]
        await world.step()
        waits = (await http.post(f"{API}/jobs", json=training(gpus=8), headers=key("waits"))).json()["number"]
        await world.step()
        ken = {"display_name": "健", "email": "ken@example.jp", "role": "owner"}
        await http.post(f"{API}/members", json=ken)
        left = await http.delete(f"{API}/members/{PEOPLE[ALPHA][0]}")
    assert left.status_code == 204
    await world.step()
    rows = await world.database.owner.fetch(
        "SELECT j.number, a.state::text AS state FROM scheduler.job j JOIN scheduler.attempt a ON a.job_id = j.id"
    )
    assert {row["number"]: row["state"] for row in rows} == {runs: "RUNNING", waits: "CANCELLED"}
