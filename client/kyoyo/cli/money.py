"""balance, usage, invoice, statement, kpi: documents of the portal, shown as they come."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kyoyo.cli.session import JSON, Session, session_of
from kyoyo.cli.show import cell, document, table
from kyoyo.errors import UsageError
from kyoyo.models import Fields, Json
from kyoyo.terminal import one_line

Month = Annotated[str | None, typer.Option("--month", help="option.month")]


_DOCUMENT = ["number", "kind", "month", "issue_date", "due_date", "total_yen", "amount_due_yen"]


def balance(ctx: typer.Context, *, wants_json: JSON = False) -> None:
    """The wallet now."""
    session = session_of(ctx, wants_json=wants_json)
    with session.client() as client:
        _show(session, client.balance())


def usage(ctx: typer.Context, *, month: Month = None, wants_json: JSON = False) -> None:
    """What ran in a month."""
    session = session_of(ctx, wants_json=wants_json)
    with session.client() as client:
        _show(session, client.usage(session.month(month)))


def invoice(ctx: typer.Context, *, month: Month = None, wants_json: JSON = False) -> None:
    """The draft invoice of a month."""
    session = session_of(ctx, wants_json=wants_json)
    with session.client() as client:
        _show(session, client.invoice(session.month(month)))


def invoices(
    ctx: typer.Context,
    number: Annotated[str | None, typer.Argument(help="argument.document", metavar="NUMBER")] = None,
    since: Annotated[str | None, typer.Option("--since", help="option.since")] = None,
    until: Annotated[str | None, typer.Option("--until", help="option.until")] = None,
    *,
    csv: Annotated[bool, typer.Option("--csv", help="option.csv")] = False,
    pdf: Annotated[Path | None, typer.Option("--pdf", help="option.pdf", dir_okay=False)] = None,
    wants_json: JSON = False,
) -> None:
    """Documents that were issued, or one of them with its lines."""
    session = session_of(ctx, wants_json=wants_json)
    with session.client() as client:
        if pdf is not None:
            if number is None:
                raise UsageError(key="wrong.pdf_number")
            pdf.write_bytes(client.document_pdf(number))
        elif csv:
            told = client.document_lines_csv(number) if number else client.documents_csv(since=since, until=until)
            session.out_stream.write(told)
        elif number:
            _show(session, client.document(number))
        else:
            _list(session, client.documents(since=since, until=until))


def _list(session: Session, told: Json) -> None:
    if session.wants_json:
        session.answer(told)
        return
    rows = Fields(told).items(lambda item: [_document_cell(session, Fields(item), name) for name in _DOCUMENT])
    table(session, _DOCUMENT, rows, right=2)


def _document_cell(session: Session, item: Fields, name: str) -> str:
    if name == "kind":
        kind = item.text(name, "")
        return session.texts.get(f"word.{kind}", one_line(kind))
    return cell(item.told.get(name))


def statement(ctx: typer.Context, *, month: Month = None, wants_json: JSON = False) -> None:
    """Everything that moved in a month."""
    session = session_of(ctx, wants_json=wants_json)
    with session.client() as client:
        _show(session, client.statement(session.month(month)))


def kpi(
    ctx: typer.Context,
    period: Annotated[str | None, typer.Option("--period", help="option.period")] = None,
    *,
    wants_json: JSON = False,
) -> None:
    """Figures of a period."""
    session = session_of(ctx, wants_json=wants_json)
    with session.client() as client:
        told = client.kpi(period or session.month(None))
    if session.wants_json:
        session.answer(told)
        return
    rows = Fields(told).items(lambda item: _figure(session, Fields(item)))
    table(session, ["figure", "resource", "value", "unit"], rows)


def _figure(session: Session, item: Fields) -> list[str]:
    language = session.texts.language
    return [
        one_line(item.text(f"name_{language}", item.text("key", ""))),
        one_line(item.text("resource", "")),
        cell(item.told.get("value")),
        one_line(item.text(f"unit_{language}", "")),
    ]


def _show(session: Session, told: Json) -> None:
    if session.wants_json:
        session.answer(told)
    else:
        document(session, told)
