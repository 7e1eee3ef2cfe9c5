"""Limits at submission: a place in the queue on every branch of the share tree, and nothing that could never start."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from infra.db.connection import Conn
from scheduler import policy
from scheduler.core.branches import Branch, Level, branches_of, level_of
from scheduler.core.fairshare import MICRO
from scheduler.core.quotas import EVERYWHERE, may_queue, out_of_reach
from scheduler.core.snapshot import Limits, Place
from scheduler.errors import OverQuota, QueueFull
from scheduler.store import jobs as store
from scheduler.store import tree


@dataclass(frozen=True, slots=True)
class Size:
    """What one job, or one phase of it, takes: NU of its full walltime, and of all calls that it may make."""

    backend: str
    gpus: int
    nu: float
    calls: str | None = None
    calls_nu: float = 0.0

    def micro_nu(self, backend: str | None) -> int:
        """Of what counts on this backend; None: in total."""
        own = self.nu if backend in {None, self.backend} else 0.0
        return tree.micro(own + (self.calls_nu if backend in {None, self.calls} else 0.0))


def require_place(queue: store.Queue, *, asked: int) -> None:
    """In the organisation's queue, before anything else is looked at. QueueFull."""
    most = policy.DEFAULT_SHARE.max_queued_jobs if queue.share is None else queue.share.max_queued_jobs
    _require_place(((), None), most, queued=queue.queued, asked=asked)


async def require_within_limits(
    conn: Conn, leaf: tuple[UUID, UUID, UUID], sizes: Sequence[Size], *, asked: int, now: datetime
) -> None:
    """On each branch, in total and on each backend. sizes: of one of `asked` equal jobs. OverQuota, QueueFull."""
    limits = (await tree.settings(conn, at=now, leaf=leaf)).limits
    first = sizes[0].backend
    queues = {
        (branch, backend): limits[branch, backend].max_queued_jobs
        for branch in branches_of(leaf)
        for backend in (None, first)
        if (branch, backend) in limits and ((len(branch), backend) != (1, None))
    }
    for place, known in limits.items():
        _require_reach(place, known, sizes)
    if any(most is not None for most in queues.values()):
        queued = await store.queued_in(conn, leaf)
        for place, most in queues.items():
            _require_place(place, most, queued=queued[place], asked=asked)


def _require_place(place: Place, most: int | None, *, queued: int, asked: int) -> None:
    if not may_queue(most, queued=queued, asked=asked):
        raise QueueFull(level=_level(place[0]), on=place[1] or EVERYWHERE, queued=queued, max=most, asked=asked)


def _require_reach(place: Place, limits: Limits, sizes: Sequence[Size]) -> None:
    branch, backend = place
    for size in sizes:
        gpus = size.gpus if backend in {None, size.backend} else 0
        beyond = out_of_reach(limits, gpus=gpus, micro_nu=size.micro_nu(backend))
        if beyond is not None:
            quota, wanted, most = beyond
            raise OverQuota(
                quota=quota,
                level=_level(branch),
                on=backend or EVERYWHERE,
                asked=wanted if quota == "max_gpus" else wanted / MICRO,
                max=most if quota == "max_gpus" else most / MICRO,
            )


def _level(branch: Branch) -> str:
    return (level_of(branch) if branch else Level.ORGANISATION).value
