"""Five organisations' jobs on a real cluster while its daemons, its REST API, our worker and the way between them fail.

1. Each organisation submits its share over HTTP with the real client. A job prints its attempt and whose it is, and
   works for a second or two.
2. Meanwhile a seed draws, one after the other: kill -9 of slurmctld, slurmrestd, slurmdbd, a slurmd, our worker or our
   portal, each started again after a moment; connections cut, answers lost or delayed between us and slurmrestd.
3. In the end every job has succeeded, no attempt's program started twice by its own word, nobody reads anybody
   else's output, what we metered is what sacct says, record by record, the ledger balances, and the audit has nothing
   to explain.
"""

from __future__ import annotations

import asyncio
import random  # noqa: TID251  one seeded instance
import shutil
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from infra.slurm.cluster import Cluster
from infra.slurm.operator import tend
from infra.slurm.records import Row
from kyoyo import Client, Job
from tests.support import slurm_house, slurm_truth
from tests.support.database import Database
from tests.support.fault_proxy import Fault, FaultProxy
from tests.support.slurm_house import BACKEND, OFFERING, Tenant
from tests.support.under_fire import (
    Victim,
    imbalance_and_open_holds,
    patiently,
    portal_listens,
    service,
    unexplained,
    until_settled,
)

ORGANISATIONS = 5
WALLTIME_S = 120
MAX_ATTEMPTS = 5
SETTLED_S = 180

pytestmark = [pytest.mark.postgres, pytest.mark.slurm, pytest.mark.timeout(900), pytest.mark.takes(190)]


@dataclass(frozen=True, slots=True)
class Plan:
    """strikes: how often each kind of fault happens."""

    seed: int
    jobs: int
    strikes: Mapping[str, int]
    patience_s: float


SHORT = Plan(
    seed=20261121,
    jobs=200,
    strikes={
        "slurmctld": 3,
        "slurmrestd": 3,
        "slurmdbd": 1,
        "slurmd": 2,
        "worker": 3,
        "portal": 2,
        "reset": 4,
        "drop": 4,
        "delay": 3,
    },
    patience_s=420,
)
LONG = Plan(
    seed=20261122,
    jobs=2_000,
    strikes={
        "slurmctld": 20,
        "slurmrestd": 20,
        "slurmdbd": 8,
        "slurmd": 15,
        "worker": 20,
        "portal": 10,
        "reset": 30,
        "drop": 30,
        "delay": 20,
    },
    patience_s=3_000,
)


def script(tenant: Tenant) -> str:
    return f'#!/bin/bash\necho "ran $KYOYO_ATTEMPT_ID for {tenant.slug}"\nsleep $((RANDOM % 2 + 1))\n'


class Strikes:
    """What can go wrong, by name. Everything that was killed runs again when a strike returns."""

    def __init__(
        self, cluster: Cluster, proxy: FaultProxy, victims: Mapping[str, Victim], chance: random.Random
    ) -> None:
        self._cluster, self._proxy, self._victims, self._chance = cluster, proxy, victims, chance
        self.done: Counter[str] = Counter()

    async def strike(self, kind: str) -> None:
        match kind:
            case "worker" | "portal":
                await asyncio.to_thread(self._victims[kind].kill_and_restart)
            case "slurmd":
                await self._kill(kind, node=self._chance.choice(self._cluster.site.node_names))
            case "slurmctld" | "slurmrestd" | "slurmdbd":
                await self._kill(kind)
            case "reset" | "drop" | "delay":
                await self._disturb(Fault(kind))
        self.done[kind] += 1

    async def _kill(self, daemon: str, node: str | None = None) -> None:
        await asyncio.to_thread(self._cluster.kill, daemon, node=node)
        await asyncio.sleep(self._chance.uniform(0, 3))
        await asyncio.to_thread(self._cluster.start_daemon, daemon, node=node)

    async def _disturb(self, fault: Fault) -> None:
        with self._proxy.failing(fault):
            await asyncio.sleep(self._chance.uniform(0.2, 2))


