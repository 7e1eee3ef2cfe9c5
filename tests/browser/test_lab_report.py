"""The policy lab's report in a real browser: it fits, and every picture shows something."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from playwright.async_api import async_playwright

from scheduler.simulate.commands import run
from scheduler.simulate.report import report
from scheduler.simulate.rows import TraceJob
from scheduler.simulate.shares import equal_shares
from scheduler.simulate.words import Words
from scheduler.simulate.workload import Setting
from tests.browser.test_three_roles import DESKTOP, PHONE, _chromium, fits

pytestmark = [pytest.mark.chromium, pytest.mark.timeout(120)]


def written(folder: Path, language: str) -> Path:
    """GPU and QPU jobs of three organisations over five days, under two policies."""
    orgs = ("alpha", "beta", "gamma")
    jobs = [
        TraceJob(number, str(number), orgs[number % 3], "", number * 900, 7000, 9000, 1 + number % 4)
        for number in range(1, 480)
    ]
    jobs += [
        TraceJob(number, str(number), orgs[number % 2], "", number * 800 % 400_000, 900, 900, 0, 900, "helmi")
        for number in range(1000, 1400)
    ]
    settings = [Setting(gpus=16, policy=policy, rates={"helmi": 8000}) for policy in ("kyoyo", "fifo-easy")]
    runs = [run(jobs, equal_shares(jobs), setting, source="jobs.csv") for setting in settings]
    path = folder / f"{language}.html"
    path.write_text(report(runs, Words(language), source="jobs.csv"), encoding="utf-8")
    return path


@pytest.mark.parametrize(("language", "size", "scheme"), [("ja", DESKTOP, "light"), ("en", PHONE, "dark")])
async def test_a_comparison_of_two_policies(tmp_path: Path, language: str, size: tuple[int, int], scheme: str) -> None:
    path = written(tmp_path, language)
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=_chromium(), args=["--no-sandbox"])
        page = await chromium.new_page(
            viewport={"width": size[0], "height": size[1]}, color_scheme="dark" if scheme == "dark" else "light"
        )
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(message.text))
        await page.goto(path.as_uri())
        assert await fits(page)
        pictures = page.get_by_role("img")
        assert await pictures.count() == 2 + 2 + 2 + 2
        for index in range(await pictures.count()):
            assert await pictures.nth(index).locator(".line, .mark, .layer").count() > 1
        await page.locator("summary").first.focus()
        await page.keyboard.press("Enter")
        assert await page.locator("details[open] table").count() == 1
        if folder := os.environ.get("KYOYO_SCREENSHOTS"):
            await page.screenshot(path=Path(folder) / f"lab-{language}.png", full_page=True)
        await chromium.close()
    assert complaints == []
