"""Papers over HTTP: of documents as they were issued, and of the wallet's month; only their own customer gets them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pypdfium2
import pytest

from portal.app import create_app
from pricing.days import Month
from tests.integration.portal.test_submission_refusals import refused
from tests.support.closes import RULES, close
from tests.support.market import gpu_usage
from tests.support.portal_world import BETA, World

API = "/api/v1"
APRIL = Month(2026, 4)
PAPER = f"{API}/documents/INV-2026-000001/paper.pdf"


def _text(pdf: bytes) -> str:
    with pypdfium2.PdfDocument(pdf) as document:
        return "".join(page.get_textpage().get_text_range() for page in document).replace(" ", "")


def _attached(pdf: bytes) -> str:
    with pypdfium2.PdfDocument(pdf) as document:
        return bytes(document.get_attachment(0).get_data()).decode()


@pytest.mark.fonts
async def test_an_invoice_is_the_same_file_each_time_with_its_rows_inside(world: World) -> None:
    await world.market.give_credit("5000")
    await world.market.submit("a")
    await world.market.close("a")
    await world.market.use("a", gpu_usage("a", 3600))
    await close(world.database, APRIL)
    deps = replace(world.deps, close_rules=RULES)
    ours = replace(world, deps=deps, app=create_app(deps))
    async with ours.client() as http:
        first, again = [await http.get(PAPER) for _ in range(2)]
        lines = await http.get(f"{API}/documents/INV-2026-000001/lines.csv")
        statement = await http.get(f"{API}/statement.pdf", params={"month": "2026-04"})
    async with ours.client(BETA) as http:
        assert refused(await http.get(PAPER)) == (404, "document-not-found")
    assert (first.status_code, first.headers["content-type"]) == (200, "application/pdf")
    assert first.content == again.content
    text = _text(first.content)
    for shown in (
        "INV-2026-000001",
        "共用計算株式会社",
        "T7000012050002",
        "御中",
        "¥363",
        "10%対象",
        "33",
        "2026年5月31日",
    ):
        assert shown in text, shown
    assert _attached(first.content) == lines.content.decode("utf-8-sig")
    assert "残高明細書" in _text(statement.content)


async def test_what_cannot_be_set_is_refused_by_name(world: World, tmp_path: Path) -> None:
    async with world.client() as http:
        assert refused(await http.get(f"{API}/statement.pdf")) == (409, "issuer-not-set")
    deps = replace(world.deps, close_rules=RULES, font_folders=(tmp_path,))
    async with replace(world, deps=deps, app=create_app(deps)).client() as http:
        assert refused(await http.get(f"{API}/statement.pdf")) == (409, "paper-not-possible")
