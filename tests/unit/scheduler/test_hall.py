"""A hall by example: what is free there, what is kept for whom, and how long it is there."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpc_adapters.contract import Resources
from hpc_adapters.devices import DeviceState, OfflineWindow
from scheduler.core import snapshot as seen
from scheduler.core.hall import Booking, Hall
from scheduler.core.openings import Openings, before_booked_out
from scheduler.core.pool import FOREVER, Room
from scheduler.core.reasons import Why
from scheduler.core.request import Request
from scheduler.core.shapes import Shapes
from scheduler.core.walls import booked_out, first_wall
from scheduler.core.windows import in_the_way
from tests.support.hall_worlds import NOW, SIZE, identity, moment, when


def gpus(number: int, cpus: int = 0) -> Resources:
    return Resources(gpus=number, cpus=cpus)


def hall(total: Resources = SIZE, **told: object) -> Hall:
    made = Hall("h200", Shapes(), units_of=lambda each: each.gpus)
    made.counted(total, total, **told)  # type: ignore[arg-type]  any of its settings
    made.begin(NOW)
    return made


def job(here: Hall, number: int, needs: Resources, limit_s: int) -> Request:
    return Request(number, 0, needs.gpus, limit_s, 0, shape=here.shapes.of(needs))


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


def test_what_runs_on_a_draining_node_takes_nothing_from_the_nodes_in_service() -> None:
    here = hall()
    here.held(1, here.shapes.of(gpus(8)), NOW + 10, sent_s=NOW - 1)
    here.held(2, here.shapes.of(gpus(3)), NOW + 10, sent_s=NOW - 1)
    for draining, told, free in [(8, 8, 5), (8, 5, 5), (11, 8, 8), (12, 8, 8), (3, 8, 0), (0, 8, 0)]:
        here.counted(SIZE, gpus(told), asked_s=NOW, draining=gpus(draining))
        assert here.free == free  # never more than there is in service, nor than the backend says
    here.counted(SIZE, gpus(5), asked_s=NOW, draining=gpus(8))
    here.gone(1)  # the backend will say so when it is asked again
    assert here.free == 5


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


def test_what_ends_in_the_second_in_which_a_booking_begins_leaves_its_units_to_others() -> None:
    here = hall()
    here.booked([Booking("R", gpus(4), NOW + 50, NOW + 80)])
    four = here.shapes.of(gpus(4))
    assert here.horizon(four) == FOREVER
    here.take(job(here, 1, gpus(4), 50))
    assert here.horizon(four) == FOREVER
    here.take(job(here, 2, gpus(2), 51))
    assert here.horizon(here.shapes.of(gpus(2))) == FOREVER
    assert here.reserve(job(here, 3, gpus(4), 10)) == NOW + 51


def test_a_booking_may_begin_when_another_ends() -> None:
    here = hall()
    here.booked([Booking("R", gpus(6), NOW, NOW + 50), Booking("S", gpus(6), NOW + 50, NOW + 80)])
    assert here.horizon(here.shapes.of(gpus(2))) == FOREVER


def test_what_will_start_at_once_has_ended_when_a_booking_begins() -> None:
    here = hall(look_ahead=1)
    here.held(1, here.shapes.of(gpus(4)), NOW + 20, started=False, sent_s=NOW)
    here.booked([Booking("R", gpus(4), NOW + 50, NOW + 80)])
    assert (here.free, here.horizon(here.shapes.of(gpus(4)))) == (4, FOREVER)


def test_what_the_backend_has_counted_is_not_counted_again_when_it_is_asked_again() -> None:
    here = hall()
    here.held(1, here.shapes.of(gpus(3)), NOW + 90, sent_s=NOW)
    for asked_s, free in [(NOW, 0), (NOW + 1, 3), (NOW + 2, 3)]:
        here.counted(SIZE, replace(SIZE, gpus=3), asked_s=asked_s)
        assert here.free == free


def test_all_that_waits_in_the_backends_queue_may_run_one_after_the_other_before_a_booking() -> None:
    here = hall(look_ahead=3)
    here.take(job(here, 1, gpus(8), 50))
    here.booked([Booking("R", gpus(1), NOW + 100, NOW + 110)])
    here.held(1, here.shapes.of(gpus(8)), NOW + 50, sent_s=NOW)
    asked = [(2, 20), (3, 31), (4, 30), (5, 1)]
    assert [here.seat(job(here, number, gpus(8), limit_s)) for number, limit_s in asked] == [True, False, True, False]


# -- windows and walls, against those of a cycle -----------------------------------------------------------------------

_SPANS = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 20)).map(lambda span: (span[0], sum(span))), max_size=5)


@given(_SPANS, st.integers(0, 70), st.integers(1, 90))
def test_a_job_is_allowed_that_meets_no_window(spans: list[tuple[int, int]], now_s: int, limit_s: int) -> None:
    openings = Openings()
    openings.windows(spans)
    windows = [OfflineWindow(moment(since), moment(until), DeviceState.MAINTENANCE) for since, until in spans]
    met = in_the_way(windows, since=moment(now_s), until=moment(now_s + limit_s))
    assert (limit_s <= openings.before_window(now_s)) == (met is None)


@given(st.lists(st.integers(0, 60), max_size=4), st.integers(0, 70), st.integers(1, 70))
def test_a_job_is_allowed_that_ends_before_each_wall(walls: list[int], now_s: int, limit_s: int) -> None:
    openings = Openings()
    openings.walls(walls)
    known = [seen.Wall(at=moment(at_s), kind="fiscal_year") for at_s in walls]
    met = first_wall(known, since=moment(now_s), until=moment(now_s + limit_s))
    assert (limit_s <= openings.before_wall(now_s)) == (met is None)


@given(_SPANS, st.lists(st.integers(0, 3), min_size=5, max_size=5), st.integers(0, 70), st.integers(1, 70))
def test_a_device_answers_until_all_of_it_is_booked(
    spans: list[tuple[int, int]], units: list[int], now_s: int, limit_s: int
) -> None:
    booked = [(since, until, qpus) for (since, until), qpus in zip(spans, units, strict=False)]
    known = [
        seen.Booking(
            reservation_id=identity(chr(65 + number)),
            backend="qpu",
            needs=Resources(qpus=qpus),
            since=moment(since),
            until=moment(until),
        )
        for number, (since, until, qpus) in enumerate(booked)
    ]
    device = seen.Pool(name="qpu", total=Resources(qpus=3))
    met = booked_out(known, device, since=moment(now_s), until=moment(now_s + limit_s))
    assert (limit_s <= before_booked_out(booked, 3, now_s)) == (met is None)
