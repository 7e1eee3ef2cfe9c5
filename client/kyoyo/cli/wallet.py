"""outlook, notices; budgets ls, set, lift: what becomes of the wallet, and what an organisation lets be spent."""

from __future__ import annotations

from typing import Annotated

import typer

from kyoyo.cli.session import JSON, Session, session_of
from kyoyo.cli.show import document, in_words, table
from kyoyo.models import Fields, Json

Project = Annotated[str | None, typer.Option("--project", help="option.budget_project")]
Member = Annotated[str | None, typer.Option("--member", help="option.budget_member")]
Period = Annotated[str, typer.Option("--period", help="option.budget_period")]
Yen = Annotated[int, typer.Argument(help="argument.budget_yen", metavar="YEN", min=0)]
Why = Annotated[str, typer.Option("--reason", help="option.budget_reason")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="option.dry_run")]

_BUDGETS = ["project", "person_id", "period", "limit_yen", "charged_yen", "held_yen", "left_yen"]
_NOTICES = ["noticed_at", "kind", "facts"]


def outlook(ctx: typer.Context, *, wants_json: JSON = False) -> None:
    """When it will be empty."""
    session = session_of(ctx, wants_json=wants_json)
    with session.client() as client:
        told = client.wallet.outlook()
    if session.wants_json:
        session.answer(told)
    else:
        document(session, told)


def notices(ctx: typer.Context, *, wants_json: JSON = False) -> None:
    """What was told."""
    session = session_of(ctx, wants_json=wants_json)
    with session.client() as client:
        _show(session, client.wallet.notices(), _NOTICES)


def budgets_ls(ctx: typer.Context, *, wants_json: JSON = False) -> None:
    """The limits in force."""
    session = session_of(ctx, wants_json=wants_json)
    with session.client() as client:
        _show(session, client.wallet.budgets(), _BUDGETS, right=4)


def budgets_set(
    ctx: typer.Context,
    limit_yen: Yen,
    *,
    reason: Why,
    project: Project = None,
    member: Member = None,
    period: Period = "month",
    dry_run: DryRun = False,
    wants_json: JSON = False,
) -> None:
    """A limit."""
    session = session_of(ctx, wants_json=wants_json)
    with session.client() as client:
        told = client.wallet.set_budget(
            limit_yen, reason=reason, project=project, person_id=member, period=period, dry_run=dry_run
        )
    _show(session, told, _BUDGETS, right=4)


def budgets_lift(
    ctx: typer.Context,
    *,
    reason: Why,
    project: Project = None,
    member: Member = None,
    period: Period = "month",
    dry_run: DryRun = False,
    wants_json: JSON = False,
) -> None:
    """No limit any more."""
    session = session_of(ctx, wants_json=wants_json)
    with session.client() as client:
        told = client.wallet.set_budget(
            None, reason=reason, project=project, person_id=member, period=period, dry_run=dry_run
        )
    _show(session, told, _BUDGETS, right=4)


def _show(session: Session, told: Json, columns: list[str], *, right: int = 0) -> None:
    if session.wants_json:
        session.answer(told)
        return
    rows = Fields(told).items(lambda item: [in_words(session, name, Fields(item).told.get(name)) for name in columns])
    table(session, columns, rows, right=right)
