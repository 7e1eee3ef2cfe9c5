"""A trace made ready for the engine: the share tree, the machines, and requests numbered in the order of submission.
Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from scheduler.core.request import Request
from scheduler.core.tree import Node
from scheduler.simulate.errors import ExperimentRefused, TraceUnreadable
from scheduler.simulate.numbers import Where
from scheduler.simulate.rows import TraceJob
from scheduler.simulate.shares import Share

DAY_S = 86_400
GPU_RATE = 1000
"""Milli-NU per hour: a GPU is the reference GPU where nothing else is said."""
UNNAMED = "gpus"
"""What the pool is called that has no name."""


class Estimate(StrEnum):
    """What a job is believed to run at most: what it really ran, what was requested, twice what it ran."""

    EXACT = "exact"
    LIMIT = "limit"
    X2 = "x2"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What is tried. gpus 0: all GPUs are of named machines. nodes_of 0: plain pools.

    days: (first, last + 1) of those to replay, from the trace's first.
    """

    gpus: int
    pools: Mapping[str, int] = field(default_factory=dict)
    """GPUs of each machine that has a name."""
    qpus: Mapping[str, int] = field(default_factory=dict)
    """How many there are of each; 1 where nothing is said."""
    policy: str = "kyoyo"
    estimate: Estimate = Estimate.LIMIT
    days: tuple[int, int] | None = None
    nodes_of: int = 0
    weights: Mapping[str, int] = field(default_factory=dict)
    rates: Mapping[str, int] = field(default_factory=dict)
    """Milli-NU per hour of each QPU, and of a GPU of each named machine: the exchange table."""
    half_life_s: int = 7 * DAY_S
    name: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """A machine: a pool of GPUs, or QPUs of one name."""

    name: str
    units: int
    rate: int
    nodes_of: int = 0
    is_part: bool = False
    """Of another machine that is listed too."""
    is_qpu: bool = False


@dataclass(frozen=True, slots=True)
class Workload:
    """requests by number, in the order of submission; times in seconds from the first of all."""

    nodes: Sequence[Node]
    organisations: Sequence[int]
    """Of each node, which of the top ones it belongs to (index into `names`)."""
    names: Sequence[str]
    places: Sequence[Place]
    requests: Sequence[Request]
    durations: Sequence[int]

    @property
    def capacity(self) -> int:
        """Of all machines together, in milli-NU per hour."""
        return sum(place.units * place.rate for place in self.places if not place.is_part)

    def rate_of(self, job: Request) -> int:
        """What it takes while it runs, in milli-NU per hour."""
        return job.units * self.places[job.machine].rate


def prepared(jobs: Iterable[TraceJob], shares: Sequence[Share], setting: Setting, *, source: str = "jobs") -> Workload:
    """Refuses what can never run, and whom nobody gave a weight."""
    chosen = _of_days(jobs, setting.days, source)
    _require_possible(chosen, shares, setting, source)
    nodes, leaves = _tree(chosen, shares, setting.weights)
    places = _places(chosen, setting)
    pools = {place.name: index for index, place in enumerate(places) if not place.is_qpu}
    qpus = {place.name: index for index, place in enumerate(places) if place.is_qpu}
    requests: list[Request] = []
    durations: list[int] = []
    origin = chosen[0].submit_s
    for job in chosen:
        leaf, at = leaves[job.org, job.user], job.submit_s - origin
        if job.gpus:
            limit_s = _believed(setting.estimate, job.duration_s, job.limit_s)
            requests.append(Request(len(requests), leaf, job.gpus, limit_s, at, pools[job.machine or UNNAMED]))
            durations.append(job.duration_s)
        if job.qpu_s:
            limit_s = job.qpu_s if job.gpus else _believed(setting.estimate, job.qpu_s, job.limit_s)
            requests.append(Request(len(requests), leaf, 1, limit_s, at, qpus[job.qpu]))
            durations.append(job.qpu_s)
    tops = [index for index, node in enumerate(nodes) if node.parent is None]
    above = _tops_of(nodes, tops)
    return Workload(nodes, above, [nodes[top].name for top in tops], places, requests, durations)


