"""Every link between our documents leads to a file that is there: a reader finds the code, also after it has moved."""

from __future__ import annotations

import re
from pathlib import Path

from tests.support.repository import ROOT, shown, tracked_files

LINK = re.compile(r"\]\((?!https?://|mailto:|#)([^)\s#]+)")
DECISION = re.compile(r"\bdecisions?[ /](0\d{3})\b")


def _documents() -> list[Path]:
    return [path for path in tracked_files() if path.suffix == ".md"]


def test_every_link_in_a_document_leads_somewhere() -> None:
    links = [(path, link) for path in _documents() for link in LINK.findall(path.read_text(encoding="utf-8"))]
    assert len(links) > 20
    assert [f"{shown(path)}: {link}" for path, link in links if not (path.parent / link).exists()] == []


def test_every_decision_that_is_referred_to_is_recorded() -> None:
    recorded = {path.name[:4] for path in (ROOT / "infra" / "decisions").glob("0*.md")}
    missing = [
        f"{shown(path)}: {number}"
        for path in tracked_files()
        if path.suffix in {".py", ".md", ".sql", ".toml"}
        for number in DECISION.findall(path.read_text(encoding="utf-8"))
        if number not in recorded
    ]
    assert missing == []


def test_every_package_says_what_it_decides_and_what_it_does_not() -> None:
    packages = ("accounts", "scheduler", "pricing", "metering", "hpc_adapters", "portal", "infra", "client")
    assert [package for package in packages if not (ROOT / package / "README.md").is_file()] == []
