"""Members' secrets over HTTP: values come in, and nobody gets them out again."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
import structlog

from accounts.sealing import Sealer
from portal.app import create_app
from portal.logs import configure
from tests.integration.portal.test_submission_refusals import refused
from tests.support.database import Database
from tests.support.portal_world import ALPHA, BETA, OFFICER, OPERATOR, World

API = "/api/v1"
CANARY = "canary-0b7e-秘密"
TOLD = {"value": CANARY}


async def test_set_list_replace_and_forget(world: World) -> None:
    async with world.client() as http:
        assert (await http.get(f"{API}/secrets")).json() == {"items": []}
        kept = await http.put(f"{API}/secrets/HF_TOKEN", json=TOLD)
        again = await http.put(f"{API}/secrets/HF_TOKEN", json=TOLD)
        listed = await http.get(f"{API}/secrets")
        gone = await http.delete(f"{API}/secrets/HF_TOKEN")
        twice = await http.delete(f"{API}/secrets/HF_TOKEN")
    assert (kept.status_code, again.status_code, gone.status_code) == (200, 200, 204)
    assert [each["name"] for each in listed.json()["items"]] == ["HF_TOKEN"]
    assert refused(twice) == (404, "secret-not-found")
    assert not any(CANARY in answer.text for answer in (kept, again, listed, gone, twice))


async def test_nobody_else_sees_or_sets_it(world: World) -> None:
    async with world.client() as http:
        await http.put(f"{API}/secrets/HF_TOKEN", json=TOLD)
    async with world.client(BETA) as http:
        assert (await http.get(f"{API}/secrets")).json() == {"items": []}
        assert refused(await http.delete(f"{API}/secrets/HF_TOKEN")) == (404, "secret-not-found")
    reader = await world.token(ALPHA, scopes=["jobs:read"])
    for who in (OPERATOR, OFFICER, reader):
        async with world.client(who) as http:
            for answer in (await http.get(f"{API}/secrets"), await http.put(f"{API}/secrets/A", json=TOLD)):
                assert refused(answer) == (403, "scope-missing")


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("hf_token", "x", (422, "bad-secret-name")),
        ("LD_PRELOAD", "x", (422, "bad-secret-name")),
        ("A%0AB", "x", (422, "bad-secret-name")),
        ("A" * 65, "x", (422, "bad-secret-name")),
        ("A", "", (422, "bad-secret-value")),
        ("A", "a\0b", (422, "bad-secret-value")),
        ("A", "a" * 32_769, (413, "secret-too-large")),
        ("A", "a" * 100_001, (422, "invalid-request")),
        ("A", 7, (422, "invalid-request")),
    ],
)
async def test_refusals_by_name(world: World, name: str, value: object, expected: tuple[int, str]) -> None:
    async with world.client() as http:
        answer = await http.put(f"{API}/secrets/{name}", json={"value": value})
    assert refused(answer) == expected
    assert str(value) not in answer.text or value in ("", "x", 7)


async def test_a_malformed_request_is_refused_without_repeating_it(world: World) -> None:
    async with world.client() as http:
        answers = [
            await http.put(f"{API}/secrets/A", json={"value": CANARY, "more": CANARY}),
            await http.put(f"{API}/secrets/A", json={"value": [CANARY]}),
            await http.put(f"{API}/secrets/A", content=f'{{"value": "{CANARY}'.encode()),
        ]
    assert {refused(answer) for answer in answers} == {(422, "invalid-request")}
    assert not any(CANARY in answer.text for answer in answers)


async def test_a_house_without_a_key_keeps_none(world: World) -> None:
    world.app = create_app(replace(world.deps, sealer=None))
    async with world.client() as http:
        assert refused(await http.put(f"{API}/secrets/A", json=TOLD)) == (501, "secrets-off")
        assert (await http.get(f"{API}/secrets")).status_code == 200


async def test_the_value_stands_nowhere_but_encrypted(world: World) -> None:
    out = io.StringIO()
    configure(out)
    world.app = create_app(replace(world.deps, log=structlog.get_logger("portal")))
    async with world.client() as http:
        await http.put(f"{API}/secrets/HF_TOKEN", json=TOLD)
        await http.put(f"{API}/secrets/hf", json=TOLD)
        me = await http.get(f"{API}/me")
    assert me.status_code == 200
    assert "/secrets/{name}" in out.getvalue()
    assert "canary" not in out.getvalue()
    assert await _tables_with(world.database, "canary") == []
    assert await _tables_with(world.database, CANARY.encode().hex()) == []
    [row] = await world.database.owner.fetch("SELECT key_id, ciphertext FROM accounts.secret")
    assert row["key_id"] == Sealer([b"s" * 32]).key_id
    assert CANARY.encode() not in row["ciphertext"]


async def _tables_with(database: Database, text: str) -> list[str]:
    """Every table of ours that has the text in some row, however it is stored."""
    tables = await database.owner.fetch(
        "SELECT format('%I.%I', table_schema, table_name) AS name FROM information_schema.tables "
        "WHERE table_schema IN ('accounts', 'infra', 'metering', 'pricing', 'scheduler') AND table_type = 'BASE TABLE'"
    )
    assert len(tables) > 30
    found = []
    for table in tables:
        rows = f"SELECT count(*) FROM {table['name']} AS r WHERE r::text LIKE '%' || $1 || '%'"
        if await database.owner.fetchval(rows, text):
            found.append(table["name"])
    return found