def _of_days(jobs: Iterable[TraceJob], days: tuple[int, int] | None, source: str) -> list[TraceJob]:
    """In the order of submission, then of the ids (numbers as numbers), whatever the order of the file."""
    ordered = sorted(jobs, key=lambda job: (job.submit_s, len(job.job_id), job.job_id))
    if days is not None and ordered:
        first = ordered[0].submit_s
        ordered = [job for job in ordered if days[0] <= (job.submit_s - first) // DAY_S < days[1]]
    if not ordered:
        raise TraceUnreadable(source=source, problem="no_rows", columns=[])
    return ordered


def _believed(estimate: Estimate, duration_s: int, limit_s: int) -> int:
    if estimate is Estimate.LIMIT:
        return limit_s
    return max(1, duration_s * (2 if estimate is Estimate.X2 else 1))


def _require_possible(jobs: Iterable[TraceJob], shares: Sequence[Share], setting: Setting, source: str) -> None:
    known = {share.name for share in shares}
    for name in setting.weights:
        if name not in known:
            raise ExperimentRefused(option="--what-if", value=name, problem="unknown_organisation", known="")
    for job in jobs:
        where = Where(source, job.row)
        where.require(job.org in known, "org", "unknown_organisation", value=job.org)
        units = setting.gpus if not job.machine else setting.pools.get(job.machine, 0)
        if job.gpus and not units:
            raise ExperimentRefused(option="--gpus", value=job.machine or UNNAMED, problem="no_size", known="")
        where.require(job.gpus <= units, "gpus", "gang_too_large", value=job.gpus, limit=units)
        if job.qpu_s and job.qpu not in setting.rates:
            raise ExperimentRefused(option="--rate", value=job.qpu, problem="no_rate", known="")


def _tree(
    jobs: Iterable[TraceJob], shares: Sequence[Share], weights: Mapping[str, int]
) -> tuple[list[Node], dict[tuple[str, str], int]]:
    """Organisations by name, parents first, then users (weight 1); and the leaf of each organisation and user."""
    depths = _depths(shares)
    nodes: list[Node] = []
    indices: dict[tuple[str, str], int] = {}
    for share in sorted(shares, key=lambda share: (depths[share.name], share.name)):
        parent = indices[share.parent, ""] if share.parent else None
        indices[share.name, ""] = len(nodes)
        nodes.append(Node(share.name, weights.get(share.name, share.weight), parent))
    for org, user in sorted({(job.org, job.user) for job in jobs if job.user}):
        indices[org, user] = len(nodes)
        nodes.append(Node(user, 1, indices[org, ""]))
    return nodes, indices


def _depths(shares: Sequence[Share]) -> dict[str, int]:
    below: dict[str, list[str]] = {}
    for share in shares:
        below.setdefault(share.parent, []).append(share.name)
    depths: dict[str, int] = {}
    level, depth = below.get("", []), 0
    while level:
        depths |= dict.fromkeys(level, depth)
        level, depth = [name for above in level for name in below.get(above, [])], depth + 1
    return depths


def _tops_of(nodes: Sequence[Node], tops: Sequence[int]) -> list[int]:
    position = {top: index for index, top in enumerate(tops)}
    above: list[int] = []
    for index, node in enumerate(nodes):
        above.append(position[index] if node.parent is None else above[node.parent])
    return above


def _places(jobs: Iterable[TraceJob], setting: Setting) -> list[Place]:
    """Pools that nobody uses are there too: they are part of the capacity."""
    pools = ({UNNAMED: setting.gpus} if setting.gpus else {}) | dict(setting.pools)
    qpus = sorted({job.qpu for job in jobs if job.qpu_s})
    return [
        *(Place(name, units, setting.rates.get(name, GPU_RATE), setting.nodes_of) for name, units in pools.items()),
        *(Place(name, setting.qpus.get(name, 1), setting.rates[name], is_qpu=True) for name in qpus),
    ]
