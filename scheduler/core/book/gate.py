"""What may not start however much is free: standings, limits of branches, closures. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar
from uuid import UUID

from hpc_adapters.contract import Resources
from scheduler.core.book.borrowing import Borrowing
from scheduler.core.book.borrowing import Size as MachineSize
from scheduler.core.book.gauges import Gauges, NodePlace, Size
from scheduler.core.book.guarantees import Footing, GuaranteeOf, Guarantees
from scheduler.core.book.guarantees import Size as GuaranteeSize
from scheduler.core.book.leaves import Asker, Leaves
from scheduler.core.book.seconds import Clock
from scheduler.core.book.terms import Terms
from scheduler.core.hall import Hall
from scheduler.core.pool import FOREVER
from scheduler.core.quotas import Refused
from scheduler.core.request import Request
from scheduler.core.shapes import Shapes
from scheduler.core.snapshot import Limits, Place, Standing

T = TypeVar("T")
_GPU, _QPU = Resources(gpus=1), Resources(qpus=1)
_UNKNOWN = Standing(organisation_id=UUID(int=0))


class Gate:
    """As the engine asks for it (engine.Gate). sizes: what the jobs count for which that is known."""

    def __init__(self, leaves: Leaves, shapes: Shapes, halls: Sequence[Hall], clock: Clock) -> None:
        self._leaves, self._shapes, self._halls, self._clock = leaves, shapes, halls, clock
        self._gauges = Gauges(leaves.limited_by)
        self.borrowing = Borrowing([MachineSize(max(1, hall.total), hall.total // _piece(hall)) for hall in halls])
        self.guarantees = Guarantees([GuaranteeSize(max(1, hall.total), _piece(hall)) for hall in halls])
        for machine in range(len(halls)):
            self.drains(machine)
        self._standings: Mapping[UUID, Standing] = {}
        self._wall_s: dict[UUID, int] = {}
        self._counted: dict[int, Size] = {}
        self._now_s = 0
        self.spent: Counter[tuple[Asker, str]] = Counter()
        """Of whom, and with which backend: what was used since the terms were read."""
        self.micro_nu: dict[int, tuple[int, int]] = {}
        """Full size, and that of all calls, of jobs by number."""
        self.micro_nu_of: Callable[[int], int] = lambda _number: 0
        """Full size of one that is not there."""

    def at(self, now_s: int) -> None:
        """Time has come to decide."""
        if now_s != self._now_s:
            self._now_s, self._wall_s = now_s, {}

    def settle(self, terms: Terms) -> None:
        """What holds from now on; what runs is counted again. In the terms is all that has been used by now."""
        self.spent.clear()
        self.grown(terms)

    def grown(self, terms: Terms) -> None:
        """The same with more branches: what was used since the terms were read is used."""
        self._standings, self._wall_s = terms.standings, {}
        limits, used = _limits(terms, self._leaves)
        levels = {node: self._leaves.level(node) for node, _ in limits}
        self._gauges.limit(limits, levels, used)
        for size in self._counted.values():
            self._gauges.count(size, 1)
        for (asker, backend), micro_nu in self.spent.items():
            self._gauges.used(self._leaves.of(asker), backend, micro_nu)
        self.borrowing.settle(terms.nominal)
        self.guarantees.settle(self._guaranteed(terms))

    def drains(self, machine: int) -> None:
        """Other nodes are out of service there while jobs hold them."""
        units = self._halls[machine].draining
        self.borrowing.drains(machine, units)
        self.guarantees.drains(machine, units)

    # -- as the engine asks --------------------------------------------------------------------------------------------

    def longest(self, line: int, machine: int, shape: int) -> int:
        is_call, hall = line in self._leaves.calls, self._halls[machine]
        longest = hall.allowed(shape, walls=not is_call)
        organisation = self._leaves.organisation(line)
        if longest < 0 or self.standing(organisation).refused is not None:
            return -1
        if is_call:
            return longest
        if self._gauges.longest(line, hall.name, self._shapes.needs(shape).gpus) < 0:
            return -1
        if not self._shares_allow(organisation, machine, shape):
            return -1
        return min(longest, self._before_walls(organisation))

    def allows(self, job: Request) -> bool:
        if not self._gauges.counts_units(job.leaf) or job.leaf in self._leaves.calls:
            return True
        return self._gauges.refusal(self.size(job)) is None

    def started(self, job: Request) -> None:
        size = self._counted[job.number] = self.size(job)
        if job.leaf not in self._leaves.calls:
            self._gauges.count(size, 1)
            organisation = self._leaves.organisation(job.leaf)
            self.borrowing.started(job.number, organisation, job.machine, job.units)
            footing = Footing(self._shapes.footing(job.shape))
            count = self._pieces(job.shape)
            self.guarantees.started(job.number, (organisation, job.machine), job.units, footing, count)

    def ended(self, job: Request) -> None:
        size = self._counted.pop(job.number)
        if job.leaf not in self._leaves.calls:
            self._gauges.count(size, -1)
            self.borrowing.ended(job.number)
            self.guarantees.ended(job.number)

    # -- and the book --------------------------------------------------------------------------------------------------

    def standing(self, organisation: UUID) -> Standing:
        return self._standings.get(organisation, _UNKNOWN)

    def binds(self, job: Request) -> bool:
        """Whether its end may let others start on other machines, by a limit in total."""
        return job.leaf not in self._leaves.calls and self._gauges.binds(job.leaf)

    def refusal(self, job: Request) -> Refused | None:
        """Which limit of its branches it would break, or of what its organisation may borrow."""
        if job.leaf in self._leaves.calls:
            return None
        organisation = self._leaves.organisation(job.leaf)
        footing = Footing(self._shapes.footing(job.shape))
        refused = self._gauges.refusal(self.size(job))
        refused = refused or self.guarantees.refusal(
            (organisation, job.machine), job.units, footing, self._pieces(job.shape)
        )
        if refused is not None or footing is Footing.WITHIN:
            return refused
        return self.borrowing.refusal(organisation, job.machine, job.units)

    def used(self, asker: Asker, backend: str, micro_nu: int) -> None:
        """By what has ended since the terms were read. Its branch is known."""
        self.spent[asker, backend] += micro_nu
        self._gauges.used(self._leaves.of(asker), backend, micro_nu)

    def size(self, job: Request) -> Size:
        known = self.micro_nu.get(job.number)
        micro_nu, calls_micro_nu = (self.micro_nu_of(job.number), 0) if known is None else known
        return Size(
            leaf=job.leaf,
            backend=self._halls[job.machine].name,
            gpus=self._shapes.needs(job.shape).gpus,
            micro_nu=micro_nu,
            calls=self._shapes.calls(job.shape),
            calls_micro_nu=calls_micro_nu,
        )

    def _units(self, machine: int, shape: int) -> int:
        """As a request counts there."""
        return max(1, self._halls[machine].units_of(self._shapes.needs(shape)))

    def _pieces(self, shape: int) -> int:
        """Its GPUs, or QPUs."""
        needs = self._shapes.needs(shape)
        return needs.gpus or needs.qpus

    def _shares_allow(self, organisation: UUID, machine: int, shape: int) -> bool:
        """What is guaranteed is no loan."""
        if not self.borrowing.is_limited and not self.guarantees.is_limited:
            return self._shapes.footing(shape) != Footing.WITHIN
        units, footing = self._units(machine, shape), Footing(self._shapes.footing(shape))
        if not self.guarantees.allows((organisation, machine), units, footing, self._pieces(shape)):
            return False
        return footing is Footing.WITHIN or self.borrowing.allows(organisation, machine, units)

    def _guaranteed(self, terms: Terms) -> dict[GuaranteeOf, int]:
        """In GPUs or QPUs of each machine."""
        machines = {hall.name: machine for machine, hall in enumerate(self._halls)}
        return {
            (branch[0], machines[backend]): limits.reserved_units
            for (branch, backend), limits in terms.limits.items()
            if limits.reserved_units and len(branch) == 1 and branch[0] is not None and backend in machines
        }

    def _before_walls(self, organisation: UUID) -> int:
        """So long from now on until its organisation may run nothing any more."""
        known = self._wall_s.get(organisation)
        if known is None:
            ahead = [self._clock.second(wall.at) - self._now_s for wall in self.standing(organisation).walls]
            known = self._wall_s[organisation] = min((left for left in ahead if left >= 0), default=FOREVER)
        return known


def _piece(hall: Hall) -> int:
    """Units of one GPU; of one QPU where there are no GPUs, for a QPU beside GPUs is all of its kind."""
    return hall.units_of(_GPU) or hall.units_of(_QPU) or 1


def _of_nodes(of_places: Mapping[Place, T], leaves: Leaves) -> dict[NodePlace, T]:
    """Where nobody has asked for anything, nothing need be counted."""
    nodes = ((leaves.known(branch), backend, each) for (branch, backend), each in of_places.items())
    return {(node, backend): each for node, backend, each in nodes if node is not None}


def _limits(terms: Terms, leaves: Leaves) -> tuple[dict[NodePlace, Limits], dict[NodePlace, int]]:
    """Limits of nodes, and what was used of them in this month. An organisation's running jobs are always limited."""
    limits: dict[NodePlace, Limits] = _of_nodes(terms.limits, leaves)
    used: dict[NodePlace, int] = _of_nodes(terms.month_micro_nu, leaves)
    for organisation, standing in terms.standings.items():
        node = leaves.known((organisation,))
        if node is None:
            continue
        place: NodePlace = (node, None)
        known = limits.get(place, Limits())
        most = standing.max_running_jobs
        if known.max_running_jobs is not None:
            most = min(most, known.max_running_jobs)
        limits[place] = Limits(
            max_queued_jobs=known.max_queued_jobs,
            max_running_jobs=most,
            max_gpus=known.max_gpus,
            max_month_micro_nu=known.max_month_micro_nu,
        )
    return limits, used
