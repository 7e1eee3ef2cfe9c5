"""`kyoyod payments`: what is open and what came, marked by hand where it came elsewhere; and the books with Stripe."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Annotated, NoReturn, TypeVar
from uuid import UUID

import typer

from infra.clock import utc_now
from infra.db.connection import Conn, Pool, rehearsal
from infra.db.migrate import MigrationRefused
from portal.api.payments import case_out, receivables_out
from portal.api.wire import Out
from portal.bootstrap import current_pool, database_urls, load_gateway
from portal.settings import Settings, SettingsWrong
from portal.sharing import instant, with_database
from pricing import service as pricing
from pricing.loops import reconcile
from pricing.loops.replay import replay
from pricing.payments import Receivable, Resolution
from pricing.remote import GatewayAway
from pricing.stripe_gateway import StripeGateway

T = TypeVar("T")
payments = typer.Typer(no_args_is_help=True, help="Invoices that are to be paid, payments, and the books with Stripe.")
Dry = Annotated[bool, typer.Option("--dry-run", help="Only tell what would be done, or refused.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object.")]
When = Annotated[str, typer.Option(help="ISO 8601 with offset.")]
_WRONG = 2
_DIFFERS = 1


@payments.command(name="open")
def list_open(*, as_json: Json = False) -> None:
    """What is to be paid, by due date."""
    found = with_database(lambda conn: pricing.receivables(conn, only_open=True))
    _show(receivables_out(found), ("number", "due_date", "open_yen", "amount_yen", "organisation_id"), as_json=as_json)


@payments.command(name="paid")
def mark_paid(
    number: Annotated[str, typer.Argument(help="The invoice's.")],
    amount_yen: Annotated[int, typer.Argument(help="As it came.")],
    *,
    reference: Annotated[str, typer.Option(help="The bank's; a repeated one is nothing.")],
    at: When,
    dry_run: Dry = False,
) -> None:
    """An invoice was paid to our own bank account, whole or in part."""
    paid_at = _instant(at)

    async def mark(conn: Conn) -> Receivable:
        return await pricing.mark_paid(
            conn, number, amount_yen=amount_yen, reference=reference, paid_at=paid_at, actor=None, now=utc_now()
        )

    after = with_database(_rehearsed(mark) if dry_run else mark)
    typer.echo(f"{'would leave' if dry_run else 'leaves'} ¥{max(after.open_yen, 0)} of {after.number} open")


@payments.command(name="cases")
def list_cases(*, as_json: Json = False) -> None:
    """Payments that a person must look at, the oldest first."""
    found = with_database(pricing.payment_cases)
    _show([case_out(each) for each in found], ("id", "kind", "amount_yen", "organisation_id"), as_json=as_json)


@payments.command(name="resolve")
def resolve_case(
    case_id: UUID,
    resolution: Resolution,
    *,
    reason: Annotated[str, typer.Option(help="Why; kept with it.")],
) -> None:
    """How a case ends. refunded and taken move the money at Stripe."""
    with_database(
        lambda conn: pricing.resolve_payment_case(conn, case_id, resolution, reason=reason, actor=None, now=utc_now())
    )
    typer.echo(resolution.value)


@payments.command(name="replay")
def replay_events(*, since: When, until: When, dry_run: Dry = False) -> None:
    """Fetches the events of a time from Stripe again (it keeps them for 30 days); what is new is followed up."""
    first, last = _instant(since), _instant(until)

    async def fetch(gateway: StripeGateway, pool: Pool) -> tuple[int, int]:
        return await replay(gateway, pool, since=first, until=last, now=utc_now(), dry_run=dry_run)

    count, new = _with_stripe(fetch)
    typer.echo(f"{count} events, {new} {'would be' if dry_run else 'are'} new")


@payments.command(name="reconcile")
def reconcile_now() -> None:
    """Compares Stripe with our books now and follows up what is missing. Exit code 1: something differed."""
    found = _with_stripe(lambda gateway, pool: reconcile.run(gateway, pool, None, utc_now()))
    typer.echo(f"{found} differences")
    if found:
        raise typer.Exit(_DIFFERS)


def _with_stripe(ask: Callable[[StripeGateway, Pool], Awaitable[T]]) -> T:
    """As the worker works. Ends the command where Stripe is not set up, or is away."""

    async def run() -> T:
        settings = Settings()
        gateway = load_gateway(settings)
        if gateway is None:
            _fail("Stripe is not set up: KYOYO_STRIPE_KEY_FILE")
        async with current_pool(database_urls(settings).worker, size=2) as pool:
            return await ask(gateway, pool)

    try:
        return asyncio.run(run())
    except (SettingsWrong, MigrationRefused, GatewayAway) as wrong:
        _fail(str(wrong))


def _rehearsed(work: Callable[[Conn], Awaitable[Receivable]]) -> Callable[[Conn], Awaitable[Receivable]]:
    async def run(conn: Conn) -> Receivable:
        async with rehearsal(conn):
            return await work(conn)

    return run


def _instant(text: str) -> datetime:
    found = instant(text)
    assert found is not None
    return found


def _show(found: Sequence[Out], columns: Sequence[str], *, as_json: bool) -> None:
    told = [each.model_dump(mode="json") for each in found]
    if as_json:
        typer.echo(json.dumps({"items": told}, ensure_ascii=False, indent=2))
    for each in () if as_json else told:
        typer.echo("  ".join(str(each[column]) for column in columns))


def _fail(message: str) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(_WRONG)
