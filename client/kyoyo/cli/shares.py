"""rates, shares: what a unit of each resource counts, and what one's organisation, projects and users may have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from kyoyo.cli.session import JSON, Session, session_of
from kyoyo.cli.show import in_words, table
from kyoyo.models import Fields, Json
from kyoyo.terminal import one_line

_PERCENTS = ("max_borrow_percent", "max_lend_percent")
_UNITS = "reserved_units"


def rates(
    ctx: typer.Context,
    *,
    all_rates: Annotated[bool, typer.Option("--all", help="option.all_rates")] = False,
    wants_json: JSON = False,
) -> None:
    """The published exchange table."""
    session = session_of(ctx, wants_json=wants_json)
    with session.client() as client:
        told = client.exchange_rates()
    if wants_json:
        session.answer(told)
        return
    lines = Fields(told).items(lambda item: Fields(item).told)
    shown = [line for line in lines if all_rates or line.get("holds") is True]
    columns = ["resource_type", "unit", "effective_at", *(["version", "reason"] if all_rates else [])]
    columns += ["nu_per_hour", "nu_per_second"]
    rows = [[_rate(session, column, line.get(column)) for column in columns] for line in shown]
    table(session, columns, rows, right=2, spare=["nu_per_second", "reason"])


def shares(ctx: typer.Context, *, wants_json: JSON = False) -> None:
    """One's own part of the share tree."""
    session = session_of(ctx, wants_json=wants_json)
    with session.client() as client:
        told = client.shares()
    if wants_json:
        session.answer(told)
        return
    branches = Fields(told).items(lambda item: Fields(item).told, "branches")
    percents = _percents(branches)
    rows = [row for branch in branches for row in _rows(session, branch, percents)]
    figures = ["queued_jobs", "running_jobs", "gpus_used", "month_nu", *percents]
    columns = ["level", "project", "user", "weight", "used_nu", "on", *figures]
    table(session, columns, rows, right=len(figures), spare=["used_nu", "queued_jobs"])


def _rate(session: Session, column: str, value: object) -> str:
    if column == "unit":
        return _word(session, value)
    return f"{value:.6g}" if isinstance(value, float) else in_words(session, column, value)


def _percents(branches: Sequence[Json]) -> list[str]:
    """What is said of borrowing, lending and class reserved, where the operator has set it."""
    limits = [each for branch in branches for each in Fields(branch).items(lambda item: Fields(item).told, "limits")]
    return [name for name in (*_PERCENTS, _UNITS) if any(each.get(name) is not None for each in limits)]


def _rows(session: Session, branch: Json, percents: list[str]) -> list[list[str]]:
    """A line for the branch in total, and one for each machine with limits of its own."""
    told = Fields(branch)
    head = [
        _word(session, branch.get("level")),
        one_line(told.text("project", "") or "-"),
        one_line(told.text("person", "") or told.text("person_id", "") or "-"),
        str(branch.get("weight", "-")),
        _number(branch.get("used_nu")),
    ]
    limits = told.items(lambda item: Fields(item).told, "limits")
    return [[*head, *_limits(session, each), *(_share(name, each.get(name)) for name in percents)] for each in limits]


def _limits(session: Session, each: Json) -> list[str]:
    backend = each.get("backend")
    nu = sum(value for name in ("month_nu", "holding_nu") if isinstance(value := each.get(name), int | float))
    return [
        session.texts("word.in_total") if backend is None else one_line(str(backend)),
        _of(session, each.get("queued_jobs"), each.get("max_queued_jobs")),
        _of(session, each.get("running_jobs"), each.get("max_running_jobs")),
        _of(session, each.get("gpus"), each.get("max_gpus")),
        _of(session, nu, each.get("max_month_nu")),
    ]


def _of(session: Session, has: object, most: object) -> str:
    limit = session.texts("say.no_limit") if most is None else _number(most)
    return f"{_number(has)} / {limit}"


def _share(name: str, value: object) -> str:
    if value is None:
        return "-"
    return _number(value) if name == _UNITS else f"{_number(value)} %"


def _number(value: object) -> str:
    return f"{round(value, 3):,g}" if isinstance(value, float) else one_line(str(value))


def _word(session: Session, value: object) -> str:
    return session.texts.get(f"word.{value}", one_line(str(value)))
