"""`kyoyod`: the server's command."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine
from typing import Annotated, Any, NoReturn

import typer
from pydantic import ValidationError

from accounts.model import StaffRole
from accounts.sealing import CannotUnseal
from infra.db.migrate import MigrationRefused, migrate
from infra.refusal import Refusal
from portal.audit import print_audit
from portal.bootstrap import database_urls, start_embedded
from portal.closing import close_from_here
from portal.demo.command import demo
from portal.elastic import elastic
from portal.language import negotiate
from portal.logs import configure
from portal.openapi import COMMITTED, document, is_current, write
from portal.payments import payments
from portal.refusals import say
from portal.secrets import rotate
from portal.serve import serve_portal
from portal.settings import Settings, SettingsWrong
from portal.sharing import rate, share
from portal.site.command import app as site
from portal.staff import add_staff
from portal.up import run_up
from portal.worker import run_worker

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
app.command(name="demo")(demo)
app.add_typer(site, name="site")
app.add_typer(share, name="share")
app.add_typer(rate, name="rate")
app.add_typer(elastic, name="elastic")
app.add_typer(payments, name="payments")
secrets = typer.Typer(no_args_is_help=True, help="Members' secrets.")
app.add_typer(secrets, name="secrets")

_WRONG_SETTINGS = 2
_UNEXPLAINED = 1


@app.command()
def up() -> None:
    """Portal and worker together, each started again when it dies; with the embedded database when no other is set."""
    configure()
    settings = _settings()
    _run(run_up(settings, announce=typer.echo))


@app.command()
def portal() -> None:
    """The portal alone: the API and the pages."""
    configure()
    settings = _settings()
    _run(serve_portal(settings, database_urls(settings)))


@app.command()
def worker() -> None:
    """The loops alone: dispatch, observe, meter, settle. Several may run; one leads each loop."""
    configure()
    settings = _settings()
    _run(run_worker(settings, database_urls(settings)))


@app.command(name="migrate")
def migrate_database(
    *, dry_run: Annotated[bool, typer.Option(help="Only tell what would be applied.")] = False
) -> None:
    """Brings the database up to this version."""
    settings = _settings()
    urls = database_urls(settings)
    try:
        applied = asyncio.run(migrate(urls.owner, dry_run=dry_run))
    except MigrationRefused as refused:
        _fail(str(refused))
    for each in applied:
        typer.echo(f"{'would apply' if dry_run else 'applied'} {each.number:04}_{each.name}")
    if not applied:
        typer.echo("nothing to apply")


@app.command()
def audit(*, as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False) -> None:
    """Re-derives balances, charges and figures from the facts. Exit code 1: a difference is unexplained."""
    configure()
    settings = _settings()
    unexplained = asyncio.run(print_audit(settings, database_urls(settings), as_json=as_json))
    if unexplained:
        raise typer.Exit(_UNEXPLAINED)


@app.command(name="close")
def close_month(
    month: Annotated[str, typer.Argument(help="YYYY-MM.")],
    *,
    dry_run: Annotated[bool, typer.Option(help="Only show what would be issued.")] = False,
    leave_unsettled: Annotated[str | None, typer.Option(help="Why, although use of the month is unsettled.")] = None,
) -> None:
    """Closes a month once its books agree with the machines'; the worker issues the documents."""
    configure()
    settings = _settings()
    urls = database_urls(settings)
    try:
        asyncio.run(close_from_here(settings, urls, month, leave_unsettled=leave_unsettled, dry_run=dry_run))
    except Refusal as refused:
        _refuse(refused)


@app.command(name="add-staff")
def add_to_staff(
    email: Annotated[str, typer.Argument(help="Address of the new person.")],
    *,
    name: Annotated[str, typer.Option(help="Name as it is shown.")],
    role: Annotated[StaffRole, typer.Option(help="What the person works as.")] = StaffRole.OPERATOR,
) -> None:
    """A person who works for the house, with a link to sign in: how the first operator of a fresh house begins."""
    settings = _settings()
    try:
        token = asyncio.run(add_staff(database_urls(settings), name=name, email=email, role=role))
    except Refusal as refused:
        _refuse(refused)
    except MigrationRefused as refused:
        _fail(str(refused))
    typer.echo(token)
    typer.echo(f"{settings.address}/ja/sign-in#{token}")


@app.command()
def openapi(
    *,
    do_write: Annotated[bool, typer.Option("--write", help="Renew the committed document.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Exit code 1: the committed document is old.")] = False,
) -> None:
    """The API's description."""
    if do_write:
        write()
        typer.echo(str(COMMITTED))
    elif check:
        raise typer.Exit(0 if is_current() else 1)
    else:
        typer.echo(document(), nl=False)


@secrets.command(name="rotate")
def rotate_secrets() -> None:
    """Encrypts what is under an older key of KYOYO_SECRETS_KEY_FILE with the first one. Then the older may go."""
    settings = _settings()
    try:
        typer.echo(asyncio.run(rotate(settings, database_urls(settings))))
    except (SettingsWrong, MigrationRefused, CannotUnseal) as wrong:
        _fail(str(wrong))


@app.command()
def stop_database() -> None:
    """Ends the embedded database of this data folder."""
    start_embedded(_settings()).stop()


def _settings() -> Settings:
    try:
        settings = Settings()
        settings.require_allowed()
    except ValidationError as wrong:
        _fail("\n".join(f"KYOYO_{'_'.join(map(str, each['loc'])).upper()}: {each['msg']}" for each in wrong.errors()))
    except SettingsWrong as wrong:
        _fail(str(wrong))
    return settings


def _run(work: Coroutine[Any, Any, None]) -> None:
    try:
        asyncio.run(work)
    except (SettingsWrong, MigrationRefused) as wrong:
        _fail(str(wrong))
    except KeyboardInterrupt:
        raise typer.Exit(0) from None


def _refuse(refused: Refusal) -> NoReturn:
    said = say(refused, negotiate(os.environ.get("LANG", "").replace("_", "-").partition(".")[0]))
    _fail(f"{said.message} {said.remedy}")


def _fail(message: str) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(_WRONG_SETTINGS)


def main() -> None:
    """Entry point."""
    app(prog_name="kyoyod")


if __name__ == "__main__":
    main()
