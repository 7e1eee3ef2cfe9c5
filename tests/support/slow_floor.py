"""The units of one backend in a cycle: a room for each advance reservation that is on, and one for all else.

What is reserved is out of everybody else's count from the reservation's beginning to its end, whether its own jobs use
it or not; and its own jobs have no more than it, however much is free beside it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from uuid import UUID

from hpc_adapters.contract import Resources
from scheduler.core.reasons import Why
from scheduler.core.resources import least, minus, plain, total
from scheduler.core.snapshot import Booking, Holding, Pool, Snapshot, Waiting
from scheduler.core.walls import is_on
from tests.support.slow_room import Room, is_counted, left


class Floor:
    """All that is free on a backend, as the cycle goes on."""

    def __init__(self, pool: Pool, snapshot: Snapshot) -> None:
        here = [each for each in snapshot.holding if each.backend == pool.name]
        booked = [each for each in snapshot.bookings if each.backend == pool.name]
        on = {each.reservation_id: each for each in booked if is_on(each, snapshot.now)}
        within = {name: [each for each in here if each.reservation_id == name] for name in on}
        self._others = others = [each for each in here if each.reservation_id not in on]
        self._inside = {name: _inner(pool, each, within[name], snapshot) for name, each in on.items()}
        self._physical = _physical(pool, here, on.keys())
        self._outside = Room(
            _without(pool, on.values(), within),
            others,
            snapshot,
            booked=[each for each in booked if each.since > snapshot.now],
            given_back=[(each.until, each.needs) for each in on.values()],
        )

    def refusal(self, job: Waiting) -> tuple[Why, dict[str, object]] | None:
        """Why it cannot start now; None: it can."""
        room = self._room(job)
        refusal = room.refusal(job)
        if refusal is None and job.inside is not None and not job.needs.fits(self._physical):
            facts: dict[str, object] = {"needed": plain(job.needs), "free": plain(self._physical, asked=job.needs)}
            return Why.NO_CAPACITY, facts | room.protect(job)  # somebody is still there, or units are out of service
        return refusal

    def take(self, job: Waiting) -> None:
        """It starts now."""
        self._room(job).take(job)
        self._physical = minus(self._physical, job.needs)

    def free(self, job: Waiting) -> Resources:
        """What it could have now."""
        return self._room(job).free

    def is_kept(self, job: Waiting) -> bool:
        """Whether somebody before it waits here, whose start is kept."""
        return self._room(job).reservation is not None

    @property
    def open(self) -> Room:
        """The room of all that runs in no reservation."""
        return self._outside

    @property
    def open_holding(self) -> Sequence[Holding]:
        """What holds units of it."""
        return self._others

    def take_ahead(self, job: Waiting) -> bool:
        """It goes to wait in the backend's own queue; False: it stays here. A reservation's job is never sent ahead."""
        return job.inside is None and self._outside.take_ahead(job)

    def _room(self, job: Waiting) -> Room:
        return self._outside if job.inside is None else self._inside[job.inside.reservation_id]


def _inner(pool: Pool, booking: Booking, holding: Sequence[Holding], snapshot: Snapshot) -> Room:
    return Room(Pool(name=pool.name, total=booking.needs, free=booking.needs), holding, snapshot)


def _without(pool: Pool, on: Iterable[Booking], within: Mapping[UUID, Sequence[Holding]]) -> Pool:
    """The backend as all others see it: what is reserved now is not there."""
    whole, free = pool.total, pool.free
    for each in on:
        taken = total(sent.needs for sent in within[each.reservation_id] if _is_in_its_count(sent, pool))
        whole, free = minus(whole, each.needs), minus(free, minus(each.needs, taken))
    return replace(pool, total=whole, free=free)


def _physical(pool: Pool, here: Sequence[Holding], on: Collection[UUID]) -> Resources:
    """What nobody holds, reserved or not. What waits in the backend's own queue holds nothing yet."""
    there = [each for each in here if not pool.look_ahead or each.started or each.reservation_id in on]
    by_it = minus(pool.free, total(each.needs for each in there if not _is_in_its_count(each, pool)))
    return least(by_it, left(pool, pool.total, there))


def _is_in_its_count(sent: Holding, pool: Pool) -> bool:
    return is_counted(sent, pool) and (sent.started or not pool.look_ahead)
