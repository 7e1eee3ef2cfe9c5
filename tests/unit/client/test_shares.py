from __future__ import annotations

import json

import pytest

from tests.support.fake_portal import FakePortal, kyoyo

RATE = {
    "resource_type": "qpu:demo",
    "unit": "qpu",
    "nu_per_hour": 36.0,
    "nu_per_second": 0.01,
    "effective_at": "2026-04-01T00:00:00+00:00",
    "holds": True,
    "version": 2,
    "recorded_at": None,
    "set_by": None,
    "reason": "measured anew",
}
LIMITS = {
    "backend": None,
    "queued_jobs": 3,
    "running_jobs": 1,
    "gpus": 8,
    "holding_nu": 2.5,
    "month_nu": 7.5,
    "max_queued_jobs": 1000,
    "max_running_jobs": 100,
    "max_gpus": None,
    "max_month_nu": 20.0,
}
USER = {
    "level": "user",
    "project": "vision",
    "person_id": "p-1",
    "person": "佐藤 花子",
    "weight": 2,
    "used_nu": 1.25,
    "limits": [LIMITS, {**LIMITS, "backend": "h200", "max_gpus": 8}],
}


@pytest.fixture
def portal() -> FakePortal:
    rates = {"items": [{**RATE, "holds": False, "version": 1, "nu_per_hour": 1.0, "reason": "first"}, RATE]}
    return FakePortal().on("GET /exchange-rates", rates).on("GET /shares", {"branches": [USER], "history": []})


def test_the_exchange_table_tells_what_holds_and_all_of_it_when_asked(portal: FakePortal) -> None:
    assert (now := kyoyo(portal, "rates")).code == 0
    assert "qpu:demo" in now.out
    assert "36" in now.out
    assert "first" not in now.out
    every = kyoyo(portal, "rates", "--all", COLUMNS="200").out
    assert "measured anew" in every
    assert "first" in every
    assert len(json.loads(kyoyo(portal, "rates", "--json").out)["items"]) == 2


def test_shares_tell_what_is_borrowed_and_lent_at_most_where_that_is_limited() -> None:
    limits = {**LIMITS, "max_borrow_percent": 50, "max_lend_percent": None}
    portal = FakePortal().on("GET /shares", {"branches": [{**USER, "limits": [limits, LIMITS]}], "history": []})
    head, total, other = kyoyo(portal, "shares", COLUMNS="200", KYOYO_LANG="en").out.splitlines()
    assert head.endswith("borrows at most")
    assert (total.split()[-2:], other.split()[-1]) == (["50", "%"], "-")
    assert "借入上限" in kyoyo(portal, "shares", COLUMNS="200", KYOYO_LANG="ja").out


def test_shares_tell_each_branch_with_what_it_has_and_may_have(portal: FakePortal) -> None:
    ran = kyoyo(portal, "shares", COLUMNS="200", KYOYO_LANG="en")
    total, machine = ran.out.splitlines()[1:]
    for word in ("user", "vision", "佐藤 花子", "in total", "3 / 1000", "1 / 100", "8 / no limit", "10 / 20"):
        assert word in total
    assert "h200" in machine
    assert "8 / 8" in machine
    assert "borrows" not in ran.out
    assert json.loads(kyoyo(portal, "shares", "--json").out)["branches"] == [USER]


def test_shares_of_nobody_say_so_in_japanese(portal: FakePortal) -> None:
    portal.on("GET /shares", {"branches": [], "history": []})
    assert "表示するものはありません" in kyoyo(portal, "shares", KYOYO_LANG="ja").err
