"""A hall answers as today's floor does, and as if it had been told everything a moment ago, however it came to it."""

from __future__ import annotations

from random import Random  # noqa: TID251  always seeded

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from hpc_adapters.contract import Resources
from scheduler.core import snapshot as seen
from scheduler.core.engine import Engine, Machine
from scheduler.core.hall import Booking, Hall
from scheduler.core.pool import FOREVER, Pool, Room
from scheduler.core.request import Request
from scheduler.core.resources import least, total
from scheduler.core.shapes import Shapes
from scheduler.core.tree import Node, Tree
from scheduler.core.vectors import vector
from tests.support.hall_worlds import (
    ASKED,
    NAMES,
    NEEDS,
    NOW,
    OVERDUE_S,
    SIZE,
    World,
    bookings_of,
    identity,
    moment,
    request,
    waiting,
    when,
    worlds,
)
from tests.support.slow_space import SlowSpace
from tests.support.small_workloads import TOTAL, Small, played, smalls
from tests.unit.scheduler.test_engine import HALF_LIFE_S, ORDERS, RATE, SOME, starts_of


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


@given(worlds(), ASKED, st.randoms(use_true_random=False))
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


@given(worlds(), ASKED, st.randoms(use_true_random=False))
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
    for name in NAMES:
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
        world.draining = _some(random, most=1) if random.random() < 0.3 else Resources()
        world.asked_s = None if random.random() < 0.1 else world.now_s - random.randint(0, 2)
        if random.random() < 0.2:
            world.look_ahead = random.randint(0, 3)
        world.tell_count(self.here)

    def _hold(self) -> None:
        random, now_s = self.random, self.world.now_s
        number, sent_s = random.randint(1, 12), now_s - random.randint(0, 4)
        self._tell(
            number,
            shape=random.randrange(len(NEEDS)),
            until_s=sent_s + random.randint(1, 12),
            accepted=random.random() < 0.7,
            started=random.random() < 0.5,
            sent_s=sent_s,
            reservation=random.choice([None, None, *NAMES]),
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
                (since_s := now_s + random.randint(-2, 8)),
                since_s + random.randint(1, 8),
            )
            for name in NAMES
            if random.random() < 0.5
        }
        self.here.booked(self.world.bookings.values())

    def _pass(self) -> None:
        """Time goes on, and jobs start, keep their starts or sit down."""
        random = self.random
        self.world.now_s += random.choice([0, 0, 1, 3])
        self.here.begin(self.world.now_s)
        for _ in range(random.randint(0, 3)):
            self.asked += 1
            shape, limit_s = random.randrange(len(NEEDS)), random.randint(1, 10)
            self._ask(request(self.asked, shape, limit_s), random.choice([None, None, *NAMES]))

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


@given(st.randoms(use_true_random=False), st.integers(1, 40), ASKED)
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


@given(worlds(look_ahead=False), ASKED, st.randoms(use_true_random=False))
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
        overdue_s=OVERDUE_S,
    )
    for number, (shape, limit_s) in enumerate(asked, start=1001):
        needs = vector(NEEDS[shape])
        assert [here.horizon(each) for each in range(len(NEEDS))] == [slow.horizon(vector(each)) for each in NEEDS]
        if slow.horizon(needs) >= limit_s:
            slow.take(needs, limit_s)
            here.take(request(number, shape, limit_s))
        else:
            assert here.reserve(request(number, shape, limit_s)) == slow.reserve(needs, limit_s)


def _plain_hall(units: int) -> Hall:
    """A shape is its number of GPUs."""
    here = Hall("h200", Shapes(), units_of=lambda each: each.gpus)
    assert [here.shapes.of(Resources(gpus=number)) for number in range(units + 1)] == list(range(units + 1))
    here.counted(Resources(gpus=units), Resources(gpus=units))
    return here


@given(st.randoms(use_true_random=False), st.integers(1, 30))
def test_of_gpus_alone_it_is_a_plain_pool(random: Random, steps: int) -> None:
    pool, here = Pool(8), _plain_hall(8)
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


@pytest.mark.parametrize("name", SOME)
@given(small=smalls())
def test_of_gpus_alone_an_engine_decides_in_it_as_in_a_plain_pool(name: str, small: Small) -> None:
    tree = Tree([Node(f"org{index}", weight) for index, weight in enumerate(small.weights)], half_life_s=HALF_LIFE_S)
    engine = Engine(ORDERS[name](tree, [(TOTAL, RATE)]), tree, [Machine(_plain_hall(TOTAL), RATE)])
    assert played(small, engine, engine.arrived) == starts_of(small, ORDERS[name])


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
