"""What forecasts look at: the same books as dispatch, as an engine that can be run ahead. Pure.

A first model: each backend is a pool of equal units, of which a job takes its dominant share; the policy is that of
production, but that nobody becomes due, and that what organisations owe is known by the week, not by the day; what
others have on a backend stays. When machines are away, walls, and how many jobs an organisation may run are in it
(core/foreseeable.py); other limits, advance reservations and what is set aside are not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from hpc_adapters.contract import Resources
from pricing.model import ServiceClass
from scheduler.core.arrivals import Arrivals
from scheduler.core.branches import Branch, Leaf, branches_of
from scheduler.core.engine import Machine
from scheduler.core.forecast import Scene
from scheduler.core.foreseeable import Ahead, Bounds, Foreseeing
from scheduler.core.orders.kyoyo import Kyoyo
from scheduler.core.pool import Pool
from scheduler.core.reasons import FORESEEN
from scheduler.core.request import STANDARD, Request
from scheduler.core.runtimes import RunTimes
from scheduler.core.snapshot import Holding, Waiting, Wall
from scheduler.core.snapshot import Pool as Backend
from scheduler.core.tree import Node, Tree
from scheduler.loops.claims import Claims
from scheduler.store.forecasts import Tried
from scheduler.store.planning import Live

_FINE: Final = 60
"""A GPU (or QPU) is so many units, so that parts of one are told apart."""
_HALF_LIFE_S: Final = 7 * 86_400
_LN2_MICRO: Final = 693_147
_NEVER_DUE_S: Final = 365 * 86_400
_MICRO_NU: Final = (36, 10)
"""A millionth of a NU is 3.6 milli-NU-seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """All that is read. begun: when what runs has started. backends: those that answered."""

    now: datetime
    live: Live
    claims: Claims
    begun: Mapping[UUID, datetime]
    backends: Mapping[str, Backend]
    tried: Sequence[Tried]
    since: datetime
    """As `tried` goes back."""
    walls: Sequence[Wall] = ()
    """Everybody's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """A scene, and what is needed to tell of it. ids: attempts by their numbers."""

    scene: Scene
    order: Kyoyo
    tree: Tree
    ids: Mapping[int, UUID]
    jobs: Sequence[Request]


def setup_of(books: Books, *, most: int, futures: int) -> Setup:
    """most: so many waiting attempts of each backend, in the order of the last plan."""
    names = sorted(books.backends)
    asks = _Asks(books, names)
    chosen = [each for name in names for each in _first(books.live, name, most)]
    held = [each for each in books.live.held if each.backend in books.backends]
    branches = _Branches(books, [*chosen, *held, *books.tried])
    sizes = [asks.size(name, held) for name in names]
    rates = [asks.rate(each for each in chosen if each.backend == name) for name in names]
    order = Kyoyo(branches.tree, list(zip(sizes, rates, strict=True)), floor_s=_NEVER_DUE_S)
    branches.remember(order, asks.second(books.now))
    rooms = [Pool(size) for size in sizes]
    machines = [Machine(room, rate) for room, rate in zip(rooms, rates, strict=True)]
    ahead = _ahead(books, names, asks, branches)
    engine = Foreseeing(order, branches.tree, machines, Bounds(branches.tree, ahead, len(names)))
    running = sorted((asks.held(each, branches) for each in held), key=lambda job: (job.submitted_s, job.number))
    for job in running:
        rooms[job.machine].begin(job.submitted_s)
        rooms[job.machine].take(job)
        engine.ran_before(job, job.submitted_s)
    asked = [asks.waits(each, branches) for each in chosen]
    jobs = [job for job in asked if job.units <= sizes[job.machine]]
    for job in jobs:
        engine.arrived(job)
    learnt, past = asks.past(branches, sizes)
    scene = Scene(
        engine=engine,
        now_s=asks.second(books.now),
        started_s={job.number: job.submitted_s for job in running},
        lasting=learnt,
        after=past.futures(asks.second(books.now), futures),
        wakes_s=ahead.wakes(asks.second(books.now)),
    )
    ids = {each.seq: each.attempt_id for each in chosen}
    return Setup(scene=scene, order=order, tree=branches.tree, ids=ids, jobs=jobs)


def _ahead(books: Books, names: Sequence[str], asks: _Asks, branches: _Branches) -> Ahead:
    """Calls of running jobs are no jobs; what runs on a machine that does not answer is one."""
    tops = branches.tops()
    standings = {tops[each]: standing for each, standing in books.claims.standings.items() if each in tops}
    shift: Counter[int] = Counter()
    for held in books.live.held:
        if held.organisation_id in tops:
            shift[tops[held.organisation_id]] += held.is_call - (
                held.backend not in books.backends and not held.is_call
            )
    return Ahead(
        windows=[
            [(asks.second(each.since), asks.second(each.until)) for each in books.backends[name].windows]
            for name in names
        ],
        walls=[asks.second(wall.at) for wall in books.walls],
        ends={
            top: min(asks.second(wall.at) for wall in standing.walls)
            for top, standing in standings.items()
            if standing.walls
        },
        most_jobs={top: standing.max_running_jobs + shift[top] for top, standing in standings.items()},
        closed=frozenset(top for top, standing in standings.items() if standing.refused is not None),
    )


def _first(live: Live, backend: str, most: int) -> list[Waiting]:
    """Who waits for its turn there, as the last plan put them."""

    def place(each: Waiting) -> tuple[int, datetime, int]:
        position = live.reasons[each.attempt_id][1].get("position")
        return position if isinstance(position, int) else most, each.submitted_at, each.seq

    found = [each for each in live.waiting if each.backend == backend and not each.is_call and each.inside is None]
    return sorted((each for each in found if _in_contest(live.reasons[each.attempt_id][0])), key=place)[:most]


def _in_contest(reason: str | None) -> bool:
    return reason is None or reason in FORESEEN


class _Branches:
    """The share tree of all that is in the scene: organisation → project → user."""

    def __init__(self, books: Books, jobs: Iterable[Waiting | Holding | Tried]) -> None:
        self._claims = books.claims
        self._nodes: dict[Branch, int] = {}
        self.tree = Tree([], half_life_s=_HALF_LIFE_S)
        self._used_micro_nu: dict[int, int] = {}
        """Of each node, decayed, with what runs at full size."""
        for leaf in sorted({job.leaf for job in jobs}, key=str):
            self.leaf(leaf)

    def leaf(self, leaf: Leaf) -> int:
        above: int | None = None
        for branch in branches_of(leaf):
            node = self._nodes.get(branch)
            if node is None:
                weight, micro_nu = self._claim(branch)
                node = self._nodes[branch] = self.tree.add(Node(str(branch[-1]), max(1, weight), above))
                self._used_micro_nu[node] = micro_nu
            above = node
        assert above is not None
        return above

    def tops(self) -> dict[UUID, int]:
        """Nodes of organisations."""
        return {branch[0]: node for branch, node in self._nodes.items() if len(branch) == 1 and branch[0] is not None}

    def remember(self, order: Kyoyo, now_s: int) -> None:
        """What was used before now, and what each organisation held lately beyond its weight's part of all that."""
        tree = self.tree
        for node, micro_nu in self._used_micro_nu.items():
            tree.used_before(node, micro_nu * _MICRO_NU[0] // _MICRO_NU[1], now_s)
        lately = {top: self._used_micro_nu[top] * _LN2_MICRO * 3600 // (10**6 * _HALF_LIFE_S) for top in tree.tops}
        held, weights = sum(lately.values()), sum(tree.weights[top] for top in tree.tops)
        order.began(now_s)
        for top, micro_nu in lately.items():
            order.owes(top, micro_nu - held * tree.weights[top] // weights)

    def _claim(self, branch: Branch) -> tuple[int, int]:
        if len(branch) > 1:
            stake = self._claims.stakes.get(branch)
            return (1, 0) if stake is None else (stake.weight, stake.used_micro_nu)
        standing = None if branch[0] is None else self._claims.standings.get(branch[0])
        return (1, 0) if standing is None else (standing.weight, standing.used_micro_nu)


class _Asks:
    """What attempts ask for, as requests of the engine. Times: seconds since the beginning of all that is read."""

    def __init__(self, books: Books, names: Sequence[str]) -> None:
        self._books = books
        self._machines = {name: index for index, name in enumerate(names)}
        self._origin = min([books.since, *books.begun.values()])

    def second(self, at: datetime) -> int:
        return max(0, int((at - self._origin).total_seconds()))

    def units(self, needs: Resources, backend: str) -> int:
        """Its dominant share: of the resource of which it takes the largest part."""
        whole = self._books.backends[backend].total
        fine = _FINE * max(1, whole.gpus, whole.qpus)
        parts = zip(_amounts(needs), _amounts(whole), strict=True)
        return max((-(-part * fine // of) for part, of in parts if of), default=fine) or 1

    def size(self, backend: str, held: Sequence[Holding]) -> int:
        """Units that are ours to give, without what others have there now."""
        there = self._books.backends[backend]
        whole, free = self.units(there.total, backend), self.units(there.free, backend)
        counted = [each for each in held if each.backend == backend and (each.started or not there.look_ahead)]
        ours = sum(self.units(each.needs, backend) for each in counted)
        return max(1, whole - max(0, whole - free - ours))

    def rate(self, jobs: Iterable[Waiting]) -> int:
        """Milli-NU per unit and hour, by what the jobs themselves count."""
        micro_nu = asked = 0
        for each in jobs:
            micro_nu += each.micro_nu
            asked += self.units(each.needs, each.backend) * each.walltime_s
        return max(1, micro_nu * _MICRO_NU[0] // (_MICRO_NU[1] * asked)) if asked else 1

    def waits(self, job: Waiting, branches: _Branches) -> Request:
        return self._request(
            job.seq,
            job,
            branches,
            limit_s=job.walltime_s,
            at_s=self.second(job.submitted_at),
            tier=STANDARD + (job.service_class is ServiceClass.SPOT),
        )

    def held(self, job: Holding, branches: _Branches) -> Request:
        """Handed over and not begun: as if it began now."""
        since_s = self.second(self._books.begun.get(job.attempt_id, self._books.now))
        limit_s = max(1, self.second(job.until) - since_s)
        return self._request(job.seq, job, branches, limit_s=limit_s, at_s=since_s)

    def past(self, branches: _Branches, sizes: Sequence[int]) -> tuple[RunTimes, Arrivals]:
        """What was submitted before, and how long it ran."""
        learnt, past = RunTimes(branches.tree.paths), Arrivals(since_s=self.second(self._books.since))
        for number, each in enumerate(self._books.tried):
            if each.backend not in self._machines:
                continue
            at_s = self.second(each.queued_at)
            job = self._request(number, each, branches, limit_s=each.walltime_s, at_s=at_s)
            if job.units > sizes[job.machine]:
                continue
            past.arrived(job)
            if each.ran_s is not None:
                learnt.learn(job, each.ran_s)
        return learnt, past

    def _request(
        self,
        number: int,
        job: Waiting | Holding | Tried,
        branches: _Branches,
        *,
        limit_s: int,
        at_s: int,
        tier: int = STANDARD,
    ) -> Request:
        units, machine = self.units(job.needs, job.backend), self._machines[job.backend]
        return Request(number, branches.leaf(job.leaf), units, limit_s, at_s, machine, tier=tier)


def _amounts(held: Resources) -> tuple[int, ...]:
    return held.gpus, held.qpus, held.cpus, held.memory_mb
