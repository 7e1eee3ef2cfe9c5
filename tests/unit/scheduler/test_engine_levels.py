"""Only few lines are looked at in a pass, and whole queues are loaded at once: the decisions are the oracle's."""

from __future__ import annotations

from fractions import Fraction
from random import Random  # noqa: TID251  always seeded

import numpy as np
import pytest

from scheduler.core.columns import Columns
from scheduler.core.engine import Engine, Machine
from scheduler.core.growth import Growth
from scheduler.core.orders.fairtree import FairTree
from scheduler.core.orders.kyoyo import Kyoyo
from scheduler.core.orders.order import Order
from scheduler.core.pool import Pool
from scheduler.core.request import Request
from scheduler.core.tree import Node, Tree
from tests.support.slow_engine import SlowEngine, decayed_use
from tests.support.slow_kyoyo import SlowKyoyo
from tests.support.small_workloads import TOTAL, Small, invented, played

HALF_LIFE_S = 50
RATE = 1000
POLICIES = ("fairtree-easy", "kyoyo")


class Levels:
    """Organisations, projects and users; a leaf may be on any level. organisations: leaves of each."""

    def __init__(self, random: Random, organisations: int) -> None:
        parents: list[int | None] = [None] * organisations
        for _ in range(2):
            parents += [above for above in range(len(parents)) for _ in range(random.randint(0, 2))]
        self.nodes = [Node(str(each), random.randint(1, 3), above) for each, above in enumerate(parents)]
        self.paths = Tree(self.nodes, half_life_s=1).paths
        self.organisations = [self.under(node) for node in range(organisations)]

    def under(self, node: int) -> list[int]:
        return [leaf for leaf, path in enumerate(self.paths) if node in path]

    def workload(self, random: Random, jobs: int) -> Small:
        return invented(random, jobs=jobs, organisations=len(self.nodes))

    def engine(self, policy: str) -> Engine:
        tree = Tree(self.nodes, half_life_s=HALF_LIFE_S)
        order: Order = FairTree(tree) if policy == "fairtree-easy" else Kyoyo(tree, [(TOTAL, RATE)], floor_s=0)
        return Engine(order, tree, [Machine(Pool(TOTAL), RATE)])

    def slow_fair_tree(self) -> SlowEngine:
        growth = Growth(HALF_LIFE_S)

        def by_use(slow: SlowEngine, leaf: int) -> object:
            uses = ((node, decayed_use(slow, self.under(node), growth)) for node in self.paths[leaf])
            return tuple((1 << 20) * use * RATE // self.nodes[node].weight for node, use in uses)

        return SlowEngine(TOTAL, 1, by_use)

    def slow_kyoyo(self) -> SlowKyoyo:
        growth = Growth(HALF_LIFE_S)

        def below(slow: SlowEngine, leaf: int) -> tuple[object, ...]:
            present = growth(slow.now_s)
            leaves = [(node, self.under(node)) for node in self.paths[leaf][1:]]
            return tuple(
                Fraction(present * slow.held(each) + decayed_use(slow, each, growth), self.nodes[node].weight)
                for node, each in leaves
            )

        weights = [self.nodes[org].weight for org in range(len(self.organisations))]
        return SlowKyoyo(TOTAL, weights, self.organisations, below)


@pytest.mark.parametrize("policy", POLICIES)
def test_in_three_levels_it_decides_as_the_oracle_does(policy: str) -> None:
    random = Random(21)
    for _ in range(40):
        levels = Levels(random, random.randint(2, 4))
        small = levels.workload(random, random.randint(1, 25))
        engine = levels.engine(policy)
        slow = levels.slow_fair_tree() if policy == "fairtree-easy" else levels.slow_kyoyo()
        arrive = slow.arrived if isinstance(slow, SlowKyoyo) else slow.waiting.append
        assert played(small, engine, engine.arrived) == played(small, slow, arrive)


@pytest.mark.parametrize("policy", POLICIES)
def test_what_it_knows_of_all_turns_at_once_is_never_above_one_of_them(policy: str) -> None:
    """With weights, times and amounts of very different sizes."""
    random = Random(8)
    nodes = [Node(str(each), random.choice([1, 3, 10**6])) for each in range(40)]
    tree = Tree(nodes, half_life_s=86_400)
    sizes = [(10 ** random.randint(3, 5), random.choice([1, 1000, 10**6])) for _ in range(3)]
    order: Order = FairTree(tree) if policy == "fairtree-easy" else Kyoyo(tree, sizes)
    engine = Engine(order, tree, [Machine(Pool(units), rate) for units, rate in sizes])
    now_s = 10**9
    for number in range(300):
        machine = random.randrange(3)
        units = random.randint(1, sizes[machine][0])
        engine.arrived(Request(number, random.randrange(40), units, random.randint(1, 10**6), now_s, machine))
        now_s += random.choice([0, 1, 1000, 10**5, 10**7])
        for running in sorted(engine.running)[:: random.randint(2, 5)]:
            engine.ended(running, now_s)
        engine.decide(now_s)
        least, scale = order.least()
        turns = [order.turn(line)[0] / scale for line in range(40)]
        assert all(low < turn for low, turn in zip(least.tolist(), turns, strict=True))
        close = [turn - low <= 1e-9 * abs(turn) + 3 for low, turn in zip(least.tolist(), turns, strict=True)]
        assert sum(close) > 20


@pytest.mark.parametrize("policy", POLICIES)
def test_a_queue_that_is_loaded_is_the_queue_that_arrived(policy: str) -> None:
    random = Random(31)
    for _ in range(20):
        levels = Levels(random, 3)
        jobs = [job._replace(submitted_s=job.number // 7) for job in levels.workload(random, 400).jobs]
        small = Small((), tuple(jobs), tuple(random.randint(0, 30) for _ in jobs))
        engine, loaded = levels.engine(policy), levels.engine(policy)
        at_once = Small((), tuple(job._replace(submitted_s=60) for job in jobs), small.durations)
        columns = np.array([job[:5] for job in jobs]).T
        pending = iter([Columns(*columns[:, :150]), Columns(*columns[:, 150:])])

        def arrive(job: Request, jobs: list[Request] = jobs, engine: Engine = engine) -> None:
            engine.arrived(jobs[job.number])

        def load(job: Request, pending: object = pending, loaded: Engine = loaded) -> None:
            if job.number in {0, 150}:
                loaded.loaded(next(pending))  # type: ignore[call-overload]

        assert played(at_once, engine, arrive) == played(at_once, loaded, load)


def test_a_gang_that_never_fits_is_not_loaded() -> None:
    levels = Levels(Random(1), 2)
    with pytest.raises(ValueError, match="units=9"):
        levels.engine("kyoyo").loaded(Columns(*np.array([[0, 0, 9, 1, 0]]).T))
