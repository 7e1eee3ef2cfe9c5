"""A hall answers as today's floor does, and as if it had been told everything a moment ago, however it came to it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from random import Random  # noqa: TID251  always seeded
from uuid import UUID

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from hpc_adapters.contract import Resources
from scheduler.core import snapshot as seen
from scheduler.core.booked import Floor
from scheduler.core.hall import Booking, Hall
from scheduler.core.pool import FOREVER, Pool, Room
from scheduler.core.reasons import Why
from scheduler.core.request import Request
from scheduler.core.resources import least, total
from scheduler.core.shapes import Shapes
from scheduler.core.vectors import vector
from tests.support.slow_space import SlowSpace

ORIGIN = datetime.fromisoformat("2026-04-01T00:00:00+00:00")
SIZE = Resources(gpus=8, cpus=16, memory_mb=64)
NOW = 100


def gpus(number: int, cpus: int = 0) -> Resources:
    return Resources(gpus=number, cpus=cpus)


def hall(total: Resources = SIZE, **told: object) -> Hall:
    made = Hall("h200", Shapes(), units_of=lambda each: each.gpus)
    made.counted(total, total, **told)  # type: ignore[arg-type]  any of its settings
    made.begin(NOW)
    return made


def job(here: Hall, number: int, needs: Resources, limit_s: int) -> Request:
    return Request(number, 0, needs.gpus, limit_s, 0, shape=here.shapes.of(needs))


def when(at_s: int) -> str:
    return (ORIGIN + timedelta(seconds=at_s)).isoformat()


# -- by example --------------------------------------------------------------------------------------------------------


def test_it_is_a_room_of_the_engine() -> None:
    room: Room = hall()
    inner: Room = hall().inner("R")
    assert (room.total, room.free, inner.total, inner.free) == (8, 8, 0, 0)


def test_a_shape_is_what_is_asked_for_and_which_device_is_called() -> None:
    shapes = Shapes()
    numbers = [shapes.of(gpus(1)), shapes.of(gpus(2)), shapes.of(gpus(1), "qpu"), shapes.of(gpus(1))]
    assert numbers == [0, 1, 2, 0]
    assert (shapes.needs(2), shapes.calls(2), shapes.calls(0), len(shapes)) == (gpus(1), "qpu", None, 3)


def test_before_the_backend_has_said_anything_there_is_nothing() -> None:
    here = Hall("h200", Shapes(), units_of=lambda each: each.gpus)
    shape = here.shapes.of(gpus(1))
    assert not here.fits_ever(shape)
    assert (here.free, here.horizon(shape), here.allowed(shape)) == (0, -1, -1)


def test_what_lacks_one_kind_of_unit_does_not_fit_though_others_are_free() -> None:
    here = hall()
    here.take(job(here, 1, gpus(1, cpus=16), 10))
    assert (here.fits_now(here.shapes.of(gpus(1, cpus=1))), here.fits_now(here.shapes.of(gpus(7)))) == (False, True)


def test_units_of_strangers_are_nobodys() -> None:
    here = hall()
    here.counted(SIZE, replace(SIZE, gpus=5), asked_s=NOW)
    assert here.free == 5
    here.held(1, here.shapes.of(gpus(3)), NOW + 10, sent_s=NOW - 1)  # the backend's count has it
    assert here.free == 5
    here.held(2, here.shapes.of(gpus(1)), NOW + 10, sent_s=NOW)  # it does not have this one yet
    assert here.free == 4


def test_what_ended_since_the_backend_was_asked_is_free_when_it_says_so() -> None:
    here = hall()
    here.held(1, here.shapes.of(gpus(3)), NOW + 10, sent_s=NOW - 1)
    here.counted(SIZE, replace(SIZE, gpus=5), asked_s=NOW)
    here.gone(1)
    assert here.free == 5
    here.counted(SIZE, SIZE, asked_s=NOW + 1)
    assert here.free == 8


def test_of_something_unknown_nothing_can_be_given_back() -> None:
    here = hall()
    assert not here.gone(1)
    with pytest.raises(KeyError):
        here.give_back(job(here, 1, gpus(1), 1))


def test_nothing_starts_twice() -> None:
    here = hall(look_ahead=1)
    here.take(job(here, 1, gpus(1), 1))
    with pytest.raises(ValueError, match="number=1"):
        here.take(job(here, 1, gpus(1), 1))
    with pytest.raises(ValueError, match="number=1"):
        here.seat(job(here, 1, gpus(8), 1))
    assert here.free == 7


def test_a_job_ends_when_a_booking_begins_at_the_latest() -> None:
    here, shape = hall(), 0
    here.booked([Booking("R", gpus(6), NOW + 50, NOW + 80)])
    here.shapes.of(gpus(3))
    assert (here.horizon(shape), here.horizon(here.shapes.of(gpus(2)))) == (50, FOREVER)
    late = job(here, 1, gpus(3), 51)
    assert here.refusal(late, when) == (
        Why.WALL,
        {"kind": "reservation", "at": when(NOW + 50), "needed": {"gpus": 3}},
    )
    assert here.reserve(late) == NOW + 80
    assert here.refusal(late, when) == (
        Why.WALL,
        {"kind": "reservation", "at": when(NOW + 50), "needed": {"gpus": 3}, "earliest": when(NOW + 80)},
    )


def test_only_the_first_that_must_wait_is_protected() -> None:
    here = hall()
    here.take(job(here, 1, gpus(4), 50))
    for number, units, limit_s in [(2, 4, 10), (3, 8, 10), (4, 5, 90)]:
        here.protect(job(here, number, gpus(units), limit_s))
    assert [kept.number for kept in here._outside.kept] == [3]
    why, facts = here.refusal(job(here, 3, gpus(8), 10), when) or (None, {})
    assert (why, facts["earliest"]) == (Why.NO_CAPACITY, when(NOW + 50))


def test_what_is_booked_is_for_its_own_jobs_while_it_is_on() -> None:
    here = hall()
    here.booked([Booking("R", gpus(6), NOW, NOW + 80)])
    inner = here.inner("R")
    assert (here.free, inner.free, inner.total) == (2, 6, 6)
    inner.begin(NOW)
    inner.take(job(here, 1, gpus(6), 80))
    assert (here.free, inner.free) == (2, 0)
    here.begin(NOW + 80)
    assert here.free == 2  # it is over, and its job is not
    assert inner.free == 0
    here.gone(1)
    assert here.free == 8


def test_a_bookings_job_waits_for_whoever_is_still_there() -> None:
    here = hall()
    here.held(1, here.shapes.of(gpus(3)), NOW - 1)
    here.counted(SIZE, replace(SIZE, gpus=5), asked_s=NOW)
    here.booked([Booking("R", gpus(8), NOW, NOW + 80)])
    inner, first = here.inner("R"), job(here, 2, gpus(6), 80)
    assert (inner.horizon(first.shape), inner.fits_now(first.shape)) == (-1, False)
    assert inner.refusal(first, when) == (Why.NO_CAPACITY, {"needed": {"gpus": 6}, "free": {"gpus": 5}})


def test_the_first_that_waits_in_the_backends_queue_keeps_its_start() -> None:
    here = hall(look_ahead=2)
    here.held(1, here.shapes.of(gpus(4)), NOW + 50, sent_s=0)
    here.held(2, here.shapes.of(gpus(8)), NOW + 500, started=False, sent_s=1, lasts_s=100)
    here.counted(SIZE, replace(SIZE, gpus=4), look_ahead=2, asked_s=NOW)
    assert here.horizon(here.shapes.of(gpus(1))) == 49
    assert here.refusal(job(here, 3, gpus(1), 50), when) == (
        Why.RESERVED_FOR_EARLIER,
        {"needed": {"gpus": 1}, "until": when(NOW + 50)},
    )
    assert [here.seat(job(here, number, gpus(8), 100)) for number in (4, 5)] == [True, False]
    assert not here.has_seats


def test_how_long_a_device_is_there_bounds_its_jobs_and_those_that_call_it() -> None:
    devices: dict[str, Hall] = {}
    here = Hall("h200", Shapes(), units_of=lambda each: each.gpus, devices=devices)
    here.counted(SIZE, SIZE)
    here.begin(NOW)
    calls, plain = here.shapes.of(gpus(1), "qpu"), here.shapes.of(gpus(1))
    assert (here.allowed(calls), here.allowed(plain)) == (-1, FOREVER)
    device = devices["qpu"] = hall(Resources(qpus=1))
    assert here.allowed(calls) == FOREVER
    device.booked([Booking("R", Resources(qpus=1), NOW + 90, NOW + 99)])
    assert here.allowed(calls) == 90
    device.windows([(NOW - 9, NOW), (NOW + 30, NOW + 40)])
    here.walls([NOW - 1, NOW + 70])
    assert (here.allowed(calls), here.allowed(plain), here.allowed(plain, walls=False)) == (30, 70, FOREVER)
    here.begin(NOW + 30)
    assert (here.allowed(calls), here.allowed(plain)) == (-1, 40)
    device.windows([])
    device.counted(Resources(qpus=1), Resources(), online=False)
    assert here.allowed(calls) == -1


# -- any world ---------------------------------------------------------------------------------------------------------


@dataclass
class World:
    """All that can be told of a backend. A count of ours that is None is not known to the backend."""

    total: Resources = SIZE
    free: Resources = SIZE
    look_ahead: int = 0
    asked_s: int | None = None
    now_s: int = NOW
    held: dict[int, dict[str, object]] = field(default_factory=dict)
    bookings: dict[str, Booking] = field(default_factory=dict)

    def hall(self, random: Random) -> Hall:
        """Told all of it at once, in any order."""
        here = Hall("h200", Shapes(), units_of=lambda each: each.gpus)
        for needs in NEEDS:
            here.shapes.of(needs)
        tells = [lambda: self.tell_count(here), lambda: here.booked(self.bookings.values())]
        tells += [lambda number=number: here.held(number, **self.held[number]) for number in self.held]  # type: ignore[misc,arg-type]
        random.shuffle(tells)
        for tell in tells:
            tell()
        here.begin(self.now_s)
        return here

    def tell_count(self, here: Hall) -> None:
        here.counted(self.total, self.free, look_ahead=self.look_ahead, asked_s=self.asked_s)

    def floor(self) -> Floor:
        pool = seen.Pool(
            name="h200",
            total=self.total,
            free=self.free,
            look_ahead=self.look_ahead,
            asked_at=None if self.asked_s is None else moment(self.asked_s),
        )
        holding = tuple(self._holding(number, **told) for number, told in self.held.items())  # type: ignore[arg-type]
        bookings = tuple(self.booking(each) for each in self.bookings.values())
        world = seen.Snapshot(
            now=moment(self.now_s), pools={"h200": pool}, waiting=(), holding=holding, standings={}, bookings=bookings
        )
        return Floor(pool, world)

    def booking(self, each: Booking) -> seen.Booking:
        return seen.Booking(
            reservation_id=identity(str(each.reservation)),
            backend="h200",
            needs=each.needs,
            since=moment(each.since_s),
            until=moment(each.until_s),
        )

    def _holding(
        self,
        number: int,
        *,
        shape: int,
        until_s: int,
        accepted: bool,
        started: bool,
        sent_s: int | None,
        reservation: str | None,
        lasts_s: int | None = None,
    ) -> seen.Holding:
        sent_at = None if sent_s is None else moment(sent_s)
        assert lasts_s is None or sent_s is None or lasts_s == until_s - sent_s
        return seen.Holding(
            attempt_id=UUID(int=number),
            organisation_id=UUID(int=1),
            backend="h200",
            needs=NEEDS[shape],
            until=moment(until_s),
            accepted=accepted,
            started=started,
            sent_at=sent_at,
            reservation_id=None if reservation is None else identity(reservation),
        )


def moment(at_s: int) -> datetime:
    return ORIGIN + timedelta(seconds=at_s)


def identity(name: str) -> UUID:
    return UUID(int=9000 + ord(name))


NEEDS = [
    Resources(gpus=a, cpus=b, memory_mb=c)
    for a, b, c in [(1, 1, 4), (2, 4, 8), (4, 1, 1), (0, 8, 32), (8, 16, 64), (3, 9, 2), (1, 0, 0), (5, 5, 40)]
]
_NAMES = "ABC"


def amounts(of: Resources) -> st.SearchStrategy[Resources]:
    return st.builds(
        lambda a, b, c: Resources(gpus=a, cpus=b, memory_mb=c),
        st.integers(0, of.gpus),
        st.integers(0, of.cpus),
        st.integers(0, of.memory_mb),
    )


_HELD = st.fixed_dictionaries(
    {
        "shape": st.integers(0, len(NEEDS) - 1),
        "until_s": st.integers(NOW - 40, NOW + 60),
        "accepted": st.booleans(),
        "started": st.booleans(),
        "sent_s": st.none() | st.integers(NOW - 60, NOW - 40),
        "reservation": st.none() | st.sampled_from(_NAMES),
    }
).map(lambda told: told | {"until_s": NOW + 5} if told["sent_s"] is None else told)
"""What is not known to have been sent has not ended long ago."""


def bookings_of(ahead_s: int = 40) -> st.SearchStrategy[dict[str, Booking]]:
    def named(rows: list[tuple[Resources, int, int]]) -> dict[str, Booking]:
        kept = zip(_NAMES, rows, strict=False)
        return {name: Booking(name, needs, since, since + lasts) for name, (needs, since, lasts) in kept}

    rows = st.tuples(amounts(SIZE), st.integers(NOW - 20, NOW + ahead_s), st.integers(1, 40))
    return st.lists(rows, max_size=3).map(named)


@st.composite
def worlds(draw: st.DrawFn, *, look_ahead: bool = True, booked: bool = True) -> World:
    return World(
        free=draw(st.just(SIZE) | amounts(SIZE)),
        look_ahead=draw(st.integers(0, 3)) if look_ahead else 0,
        asked_s=draw(st.none() | st.integers(NOW - 60, NOW)),
        held=dict(enumerate(draw(st.lists(_HELD, max_size=6)), start=1)),
        bookings=draw(bookings_of()) if booked else {},
    )


def waiting(number: int, shape: int, limit_s: int, inside: seen.Inside | None = None) -> seen.Waiting:
    return seen.Waiting(
        attempt_id=UUID(int=1000 + number),
        organisation_id=UUID(int=1),
        backend="h200",
        needs=NEEDS[shape],
        walltime_s=limit_s,
        micro_nu=1,
        submitted_at=ORIGIN,
        inside=inside,
    )


def request(number: int, shape: int, limit_s: int) -> Request:
    return Request(number, 0, NEEDS[shape].gpus, limit_s, 0, shape=shape)


_ASKED = st.lists(st.tuples(st.integers(0, len(NEEDS) - 1), st.integers(1, 60)), min_size=1, max_size=6)


def is_alike(here: Hall) -> bool:
    """The floor takes a booking within a reserved run for one from its beginning on: it may seat others."""
    return not (here._outside.kept and here._outside.later)


@given(worlds(), st.randoms(use_true_random=False))
def test_what_is_free_is_what_the_floor_finds(world: World, random: Random) -> None:
    here, floor = world.hall(random), world.floor()
    assume(is_alike(here))
    assert here.free_now == floor._outside.free
    assert here._seats == floor._outside.ahead
    reservation = floor._outside.reservation
    assert [moment(kept.at_s) for kept in here._outside.kept] == ([] if reservation is None else [reservation.at])
    for name in world.bookings:
        inside = floor._inside.get(identity(name))
        assert here.inner(name).free == (0 if inside is None else min(inside.free.gpus, floor._physical.gpus))


@given(worlds(), _ASKED, st.randoms(use_true_random=False))
def test_it_lets_start_what_the_floor_lets_and_says_why_not(
    world: World, asked: list[tuple[int, int]], random: Random
) -> None:
    """Job by job down one order, as in a cycle; the first that must wait keeps its start.

    Two things are other than there: a job ends before a reserved start and not in its second, and what the reserved
    job leaves counts only as long as others run beside it.
    """
    here, floor = world.hall(random), world.floor()
    room = floor._outside
    assume(is_alike(here))
    for number, (shape, limit_s) in enumerate(asked, start=1001):
        mine = here.refusal(request(number, shape, limit_s), when)
        fits_mine = here.horizon(shape) >= limit_s
        assert fits_mine == (mine is None)
        had = room.reservation
        theirs = floor.refusal(waiting(number, shape, limit_s))
        if fits_mine != (theirs is None):
            assert had is not None
            if fits_mine:
                assert world.bookings
            else:
                assert moment(world.now_s + limit_s) == had.at
            return
        if theirs is None:
            floor.take(waiting(number, shape, limit_s))
            here.take(request(number, shape, limit_s))
            continue
        if had is None:
            assert moment(here.reserve(request(number, shape, limit_s))) == room.reservation.at  # type: ignore[union-attr]
            mine = here.refusal(request(number, shape, limit_s), when)
        assert mine == theirs
        assert here.seat(request(number, shape, limit_s)) == floor.take_ahead(waiting(number, shape, limit_s))


@given(worlds(), _ASKED, st.randoms(use_true_random=False))
def test_a_bookings_own_jobs_start_as_on_the_floor(world: World, asked: list[tuple[int, int]], random: Random) -> None:
    here, floor = world.hall(random), world.floor()
    on = [each for each in world.bookings.values() if each.since_s <= NOW < each.until_s]
    for number, (shape, limit_s) in enumerate(asked * len(on), start=1001):
        booking = on[number % len(on)]
        known = world.booking(booking)
        inside = seen.Inside(reservation_id=known.reservation_id, name="R", since=known.since, until=known.until)
        theirs = floor.refusal(waiting(number, shape, limit_s, inside))
        inner = here.inner(booking.reservation)
        mine = inner.refusal(request(number, shape, limit_s), when)
        assert (mine is None) == (theirs is None) == (inner.horizon(shape) >= limit_s)
        if theirs is not None:
            return  # from here on one keeps its start
        floor.take(waiting(number, shape, limit_s, inside))
        inner.take(request(number, shape, limit_s))


# -- however it came to it ---------------------------------------------------------------------------------------------


def answers(here: Hall, asked: list[tuple[int, int]]) -> list[object]:
    """All that can be asked of it in a pass."""
    found: list[object] = [here.free_now, here.has_seats, here.total, here.physical]
    for name in _NAMES:
        inner = here.inner(name)
        found += [inner.free, *(inner.horizon(shape) for shape in range(len(NEEDS)))]
    for number, (shape, limit_s) in enumerate(asked, start=5000):
        found += [here.horizon(each) for each in range(len(NEEDS))]
        found += [here.refusal(request(number, shape, limit_s), when), here.reserve(request(number, shape, limit_s))]
    return found


def _some(random: Random, *, most: int) -> Resources:
    """Up to one part in `most` of the machine."""
    a, b, c, _ = (random.randint(0, of // most) for of in vector(SIZE))
    return Resources(gpus=a, cpus=b, memory_mb=c)


class Told:
    """A hall that lives, and a world that is what was told it."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.world = World()
        self.here = self.world.hall(random)
        self.asked = 20

    def step(self) -> None:
        """Anything happens."""
        {
            0: self._count,
            1: self._hold,
            2: self._hold,
            3: self._change,
            4: self._go,
            5: self._book,
            6: self._pass,
            7: self._pass,
        }[self.random.randrange(8)]()

    def _count(self) -> None:
        world, random = self.world, self.random
        world.free = _some(random, most=1)
        world.asked_s = random.choice([None, world.now_s, world.now_s - random.randint(0, 30)])
        if random.random() < 0.3:
            world.look_ahead = random.randint(0, 3)
        world.tell_count(self.here)

    def _hold(self) -> None:
        random, now_s = self.random, self.world.now_s
        number, sent_s = random.randint(1, 12), random.choice([None, now_s - random.randint(0, 20)])
        self._tell(
            number,
            shape=random.randrange(len(NEEDS)),
            until_s=now_s + random.randint(-10, 50),
            accepted=random.random() < 0.7,
            started=random.random() < 0.5,
            sent_s=sent_s,
            reservation=random.choice([None, None, *_NAMES]),
        )

    def _change(self) -> None:
        """What was sent is accepted, or starts."""
        if self.world.held:
            number = self.random.choice(sorted(self.world.held))
            known = self.world.held[number]
            started = bool(known["accepted"])
            self._tell(number, **{**known, "accepted": True, "started": started})

    def _tell(self, number: int, **told: object) -> None:
        self.world.held[number] = told
        self.here.held(number, **told)  # type: ignore[arg-type]  just those

    def _go(self) -> None:
        if self.world.held:
            number = self.random.choice(sorted(self.world.held))
            self.here.give_back(request(number, int(str(self.world.held.pop(number)["shape"])), 1))

    def _book(self) -> None:
        random, now_s = self.random, self.world.now_s
        self.world.bookings = {
            name: Booking(
                name,
                _some(random, most=2),
                (since_s := now_s + random.randint(-5, 30)),
                since_s + random.randint(1, 30),
            )
            for name in _NAMES
            if random.random() < 0.5
        }
        self.here.booked(self.world.bookings.values())

    def _pass(self) -> None:
        """Time goes on, and jobs start, keep their starts or sit down."""
        random = self.random
        self.world.now_s += random.choice([0, 0, 1, 7])
        self.here.begin(self.world.now_s)
        for _ in range(random.randint(0, 3)):
            self.asked += 1
            shape, limit_s = random.randrange(len(NEEDS)), random.randint(1, 40)
            self._ask(request(self.asked, shape, limit_s), random.choice([None, None, *_NAMES]))

    def _ask(self, asks: Request, reservation: str | None) -> None:
        room: Room = self.here if reservation is None else self.here.inner(reservation)
        if room.horizon(asks.shape) >= asks.limit_s:
            room.take(asks)
        elif not room.seat(asks):
            if reservation is None:
                room.reserve(asks)
            return
        self.world.held[asks.number] = {
            "shape": asks.shape,
            "until_s": self.world.now_s + asks.limit_s,
            "accepted": False,
            "started": False,
            "sent_s": self.world.now_s,
            "reservation": reservation,
            "lasts_s": asks.limit_s,
        }


