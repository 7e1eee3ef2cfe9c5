"""The API's description is a committed file: whoever changes the API changes it, and a reviewer sees it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from portal.openapi import COMMITTED, document

API: dict[str, Any] = json.loads(COMMITTED.read_text(encoding="utf-8"))
OPERATIONS = [
    (f"{method.upper()} {path}", told) for path, all_ in API["paths"].items() for method, told in all_.items()
]


def test_the_committed_description_is_the_present_one() -> None:
    assert COMMITTED.read_text(encoding="utf-8") == document(), "renew it: python -m portal.openapi --write"


def test_every_operation_has_a_name_of_its_own() -> None:
    names = [told["operationId"] for _, told in OPERATIONS]
    assert len(names) == len(set(names))


# A link that is signed, for a short while; events, signed by Stripe; what is public.
WITHOUT_TOKEN = ("/transfers/", "/stripe/events", "/prices/history")


@pytest.mark.parametrize(("name", "told"), OPERATIONS, ids=[name for name, _ in OPERATIONS])
def test_every_operation_is_described_needs_a_token_and_can_answer_with_a_problem(
    name: str, told: dict[str, Any]
) -> None:
    assert told["description"]
    if any(path in name for path in WITHOUT_TOKEN):
        assert "security" not in told
        assert {"422", "default"} <= told["responses"].keys()
    else:
        assert told["security"] == [{"token": []}]
        assert {"401", "403", "422", "default"} <= told["responses"].keys()
    assert "application/problem+json" in told["responses"]["default"]["content"]


def test_what_machines_watch_and_what_people_read_is_not_part_of_it() -> None:
    assert all(path.startswith("/api/v1/") for path in API["paths"])
