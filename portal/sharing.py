"""`kyoyod share` and `kyoyod rate`: the share tree and the exchange table, on the server itself."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, NoReturn, TypeVar
from uuid import UUID

import typer
from pydantic import ValidationError

from accounts import service as accounts
from accounts.errors import NotAMember, OrganisationNotFound
from accounts.model import Organisation
from infra.clock import utc_now
from infra.db.connection import Conn, Role, transaction
from infra.db.migrate import MigrationRefused
from infra.refusal import Refusal
from portal.api.shares import TreeOut, tree_out
from portal.bootstrap import current_pool, database_urls
from portal.language import negotiate
from portal.refusals import say
from portal.settings import Settings, SettingsWrong
from scheduler import service as scheduler
from scheduler.views import RateView

T = TypeVar("T")
share = typer.Typer(no_args_is_help=True, help="Weights and limits of organisations, projects and users.")
rate = typer.Typer(no_args_is_help=True, help="What one unit of each resource counts in the fair share.")
Slug = Annotated[str, typer.Argument(help="The organisation's short name.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object.")]
Why = Annotated[str, typer.Option(help="Why; kept with it and shown.")]
From = Annotated[str | None, typer.Option("--from", help="From when on (ISO 8601 with offset); else now.")]
Limit = Annotated[str | None, typer.Option(metavar="N|none", help="none: no limit. Left out: as it is.")]
_WRONG = 2
_FIRST_YEAR, _LAST_YEAR = 1970, 2199


@share.command(name="show")
def show_share(organisation: Slug, *, as_json: Json = False) -> None:
    """Its branches with what they have and may have, and every change ever made."""
    seen = with_database(lambda conn: _tree(conn, organisation))
    typer.echo(seen.model_dump_json(indent=2) if as_json else "\n".join(tree_lines(seen)))


@share.command(name="set")
def set_share(
    organisation: Slug,
    *,
    reason: Why,
    project: Annotated[str | None, typer.Option(help="Of this project; else of the organisation itself.")] = None,
    user: Annotated[str | None, typer.Option(help="Of this member (address) in the project.")] = None,
    backend: Annotated[str | None, typer.Option(help="Limits on this machine alone.")] = None,
    weight: Annotated[int | None, typer.Option(help="Among its siblings.")] = None,
    max_queued_jobs: Limit = None,
    max_running_jobs: Limit = None,
    max_gpus: Limit = None,
    max_month_nu: Limit = None,
    max_borrow_percent: Limit = None,
    max_lend_percent: Limit = None,
    reserved_units: Limit = None,
    since: From = None,
) -> None:
    """Sets what is named, from now on or later; the rest stays as it is."""
    limits = {
        "max_queued_jobs": max_queued_jobs,
        "max_running_jobs": max_running_jobs,
        "max_gpus": max_gpus,
        "max_month_nu": max_month_nu,
        "max_borrow_percent": max_borrow_percent,
        "max_lend_percent": max_lend_percent,
        "reserved_units": reserved_units,
    }
    changes: dict[str, int | None] = {} if weight is None else {"weight": weight}
    changes |= {name: _limit(name, text) for name, text in limits.items() if text is not None}

    async def change(conn: Conn) -> int:
        now = utc_now()
        found = await _organisation(conn, organisation)
        of = scheduler.BranchName(
            organisation_id=found.id,
            project=project,
            person_id=None if user is None else await _member(conn, found.id, user),
            backend=backend,
        )
        return await scheduler.set_branch(
            conn, actor=None, of=of, changes=changes, reason=reason, effective_at=instant(since) or now, now=now
        )

    typer.echo(f"version {with_database(change)}")


@rate.command(name="list")
def list_rates(*, as_json: Json = False) -> None:
    """Every version, and which of them holds."""
    rates = with_database(lambda conn: scheduler.exchange_table(conn, now=utc_now()))
    if as_json:
        typer.echo(json.dumps({"items": [_rate_json(each) for each in rates]}, ensure_ascii=False, indent=2))
    else:
        typer.echo("\n".join(rate_lines(rates)))


@rate.command(name="publish")
def publish_rate(
    resource_type: Annotated[str, typer.Argument(help="Such as gpu:h200, qpu:anemone, cpu:epyc, sim:aer.")],
    nu_per_hour: Annotated[float, typer.Argument(help="NU of one hour of one unit.")],
    *,
    reason: Why,
    since: From = None,
) -> None:
    """A new rate from now on or later. Jobs that were taken before keep what they were counted."""

    async def publish(conn: Conn) -> int:
        now = utc_now()
        return await scheduler.publish_exchange_rate(
            conn,
            actor=None,
            resource_type=resource_type,
            nu_per_hour=nu_per_hour,
            effective_at=instant(since) or now,
            now=now,
            reason=reason,
        )

    typer.echo(f"version {with_database(publish)}")


def tree_lines(seen: TreeOut) -> list[str]:
    """A line for each branch and each of its limits."""
    lines = []
    for branch in seen.branches:
        name = branch.person or (str(branch.person_id) if branch.person_id else branch.project or "*")
        indent = "  " * ("organisation", "project", "user").index(branch.level)
        lines.append(f"{indent}{name}  weight {branch.weight}  used {branch.used_nu:.3f} NU")
        for each in branch.limits:
            amounts = {
                "queued": (each.queued_jobs, each.max_queued_jobs),
                "running": (each.running_jobs, each.max_running_jobs),
                "GPUs": (each.gpus, each.max_gpus),
                "NU of the month": (round(each.month_nu + each.holding_nu, 3), each.max_month_nu),
            }
            told = ", ".join(f"{unit} {has}/{_most(most)}" for unit, (has, most) in amounts.items())
            if branch.level == "organisation" and each.backend is None:
                told += f", borrows {_percent(each.max_borrow_percent)}, lends {_percent(each.max_lend_percent)}"
            if each.reserved_units is not None:
                told += f", {each.reserved_units} units for class reserved"
            lines.append(f"{indent}  {each.backend or 'in total'}: {told}")
    return lines


def rate_lines(rates: Sequence[RateView]) -> list[str]:
    """What holds now is marked."""
    return [
        f"{'*' if each.holds else ' '} {each.resource_type}  {each.nu_per_hour:g} NU per hour of one {each.unit}  "
        f"from {each.effective_at.isoformat()}  version {each.version}  {each.reason}"
        for each in rates
    ]


def _most(most: float | None) -> str:
    return "-" if most is None else f"{most:g}"


def _percent(most: int | None) -> str:
    return "any" if most is None else f"{most} %"


def _rate_json(each: RateView) -> Mapping[str, object]:
    return {
        "resource_type": each.resource_type,
        "unit": each.unit,
        "nu_per_hour": each.nu_per_hour,
        "effective_at": each.effective_at.isoformat(),
        "holds": each.holds,
        "version": each.version,
        "recorded_at": None if each.recorded_at is None else each.recorded_at.isoformat(),
        "set_by": None if each.set_by is None else str(each.set_by),
        "reason": each.reason,
    }


def _limit(name: str, text: str) -> int | None:
    if text == "none":
        return None
    try:
        return int(text)
    except ValueError:
        raise typer.BadParameter(f"--{name.replace('_', '-')}: {text!r} is neither a whole number nor none") from None


def instant(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"--from: {text!r} is no time such as 2026-04-01T00:00:00+09:00") from None
    if found.tzinfo is None:
        raise typer.BadParameter(f"--from: {text!r} has no offset such as +09:00")
    if not _FIRST_YEAR <= found.year <= _LAST_YEAR:
        raise typer.BadParameter(f"--from: {text!r} is not between {_FIRST_YEAR} and {_LAST_YEAR}")
    return found


async def _tree(conn: Conn, slug: str) -> TreeOut:
    found = await _organisation(conn, slug)
    names = {each.person_id: each.display_name for each in await accounts.list_members(conn, found.id)}
    return tree_out(await scheduler.share_tree(conn, found.id, now=utc_now()), names)


async def _organisation(conn: Conn, slug: str) -> Organisation:
    for each in await accounts.list_organisations(conn):
        if each.slug == slug:
            return each
    raise OrganisationNotFound


async def _member(conn: Conn, organisation_id: UUID, email: str) -> UUID:
    for each in await accounts.list_members(conn, organisation_id):
        if each.email.lower() == email.lower():
            return each.person_id
    raise NotAMember


def with_database(ask: Callable[[Conn], Awaitable[T]]) -> T:
    """One transaction as an operator of the house; every expected "no" as a sentence."""

    async def run() -> T:
        urls = database_urls(Settings())
        async with current_pool(urls.portal, size=1) as pool, transaction(pool, role=Role.OPERATOR) as conn:
            return await ask(conn)

    try:
        return asyncio.run(run())
    except Refusal as refused:
        said = say(refused, negotiate(os.environ.get("LANG", "").replace("_", "-").partition(".")[0]))
        _fail(f"{said.message} {said.remedy}")
    except ValidationError as wrong:
        _fail("\n".join(f"KYOYO_{'_'.join(map(str, each['loc'])).upper()}: {each['msg']}" for each in wrong.errors()))
    except (SettingsWrong, MigrationRefused) as wrong:
        _fail(str(wrong))


def _fail(message: str) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(_WRONG)
