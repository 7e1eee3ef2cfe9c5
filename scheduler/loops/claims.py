"""What each branch of the share tree may claim now: its weight, and what it has used and holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from infra.db.connection import Conn
from scheduler.core.branches import Branch, branches_of
from scheduler.core.snapshot import Stake, Standing
from scheduler.loops import agreements
from scheduler.loops.deps import Deps
from scheduler.store import planning, tree


@dataclass(frozen=True, slots=True)
class Claims:
    """Of all that waits; those of organisations that hold something, too."""

    standings: Mapping[UUID, Standing] = field(default_factory=dict)
    stakes: Mapping[Branch, Stake] = field(default_factory=dict)


async def look(conn: Conn, deps: Deps, live: planning.Live, now: datetime) -> Claims:
    """Decayed use plus what each branch holds now, at its full size until its real use is known."""
    known = await tree.settings(conn, at=now)
    used = Counter(await tree.used_micro_nu(conn, at=now, half_life=deps.settings.half_life))
    for each in live.held:
        for branch in branches_of(each.leaf):
            used[branch] += each.micro_nu
    waiting = {branch for leaf in {each.leaf for each in live.waiting} for branch in branches_of(leaf)}
    organisations = {each.organisation_id for each in live.waiting} | {each.organisation_id for each in live.held}
    set_ = await agreements.standings(conn, deps, known, organisations, now)
    return Claims(
        standings={each: replace(standing, used_micro_nu=used[(each,)]) for each, standing in set_.items()},
        stakes={
            branch: Stake(weight=known.weights.get(branch, 1), used_micro_nu=used[branch])
            for branch in waiting
            if len(branch) > 1
        },
    )
