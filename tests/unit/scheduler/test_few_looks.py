"""How often the gate is asked, counted: not once for each of thousands that it has refused or that cannot start."""

from __future__ import annotations

from collections import Counter
from itertools import count

from scheduler.core.engine import Engine, Machine
from scheduler.core.orders.kyoyo import Kyoyo
from scheduler.core.pool import FOREVER, Pool
from scheduler.core.request import PROMISED, STANDARD, Request
from scheduler.core.supposing import NEW, Supposing
from scheduler.core.tree import Node, Tree

UNITS, MANY = 64, 300


class Asked:
    """A gate that lets nothing of some lines start, and counts."""

    def __init__(self, *shut: int) -> None:
        self.shut, self.asked = shut, Counter[tuple[int, int]]()

    def longest(self, line: int, machine: int, shape: int) -> int:
        del machine
        self.asked[line, shape] += 1
        return -1 if line in self.shut else FOREVER

    def allows(self, job: Request) -> bool:
        del job
        return True

    def started(self, job: Request) -> None:
        """It is not counted."""

    def ended(self, job: Request) -> None:
        """It was not counted."""


def waiting(gate: Asked, *jobs: tuple[int, int, int], held: int = 0) -> Supposing:
    """MANY of each of these: leaf, units, tier. held: units that are taken."""
    tree = Tree([Node(f"org{index}", 1) for index in range(3)], half_life_s=86_400)
    order = Kyoyo(tree, [(UNITS, 1000)])
    engine, numbers = Supposing(order, tree, [Machine(Pool(UNITS))], gate), count(1)
    if held:
        engine.arrived(Request(0, 2, held, 9_000, 0))
        engine.decide(0)
    for leaf, units, tier in jobs:
        for _ in range(MANY):
            engine.arrived(Request(next(numbers), leaf, units, 90_000, 1, tier=tier))
    engine.decide(1)
    gate.asked.clear()
    return engine


def one_more(engine: Engine) -> None:
    engine.arrived(Request(NEW - 1, 1, 1, 60, 2))
    engine.decide(2)


def test_reserved_work_beyond_its_share_is_refused_once_in_a_pass_not_job_by_job() -> None:
    gate = Asked(0)
    engine = waiting(gate, (0, 1, PROMISED))
    one_more(engine)
    assert [going.job.leaf for going in engine.going] == [1]
    assert gate.asked[0, 1] < 10
    gate.asked.clear()
    assert engine.longest(Request(NEW, 1, 1, 60, 2), 2, instead_of=NEW) >= 60
    assert gate.asked[0, 1] < 10


def test_nobody_is_asked_about_wide_gangs_that_cannot_start_now() -> None:
    gate = Asked()
    engine = waiting(gate, (0, 60, STANDARD), held=44)
    one_more(engine)
    assert gate.asked[0, 60] < 10
    gate.asked.clear()
    engine.longest(Request(NEW, 1, 4, 60, 2), 2, instead_of=NEW)
    assert gate.asked[0, 60] < 10
