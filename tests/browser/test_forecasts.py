"""When a job should start, on its page and in the list, in a real browser."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.browser.test_three_roles import PHONE, browsing, fits, sign_in_by_link, world
from tests.integration.portal.test_forecasts import with_forecasts
from tests.support.portal_world import ALPHA, World

__all__ = ["world"]
pytestmark = [pytest.mark.chromium, pytest.mark.postgres, pytest.mark.timeout(180)]


async def test_a_startup_sees_when_its_job_should_start(world: World) -> None:
    await with_forecasts(world)
    async with browsing(world, size=PHONE) as page:
        await sign_in_by_link(page, world, ALPHA, "ja")
        await page.goto(page.url.split("/ja")[0] + "/ja/jobs")
        await expect(page.get_by_text("見込み: ")).to_be_visible()
        assert await fits(page)
        await _keep(page, "forecast-list")
        await page.get_by_role("link", name="first-waits").click()
        await expect(page.get_by_text("見込み: ")).to_be_visible()
        assert await fits(page)
        await _keep(page, "forecast-job")


async def _keep(page: object, name: str) -> None:
    """A picture for people, where KYOYO_SCREENSHOTS names a folder."""
    folder = os.environ.get("KYOYO_SCREENSHOTS")
    if folder:
        await page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)  # type: ignore[attr-defined]
