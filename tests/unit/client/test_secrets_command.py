"""`kyoyo secrets`: the value comes from a prompt or standard input, goes out once, and is never printed."""

from __future__ import annotations

import httpx2
import pytest

from tests.support.fake_portal import FakePortal, kyoyo, problem

CANARY = "canary-51e0"
KEPT = {"name": "HF_TOKEN", "created_at": "2026-11-21T00:00:00+00:00"}


def portal() -> FakePortal:
    return FakePortal().on("PUT /secrets/HF_TOKEN", KEPT).on("GET /secrets", {"items": [KEPT]})


@pytest.mark.parametrize("stdin", [CANARY, f"{CANARY}\n", f"{CANARY}\r\n"])
@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_a_value_from_standard_input(stdin: str, arguments: list[str]) -> None:
    asked = portal()
    ran = kyoyo(asked, "secrets", "set", "HF_TOKEN", *arguments, stdin=stdin)
    assert ran.code == 0
    assert asked.bodies("PUT /secrets/HF_TOKEN") == [{"value": CANARY}]
    assert CANARY not in ran.out + ran.err


def test_many_lines_are_one_value() -> None:
    asked = portal()
    kyoyo(asked, "secrets", "set", "HF_TOKEN", stdin="-----BEGIN\nKEY-----\n\n")
    assert asked.bodies("PUT /secrets/HF_TOKEN") == [{"value": "-----BEGIN\nKEY-----\n"}]


def test_nothing_is_sent_without_a_value_or_with_one_in_the_command_line() -> None:
    asked = portal()
    assert kyoyo(asked, "secrets", "set", "HF_TOKEN", stdin="\n").code == 2
    assert kyoyo(asked, "secrets", "set", "HF_TOKEN", CANARY, stdin="").code == 2
    assert asked.bodies("PUT /secrets/HF_TOKEN") == []


def test_names_are_listed_and_forgotten() -> None:
    asked = portal().on("DELETE /secrets/HF_TOKEN", httpx2.Response(204))
    assert "HF_TOKEN" in kyoyo(asked, "secrets", "list").out
    assert kyoyo(asked, "secrets", "rm", "HF_TOKEN").code == 0
    asked.on("DELETE /secrets/HF_TOKEN", problem(404, "secret-not-found"))
    assert kyoyo(asked, "secrets", "rm", "HF_TOKEN").code == 5
