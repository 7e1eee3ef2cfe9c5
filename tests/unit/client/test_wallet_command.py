"""`kyoyo outlook`, `notices`, `budgets` and `invoices --pdf`: what is asked of the portal, and what a person reads."""

from __future__ import annotations

from pathlib import Path

from tests.support.fake_portal import FakePortal, kyoyo

BUDGET = {
    "id": "11111111-0000-4000-8000-000000000000",
    "project": "llm",
    "person_id": None,
    "period": "month",
    "since": "2026-12-01",
    "limit_yen": "100000",
    "charged_yen": "90000",
    "held_yen": "0",
    "left_yen": "10000",
    "reason": "試行",
}


def test_a_limit_is_set_and_lifted() -> None:
    asked = FakePortal().on("POST /budgets", {"items": [BUDGET]}).on("GET /budgets", {"items": [BUDGET]})
    ran = kyoyo(asked, "budgets", "set", "100000", "--project", "llm", "--reason", "試行", "--dry-run")
    assert (ran.code, "llm" in ran.out) == (0, True)
    assert asked.asked[-1].url.query == b"dry_run=true"
    assert kyoyo(asked, "budgets", "lift", "--project", "llm", "--reason", "x").code == 0
    assert [body["limit_yen"] for body in asked.bodies("POST /budgets")] == [100_000, None]
    assert "月" in kyoyo(asked, "budgets", "ls", KYOYO_LANG="ja").out
    assert '"left_yen": "10000"' in kyoyo(asked, "budgets", "ls", "--json").out
    assert kyoyo(asked, "budgets", "set", "-1", "--reason", "x").code == 2
    assert kyoyo(asked, "budgets", "set", "5").code == 2, "it wants a reason"


def test_what_becomes_of_the_wallet_is_told() -> None:
    outlook = {
        "available_yen": "5000",
        "days": 30,
        "per_day_yen": "100",
        "exhausted_on": "2027-01-10",
        "lapsing_yen": "0",
    }
    notice = {
        "id": "x",
        "kind": "wallet_used",
        "facts": {"percent": "75", "left_yen": "250"},
        "noticed_at": "2026-12-01T01:00:00+00:00",
    }
    asked = FakePortal().on("GET /outlook", outlook).on("GET /notices", {"items": [notice]})
    assert "2027-01-10" in kyoyo(asked, "outlook").out
    told = kyoyo(asked, "notices").out
    assert "balance used" in told
    assert "75" in told


def test_a_document_is_saved_as_pdf(tmp_path: Path) -> None:
    asked = FakePortal().on("GET /documents/INV-2026-000001/paper.pdf", {"stands for": "bytes"})
    file = tmp_path / "invoice.pdf"
    assert kyoyo(asked, "invoices", "INV-2026-000001", "--pdf", str(file)).code == 0
    assert file.read_bytes()
    assert kyoyo(asked, "invoices", "--pdf", str(file)).code == 2
