"""proposals ls, show, make, approve, reject: what two operators decide. prices: what anything has cost, and costs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from kyoyo.cli.session import JSON, Session, session_of
from kyoyo.cli.show import in_words, table
from kyoyo.errors import UsageError
from kyoyo.models import Json
from kyoyo.terminal import one_line

Id = Annotated[str, typer.Argument(help="option.proposal_id", metavar="ID")]
What = Annotated[str, typer.Argument(help="option.proposal_what", metavar="WHAT")]
Body = Annotated[Path, typer.Argument(help="option.proposal_file", metavar="FILE", exists=True, dir_okay=False)]
Open = Annotated[bool, typer.Option("--open", help="option.proposal_open")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="option.dry_run")]
Why = Annotated[str, typer.Option("--reason", help="option.proposal_reason")]
Offering = Annotated[str | None, typer.Argument(help="option.history_offering", metavar="OFFERING")]

_COLUMNS = ["id", "kind", "proposal_status", "reason", "proposed_at", "expires_at"]
_PRICES = ["offering", "customer_class", "service_class", "component", "per"]
_YEN = ["price_yen", "list_yen", "market_yen", "valid_from", "valid_until"]


def proposals_ls(ctx: typer.Context, *, only_open: Open = False, wants_json: JSON = False) -> None:
    """What was proposed."""
    session = session_of(ctx, wants_json=wants_json)
    with session.client() as client:
        _show(session, client.proposals.list(undecided=only_open), _COLUMNS)


def proposals_show(ctx: typer.Context, proposal: Id, *, wants_json: JSON = False) -> None:
    """Word for word, with what it would do."""
    session = session_of(ctx, wants_json=wants_json)
    with session.client() as client:
        _tell(session, client.proposals.get(proposal))


def proposals_make(
    ctx: typer.Context, what: What, body: Body, *, dry_run: DryRun = False, wants_json: JSON = False
) -> None:
    """Propose what a file says."""
    session = session_of(ctx, wants_json=wants_json)
    try:
        told = json.loads(body.read_text(encoding="utf-8"))
    except (OSError, ValueError) as wrong:
        raise UsageError(key="wrong.json_file", file=str(body)) from wrong
    if not isinstance(told, dict):
        raise UsageError(key="wrong.json_file", file=str(body))
    with session.client() as client:
        _tell(session, client.proposals.make(what, told, dry_run=dry_run))


def proposals_approve(
    ctx: typer.Context, proposal: Id, *, reason: Why = "", dry_run: DryRun = False, wants_json: JSON = False
) -> None:
    """Do it: as the second person."""
    session = session_of(ctx, wants_json=wants_json)
    with session.client() as client:
        _tell(session, client.proposals.approve(proposal, reason=reason, dry_run=dry_run))


def proposals_reject(ctx: typer.Context, proposal: Id, *, reason: Why, wants_json: JSON = False) -> None:
    """It will not be done: as the second person."""
    session = session_of(ctx, wants_json=wants_json)
    with session.client() as client:
        _tell(session, client.proposals.reject(proposal, reason=reason))


def prices(ctx: typer.Context, offering: Offering = None, *, wants_json: JSON = False) -> None:
    """Every price that was ever published, beside the market's."""
    session = session_of(ctx, wants_json=wants_json)
    with session.client() as client:
        _show(session, client.proposals.price_history(offering), [*_PRICES, *_YEN])


def _tell(session: Session, found: Json) -> None:
    """One proposal: its line, and then its content and effect as they are."""
    if session.wants_json:
        session.answer(found)
        return
    _show(session, [found], _COLUMNS)
    shown = {name: found.get(name) for name in ("content", "effect", "decision")}
    session.out.print(json.dumps(shown, ensure_ascii=False, indent=2), markup=False, highlight=False)
    if found.get("dry_run"):
        session.say("say.dry_run")


def _show(session: Session, found: Sequence[Json], columns: Sequence[str]) -> None:
    if session.wants_json:
        session.answer({"items": list(found)})
        return
    cells = [[_cell(session, name, row) for name in columns] for row in found]
    table(session, columns, cells, spare=["expires_at", "list_yen", "per"])


def _cell(session: Session, name: str, row: Json) -> str:
    if name == "proposal_status":
        told = str(row.get("status"))
        return session.texts.get(f"proposal.{told}", one_line(told))
    if name.endswith(("_at", "_from", "_until")):
        return in_words(session, "at", row.get(name))
    return in_words(session, name, row.get(name))
