"""Three people in a real browser: each signs in by link and finds the answer to their question."""

from __future__ import annotations

import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import ConsoleMessage, Page, async_playwright, expect

from hpc_adapters.simulated.behaviour import Behaviour
from portal.language import Language, catalogue
from tests.support.database import Database
from tests.support.portal_world import ALPHA, OFFICER, OPERATOR, World, circuit, key, open_world, training

pytestmark = [pytest.mark.chromium, pytest.mark.timeout(180)]

expect.set_options(timeout=30_000)  # the machine may be busy
TOKEN_IN_ADDRESS = re.compile(r"kyo_")
LONG = Behaviour(run_s=60, stdout="the end\n", result={"accuracy": 0.97}).script().body.decode()
DESKTOP, PHONE = (1200, 800), (390, 844)


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    async with open_world(database, live_poll_s=0.1) as opened:
        await opened.market.pay_in("5000")
        yield opened


@asynccontextmanager
async def browsing(world: World, *, size: tuple[int, int] = DESKTOP) -> AsyncIterator[Page]:
    """A page of a fresh browser at the portal's address. Whatever the browser complains of fails the test."""
    complaints: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            complaints.append(message.text)

    async with world.serving() as address, async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=_chromium(), args=["--no-sandbox"])
        context = await chromium.new_context(
            base_url=address, viewport={"width": size[0], "height": size[1]}, locale="ja-JP"
        )
        page = await context.new_page()
        page.on("console", hear)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.set_default_timeout(30_000)
        yield page
        await chromium.close()
    assert complaints == []


def _chromium() -> str:
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    return str(Path(found))


async def sign_in_by_link(page: Page, world: World, who: str, language: str = "ja") -> None:
    await page.goto(f"/{language}/sign-in#{world.tokens[who]}")
    await page.wait_for_url(lambda address: "sign-in" not in address)
    assert not TOKEN_IN_ADDRESS.search(page.url)


async def fits(page: Page) -> bool:
    """Nothing sticks out to the side."""
    return bool(await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"))


@pytest.mark.parametrize("size", [DESKTOP, PHONE])
async def test_a_startup_watches_its_job_run_to_its_result_and_charge(world: World, size: tuple[int, int]) -> None:
    async with world.client() as api:
        await api.post("/api/v1/jobs", json=training(name="手書き数字", script=LONG), headers=key())
    words = catalogue(Language.JA)
    async with browsing(world, size=size) as page:
        await sign_in_by_link(page, world, ALPHA)
        await page.get_by_role("link", name="手書き数字").click()
        status = page.get_by_role("status")
        await expect(status).to_contain_text(words.text("state.QUEUED"))
        for _ in range(4):
            await world.step()
        await expect(status).to_contain_text(words.text("state.RUNNING"))
        await expect(page.get_by_role("log")).to_contain_text("started")
        for _ in range(8):
            await world.step(20)
        await expect(status).to_contain_text(words.text("state.SUCCEEDED"))
        await expect(page.get_by_role("log")).to_contain_text("the end")
        await expect(page.get_by_text("0.97", exact=True)).to_be_visible()
        await expect(page.locator("#job")).to_have_attribute("data-settled", "true")
        await expect(page.get_by_role("button", name=words.text("job.cancel"))).to_have_count(0)
        assert await fits(page)
        await page.get_by_role("link", name=words.text("nav.balance")).click()
        await expect(page.get_by_text(words.text("proof.holds"))).to_be_visible()
        assert await fits(page)


async def test_a_startup_cancels_a_job_and_signs_out_by_keyboard_alone(world: World) -> None:
    async with world.client() as api:
        job_id = (await api.post("/api/v1/jobs", json=training(), headers=key())).json()["id"]
    words = catalogue(Language.EN)
    async with browsing(world) as page:
        await sign_in_by_link(page, world, ALPHA, "en")
        await page.goto(f"/en/jobs/{job_id}")
        await page.keyboard.press("Tab")
        await expect(page.locator(".skip")).to_be_focused()
        await page.keyboard.press("Enter")
        await expect(page.locator("#main")).to_be_focused()
        for _ in range(2):
            await page.keyboard.press("Tab")
        await expect(page.get_by_role("button", name=words.text("job.cancel"), exact=True)).to_be_focused()
        await page.keyboard.press("Enter")
        await expect(page.get_by_text(words.text("job.cancel_wanted"))).to_be_visible()
        await world.step()
        await expect(page.get_by_role("status")).to_contain_text(words.text("state.CANCELLED"))
        await page.get_by_role("button", name=words.text("site.sign_out")).focus()
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/en/sign-in")
        await page.goto("/en/jobs")
        assert page.url.endswith("/en/sign-in")


async def test_an_operator_sees_why_a_job_waits_and_that_prices_lie_below_the_market(world: World) -> None:
    async with world.client() as api:
        for number in range(3):
            await api.post("/api/v1/jobs", json=training(gpus=4, name=f"n{number}"), headers=key(str(number)))
    await world.step()
    await world.step()
    words = catalogue(Language.JA)
    async with browsing(world) as page:
        await sign_in_by_link(page, world, OPERATOR)
        await expect(page.get_by_role("heading", name=words.text("queue.of", backend="local"))).to_be_visible()
        await expect(page.get_by_text("空き資源が足りません")).to_be_visible()
        await page.get_by_role("link", name=words.text("nav.prices")).click()
        await expect(page.get_by_text("34.0 %")).to_be_visible()
        assert await fits(page)


async def test_an_officer_finds_the_user_count_and_takes_the_figures_along(world: World) -> None:
    async with world.client() as api:
        await api.post("/api/v1/jobs", json=circuit(), headers=key())
    await world.run_to_end()
    words = catalogue(Language.JA)
    async with browsing(world, size=PHONE) as page:
        await sign_in_by_link(page, world, OFFICER)
        tile = page.locator(".tile", has_text="実利用者数")
        await expect(tile.locator("strong")).to_have_text("1")
        async with page.expect_download() as download:
            await page.get_by_role("link", name=words.text("kpi.csv")).click()
        assert (await download.value).suggested_filename == "kyoyo-kpi-2026-04.csv"
        await page.get_by_role("link", name="English").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text(catalogue(Language.EN).text("kpi.title"))
        assert await fits(page)