@given(st.randoms(use_true_random=False), st.integers(1, 40), _ASKED)
def test_one_that_has_lived_for_long_answers_as_one_that_was_told_all_a_moment_ago(
    random: Random, steps: int, asked: list[tuple[int, int]]
) -> None:
    told = Told(random)
    for _ in range(steps):
        told.step()
    told.here.begin(told.world.now_s)
    assert told.here.free_now == told.world.floor()._outside.free or not is_alike(told.here)
    assert answers(told.here, asked) == answers(told.world.hall(random), asked)


# -- several reservations ----------------------------------------------------------------------------------------------


@given(worlds(look_ahead=False), _ASKED, st.randoms(use_true_random=False))
def test_several_reservations_are_those_of_an_oracle_that_looks_at_each_second(
    world: World, asked: list[tuple[int, int]], random: Random
) -> None:
    here, floor = world.hall(random), world.floor()
    on = [each for each in world.bookings.values() if each.since_s <= NOW < each.until_s]
    names = {each.reservation for each in on}
    outside = [each for each in world.held.values() if each["reservation"] not in names]
    slow = SlowSpace(
        now_s=NOW,
        free=vector(floor._outside.free),
        held=[(each["until_s"], vector(NEEDS[each["shape"]])) for each in outside],  # type: ignore[misc,call-overload]
        later=[
            (each.since_s, each.until_s, vector(each.needs)) for each in world.bookings.values() if each.since_s > NOW
        ],
        lent=[(each.until_s, vector(each.needs)) for each in on],
    )
    for number, (shape, limit_s) in enumerate(asked, start=1001):
        needs = vector(NEEDS[shape])
        assert [here.horizon(each) for each in range(len(NEEDS))] == [slow.horizon(vector(each)) for each in NEEDS]
        if slow.horizon(needs) >= limit_s:
            slow.take(needs, limit_s)
            here.take(request(number, shape, limit_s))
        else:
            assert here.reserve(request(number, shape, limit_s)) == slow.reserve(needs, limit_s)


