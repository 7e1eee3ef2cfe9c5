"""The demo's last pages: quote against charge, statement, figures and checks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from kyoyo.models import JobRecord, Json
from kyoyo.terminal import histogram, yen
from portal.demo.promises import Summary
from portal.demo.screen import Screen
from portal.language import Catalogue


def show(
    screen: Screen, texts: Catalogue, *, jobs: Sequence[JobRecord], summary: Summary, statement: Json, kpi: Json
) -> None:
    """All tables."""
    _jobs(screen, texts, jobs, summary)
    _counts(screen, summary)
    _statement(screen, texts, statement)
    _kpi(screen, texts, kpi)
    _checks(screen, summary)


def _jobs(screen: Screen, texts: Catalogue, jobs: Sequence[JobRecord], summary: Summary) -> None:
    columns = [screen.text(key) for key in ("job", "state_head", "backend", "result", "used", "quote", "charge")]
    rows = [
        [
            record.name,
            texts.word("state", record.state),
            record.backend,
            _result(screen, told["result"]),
            _used(screen, told["usage"]),
            yen(record.quote_yen),
            yen(record.charge_yen),
        ]
        for record, told in zip(jobs, summary["jobs"], strict=True)
    ]
    screen.table(screen.text("table_jobs"), columns, rows, right=3)


def _result(screen: Screen, result: Mapping[str, Any]) -> str:
    if "accuracy" in result:
        return screen.text("accuracy", accuracy=f"{result['accuracy']:.4f}")
    return " ".join(f"{outcome}:{count}" for outcome, count in sorted(result.get("counts", {}).items())) or "–"


def _used(screen: Screen, usage: Mapping[str, Decimal]) -> str:
    if usage["qpu_seconds"]:
        return screen.text("qpu_seconds", amount=f"{usage['qpu_seconds'].normalize():f}")
    return screen.text("gpu_hours", amount=f"{usage['gpu_hours'].normalize():f}")


def _counts(screen: Screen, summary: Summary) -> None:
    for job in summary["jobs"]:
        if counts := job["result"].get("counts"):
            screen.line("\n" + histogram(counts))


def _statement(screen: Screen, texts: Catalogue, statement: Json) -> None:
    rows = [
        [each["at"][:19].replace("T", " "), texts.word("entry", each["kind"]), *_moves(each)]
        for each in statement["entries"]
    ]
    rows.append(["", screen.text("balance_then"), *(yen(Decimal(statement["closing"][name])) for name in _MOVES)])
    columns = [screen.text(key) for key in ("at", "movement", "available", "held", "owed")]
    screen.table(screen.text("table_statement", month=statement["month"]), columns, rows, right=3)
    totals = {name.removesuffix("_yen"): yen(Decimal(amount)) for name, amount in statement["totals"].items()}
    screen.say("equation", style="dim", **totals)


_MOVES = ("available_yen", "held_yen", "owed_yen")


def _moves(entry: Json) -> list[str]:
    amounts = [Decimal(entry[name]) for name in _MOVES]
    return [f"{'+' if amount > 0 else ''}{amount.normalize():,f}" if amount else "" for amount in amounts]


def _kpi(screen: Screen, texts: Catalogue, kpi: Json) -> None:
    language = texts.language.value
    rows = [
        [f"{item[f'name_{language}']} {item['resource']}".strip(), _value(item["value"]), item[f"unit_{language}"]]
        for item in kpi["items"]
    ]
    columns = [screen.text("figure"), screen.text("value"), screen.text("unit")]
    screen.table(screen.text("table_kpi", period=kpi["period"]["code"]), columns, rows)


def _value(value: str | int | None) -> str:
    return "–" if value is None else f"{Decimal(value).normalize():,f}"


def _checks(screen: Screen, summary: Summary) -> None:
    checks = [
        ("check_imbalance", summary["ledger"]["imbalance"]),
        ("check_open_holds", summary["ledger"]["open_holds"]),
        ("check_unexplained", summary["audit"]["unexplained"]),
    ]
    rows = [[screen.text(key), str(found), "✓" if found == 0 else "✗"] for key, found in checks]
    screen.table(screen.text("table_checks"), [screen.text("figure"), screen.text("value"), ""], rows)