async def keep_striking(strikes: Strikes, plan: Plan, chance: random.Random) -> None:
    """All strikes of the plan in a drawn order, a moment apart: also shorter than what the last one left to repair."""
    kinds = [kind for kind, count in sorted(plan.strikes.items()) for _ in range(count)]
    chance.shuffle(kinds)
    for kind in kinds:
        await asyncio.sleep(chance.uniform(0.2, 4))
        await strikes.strike(kind)


async def keep_repairing(cluster: Cluster) -> None:
    """A site's operator: nodes that Slurm drained are resumed, jobs that it holds released."""
    while True:
        await asyncio.to_thread(tend, cluster)
        await asyncio.sleep(2)


def submit_share(client: Client, tenant: Tenant, folder: Path, numbers: range) -> list[Job]:
    path = folder / f"{tenant.slug}.sh"
    path.write_text(script(tenant))
    jobs = []
    for number in numbers:
        submit = partial(
            client.submit,
            path,
            time=WALLTIME_S,
            gpus=1,
            offering=OFFERING,
            name=f"short {number}",
            max_attempts=MAX_ATTEMPTS,
            key=f"{tenant.slug}-{number}",
        )
        jobs.append(patiently(submit))
    return jobs


@dataclass(frozen=True, slots=True)
class Worked:
    """One organisation's jobs, and everything that it could read of them."""

    tenant: Tenant
    jobs: Sequence[Job]
    output: str