@given(st.randoms(use_true_random=False), st.integers(1, 30))
def test_of_gpus_alone_it_is_a_plain_pool(random: Random, steps: int) -> None:
    pool, here = Pool(8), Hall("h200", Shapes(), units_of=lambda each: each.gpus)
    for units in range(9):
        here.shapes.of(gpus(units))
    here.counted(gpus(8), gpus(8))
    now_s, running = 0, dict[int, Request]()
    for number in range(steps):
        if running and random.random() < 0.3:
            ended = running.pop(random.choice(sorted(running)))
            pool.give_back(ended)
            here.give_back(ended)
        now_s += random.choice([0, 1, 5])
        pool.begin(now_s)
        here.begin(now_s)
        for turn in range(3):
            asks = Request(number * 3 + turn, 0, random.randint(1, 8), random.randint(1, 20), 0)
            assert [here.horizon(units) for units in range(9)] == [pool.horizon(units) for units in range(9)]
            assert here.free == pool.free
            if pool.horizon(asks.units) >= asks.limit_s:
                pool.take(asks)
                here.take(asks)
                running[asks.number] = asks
            else:
                assert here.reserve(asks) == pool.reserve(asks)


_ARRIVALS = st.lists(st.tuples(st.integers(0, 30), st.integers(0, len(NEEDS) - 1), st.integers(1, 30)), max_size=12)


