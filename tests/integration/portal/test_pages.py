"""The pages as a browser gets them: who sees what, in which language, and which form is believed."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
import pytest

from hpc_adapters.simulated.behaviour import Behaviour
from portal.language import Language, catalogue
from tests.support.portal_world import ALPHA, BETA, OFFICER, OPERATOR, World, circuit, key, training

OURS = {"Sec-Fetch-Site": "same-origin"}
HOSTILE = '<script>alert("1")</script>\x1b[31m'


@asynccontextmanager
async def browser(world: World, who: str, language: str = "ja") -> AsyncIterator[httpx2.AsyncClient]:
    """Somebody who is signed in."""
    async with world.client(None) as http:
        answer = await http.post(f"/{language}/sign-in", data={"token": world.tokens[who]}, headers=OURS)
        assert answer.status_code == 303
        yield http


def form_token(page: str) -> str:
    found = re.search(r'name="form_token" value="([^"]+)"', page)
    assert found is not None
    return found[1]


async def test_anybody_reads_the_history_of_prices(world: World) -> None:
    async with world.client(None) as http:
        pages = {language: await http.get(f"/{language}/prices") for language in ("ja", "en")}
        entrance = await http.get("/ja/sign-in")
    assert [each.status_code for each in pages.values()] == [200, 200]
    assert "料金の履歴" in pages["ja"].text
    for told in ("gpu-demo", "330", "500", "a public price list", "2026-03-01"):
        assert told in pages["en"].text
    assert 'href="/ja/prices"' in entrance.text


@pytest.mark.parametrize(
    ("who", "beginning"), [(ALPHA, "/ja/jobs"), (OPERATOR, "/ja/operator/queue"), (OFFICER, "/ja/officer/kpi")]
)
async def test_each_role_begins_at_its_own_page(world: World, who: str, beginning: str) -> None:
    async with browser(world, who) as http:
        answer = await http.get("/ja/")
        page = await http.get(answer.headers["location"])
    assert answer.headers["location"] == beginning
    assert page.status_code == 200
    assert '<html lang="ja">' in page.text
    assert 'aria-current="page"' in page.text


async def test_the_session_cookie_is_for_this_site_and_no_script(world: World) -> None:
    async with world.client(None) as http:
        answer = await http.post("/en/sign-in", data={"token": f" {world.tokens[ALPHA]} "}, headers=OURS)
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "Path=/" in cookie
    assert world.tokens[ALPHA] not in cookie


async def test_a_wrong_token_is_told_so_on_the_page(world: World) -> None:
    async with world.client(None) as http:
        answer = await http.post("/ja/sign-in", data={"token": "kyo_" + "x" * 43}, headers=OURS)
    assert answer.status_code == 401
    assert 'role="alert"' in answer.text
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "http://portal.test"},
    ],
)
async def test_a_form_of_another_site_is_not_believed(world: World, headers: dict[str, str]) -> None:
    async with world.client(None) as http:
        answer = await http.post("/ja/sign-in", data={"token": world.tokens[ALPHA]}, headers=headers)
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


async def test_a_form_without_the_sessions_own_token_is_not_believed(world: World) -> None:
    await world.market.pay_in("5000")
    async with world.client() as api:
        job_id = (await api.post("/api/v1/jobs", json=training(), headers=key())).json()["id"]
    async with browser(world, BETA) as other:
        foreign = form_token((await other.get("/ja/jobs")).text)
    async with browser(world, ALPHA) as http:
        path = f"/ja/jobs/{job_id}/cancel"
        refused = [
            await http.post(path, headers=OURS),
            await http.post(path, data={"form_token": foreign}, headers=OURS),
            await http.post(path, data={"form_token": form_token((await http.get("/ja/jobs")).text)}),
        ]
        before = await http.get(f"/ja/jobs/{job_id}")
        done = await http.post(path, data={"form_token": form_token(before.text)}, headers=OURS)
        after = await http.get(f"/ja/jobs/{job_id}")
    assert [answer.status_code for answer in refused] == [403, 403, 403]
    assert (done.status_code, done.headers["location"]) == (303, f"/ja/jobs/{job_id}")
    assert catalogue(Language.JA).text("job.cancel_wanted") in after.text


async def test_who_is_not_signed_in_is_asked_to(world: World) -> None:
    async with world.client(None) as http:
        for path in ("/ja/jobs", "/en/balance", "/ja/operator/queue", "/en/officer/kpi.csv"):
            answer = await http.get(path, headers={"Cookie": "kyoyo-session=v1.forged"})
            assert (answer.status_code, answer.headers["location"]) == (303, f"{path[:3]}/sign-in")


async def test_signing_out_and_revoking_the_token_end_the_session(world: World) -> None:
    async with browser(world, ALPHA) as http:
        page = await http.get("/ja/jobs")
        answer = await http.post("/ja/sign-out", data={"form_token": form_token(page.text)}, headers=OURS)
        assert answer.headers["location"] == "/ja/sign-in"
        assert (await http.get("/ja/jobs")).status_code == 303
    async with browser(world, ALPHA) as http, world.client() as api:
        for each in (await api.get("/api/v1/tokens")).json()["items"]:
            await api.delete(f"/api/v1/tokens/{each['id']}")
        assert (await http.get("/ja/jobs")).headers["location"] == "/ja/sign-in"


async def test_the_cookie_opens_no_api_and_the_token_opens_no_page(world: World) -> None:
    async with browser(world, ALPHA) as http:
        assert (await http.get("/api/v1/jobs")).status_code == 401
    async with world.client() as http:
        assert (await http.get("/ja/jobs")).status_code == 303


PAGES = {
    ALPHA: ("/jobs", "/balance"),
    OPERATOR: ("/operator/queue", "/operator/prices"),
    OFFICER: ("/officer/kpi", "/officer/kpi.csv"),
}


async def test_every_role_sees_its_own_pages_in_both_languages_and_no_other(
    world: World, subtests: pytest.Subtests
) -> None:
    for who, own in PAGES.items():
        async with browser(world, who) as http:
            for path in (path for paths in PAGES.values() for path in paths):
                for language in Language:
                    with subtests.test(f"{who} {language.value} {path}"):
                        answer = await http.get(f"/{language.value}{path}")
                        assert answer.status_code == (200 if path in own else 403)
                        assert answer.headers.get("content-language", language.value) == language.value


async def test_a_job_is_told_whole_and_nothing_in_it_is_run(world: World) -> None:
    await world.market.pay_in("5000")
    script = Behaviour(run_s=1, stdout=HOSTILE, stderr=HOSTILE, result={HOSTILE: HOSTILE}).script().body.decode()
    name = '<img src=x onerror="alert(1)">'
    async with world.client() as api:
        body = training(name=name, script=script)
        job_id = (await api.post("/api/v1/jobs", json=body, headers=key())).json()["id"]
    async with browser(world, ALPHA) as http:
        waiting = (await http.get(f"/ja/jobs/{job_id}")).text
        await world.run_to_end()
        ended = (await http.get(f"/ja/jobs/{job_id}")).text
        listed = (await http.get("/ja/jobs")).text
    assert 'action="/ja/jobs/' in waiting
    for page in (waiting, ended, listed):
        assert "<script>alert" not in page
        assert "<img src=x" not in page
        assert "\x1b" not in page
    assert "&lt;script&gt;alert(&#34;1&#34;)&lt;/script&gt;" in ended
    assert catalogue(Language.JA).text("state.SUCCEEDED") in ended


async def test_counts_are_drawn_and_listed(world: World) -> None:
    await world.market.pay_in("5000")
    async with world.client() as api:
        job_id = (await api.post("/api/v1/jobs", json=circuit(), headers=key())).json()["id"]
    await world.run_to_end()
    async with browser(world, ALPHA, "en") as http:
        page = (await http.get(f"/en/jobs/{job_id}")).text
    assert page.count("<rect") == 2
    assert 'role="img"' in page
    assert page.count("2,000") == 4  # twice in the picture, twice in its table


async def test_another_organisations_job_has_no_page(world: World) -> None:
    await world.market.pay_in("5000")
    async with world.client() as api:
        job_id = (await api.post("/api/v1/jobs", json=training(), headers=key())).json()["id"]
    async with browser(world, BETA) as http:
        answers = [await http.get(f"/ja/jobs/{job_id}{ending}") for ending in ("", "/log", "/state")]
    assert [answer.status_code for answer in answers] == [404] * 3


async def test_a_page_that_is_not_there_says_so_in_its_language(world: World) -> None:
    async with world.client(None) as http:
        japanese = await http.get("/ja/nowhere")
        neither = await http.get("/fr/jobs", headers={"Accept-Language": "fr"})
    assert japanese.status_code == neither.status_code == 404
    assert catalogue(Language.JA).text("refusal.not-found.message") in japanese.text


async def test_a_bad_month_or_period_is_refused_on_the_page(world: World) -> None:
    async with browser(world, ALPHA) as http:
        month = await http.get("/ja/balance", params={"month": "2026-99"})
    async with browser(world, OFFICER) as http:
        period = await http.get("/en/officer/kpi", params={"period": "<b>"})
    assert (month.status_code, period.status_code) == (422, 422)
    assert "<b>" not in period.text