async def work(tenant: Tenant, url: str, folder: Path, plan: Plan) -> Worked:
    def all_of_it() -> Worked:
        with Client(url, tenant.token, environment={}) as client:
            jobs = submit_share(client, tenant, folder, range(plan.jobs // ORGANISATIONS))
            for job in jobs:
                job.wait(timeout_s=plan.patience_s)
            output = "".join(text for job in jobs for text in job.logs())
            return Worked(tenant, jobs, output)

    return await asyncio.to_thread(all_of_it)


async def until(done: Callable[[], Awaitable[bool]], *, patience_s: float) -> None:
    async with asyncio.timeout(patience_s):
        while not await done():  # noqa: ASYNC110  the event is in another process
            await asyncio.sleep(0.5)


@pytest.mark.parametrize(
    "plan",
    [
        SHORT,
        pytest.param(LONG, marks=[pytest.mark.long, pytest.mark.timeout(5_400)]),
    ],
    ids=["short", "long"],
)
async def test_no_fault_loses_a_job_runs_one_twice_or_costs_a_yen(
    database: Database,
    own_cluster: Callable[..., Cluster],
    release: str,
    tmp_path: Path,
    plan: Plan,
) -> None:
    chance = random.Random(f"{plan.seed}:{release}")
    slugs = slurm_house.names(ORGANISATIONS)
    cluster = own_cluster(release, binds=(), **slurm_house.site(slugs))
    tenants = await slurm_house.open_market(database, slugs)
    fired = await under_fire(database, cluster, tenants, tmp_path, plan, chance)
    assert fired.strikes == Counter(plan.strikes)
    assert not (ended_badly := await slurm_truth.failed(database)), ended_badly
    check_jobs(fired.worked, plan)
    await check_starts(database, cluster)
    await check_usage(database, fired.rows, cluster)
    assert await imbalance_and_open_holds(database) == (0, 0)
    assert fired.findings == 0


@dataclass(frozen=True, slots=True)
class Fired:
    """What was seen by users, by Slurm's own books and by our audit, and the strikes meanwhile."""

    worked: Sequence[Worked]
    rows: Sequence[Row]
    findings: int
    strikes: Counter[str]


async def under_fire(
    database: Database, cluster: Cluster, tenants: Sequence[Tenant], folder: Path, plan: Plan, chance: random.Random
) -> Fired:
    """The whole service on the cluster, until every job has ended and is settled."""
    async with FaultProxy.before(cluster.url, folder=folder) as proxy:
        backends = slurm_house.backends_toml(cluster, url=proxy.url, accounting_lag_s=5)
        environment = slurm_house.environment(database, folder, backends)
        with service(environment, folder) as victims:
            await portal_listens(int(environment["KYOYO_PORT"]))
            url = f"http://127.0.0.1:{environment['KYOYO_PORT']}"
            strikes = Strikes(cluster, proxy, victims, chance)
            async with asyncio.TaskGroup() as helpers:
                repairing = helpers.create_task(keep_repairing(cluster))
                striking = helpers.create_task(keep_striking(strikes, plan, chance))
                worked = await asyncio.gather(*(work(tenant, url, folder, plan) for tenant in tenants))
                await striking
                await every_hold_closed(database, cluster, folder)
                rows = await the_whole_truth(database, cluster)
                repairing.cancel()
            findings = await asyncio.to_thread(unexplained, environment)  # it asks Slurm, too
    return Fired(worked, rows, findings, strikes.done)


async def every_hold_closed(database: Database, cluster: Cluster, folder: Path) -> None:
    try:
        await until_settled(database, patience_s=SETTLED_S)
    except TimeoutError:
        raise AssertionError("\n".join(await slurm_truth.unsettled(database))) from None
    finally:
        shutil.copytree(cluster.folder / "log", folder / "slurm")  # for whoever looks why


async def the_whole_truth(database: Database, cluster: Cluster) -> list[Row]:
    """What sacct says once every record has ended and we have taken each of them."""
    rows: list[Row] = []

    async def all_taken() -> bool:
        rows[:] = await asyncio.to_thread(slurm_truth.ours, cluster)
        taken = await slurm_truth.taken_by_us(database)
        return all(slurm_truth.key(row) in taken for row in rows if slurm_truth.has_ended(row))

    await until(all_taken, patience_s=120)
    return rows


def check_jobs(worked: Sequence[Worked], plan: Plan) -> None:
    """None lost, and nobody has read another's output."""
    assert len({job.id for each in worked for job in each.jobs}) == plan.jobs
    assert Counter(job.state for each in worked for job in each.jobs) == {"SUCCEEDED": plan.jobs}
    for each in worked:
        lines = each.output.splitlines()
        assert len(lines) == len(each.jobs)
        assert all(line.endswith(f"for {each.tenant.slug}") for line in lines), lines


async def check_starts(database: Database, cluster: Cluster) -> None:
    """By what the programs themselves wrote: each attempt at most once, those that succeeded exactly once."""
    starts = slurm_truth.real_starts(cluster.shared)
    assert set(starts.values()) <= {0, 1}, {attempt: count for attempt, count in starts.items() if count > 1}
    succeeded = await database.owner.fetch("SELECT id FROM scheduler.attempt WHERE state = 'SUCCEEDED'")
    unseen = [row["id"] for row in succeeded if starts[row["id"]] != 1]
    assert not unseen, slurm_truth.folders(cluster.shared, unseen)


async def check_usage(database: Database, rows: Sequence[Row], cluster: Cluster) -> None:
    """GPU-seconds of each attempt, ours against Slurm's own records and the rule for second starts."""
    told = slurm_truth.gpu_seconds(rows, cluster.shared)
    ours = await slurm_truth.metered_gpu_seconds(database, BACKEND)
    assert {attempt: ours.get(attempt, 0) for attempt in told} == told
    untold = {attempt: amount for attempt, amount in ours.items() if attempt not in told}
    remembered = slurm_truth.gpu_seconds(await asyncio.to_thread(slurm_truth.remembered, cluster), cluster.shared)
    # slurmdbd was never told: slurmctld's word stands. Of what both have lost nothing is charged.
    assert untold == {attempt: remembered.get(attempt, 0) for attempt in untold}
