"""What holds in a cycle, read from where it is set: weights, limits, past use, who may start."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from accounts import service as accounts
from accounts.ends import Outlook
from infra.db.connection import Conn
from pricing import service as pricing
from scheduler.core.book.borrowing import Nominal
from scheduler.core.book.terms import Terms
from scheduler.core.quotas import month_of
from scheduler.core.snapshot import Standing, Wall
from scheduler.core.walls import ELIGIBILITY
from scheduler.loops.deps import Deps
from scheduler.store import exchange, planning, tree
from scheduler.store.lived import lived

_UNASKED = Outlook(None, None)
"""Of an organisation that has nothing waiting."""
_LIVED: Final = timedelta(days=28)
_MOST_LIVED: Final = 20_000
"""So much of what ran a new leader's yardstick is told."""
_LATELY: Final = timedelta(days=1)
"""As the half-life of what an organisation owes (core/orders/kyoyo.py)."""


async def past(conn: Conn, deps: Deps, now: datetime) -> Terms:
    """What was used, and nothing else: for a book that is opened, of the instant of which its attempts are."""
    used = await tree.used_micro_nu(conn, at=now, half_life=deps.settings.half_life)
    lately = await tree.used_micro_nu(conn, at=now, half_life=_LATELY)
    return Terms(
        lived=await lived(conn, since=now - _LIVED, limit=_MOST_LIVED),
        used_micro_nu=used,
        lately_micro_nu={branch[0]: nu for branch, nu in lately.items() if len(branch) == 1 and branch[0] is not None},
    )


async def renewed(conn: Conn, deps: Deps, before: Terms, organisations: Collection[UUID], now: datetime) -> Terms:
    """As it is set now; the past as it was read before."""
    known = await tree.settings(conn, at=now)
    monthly = [place for place, limits in known.limits.items() if limits.max_month_micro_nu is not None]
    return replace(
        before,
        standings=await standings(conn, deps, known, organisations, now),
        weights={branch: weight for branch, weight in known.weights.items() if len(branch) > 1},
        limits=known.limits,
        nominal=_nominal(known),
        month_micro_nu=await tree.month_micro_nu(conn, monthly, since=month_of(now)),
        nu_per_hour=await _nu_per_hour(conn, now),
    )


def _nominal(known: tree.Settings) -> dict[UUID, Nominal]:
    """Of every organisation whose weight is set, whether it has work or not."""
    tops = {branch[0]: weight for branch, weight in known.weights.items() if len(branch) == 1}
    limits = {each: known.limits[(each,), None] for each in tops}
    return {
        each: Nominal(
            weight=weight,
            max_borrow_percent=limits[each].max_borrow_percent,
            max_lend_percent=limits[each].max_lend_percent,
        )
        for each, weight in tops.items()
        if each is not None
    }


async def _nu_per_hour(conn: Conn, now: datetime) -> dict[str, float]:
    """Of one GPU, or of a QPU in service, of each backend."""
    rates = await exchange.current(conn, at=now)
    types = await pricing.resource_types(conn)
    return {backend: rates[each] for backend, each in types.items() if each in rates}


async def standings(
    conn: Conn, deps: Deps, known: tree.Settings, organisations: Collection[UUID], now: datetime
) -> dict[UUID, Standing]:
    outlooks = await accounts.outlooks(conn, set(organisations), now=now)
    """Of each, without what it has used."""
    found = {}
    for organisation in sorted(organisations):
        share = planning.share_of(known, organisation) or deps.settings.default_share
        outlook = outlooks.get(organisation, _UNASKED)
        found[organisation] = Standing(
            organisation_id=organisation,
            weight=share.weight,
            max_running_jobs=share.max_running_jobs,
            refused=None if outlook.refusal is None else outlook.refusal.code,
            walls=() if outlook.until is None else (Wall(at=outlook.until, kind=ELIGIBILITY),),
        )
    return found
