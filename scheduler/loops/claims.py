"""What each branch of the share tree may claim in this cycle: its weight and use, and what is left of its limits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from accounts import service as accounts
from accounts.ends import Outlook
from infra.db.connection import Conn
from scheduler.core.branches import Branch, branches_of
from scheduler.core.quotas import month_of
from scheduler.core.snapshot import Limits, Place, Stake, Standing, Wall
from scheduler.core.walls import ELIGIBILITY
from scheduler.loops.deps import Deps
from scheduler.store import planning, tree

_UNASKED = Outlook(None, None)
"""Of an organisation that has nothing waiting."""


@dataclass(frozen=True, slots=True)
class Claims:
    """Of all that waits; those of organisations that hold something, too."""

    standings: Mapping[UUID, Standing] = field(default_factory=dict)
    stakes: Mapping[Branch, Stake] = field(default_factory=dict)
    limits: Mapping[Place, Limits] = field(default_factory=dict)
    month_micro_nu: Mapping[Place, int] = field(default_factory=dict)


async def look(conn: Conn, deps: Deps, live: planning.Live, now: datetime) -> Claims:
    """Decayed use plus what each branch holds now, at its full size until its real use is known."""
    known = await tree.settings(conn, at=now)
    used = await tree.used_micro_nu(conn, at=now, half_life=deps.settings.half_life)
    held: Counter[Branch] = Counter()
    for each in live.held:
        for branch in branches_of(each.leaf):
            held[branch] += each.micro_nu
    waiting = {branch for leaf in {each.leaf for each in live.waiting} for branch in branches_of(leaf)}
    monthly = [place for place, limits in known.limits.items() if limits.max_month_micro_nu is not None]
    return Claims(
        standings=await _standings(conn, deps, known, used=used, held=held, waiting=waiting, now=now),
        stakes={
            branch: Stake(weight=known.weights.get(branch, 1), used_micro_nu=used.get(branch, 0) + held[branch])
            for branch in waiting
            if len(branch) > 1
        },
        limits=known.limits,
        month_micro_nu=await tree.month_micro_nu(conn, monthly, since=month_of(now)),
    )


async def _standings(
    conn: Conn,
    deps: Deps,
    known: tree.Settings,
    *,
    used: Mapping[Branch, int],
    held: Mapping[Branch, int],
    waiting: set[Branch],
    now: datetime,
) -> dict[UUID, Standing]:
    wanted = {branch[0] for branch in waiting if branch[0] is not None}
    outlooks = await accounts.outlooks(conn, wanted, now=now)
    holders = {branch[0] for branch in held if branch[0] is not None}
    standings = {}
    for organisation in sorted(wanted | holders):
        share = planning.share_of(known, organisation) or deps.settings.default_share
        outlook = outlooks.get(organisation, _UNASKED)
        standings[organisation] = Standing(
            organisation_id=organisation,
            weight=share.weight,
            used_micro_nu=used.get((organisation,), 0) + held.get((organisation,), 0),
            max_running_jobs=share.max_running_jobs,
            refused=None if outlook.refusal is None else outlook.refusal.code,
            walls=_walls(outlook),
        )
    return standings


def _walls(outlook: Outlook) -> Sequence[Wall]:
    return () if outlook.until is None else (Wall(at=outlook.until, kind=ELIGIBILITY),)