def _possible(bookings: dict[str, Booking]) -> dict[str, Booking]:
    """Those that together are never more than the machine: half of it each, two at most."""
    half = Resources(gpus=SIZE.gpus // 2, cpus=SIZE.cpus // 2, memory_mb=SIZE.memory_mb // 2)
    return {name: each._replace(needs=least(each.needs, half)) for name, each in list(bookings.items())[:2]}


@given(bookings_of(60), _ARRIVALS, st.integers(1, 4))
def test_never_oversubscribed_and_no_booking_is_run_into(
    bookings: dict[str, Booking], arrivals: list[tuple[int, int, int]], most: int
) -> None:
    """Second by second, everything takes its full limit; as many keep their starts as may, and keep what they got."""
    known = _possible(bookings)
    here = World(bookings=known).hall(Random(1))
    left = [request(number, shape, limit_s) for number, (_, shape, limit_s) in enumerate(sorted(arrivals))]
    running: dict[int, tuple[int, Request]] = {}
    promised: dict[int, int] = {}
    for now_s in range(NOW, NOW + 120):
        for number in [number for number, (until_s, _) in running.items() if until_s <= now_s]:
            here.give_back(running.pop(number)[1])
        here.begin(now_s)
        kept: dict[int, int] = {}
        for asks in [asks for asks in left if NOW + sorted(arrivals)[asks.number][0] <= now_s]:
            if here.horizon(asks.shape) >= asks.limit_s:
                here.take(asks)
                running[asks.number] = (now_s + asks.limit_s, asks)
                left.remove(asks)
            elif len(kept) < most:
                kept[asks.number] = here.reserve(asks)
        if kept:
            first = next(iter(kept))
            assert kept[first] <= promised.get(first, FOREVER)
            promised[first] = kept[first]
        booked = [each.needs for each in known.values() if each.since_s <= now_s < each.until_s]
        assert total([*booked, *(NEEDS[asks.shape] for _, asks in running.values())]).fits(SIZE)
