"""A million queued jobs of 1,000 organisations in three levels on 4 clusters and 3 QPUs: loading, and one decision."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Iterator
from random import Random  # noqa: TID251  seeded
from time import process_time

import numpy as np
import psutil

from scheduler.core.columns import Columns
from scheduler.core.engine import Engine, Machine
from scheduler.core.orders.kyoyo import Kyoyo
from scheduler.core.pool import Pool
from scheduler.core.request import Request
from scheduler.core.tree import Node, Tree
from tests.bench._load import sized
from tests.support.benchmark import Result

_ORGANISATIONS, _BELOW = 1_000, 3
_MACHINES = ((2_048, 1_000), (1_024, 800), (512, 1_500), (256, 400), (1, 60_000), (1, 30_000), (1, 90_000))
"""(units, milli-NU per unit and hour)."""
_CLUSTERS = 4
_SIZES = (1, 1, 1, 2, 4, 8, 8, 16, 32, 64)
_DAY_S = 86_400
_NOW_S = 30 * _DAY_S
_EVENTS = 400
_LIMIT_MS = 50.0


async def run() -> Result:
    return await asyncio.to_thread(_measured, sized(1_000_000))


def _measured(jobs: int) -> Result:
    columns = [_columns(machine, jobs) for machine in range(len(_MACHINES))]
    sorted_s = _full_sort_s(columns)
    before = psutil.Process().memory_info().rss
    engine, loaded_s = _loaded(columns)
    first_s = _seconds(lambda: engine.decide(_NOW_S))
    resident = psutil.Process().memory_info().rss
    took_ms = [1000 * each for each in _events(engine, Random(3))]
    p50, p99 = (round(float(np.percentile(took_ms, q)), 2) for q in (50, 99))
    _require_sound(engine)
    return Result(
        name="engine_million",
        figure=p99,
        unit="ms for a decision after one event, p99",
        limit=_LIMIT_MS,
        ratio=round(p99 / _LIMIT_MS, 3),
        facts={
            "jobs": jobs,
            "decide_p50_ms": p50,
            "decide_max_ms": round(max(took_ms), 2),
            "load_limit_s": 5,
            "load_processor_s": round(loaded_s, 2),
            "first_decide_s": round(first_s, 2),
            "numpy_sort_ms": round(1000 * sorted_s, 1),
            "resident_limit_mb": 2048,
            "resident_mb": round(resident / 2**20),
            "of_the_engine_mb": round((resident - before) / 2**20),
        },
    )


def _columns(machine: int, jobs: int) -> Columns:
    """Equal parts of all jobs; every leaf has some. Numbers are unique over all machines."""
    count, random = jobs // len(_MACHINES), np.random.default_rng(machine)
    is_cluster = machine < _CLUSTERS
    return Columns(
        number=np.arange(count) + machine * count,
        leaf=_ORGANISATIONS * (1 + _BELOW) + random.integers(0, _ORGANISATIONS * _BELOW**2, count),
        units=random.choice(_SIZES, count) if is_cluster else np.ones(count, dtype=np.int64),
        limit_s=random.integers(1, 73, count) * (3600 if is_cluster else 10),
        submitted_s=np.sort(random.integers(0, _NOW_S, count)),
    )


def _nodes() -> list[Node]:
    """Organisations, then their projects, then their users."""
    projects = _ORGANISATIONS * _BELOW
    nodes = [Node(f"o{each}", 1 + each % 7) for each in range(_ORGANISATIONS)]
    nodes += [Node(f"p{each}", 1 + each % 2, each // _BELOW) for each in range(projects)]
    return nodes + [Node(f"u{each}", 1, _ORGANISATIONS + each // _BELOW) for each in range(projects * _BELOW)]


def _loaded(columns: list[Columns]) -> tuple[Engine, float]:
    """As at the start of a process: the collector would walk again and again what is only being built."""
    gc.disable()
    began = process_time()
    tree = Tree(_nodes(), half_life_s=7 * _DAY_S)
    engine = Engine(Kyoyo(tree, _MACHINES), tree, [Machine(Pool(units), rate) for units, rate in _MACHINES])
    for machine, each in enumerate(columns):
        engine.loaded(each, machine)
    took_s = process_time() - began
    gc.freeze()
    gc.enable()
    return engine, took_s


def _events(engine: Engine, random: Random) -> Iterator[float]:
    """An end and an arrival by turns; processor seconds of the decision after each."""
    now_s, number = _NOW_S, 10**7
    for index in range(_EVENTS):
        now_s += random.randint(1, 60)
        if index % 2:
            number += 1
            leaf = _ORGANISATIONS * (1 + _BELOW) + random.randrange(_ORGANISATIONS * _BELOW**2)
            engine.arrived(Request(number, leaf, random.choice(_SIZES), 3600, now_s, random.randrange(_CLUSTERS)))
        else:
            engine.ended(random.choice(sorted(engine.running)), now_s)
        yield _seconds(lambda now_s=now_s: engine.decide(now_s))  # type: ignore[misc]


def _full_sort_s(columns: list[Columns]) -> float:
    """The whole queue once: organisation, place, number."""
    leaf = np.concatenate([each.leaf for each in columns])
    place = np.concatenate([each.submitted_s + 5 * each.limit_s for each in columns])
    number = np.concatenate([each.number for each in columns])
    return _seconds(lambda: np.lexsort((number, place, leaf)))


def _seconds(work: Callable[[], object]) -> float:
    began = process_time()
    work()
    return process_time() - began


def _require_sound(engine: Engine) -> None:
    for machine, (units, _) in enumerate(_MACHINES):
        held = sum(job.units for job in engine.running.values() if job.machine == machine)
        assert 0.9 * units <= held <= units, f"machine {machine} holds {held} of {units}"
