"""reserve ls, calendar, book, cancel; for operators capacity, quota, close, closures, reopen."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated

import typer

from kyoyo.cli.session import JSON, Session, session_of
from kyoyo.cli.show import in_words, table
from kyoyo.errors import UsageError
from kyoyo.models import Json
from kyoyo.script.times import begin_of, walltime_s
from kyoyo.terminal import one_line

Offering = Annotated[str, typer.Argument(help="option.reserve_offering", metavar="OFFERING")]
Units = Annotated[int, typer.Option("--units", "-n", help="option.reserve_units")]
From = Annotated[str, typer.Option("--from", metavar="TIME", help="option.reserve_from")]
Until = Annotated[str | None, typer.Option("--until", metavar="TIME", help="option.reserve_until")]
For = Annotated[str | None, typer.Option("--for", metavar="TIME", help="option.reserve_for")]
Name = Annotated[str, typer.Argument(help="option.reserve_name", metavar="NAME")]
Days = Annotated[int, typer.Option("--days", min=1, max=100, help="option.reserve_days")]
Ended = Annotated[bool, typer.Option("--all", "-a", help="option.reserve_all")]
FirstDay = Annotated[str, typer.Option("--first", metavar="YYYY-MM-DD", help="option.reserve_first")]
LastDay = Annotated[str | None, typer.Option("--last", metavar="YYYY-MM-DD", help="option.reserve_last")]
CancelBefore = Annotated[str | None, typer.Option("--cancel-before", metavar="TIME", help="option.cancel_before")]
Organisation = Annotated[str, typer.Argument(help="option.organisation_id", metavar="ID")]
Reason = Annotated[str, typer.Option("--reason", help="option.closure_reason")]
Closure = Annotated[str, typer.Argument(help="option.closure_id", metavar="ID")]


def reserve_ls(ctx: typer.Context, *, ended: Ended = False, wants_json: JSON = False) -> None:
    """What is reserved."""
    session = session_of(ctx, wants_json=wants_json)
    with session.client() as client:
        found = client.reservations.list(ended=ended)
    _show(session, found, ["name", "offering", "units", "since", "until", "cancel_by", "state"])


def reserve_calendar(ctx: typer.Context, offering: Offering, *, days: Days = 14, wants_json: JSON = False) -> None:
    """What can be reserved, day by day."""
    session = session_of(ctx, wants_json=wants_json)
    with session.client() as client:
        found = client.reservations.calendar(offering, days=days)
    _show(session, found, ["day", "units", "free"], right=2)


def reserve_book(
    ctx: typer.Context,
    offering: Offering,
    *,
    units: Units,
    since: From,
    until: Until = None,
    lasts: For = None,
    wants_json: JSON = False,
) -> None:
    """Reserve."""
    session = session_of(ctx, wants_json=wants_json)
    begin, end = _period(session, since, until, lasts)
    with session.client() as client:
        made = client.reservations.book(offering, units=units, since=begin, until=end)
    if wants_json:
        session.answer(made)
    else:
        session.say("say.reserved", **_facts(session, made))


def reserve_cancel(ctx: typer.Context, name: Name, *, wants_json: JSON = False) -> None:
    """Give one up."""
    session = session_of(ctx, wants_json=wants_json)
    with session.client() as client:
        gone = client.reservations.cancel(name)
    if wants_json:
        session.answer(gone)
    else:
        session.say("say.reservation_cancelled", name=one_line(str(gone.get("name"))))


# -- for operators -----------------------------------------------------------------------------------------------------


def reserve_capacity(
    ctx: typer.Context,
    offering: Offering,
    *,
    units: Units,
    first: FirstDay,
    last: LastDay = None,
    cancel_before: CancelBefore = None,
    wants_json: JSON = False,
) -> None:
    """How much may be reserved on which days."""
    session = session_of(ctx, wants_json=wants_json)
    with session.client() as client:
        client.reservations.set_capacity(
            offering,
            units=units,
            first_day=_day(first),
            last_day=None if last is None else _day(last),
            cancel_before_s=None if cancel_before is None else walltime_s(cancel_before),
        )
    _done(session)


def reserve_quota(
    ctx: typer.Context,
    organisation: Organisation,
    *,
    units: Units,
    unit_hours: Annotated[int, typer.Option("--unit-hours", help="option.reserve_unit_hours")],
    days_ahead: Annotated[int, typer.Option("--days-ahead", help="option.reserve_days_ahead")],
    wants_json: JSON = False,
) -> None:
    """What an organisation may reserve."""
    session = session_of(ctx, wants_json=wants_json)
    with session.client() as client:
        client.reservations.set_quota(organisation, units=units, unit_hours=unit_hours, days_ahead=days_ahead)
    _done(session)


def reserve_close(
    ctx: typer.Context,
    offering: Offering,
    *,
    since: From,
    until: Until = None,
    lasts: For = None,
    reason: Reason = "maintenance",
    wants_json: JSON = False,
) -> None:
    """A machine runs nothing for a while."""
    session = session_of(ctx, wants_json=wants_json)
    begin, end = _period(session, since, until, lasts)
    with session.client() as client:
        made = client.reservations.close(offering, since=begin, until=end, reason=reason)
    _show(session, [made], _CLOSURE)


def reserve_closures(ctx: typer.Context, *, wants_json: JSON = False) -> None:
    """When machines are closed."""
    session = session_of(ctx, wants_json=wants_json)
    with session.client() as client:
        found = client.reservations.closures()
    _show(session, found, _CLOSURE)


def reserve_reopen(ctx: typer.Context, closure: Closure, *, wants_json: JSON = False) -> None:
    """A closure will not be, or is over."""
    session = session_of(ctx, wants_json=wants_json)
    with session.client() as client:
        client.reservations.lift(closure)
    _done(session)


_CLOSURE = ["id", "backend", "since", "until", "reason"]
_TIMES = frozenset({"since", "until", "cancel_by"})


def _period(session: Session, since: str, until: str | None, lasts: str | None) -> tuple[datetime, datetime]:
    """From when until when, on this machine's clock. UsageError."""
    if (until is None) == (lasts is None):
        raise UsageError(key="wrong.until_or_for")
    from_now = begin_of(since)
    begin = from_now.at(session.now())
    if until is not None:
        return begin, begin_of(until).at(session.now())
    return begin, datetime.fromtimestamp(begin.timestamp() + walltime_s(lasts or ""), tz=begin.tzinfo)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as wrong:
        raise UsageError(key="wrong.day", text=repr(text)) from wrong


def _done(session: Session) -> None:
    if session.wants_json:
        session.answer({})
    else:
        session.say("say.set")


def _show(session: Session, found: Sequence[Json], columns: Sequence[str], *, right: int = 0) -> None:
    if session.wants_json:
        session.answer({"items": list(found)})
        return
    cells = [[_cell(session, name, row.get(name)) for name in columns] for row in found]
    table(session, columns, cells, right=right, spare=["cancel_by"])


def _cell(session: Session, name: str, value: object) -> str:
    if name == "state":
        return session.texts.get(f"reservation.{value}", one_line(str(value)))
    return in_words(session, "at" if name in _TIMES else name, value)


def _facts(session: Session, made: Json) -> dict[str, str]:
    names = ("name", "units", "offering", "since", "until", "cancel_by")
    return {name: _cell(session, name, made.get(name)) for name in names}
