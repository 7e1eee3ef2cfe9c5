"""Nodes of several units: packed for real, whole nodes kept whole, reservations kept."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings

from scheduler.core.engine import Engine, Machine
from scheduler.core.nodes import Nodes, View
from scheduler.core.orders.fairtree import FairTree
from scheduler.core.orders.fifo import Fifo
from scheduler.core.orders.order import Order
from scheduler.core.pool import FOREVER, Pool, Room
from scheduler.core.request import Request
from scheduler.core.tree import Node, Tree
from tests.support.small_workloads import TOTAL, Small, played, smalls

COUNT, SIZE = 3, 4


def engine_on(room: Room, small: Small, reservations: int | None) -> Engine:
    tree = Tree([Node(str(index), weight) for index, weight in enumerate(small.weights)], half_life_s=50)
    order: Order = FairTree(tree, 2) if reservations is None else Fifo(reservations)
    return Engine(order, tree, [Machine(room)])


def job(number: int, units: int, limit_s: int = 10, submitted_s: int = 0) -> Request:
    return Request(number, 0, units, limit_s, submitted_s)


@pytest.mark.parametrize(
    ("reservations", "nodes"), [(0, (TOTAL, 1)), (1, (1, TOTAL)), (3, (1, TOTAL)), (None, (1, TOTAL))]
)
@settings(max_examples=40)
@given(small=smalls())
def test_one_node_decides_as_a_plain_pool(reservations: int | None, nodes: tuple[int, int], small: Small) -> None:
    """Nodes of one unit do so without reservations: those are of certain nodes, and a little more careful."""
    packed, plain = engine_on(Nodes(*nodes), small, reservations), engine_on(Pool(TOTAL), small, reservations)
    assert played(small, packed, packed.arrived) == played(small, plain, plain.arrived)


@pytest.mark.parametrize("reservations", [0, 1, 3])
@settings(max_examples=40)
@given(small=smalls(units=COUNT * SIZE))
def test_no_node_holds_more_than_it_has_and_gangs_keep_whole_nodes(reservations: int, small: Small) -> None:
    room = Nodes(COUNT, SIZE)
    engine = engine_on(room, small, reservations)

    def watch(_now: int, _started: list[Request]) -> None:
        held: Counter[int] = Counter()
        for each in engine.running.values():
            taken = room.where(each.number)
            held.update(dict(taken))
            sizes = sorted(units for _, units in taken)
            whole, part = divmod(each.units, SIZE)
            assert sizes == ([part] if part else []) + [SIZE] * whole
            assert len({node for node, _ in taken}) == len(taken)
        assert all(units <= SIZE for units in held.values())

    assert min(played(small, engine, engine.arrived, watch=watch)) >= 0


@pytest.mark.parametrize("reservations", [1, 2, 4])
@settings(max_examples=40)
@given(small=smalls(units=COUNT * SIZE))
def test_no_reservation_of_the_first_is_delayed(reservations: int, small: Small) -> None:
    durations = tuple(min(ran, each.limit_s) for each, ran in zip(small.jobs, small.durations, strict=True))
    kept = Small(small.weights, small.jobs, durations)
    engine = engine_on(Nodes(COUNT, SIZE), kept, reservations)
    promised: dict[int, int] = {}

    def watch(now_s: int, _started: list[Request]) -> None:
        for number, at in list(engine.reserved.items())[:1]:
            assert now_s < at <= promised.get(number, at)
            promised[number] = at

    starts = played(kept, engine, engine.arrived, watch=watch)
    assert all(starts[number] <= at for number, at in promised.items())


def test_a_part_goes_where_least_is_left_so_that_nodes_stay_whole() -> None:
    room = Nodes(3, 8)
    room.begin(0)
    for number, units in enumerate((5, 2, 4, 1)):
        room.take(job(number, units))
    assert [room.where(number) for number in range(4)] == [((0, 5),), ((0, 2),), ((1, 4),), ((0, 1),)]
    assert room.fits_now(8)
    assert not room.fits_now(12 + 8)
    assert room.fits_now(8 + 4)


def test_free_units_on_several_nodes_are_no_whole_node() -> None:
    room = Nodes(2, 8)
    room.begin(0)
    room.take(job(0, 5))
    room.take(job(1, 4))
    assert [room.fits_now(units) for units in (3, 4, 5, 8)] == [True, True, False, False]
    assert room.horizon(5) < 0


def test_a_reservation_is_of_certain_nodes_and_others_may_run_beside_it() -> None:
    room = Nodes(2, 8)
    room.begin(0)
    room.take(job(0, 6, limit_s=100))
    assert room.reserve(job(1, 16, limit_s=50)) == 100
    assert room.horizon(8) == 99
    room.take(job(2, 2, limit_s=99))
    assert room.where(2) == ((0, 2),)
    room.begin(0)
    assert room.reserve(job(3, 12, limit_s=50)) == 100
    assert room.horizon(4) == FOREVER


def test_a_view_knows_what_fits() -> None:
    view = View(8, [8, 3, 8])
    assert [view.fits(units) for units in (3, 8, 11, 12, 16, 19, 20, 24)] == [True] * 6 + [False] * 2
    assert view.place(11, [8, 3, 8]) == ((0, 8), (1, 3))
    assert view.place(12, [8, 3, 8]) == ((0, 8), (2, 4))
