"""Why one that is in the contest waits: the one reason, and its facts. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID

from scheduler.core.book.gate import Gate
from scheduler.core.book.leaves import Leaves
from scheduler.core.book.seconds import Clock
from scheduler.core.hall import Hall
from scheduler.core.reasons import Why
from scheduler.core.request import Request
from scheduler.core.resources import plain
from scheduler.core.shapes import Shapes
from scheduler.core.snapshot import Booking, Pool, Wall
from scheduler.core.walls import RESERVATION, booked_out, first_wall
from scheduler.core.windows import in_the_way

Reason = tuple[Why, dict[str, object]]


class Telling:
    """Looks at the world as it is after the last decision."""

    def __init__(
        self,
        *,
        pools: Mapping[str, Pool],
        halls: Mapping[str, Hall],
        leaves: Leaves,
        shapes: Shapes,
        gate: Gate,
        clock: Clock,
    ) -> None:
        self._pools, self._halls, self._leaves = pools, halls, leaves
        self._shapes, self._gate, self._clock = shapes, gate, clock
        self.now = clock.origin
        self.walls: tuple[Wall, ...] = ()
        self.bookings: tuple[Booking, ...] = ()

    def barred(self, job: Request, backend: str) -> Reason | None:
        """What keeps it out of the contest whatever is free, from what concerns many to what concerns this one."""
        pool, is_call = self._pools[backend], job.leaf in self._leaves.calls
        until = self.now + timedelta(seconds=job.limit_s)
        standing = self._gate.standing(self._leaves.organisation(job.leaf))
        if standing.refused is not None:
            return Why.NOT_ELIGIBLE, {"code": standing.refused}
        closed = self._closed(pool, until)
        if closed is not None:
            return closed
        met = None if is_call else first_wall([*standing.walls, *self.walls], since=self.now, until=until)
        if met is not None:
            return Why.WALL, {"kind": met.kind, "at": met.at.isoformat()}
        unready = self._unready(job, until)
        if unready is not None or self._halls[backend].fits_ever(job.shape):
            return unready
        needs = self._shapes.needs(job.shape)
        return Why.EXCEEDS_MACHINE, {"needed": plain(needs), "total": plain(pool.total, asked=needs)}

    def crowded(self, job: Request, backend: str, reservation: UUID | None = None) -> Reason:
        """Of one that is not barred: what it lacks, in the whole machine or in its reservation."""
        hall = self._halls[backend]
        limited = None if reservation is not None else self._gate.refusal(job)
        if limited is not None:
            return limited
        room = hall if reservation is None else hall.inner(reservation)
        refusal = room.refusal(job, lambda at_s: self._clock.instant(at_s).isoformat())
        return (Why.NEXT_CYCLE, {}) if refusal is None else refusal

    def queue_of(self, backend: str) -> dict[str, object]:
        """Of a device that says so: how many wait at its vendor."""
        queue = self._pools[backend].vendor_queue
        return {} if queue is None else {"vendor_queue": queue}

    def _closed(self, pool: Pool, until: datetime) -> Reason | None:
        """It could still run when the machine goes offline, or the machine is in such a time already."""
        met = in_the_way(pool.windows, since=self.now, until=until)
        if met is not None:
            facts = {"since": met.since.isoformat(), "until": met.until.isoformat(), "kind": met.kind.value}
            return Why.DEVICE_WINDOW, {"backend": pool.name, **facts, **self.queue_of(pool.name)}
        if not pool.online:
            told = {} if pool.condition is None else {"condition": pool.condition}
            return Why.BACKEND_OFFLINE, {"backend": pool.name, **told}
        return None

    def _unready(self, job: Request, until: datetime) -> Reason | None:
        """The device that it will call is away, or would be before it ends: its GPUs would wait for nothing."""
        name = self._shapes.calls(job.shape)
        if name is None:
            return None
        device = self._pools.get(name)
        if device is None:
            return Why.BACKEND_OFFLINE, {"backend": name}
        closed = self._closed(device, until)
        if closed is not None:
            return closed
        booking = booked_out(self.bookings, device, since=self.now, until=until)
        if booking is None:
            return None
        return Why.WALL, {"kind": RESERVATION, "at": booking.since.isoformat(), "backend": name}
