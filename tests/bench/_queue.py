"""An invented queue: organisations, clusters that are nearly full, and jobs that want more than is free. Seeded."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random  # noqa: TID251  seeded by the caller
from uuid import UUID

from hpc_adapters.contract import Resources
from pricing.model import ServiceClass
from scheduler.core.branches import Branch
from scheduler.core.fairshare import MICRO
from scheduler.core.resources import minus, total
from scheduler.core.snapshot import Holding, Limits, Place, Pool, Snapshot, Stake, Standing, Waiting

NOW = datetime(2026, 4, 1, 3, 0, tzinfo=UTC)
_GPUS_OF = {"cluster-a": 576, "cluster-b": 256, "cluster-c": 64}
_QPU = "qpu"
_PROJECTS = tuple(UUID(int=number) for number in range(1, 4))
_PEOPLE = tuple(UUID(int=number) for number in range(11, 16))
_GPUS_WANTED = (1, 1, 1, 2, 4, 8, 16, 128)


def invented(*, jobs: int, organisations: int, seed: int) -> Snapshot:
    """Some organisations have much more in the queue than others; few jobs can start, and a few may not at all."""
    chance = Random(seed)
    standings = [
        Standing(
            organisation_id=_id(chance),
            weight=chance.choice((1, 1, 2, 3, 5)),
            used_micro_nu=chance.randrange(1000 * MICRO),
            max_running_jobs=chance.choice((2, 20, 100)),
            refused="declaration-expired" if chance.random() < 0.01 else None,
        )
        for _ in range(organisations)
    ]
    holding = [each for name, gpus in _GPUS_OF.items() for each in _held(chance, name, gpus * 95 // 100, standings)]
    waiting = [_waiting(chance, standings) for _ in range(jobs)]
    branches = {each.leaf[:depth]: None for each in waiting for depth in (2, 3)}
    return Snapshot(
        now=NOW,
        pools={each.name: each for each in _pools(holding)},
        waiting=waiting,
        holding=holding,
        standings={each.organisation_id: each for each in standings},
        stakes=_stakes(chance, branches),
        limits=_limits(chance, branches),
    )


def _stakes(chance: Random, branches: Iterable[Branch]) -> dict[Branch, Stake]:
    return {
        each: Stake(weight=chance.choice((1, 1, 2, 3)), used_micro_nu=chance.randrange(100 * MICRO))
        for each in branches
    }


def _limits(chance: Random, branches: Iterable[Branch]) -> dict[Place, Limits]:
    """Of one branch in ten."""
    return {
        (each, chance.choice((None, *_GPUS_OF))): Limits(
            max_running_jobs=chance.choice((None, 1, 5)),
            max_gpus=chance.choice((None, 8, 64)),
            max_month_micro_nu=chance.choice((None, 1_000 * MICRO)),
        )
        for each in branches
        if chance.random() < 0.1
    }


def _pools(holding: list[Holding]) -> list[Pool]:
    pools = [Pool(name=_QPU, total=Resources(qpus=1), free=Resources(qpus=1))]
    for name, gpus in _GPUS_OF.items():
        size = Resources(gpus=gpus, cpus=8 * gpus, memory_mb=64_000 * gpus)
        taken = total(each.needs for each in holding if each.backend == name and each.accepted)
        pools.append(Pool(name=name, total=size, free=minus(size, taken)))
    return pools


def _held(chance: Random, backend: str, gpus: int, standings: list[Standing]) -> list[Holding]:
    held: list[Holding] = []
    while gpus > 0:
        wanted = min(gpus, chance.choice(_GPUS_WANTED))
        gpus -= wanted
        one = Holding(
            attempt_id=_id(chance),
            organisation_id=chance.choice(standings).organisation_id,
            project_id=chance.choice(_PROJECTS),
            person_id=chance.choice(_PEOPLE),
            micro_nu=wanted * MICRO,
            backend=backend,
            needs=_gpus(wanted),
            until=NOW + timedelta(seconds=chance.uniform(-30, 86_400)),
            accepted=chance.random() < 0.98,
        )
        held.append(one)
    return held


def _waiting(chance: Random, standings: list[Standing]) -> Waiting:
    gpus, walltime_s = chance.choice(_GPUS_WANTED), chance.randrange(60, 7 * 86_400)
    one = Waiting(
        attempt_id=_id(chance),
        organisation_id=standings[int(len(standings) * chance.random() ** 3)].organisation_id,
        project_id=chance.choice(_PROJECTS),
        person_id=chance.choice(_PEOPLE),
        backend=chance.choice(tuple(_GPUS_OF)),
        needs=_gpus(gpus),
        walltime_s=walltime_s,
        micro_nu=gpus * walltime_s * MICRO // 3600,
        submitted_at=NOW - timedelta(seconds=chance.uniform(0, 7 * 86_400)),
        service_class=ServiceClass.SPOT if chance.random() < 0.1 else ServiceClass.STANDARD,
        not_before=NOW + timedelta(minutes=5) if chance.random() < 0.02 else None,
        cancel_wanted=chance.random() < 0.01,
    )
    if chance.random() < 0.1:
        return replace(one, backend=_QPU, needs=Resources(qpus=1), micro_nu=MICRO // 100)
    return one


def _gpus(count: int) -> Resources:
    return Resources(gpus=count, cpus=8 * count, memory_mb=64_000 * count)


def _id(chance: Random) -> UUID:
    return UUID(int=chance.getrandbits(128))
