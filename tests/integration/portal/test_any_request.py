"""Any request that the API describes, and many that it does not: an answer or a named refusal, never a fault.

Requests are drawn from openapi.json by a seed, so an operation that is added is under test at once.
"""

from __future__ import annotations

import json
import random  # noqa: TID251  one seeded instance
from collections.abc import Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import httpx2
import pytest

from portal.openapi import COMMITTED
from tests.support.portal_world import ALPHA, BETA, OFFICER, OPERATOR, World, key, training

WEIRD = [
    *(None, True, [], {}, ["a"], {"a": 1}),
    *(0, -1, 1.5, 10**30, "NaN", "Infinity", "1e400", "0.0000001", "-5"),
    *("", "\0", "\ud800", "\u202e", "a" * 5_000, "'; --", "../../etc/passwd", "kyo_x"),
    *("2026-13", "0000-01", "9999-12", "FY0001", "FY9999", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59+14:00"),
]
WORDS = ["x", "default", "gpu-demo", "startup", "owner", "a@b.jp", "100", "2026-04", "FY2026", "2026-Q1"]
TIMES = ["2026-04-10T00:00:00Z", "2027-04-10T00:00:00+09:00"]
NUMBERS = [0, 1, 2, 600, -1, 2**31, 2**63, 10**18]
NOWHERE = "00000000-0000-4000-8000-000000000000"


@dataclass
class Drawer:
    """Draws requests; the same seed draws the same ones. job_id: one that exists."""

    chance: random.Random
    job_id: str
    api: dict[str, Any] = field(default_factory=lambda: json.loads(COMMITTED.read_text(encoding="utf-8")))

    def requests(self) -> Iterator[httpx2.Request]:
        """One for each operation, but for the live ones, which do not end."""
        for path, operations in self.api["paths"].items():
            for method, operation in operations.items():
                if not path.endswith("/live"):
                    yield self._request(method.upper(), path, operation)

    def _request(self, method: str, path: str, operation: dict[str, Any]) -> httpx2.Request:
        query = {}
        for parameter in operation.get("parameters", []):
            told = self._text()
            if parameter["in"] == "path":
                path = path.replace(f"{{{parameter['name']}}}", quote(told, safe="") or "x")
            elif parameter["in"] == "query" and self.chance.random() < 0.6:
                query[parameter["name"]] = told
        body = None
        if "requestBody" in operation:
            [content] = operation["requestBody"]["content"].values()
            body = json.dumps(self._value(content["schema"])).encode()
        headers = {"Content-Type": "application/json"} | key(str(self.chance.randrange(5)))
        return httpx2.Request(method, f"http://portal.test{path}", params=query, headers=headers, content=body)

    def _text(self) -> str:
        told = str(self.chance.choice([self.job_id, NOWHERE, *WORDS, *WEIRD]))
        return told.encode("utf-8", "replace").decode()

    def _value(self, schema: dict[str, Any]) -> Any:
        if self.chance.random() < 0.2:
            return self.chance.choice(WEIRD)
        if "$ref" in schema:
            return self._value(self.api["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
        if "anyOf" in schema:
            return self._value(self.chance.choice(schema["anyOf"]))
        return self._plain(schema)

    def _plain(self, schema: dict[str, Any]) -> Any:
        match schema.get("type"):
            case "object":
                return self._object(schema)
            case "array":
                return [self._value(schema["items"]) for _ in range(self.chance.randrange(3))]
            case "integer":
                return self.chance.choice(NUMBERS)
            case "string":
                return self.chance.choice(schema.get("enum", [*WORDS, *TIMES, NOWHERE]))
            case _:
                return self.chance.choice([None, True, False])

    def _object(self, schema: dict[str, Any]) -> dict[str, Any]:
        required = schema.get("required", [])
        properties = schema.get("properties", {}).items()
        return {name: self._value(of) for name, of in properties if name in required or self.chance.random() < 0.7}


@pytest.mark.parametrize(
    ("seed", "rounds"),
    [
        (20261121, 4),
        *(pytest.param(seed, 200, marks=[pytest.mark.long, pytest.mark.timeout(1_800)]) for seed in range(4)),
    ],
)
async def test_no_request_is_a_fault_of_ours(world: World, seed: int, rounds: int) -> None:
    await world.market.pay_in("5000")
    async with world.client() as http:
        job_id = (await http.post("/api/v1/jobs", json=training(), headers=key())).json()["id"]
    drawer = Drawer(random.Random(seed), job_id)
    faults, answered = [], 0
    for who in (ALPHA, BETA, OPERATOR, OFFICER):
        async with world.client(who) as http:
            for request in (each for _ in range(rounds) for each in drawer.requests()):
                request.headers["Authorization"] = http.headers["Authorization"]
                answer = await http.send(request)
                answered += answer.is_success
                if answer.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
                    faults.append((who, request.method, str(request.url), request.content, answer.text))
                elif not answer.is_success:
                    assert answer.headers["content-type"] == "application/problem+json", str(request.url)
    assert faults == []
    assert answered > 10 * rounds, "most were refused at the door: nothing was tried"


async def test_half_a_character_is_refused_by_name_where_the_refusal_quotes_it(world: World) -> None:
    asked = {
        "/api/v1/projects": {"slug": "\ud800", "name": "x"},
        "/api/v1/tokens": {"label": "x", "scopes": ["\ud800"]},
    }
    async with world.client() as http:
        for path, body in asked.items():
            answer = await http.post(path, content=json.dumps(body), headers={"Content-Type": "application/json"})
            assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
            assert "?" in answer.text
