"""The close of a month and its documents over HTTP: who finds what, as JSON and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import httpx2
import pytest

from portal.app import create_app
from portal.closing import close_rules, load_issuer
from portal.settings import Settings, SettingsWrong
from pricing.days import Month
from tests.integration.portal.test_submission_refusals import refused
from tests.support.closes import ISSUER, RULES, close, run
from tests.support.market import NOW, gpu_usage
from tests.support.portal_world import BETA, OPERATOR, World

API = "/api/v1"
APRIL = Month(2026, 4)


def _ready(world: World, unexplained: Callable[[datetime, datetime], Awaitable[int]] | None) -> World:
    """The portal when April is over, without a grace period: tokens hold for thirty days."""
    world.clock.now = APRIL.until
    rules = replace(RULES, grace=timedelta(0))
    deps = replace(world.deps, close_rules=rules, unexplained=unexplained)
    return replace(world, deps=deps, app=create_app(deps))


async def _ran(world: World) -> None:
    await world.market.give_credit("5000")
    await world.market.submit("a")
    await world.market.close("a")
    await world.market.use("a", gpu_usage("a", 3600))


async def test_an_operator_looks_compares_and_closes(world: World) -> None:
    await _ran(world)
    compared: list[datetime] = []

    async def unexplained(since: datetime, now: datetime) -> int:
        compared.append(since)
        return 0

    async with _ready(world, None).client(OPERATOR) as http:
        shown = (await http.get(f"{API}/months/2026-04/preview")).json()
        blind = await http.post(f"{API}/months/2026-04/close", json={})
    async with _ready(world, unexplained).client(OPERATOR) as http:
        tried = (await http.post(f"{API}/months/2026-04/close", json={}, params={"dry_run": True})).json()
        early = await http.post(f"{API}/months/2026-05/close", json={})
        begun = (await http.post(f"{API}/months/2026-04/close", json={})).json()
        await run(world.database, now=APRIL.until)
        months = (await http.get(f"{API}/months")).json()["items"]
    assert [(each["kind"], each["amount_due_yen"]) for each in shown["items"]] == [("invoice", 363)]
    assert (refused(blind), refused(early)) == ((409, "books-not-compared"), (409, "month-not-over"))
    assert (tried["step"], tried["dry_run"]) == ("closing", True)
    assert (begun["step"], begun["issue_date"]) == ("closing", "2026-05-01")
    assert compared == [APRIL.since, APRIL.following.since, APRIL.since]
    assert [(each["month"], each["step"]) for each in months] == [("2026-04", "closed"), ("2026-05", "draft")]
    assert months[0]["facts"] == {"organisations": 2, "documents": 1, "total_yen": 363, "amount_due_yen": 363}


async def test_each_finds_its_own_documents_as_json_and_as_csv(world: World) -> None:
    await _ran(world)
    await close(world.database, APRIL)
    async with world.client(OPERATOR) as http:
        found = (await http.get(f"{API}/documents", params={"counterparty": "alpha", "least_yen": 363})).json()
        none = (await http.get(f"{API}/documents", params={"until": "2026-05-03"})).json()
    assert ([each["number"] for each in found["items"]], none["items"]) == (["INV-2026-000001"], [])
    async with world.client() as http:
        mine = (await http.get(f"{API}/documents/INV-2026-000001")).json()
        listed = _rows(await http.get(f"{API}/documents.csv", params={"kind": "invoice"}))
        [line] = _rows(await http.get(f"{API}/documents/{mine['id']}/lines.csv"))
        backwards = await http.get(f"{API}/documents", params={"least_yen": 2, "most_yen": 1})
    assert (mine["content"]["total_yen"], mine["due_date"]) == (363, "2026-05-31")
    assert [row["number"] for row in listed] == ["INV-2026-000001"]
    assert (line["quantity"], line["charged_yen"], line["accounting_date"]) == ("3600", "330", NOW.date().isoformat())
    assert refused(backwards) == (422, "search-range-wrong")
    async with world.client(BETA) as http:
        assert refused(await http.get(f"{API}/documents/INV-2026-000001")) == (404, "document-not-found")
        assert (await http.get(f"{API}/documents")).json() == {"items": [], "next": None}


def _rows(answer: httpx2.Response) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))


def test_the_issuer_needs_a_registration_number_with_its_check_digit(tmp_path: Path) -> None:
    path = tmp_path / "issuer.toml"
    path.write_text("".join(f'{name} = "{value}"\n' for name, value in ISSUER.items()), encoding="utf-8")
    assert close_rules(Settings(issuer_file=path)).issuer == ISSUER
    for wrong in ("T8000012050002", "7000012050002", "T700001205000", ""):
        path.write_text(f'name = "x"\nregistration_number = "{wrong}"\n', encoding="utf-8")
        with pytest.raises(SettingsWrong, match="registration number"):
            load_issuer(path)
    path.write_text('name = "x"\nfax = "1"\n', encoding="utf-8")
    with pytest.raises(SettingsWrong, match="nothing else"):
        load_issuer(path)
