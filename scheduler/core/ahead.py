"""Who starts before a waiting job, and why: counts by cause, no names. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from enum import StrEnum

from scheduler.core.orders.order import Order
from scheduler.core.request import Request
from scheduler.core.tree import Tree


class Cause(StrEnum):
    """Why a job goes before another. The first that is true counts."""

    OWN = "own"
    """It is of the same organisation."""
    DUE = "due"
    """It has waited so long that it goes before the order."""
    BELOW_SHARE = "below_share"
    """Its organisation has less of its share."""
    FITS = "fits"
    """It came before, or fits sooner: it is smaller, or shorter."""


def who_is_ahead(
    jobs: Sequence[Request], positions: Mapping[int, int], order: Order, tree: Tree
) -> dict[int, Mapping[Cause, int]]:
    """Of each job: how many of the others that wait for its machine start before it, by cause (those that occur).

    order: ticked, as of now.
    """
    passed: dict[int, Counter[tuple[int, bool]]] = {}
    shares = {job.leaf: order.turn(order.line(job))[:1] for job in jobs}
    tops = {leaf: tree.paths[leaf][0] for leaf in shares}
    share_of = {tops[leaf]: share for leaf, share in shares.items()}
    found: dict[int, Mapping[Cause, int]] = {}
    for job in sorted(jobs, key=lambda job: positions[job.number]):
        before, mine = passed.setdefault(job.machine, Counter()), tops[job.leaf]
        causes: Counter[Cause] = Counter()
        for (top, is_due), count in before.items():
            causes[_cause(is_own=top == mine, is_due=is_due, is_below=share_of[top] < share_of[mine])] += count
        found[job.number] = dict(sorted(causes.items()))
        before[mine, order.is_due(job)] += 1
    return found


def _cause(*, is_own: bool, is_due: bool, is_below: bool) -> Cause:
    if is_own:
        return Cause.OWN
    if is_due:
        return Cause.DUE
    return Cause.BELOW_SHARE if is_below else Cause.FITS
