"""The subcommands of `kyoyod site`."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from typing import Annotated, NoReturn, TypeVar

import typer
from pydantic import ValidationError

from accounts import service as accounts
from hpc_adapters.errors import Unavailable
from hpc_adapters.slurm.provisioning.reconciling import Report, reconcile
from infra.clock import utc_now
from infra.db.connection import Conn, Role, transaction
from infra.db.migrate import MigrationRefused
from infra.refusal import Refusal
from portal.bootstrap import current_pool, database_urls, open_directory
from portal.language import negotiate
from portal.refusals import say
from portal.settings import Settings, SettingsWrong, SlurmSite
from portal.site import users
from portal.site.checking import checked
from portal.site.syncing import wanted
from portal.site.telling import report_lines, user_lines

T = TypeVar("T")
app = typer.Typer(no_args_is_help=True, help="Who runs as whom on a site, and the site's own accounting.")
Backend = Annotated[str, typer.Argument(help="Name of the backend in the settings.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object.")]
_DIFFERS, _WRONG = 1, 2


@app.command(name="list")
def list_users(backend: Backend, *, as_json: Json = False) -> None:
    """Everybody who is or was mapped."""
    rows = _with_database(backend, lambda conn, _: users.listed(conn, backend=backend))
    if as_json:
        typer.echo(json.dumps({"items": [each.as_json() for each in rows]}, ensure_ascii=False, indent=2))
    else:
        typer.echo("\n".join(user_lines(rows)))


@app.command(name="map")
def map_user(
    backend: Backend,
    organisation: Annotated[str, typer.Argument(help="Its short name.")],
    unix_user: Annotated[str, typer.Argument(help="User of the site; given once, to nobody else ever.")],
    *,
    person: Annotated[
        str | None, typer.Option(help="Address of one member; without it, every member without a user of their own.")
    ] = None,
    account: Annotated[
        str | None, typer.Option(help="Account of the site; else the organisation's short name.")
    ] = None,
) -> None:
    """From now on they run as this user. `sync` tells the site."""
    given = _with_database(
        backend,
        lambda conn, _: users.give(
            conn,
            backend=backend,
            organisation=organisation,
            unix_user=unix_user,
            email=person,
            account=account,
            now=utc_now(),
        ),
    )
    typer.echo(f"{given.unix_user} {given.account}")


@app.command(name="unmap")
def unmap_user(backend: Backend, unix_user: Annotated[str, typer.Argument(help="User of the site.")]) -> None:
    """Nobody runs as this user any more, nor will again. `sync` tells the site; what runs goes on to its end."""
    _with_database(
        backend,
        lambda conn, _: accounts.unmap_site_user(conn, actor=None, backend=backend, unix_user=unix_user, now=utc_now()),
    )


@app.command()
def sync(
    backend: Backend,
    *,
    dry_run: Annotated[bool, typer.Option(help="Only tell what would be changed.")] = False,
    remove: Annotated[int | None, typer.Option(help="So many removals are meant, exactly.", min=1)] = None,
    as_json: Json = False,
) -> None:
    """Makes the site's accounts, users and limits like ours. Exit code 1: something differs still."""
    settings = _settings()
    site = _site(settings, backend)
    wishes = _with_database(
        backend, lambda conn, _: wanted(conn, backend=backend, site=site, now=utc_now()), snapshot=True
    )

    async def run() -> Report:
        async with open_directory(backend, site) as directory:
            return await reconcile(directory, wishes, remove=remove, dry_run=dry_run)

    report = _guarded(run)
    if as_json:
        typer.echo(json.dumps(report.as_json(), ensure_ascii=False, indent=2))
    else:
        typer.echo("\n".join(report_lines(report)))
    if not report.is_settled:
        raise typer.Exit(_DIFFERS)


@app.command(name="check")
def check_site(backend: Backend, *, as_json: Json = False) -> None:
    """What the site lacks before jobs can be sent there. Exit code 1: something."""
    settings = _settings()
    site = _site(settings, backend)
    rows = _with_database(backend, lambda conn, _: users.listed(conn, backend=backend))
    current = [each.user.unix_user for each in rows if each.is_current]
    found = _guarded(lambda: checked(settings, backend, site, current))
    if as_json:
        typer.echo(json.dumps(found.as_json(), ensure_ascii=False, indent=2))
    else:
        typer.echo("\n".join(found.lines()))
    if not found.is_good:
        raise typer.Exit(_DIFFERS)


def _with_database(backend: str, ask: Callable[[Conn, Settings], Awaitable[T]], *, snapshot: bool = False) -> T:
    """One transaction as an operator of the house."""
    settings = _settings()
    if backend not in settings.machines():
        _fail(f"there is no backend {backend} in the settings")

    async def run() -> T:
        urls = database_urls(settings)
        async with (
            current_pool(urls.portal, size=1) as pool,
            transaction(pool, role=Role.OPERATOR, snapshot=snapshot) as conn,
        ):
            return await ask(conn, settings)

    return _guarded(run)


def _guarded(run: Callable[[], Awaitable[T]]) -> T:
    """Every expected "no" as a sentence."""

    async def awaited() -> T:
        return await run()

    try:
        return asyncio.run(awaited())
    except Refusal as refused:
        said = say(refused, negotiate(os.environ.get("LANG", "").replace("_", "-").partition(".")[0]))
        _fail(f"{said.message} {said.remedy}")
    except (SettingsWrong, MigrationRefused) as wrong:
        _fail(str(wrong))
    except Unavailable as away:
        _fail(f"the site does not answer: {away}")


def _site(settings: Settings, backend: str) -> SlurmSite:
    machine = settings.machines().get(backend)
    if not isinstance(machine, SlurmSite):
        _fail(f"backend {backend} is no Slurm site")
    return machine


def _settings() -> Settings:
    try:
        settings = Settings()
        settings.machines()
    except ValidationError as wrong:
        _fail("\n".join(f"KYOYO_{'_'.join(map(str, each['loc'])).upper()}: {each['msg']}" for each in wrong.errors()))
    except SettingsWrong as wrong:
        _fail(str(wrong))
    return settings


def _fail(message: str) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(_WRONG)
