"""The audit shares nothing with what it audits: a mistake must be made twice to stay unseen. infra/decisions/0012."""

from __future__ import annotations

import ast

from tests.support.repository import ROOT, parsed, shown

ALLOWED = ("metering.audit", "infra.db", "hpc_adapters.contract", "hpc_adapters.errors")
HOUSE = ("accounts", "scheduler", "pricing", "metering", "hpc_adapters", "portal", "infra", "kyoyo")


def imported(tree: ast.Module) -> set[str]:
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "absolute imports only"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def test_the_audit_imports_nothing_of_the_house_but_database_and_port() -> None:
    files = sorted((ROOT / "metering" / "audit").rglob("*.py"))
    assert len(files) > 10
    foreign = [
        f"{shown(path)}: {name}"
        for path in files
        for name in sorted(imported(parsed(path)))
        if name.split(".")[0] in HOUSE and not any(name == each or name.startswith(f"{each}.") for each in ALLOWED)
    ]
    assert foreign == []


def test_nothing_of_the_house_leans_on_the_audit() -> None:
    """Only who runs it may import it: else the house would come to share its code."""
    leaning = [
        shown(path)
        for package in HOUSE
        for path in (ROOT / package).rglob("*.py")
        if "audit" not in path.relative_to(ROOT).parts
        and shown(path) != "metering/auditing.py"
        and any(name.startswith("metering.audit.") for name in imported(parsed(path)))
    ]
    assert [path for path in leaning if not path.startswith("portal/")] == []
