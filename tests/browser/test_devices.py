"""The pages of devices in a real browser: they fit, on a desk and in a hand, and a keyboard gets everywhere."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from playwright.async_api import expect

from portal.language import Language, catalogue
from tests.browser.test_three_roles import DESKTOP, PHONE, browsing, fits, sign_in_by_link, world
from tests.integration.portal.test_devices import with_device
from tests.support.portal_world import ALPHA, World

__all__ = ["world"]
pytestmark = [pytest.mark.chromium, pytest.mark.postgres, pytest.mark.timeout(180)]


@pytest.mark.parametrize(("language", "size"), [("ja", DESKTOP), ("en", PHONE)])
async def test_a_startup_looks_at_a_device(world: World, language: str, size: tuple[int, int]) -> None:
    words = catalogue(Language(language))
    await with_device(world)
    async with browsing(world, size=size) as page:
        await sign_in_by_link(page, world, ALPHA, language)
        await page.get_by_role("link", name=words.text("nav.devices")).click()
        await expect(page.get_by_role("heading", level=1)).to_have_text(words.text("devices.title"))
        assert await fits(page)
        await _keep(page, f"devices-{language}")
        await page.get_by_role("link", name="aer").focus()
        await page.keyboard.press("Enter")
        picture = page.get_by_role("img", name=words.text("device.topology"))
        await expect(picture).to_be_visible()
        assert await picture.locator("circle").count() == 7
        assert await fits(page)
        await _keep(page, f"device-{language}")


async def _keep(page: object, name: str) -> None:
    """A picture for people, where KYOYO_SCREENSHOTS names a folder."""
    folder = os.environ.get("KYOYO_SCREENSHOTS")
    if folder:
        await page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)  # type: ignore[attr-defined]
