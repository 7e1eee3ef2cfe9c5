"""`kyoyo proposals` and `kyoyo prices`: what is asked of the portal, and what a person reads."""

from __future__ import annotations

from pathlib import Path

from tests.support.fake_portal import FakePortal, kyoyo, problem

ID = "11111111-0000-4000-8000-000000000000"
PROPOSAL = {
    "id": ID,
    "kind": "price.publish",
    "status": "open",
    "content": {"versions": []},
    "effect": {"versions": [{"offering": "gpu"}], "warnings": []},
    "reason": "四半期の改定",
    "proposed_at": "2026-12-01T01:00:00+00:00",
    "expires_at": "2026-12-15T01:00:00+00:00",
    "decision": None,
    "dry_run": False,
}


def test_a_file_is_proposed_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "prices.json"
    file.write_text('{"offering": "gpu"}', encoding="utf-8")
    asked = FakePortal().on("POST /prices/proposals", {**PROPOSAL, "dry_run": True})
    ran = kyoyo(asked, "proposals", "make", "prices", str(file), "--dry-run")
    assert ran.code == 0
    assert "Nothing was kept" in ran.out
    assert '"offering": "gpu"' in ran.out
    assert asked.asked[-1].url.query == b"dry_run=true"
    assert asked.bodies("POST /prices/proposals") == [{"offering": "gpu"}]
    for text in ("[]", "{", ""):
        file.write_text(text, encoding="utf-8")
        assert kyoyo(asked, "proposals", "make", "prices", str(file)).code == 2


def test_another_person_approves_or_rejects() -> None:
    asked = FakePortal().on("GET /proposals", {"items": [PROPOSAL]}).on(f"GET /proposals/{ID}", PROPOSAL)
    asked.on(f"POST /proposals/{ID}/approve", {**PROPOSAL, "status": "approved"})
    asked.on(f"POST /proposals/{ID}/reject", {**PROPOSAL, "status": "rejected"})
    assert "price.publish" in kyoyo(asked, "proposals", "ls", "--open").out
    assert "未決定" in kyoyo(asked, "proposals", "ls", KYOYO_LANG="ja").out
    assert "四半期の改定" in kyoyo(asked, "proposals", "show", ID).out
    assert "approved" in kyoyo(asked, "proposals", "approve", ID).out
    assert kyoyo(asked, "proposals", "reject", ID).code == 2  # it wants a reason
    assert "rejected" in kyoyo(asked, "proposals", "reject", ID, "--reason", "too dear").out
    assert '"status": "approved"' in kyoyo(asked, "proposals", "approve", ID, "--json").out


def test_its_author_is_refused() -> None:
    own = problem(403, "own-proposal")
    ran = kyoyo(FakePortal().on(f"POST /proposals/{ID}/approve", own), "proposals", "approve", ID)
    assert ran.code == 4
    assert "own-proposal" in ran.err


def test_the_history_of_prices_stands_beside_the_markets() -> None:
    price = {
        "offering": "gpu",
        "customer_class": "startup",
        "service_class": "standard",
        "component": "gpu_s",
        "per": "3600",
        "price_yen": "330",
        "list_yen": "400",
        "market_yen": "500",
        "valid_from": "2026-12-01T01:00:00+00:00",
        "valid_until": None,
    }
    asked = FakePortal().on("GET /prices/history", {"items": [price]})
    out = kyoyo(asked, "prices", "gpu").out
    assert "330" in out
    assert "500" in out
    assert kyoyo(asked, "prices", "--json").code == 0
