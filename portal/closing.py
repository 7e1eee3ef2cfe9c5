"""The close of months as the settings have it, and `kyoyod close`: compare the books, look, decide."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path

import typer

from accounts.errors import InvalidCorporateNumber
from accounts.names import clean_corporate_number
from hpc_adapters.contract import Backend
from infra.clock import utc_now
from infra.db.connection import Role, open_pool, transaction
from metering.auditing import run_audit
from portal.bootstrap import DatabaseUrls, build_backends
from portal.settings import Settings, SettingsWrong
from pricing import service as pricing
from pricing.closing import CloseRules
from pricing.days import Month
from pricing.papers.parties import Issuer


def close_rules(settings: Settings) -> CloseRules:
    """How months are closed. SettingsWrong."""
    return CloseRules(
        issuer={} if settings.issuer_file is None else load_issuer(settings.issuer_file),
        grace=timedelta(days=settings.closing_grace_days),
        minimum_yen=settings.smallest_invoice_yen,
        least_days_to_pay=settings.days_to_pay,
    )


def load_issuer(path: Path) -> Mapping[str, str]:
    """Who issues invoices. SettingsWrong: a field is unknown or no text, or the registration number is not 'T' and a
    number with its check digit (法人番号の指定等に関する省令 第2条).
    """
    try:
        told = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as wrong:
        raise SettingsWrong(f"{path}: {wrong}") from wrong
    fields = {each.name for each in dataclasses.fields(Issuer)}
    if set(told) - fields or not all(isinstance(each, str) for each in told.values()):
        raise SettingsWrong(f"{path} must have texts for {', '.join(sorted(fields))} and nothing else")
    number = told.get("registration_number", "")
    if not _is_registration_number(number):
        raise SettingsWrong(f"{path}: {number!r} is no registration number: T and 13 digits, the first a check digit")
    return told


def _is_registration_number(number: str) -> bool:
    try:
        return number == "T" + clean_corporate_number(number.removeprefix("T"))
    except InvalidCorporateNumber:
        return False


async def unexplained(urls: DatabaseUrls, backends: Mapping[str, Backend], since: datetime, now: datetime) -> int:
    """What the audit finds and nobody can explain, of what the machines say since an instant."""
    async with open_pool(urls.auditor, size=1) as pool:
        return (await run_audit(pool, backends, since=since, now=now)).unexplained


async def close_from_here(
    settings: Settings, urls: DatabaseUrls, name: str, *, leave_unsettled: str | None, dry_run: bool
) -> None:
    """Decide that a month is closed, or show what that would issue. Every refusal of pricing.service.begin_close."""
    month, rules, now = Month.parse(name), close_rules(settings), utc_now()
    if dry_run:
        async with (
            open_pool(urls.portal, size=1) as pool,
            transaction(pool, role=Role.OPERATOR, snapshot=True) as conn,
        ):
            async for each in pricing.preview(conn, month, rules, now=now):
                typer.echo(
                    f"{each.kind.value:<11} {each.total_yen:>13,} {each.amount_due_yen:>13,}  {each.customer.name}"
                )
        return
    backends = build_backends(settings)
    try:
        found = await unexplained(urls, backends, month.since, now)
    finally:
        for backend in backends.values():
            await backend.close()
    async with open_pool(urls.portal, size=1) as pool, transaction(pool, role=Role.OPERATOR) as conn:
        state = await pricing.begin_close(
            conn, month, unexplained=found, rules=rules, leave_unsettled=leave_unsettled, actor=None, now=now
        )
    typer.echo(f"{month} {state.step.value}")
