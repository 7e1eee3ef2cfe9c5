"""One backend as the engine sees it: what is free there now and later, kept as it changes. Pure.

It is told what the backend says of itself (`counted`), what is with it (`held`, `gone`), what is reserved there
(`booked`) and when it is not there (`windows`, `walls`); and it is the Room of the engine (pool.py), by shape. What is
free is a function of what is known and of the time alone, whatever the order in which it was told: a hall that has
lived for long and one that was told everything a moment ago answer alike.

Never more is free than the backend says less what of ours it has not counted yet, nor than it has less all that is
ours; but what jobs hold on machines that it has no more takes nothing from what it has. What is booked is out of
everybody's count while that is on, and for its own jobs (`inner`). What was handed over and has not started takes free
units or a seat of the backend's own queue, in the order of hand-over; the first that does not fit keeps its earliest
start, before any of those that still wait with us.

What is told ends the pass: reservations are forgotten.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import NamedTuple

from hpc_adapters.contract import Resources
from scheduler.core.inner import Inner
from scheduler.core.openings import SHUT, Openings, before_booked_out
from scheduler.core.pool import FOREVER
from scheduler.core.refusals import Refusal, When, refusal_of
from scheduler.core.request import Request
from scheduler.core.shapes import Shapes
from scheduler.core.space import Booked, Space
from scheduler.core.tally import Held, Part, Tally
from scheduler.core.vectors import NOTHING, Vector, at_least_nothing, fits, least, plus, resources, vector, without

_NO_UNITS = Resources()


class Booking(NamedTuple):
    """An advance reservation: [since_s, until_s)."""

    reservation: Hashable
    needs: Resources
    since_s: int
    until_s: int


class Hall:
    """units_of: how much that is of the machine, for the shares. devices: those that jobs here may call, by name.

    Before the first `counted` there is nothing, and it is offline.
    """

    def __init__(
        self,
        name: str,
        shapes: Shapes,
        *,
        units_of: Callable[[Resources], int],
        overdue_s: int = 60,
        devices: Mapping[str, Hall] | None = None,
    ) -> None:
        self.name = name
        self.shapes = shapes
        self.total, self.draining = 0, 0
        self.has_seats = False
        self.online = False
        self.units_of = units_of
        self._devices = {} if devices is None else devices
        self._openings = Openings()
        self._tally = Tally(overdue_s)
        self._outside = self._tally.outside.space
        self._bookings: dict[Hashable, Booking] = {}
        self._inners: dict[Hashable, Inner] = {}
        self._whole, self._told_free, self._draining, self._physical = NOTHING, NOTHING, NOTHING, NOTHING
        self._look_ahead, self._seats, self._waits_there_s = 0, 0, 0
        self._now_s, self._turns_s, self._is_stale = 0, FOREVER, True
        self._free_units: tuple[Vector, int] = (NOTHING, units_of(Resources()))

    # -- what is told --------------------------------------------------------------------------------------------------

    def counted(
        self,
        total: Resources,
        free: Resources,
        *,
        online: bool = True,
        look_ahead: int = 0,
        asked_s: int | None = None,
        draining: Resources = _NO_UNITS,
    ) -> None:
        """What the backend says of itself. asked_s: what was sent since is not in its count; None: everything is.

        draining: held on machines that are not in `total` any more, so that it leaves no less of that free.
        """
        self.total, self.draining = self.units_of(total), self.units_of(draining)
        self.online, self._look_ahead = online, look_ahead
        self._whole, self._told_free, self._draining = vector(total), vector(free), vector(draining)
        self._tally.counted(look_ahead=bool(look_ahead), asked_s=asked_s)
        self._told()

    def held(
        self,
        number: int,
        shape: int,
        until_s: int,
        *,
        accepted: bool = True,
        started: bool = True,
        sent_s: int | None = None,
        reservation: Hashable | None = None,
        lasts_s: int | None = None,
    ) -> None:
        """It is with the backend: replaces what was known of it. until_s: when it ends at the latest.

        lasts_s: its limit; None: from its hand-over until then.
        """
        held = Held(number, self.shapes.vector(shape), until_s, lasts_s, accepted, started, sent_s, reservation)
        known = self._tally.get(number)
        if known == held:
            return
        if known is not None:
            self._tally.remove(number)
        self._tally.add(held)
        self._told()

    def gone(self, number: int) -> bool:
        """It is not with the backend any more. False: nor was it, as far as is known here."""
        if self._tally.get(number) is None:
            return False
        self._tally.remove(number)
        self._told()
        return True

    def booked(self, bookings: Iterable[Booking]) -> None:
        """All that are not over, instead of the former ones."""
        ordered = sorted(bookings, key=lambda each: (each.since_s, each.until_s, str(each.reservation)))
        known = {each.reservation: each for each in ordered}
        if list(known.items()) != list(self._bookings.items()):
            self._bookings = known
            self._turns_s = self._now_s
            for reservation, inner in self._inners.items():
                inner.total = self.units_of(self.reserved(reservation))
            self._told()

    def windows(self, windows: Iterable[tuple[int, int]]) -> None:
        """(since_s, until_s) of each time in which it takes no work, instead of the former ones."""
        self._openings.windows(windows)

    def walls(self, walls: Iterable[int]) -> None:
        """When nothing here may run any more, instead of the former ones."""
        self._openings.walls(walls)

    # -- how long it is there ------------------------------------------------------------------------------------------

    def allowed(self, shape: int, *, walls: bool = True) -> int:
        """So long a job may be that starts now, whatever is free; below 0: none. No reason to reserve anything.

        walls: they concern it (a call of a running job they do not). It goes before no window, no wall and, where it
        calls a device, none of that device's.
        """
        if not self.online:
            return SHUT
        longest = self._openings.before_window(self._now_s)
        if walls:
            longest = min(longest, self._openings.before_wall(self._now_s))
        calls = self.shapes.calls(shape)
        if calls is None:
            return longest
        device = self._devices.get(calls)
        return SHUT if device is None else min(longest, device.answers(self._now_s))

    def answers(self, now_s: int) -> int:
        """So long from now on this device could answer jobs that call it; below 0: not now."""
        if not self.online:
            return SHUT
        booked = [(each.since_s, each.until_s, each.needs.qpus) for each in self._bookings.values()]
        return min(self._openings.before_window(now_s), before_booked_out(booked, self._whole[3], now_s))

    # -- as a room -----------------------------------------------------------------------------------------------------

    @property
    def free(self) -> int:
        """Units that nobody holds and nobody has booked."""
        self._settle()
        if self._free_units[0] != self._outside.free:
            self._free_units = (self._outside.free, self.units_of(resources(self._outside.free)))
        return self._free_units[1]

    @property
    def free_now(self) -> Resources:
        """As free, of each kind."""
        self._settle()
        return resources(self._outside.free)

    def fits_ever(self, shape: int) -> bool:
        """In what is in service."""
        return fits(self.shapes.vector(shape), self._whole)

    def fits_now(self, shape: int) -> bool:
        self._settle()
        return fits(self.shapes.vector(shape), self._outside.free)

    def begin(self, now_s: int) -> None:
        self._at(now_s)
        self._open()

    def horizon(self, shape: int) -> int:
        self._settle()
        return self._outside.horizon(self.shapes.vector(shape))

    def take(self, job: Request) -> None:
        """ValueError: it is here already."""
        self._take(job, None)

    def give_back(self, job: Request) -> None:
        """KeyError: it was not here."""
        if not self.gone(job.number):
            raise KeyError(job.number)

    def reserve(self, job: Request) -> int:
        self._settle()
        return self._outside.reserve(self.shapes.vector(job.shape), job.limit_s, job.number)

    @property
    def first(self) -> int | None:
        """Who keeps the first start that is kept: waiting with us, or in the backend's own queue."""
        return self._outside.kept[0].number if self._outside.kept else None

    def protect(self, job: Request) -> None:
        """The first in line, if it must wait, keeps its earliest start unless another does: also where nothing was
        decided because nothing fits.
        """
        if self.horizon(job.shape) < job.limit_s and not self._outside.kept:
            self.reserve(job)

    def seat(self, job: Request) -> bool:
        """One that could run into a booking gets none: the backend's own queue knows of no bookings.

        The first that is seated keeps its earliest start, if nothing has a reservation yet.
        """
        self._settle()
        if self._seats <= 0 or self._may_meet_a_booking(job.limit_s):
            return False
        needs = self.shapes.vector(job.shape)
        self._tally.add(self._handed_over(job, None))
        if not self._outside.kept:
            self._outside.reserve(needs, job.limit_s, job.number)
        self._sit_down(job.limit_s)
        return True

    def refusal(self, job: Request, when: When) -> Refusal | None:
        """Why it cannot start now, in the pass as it stands; None: it could. when: how moments stand in the facts."""
        self._settle()
        return refusal_of(self._outside, self.shapes.needs(job.shape), job.limit_s, job.number, when)

    def inner(self, reservation: Hashable) -> Inner:
        """The room of a reservation's own jobs: the same one each time. Until it is on there is nothing."""
        if reservation not in self._inners:
            total = self.units_of(self.reserved(reservation))
            self._inners[reservation] = Inner(self, reservation, total)
        return self._inners[reservation]

    # -- for its inner rooms -------------------------------------------------------------------------------------------

    @property
    def physical(self) -> Vector:
        """What nobody holds, booked or not."""
        self._settle()
        return self._physical

    def reserved(self, reservation: Hashable) -> Resources:
        """What it has while it is on."""
        known = self._bookings.get(reservation)
        return Resources() if known is None else known.needs

    def space_inside(self, reservation: Hashable) -> Space | None:
        """None: it is not on."""
        self._settle()
        part = self._tally.inside.get(reservation)
        return None if part is None else part.space

    def begin_inside(self, reservation: Hashable, now_s: int) -> None:
        self._at(now_s)
        part = self._tally.inside.get(reservation)
        if part is not None:
            self._open_inside(reservation, part)

    def take_inside(self, reservation: Hashable, job: Request) -> None:
        self._take(job, reservation)

    # -- inside --------------------------------------------------------------------------------------------------------

    def _told(self) -> None:
        self._is_stale, self.has_seats = True, self._look_ahead > 0

    def _at(self, now_s: int) -> None:
        self._is_stale = self._is_stale or now_s != self._now_s
        self._now_s = now_s
        self._settle()

    def _settle(self) -> None:
        """What is free now, by all that was told."""
        if not self._is_stale:
            return
        self._is_stale = False
        if self._now_s >= self._turns_s:
            self._sort_bookings()
        for reservation, part in self._tally.inside.items():
            self._open_inside(reservation, part)
        self._open()

    def _open(self) -> None:
        """Nothing is reserved outside; what waits in the backend's own queue has sat down."""
        outside = self._tally.outside
        lent, all_held, unseen, room = NOTHING, outside.held, outside.unseen, self._whole
        for reservation, part in self._tally.inside.items():
            needs = vector(self._bookings[reservation].needs)
            lent = plus(lent, at_least_nothing(without(needs, part.seen)))
            room, all_held, unseen = without(room, needs), plus(all_held, part.held), plus(unseen, part.unseen)
        free = least(without(self._told_free, plus(lent, outside.unseen)), self._left(room, outside.held))
        physical = least(without(self._told_free, unseen), self._left(self._whole, all_held))
        self._physical = at_least_nothing(physical)
        self._outside.begin(self._now_s, at_least_nothing(free))
        self._seats, self._waits_there_s = self._look_ahead, 0
        for each in sorted(self._tally.queue.values(), key=lambda held: held.turn):
            self._let_in(each)
        self.has_seats = self._seats > 0 and not self._outside.given_back

    def _left(self, room: Vector, held: Vector) -> Vector:
        """Of room in service, by our own books: some of what is held may be on machines that are not in service."""
        return least(room, without(plus(room, self._draining), held))

    def _open_inside(self, reservation: Hashable, part: Part) -> None:
        free = without(vector(self._bookings[reservation].needs), part.held)
        part.space.begin(self._now_s, at_least_nothing(free))

    def _let_in(self, each: Held) -> None:
        """It will start at once, or waits there: the first of those keeps its earliest start."""
        space, lasts_s = self._outside, each.takes(self._now_s)
        if fits(each.needs, space.free) and not space.delays(each.needs, lasts_s):
            space.hold_briefly(each.needs, self._now_s + lasts_s)
            return
        self._sit_down(lasts_s)
        if not space.kept:
            space.reserve(each.needs, lasts_s, each.number)

    def _sit_down(self, lasts_s: int) -> None:
        self._seats -= 1
        self._waits_there_s += lasts_s
        self.has_seats = self._seats > 0 and not self._outside.given_back

    def _may_meet_a_booking(self, lasts_s: int) -> bool:
        """If everything there takes its full limit, and all that waits there runs one after the other."""
        if self._outside.given_back or not self._outside.later:
            return bool(self._outside.given_back)
        return self._outside.later[0].since_s < self._outside.latest() + self._waits_there_s + lasts_s

    def _sort_bookings(self) -> None:
        """Some have begun or ended, or others are known."""
        now_s, known = self._now_s, self._bookings.values()
        on = [each for each in known if each.since_s <= now_s < each.until_s]
        later = [each for each in known if each.since_s > now_s]
        self._turns_s = min([each.until_s for each in on] + [each.since_s for each in later], default=FOREVER)
        self._tally.are_on(each.reservation for each in on)
        self._outside.arrange(
            [Booked(each.since_s, each.until_s, vector(each.needs)) for each in later],
            [(each.until_s, vector(each.needs)) for each in on],
        )

    def _handed_over(self, job: Request, reservation: Hashable | None) -> Held:
        if self._tally.get(job.number) is not None:
            raise ValueError(job)
        until_s, needs = self._now_s + job.limit_s, self.shapes.vector(job.shape)
        return Held(
            number=job.number,
            needs=needs,
            until_s=until_s,
            lasts_s=job.limit_s,
            accepted=False,
            started=False,
            sent_s=self._now_s,
            reservation=reservation,
        )

    def _take(self, job: Request, reservation: Hashable | None) -> None:
        self._settle()
        held = self._handed_over(job, reservation)
        self._tally.start(held)
        self._physical = without(self._physical, held.needs)
