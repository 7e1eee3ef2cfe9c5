"""The simulated cluster: same seed, same history; each fault is what it says; the oracle is never wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from hpc_adapters.contract import Circuit, JobRequest, Observation, Ref, Resources, Seen, UsageRow, Window
from hpc_adapters.errors import BackendError, Forgotten, Unavailable
from hpc_adapters.simulated import Answer, Behaviour, Faults, SimulatedBackend, SimulatedClock

START = datetime(2026, 11, 20, 9, tzinfo=UTC)
EVERYTHING = Faults(
    lost_answer=0.2,
    lost_request=0.1,
    delayed_effect=0.2,
    vanished=0.2,
    id_reused=0.5,
    double_start=0.3,
    node_failure=0.1,
    preemption=0.1,
    late_accounting=0.3,
    doubled_row=0.2,
    corrected_row=0.2,
    lost_cancel_answer=0.3,
    stale_status=0.2,
    unknown_state=0.1,
    flapping=0.05,
)


@dataclass
class World:
    """One cluster and its clock, driven by hand."""

    seed: int = 1
    faults: Faults = field(default_factory=Faults)
    total: Resources = field(default_factory=lambda: Resources(gpus=4, cpus=16))
    clock: SimulatedClock = field(default_factory=lambda: SimulatedClock(START))

    def __post_init__(self) -> None:
        self.backend = SimulatedBackend(
            name="sim", total=self.total, seed=self.seed, clock=self.clock, faults=self.faults
        )
        self.cluster = self.backend.cluster

    async def submit(self, number: int, behaviour: Behaviour = Behaviour(run_s=30), gpus: int = 1) -> Ref:  # noqa: B008  frozen
        return await self.backend.submit(
            JobRequest(
                attempt_id=UUID(int=number),
                tenant="tenant-a",
                resources=Resources(gpus=gpus, cpus=2),
                walltime_s=100,
                payload=behaviour.script(),
            )
        )

    async def seen(self, ref: Ref) -> Seen | None:
        [answer] = await self.backend.observe([ref])
        return answer.seen if isinstance(answer, Observation) else None

    async def rows(self) -> list[UsageRow]:
        around = Window(START - timedelta(days=1), START + timedelta(days=1))
        return sorted(await self.backend.accounting(around), key=lambda row: row.natural_key)


async def history(seed: int, order: list[int]) -> tuple[list[str], World]:
    """Every answer of an unreliable cluster to a fixed series of questions."""
    world = World(seed=seed, faults=EVERYTHING)
    said: list[str] = []

    async def ask(question: Coroutine[Any, Any, Any]) -> None:
        try:
            said.append(repr(await question))
        except BackendError as error:
            said.append(repr(error))

    for number in order:
        await ask(world.submit(number))
        world.clock.advance(7)
        await ask(world.backend.find(UUID(int=number)))
        await ask(world.backend.observe([Ref("sim", UUID(int=n), str(1000 + n)) for n in order]))
        await ask(world.rows())
    world.clock.advance(1000)
    world.cluster.catch_up(world.clock())
    return said, world


@given(st.integers(0, 10_000))
def test_the_same_seed_and_questions_give_the_same_history(seed: int) -> None:
    first, _ = asyncio.run(history(seed, list(range(1, 9))))
    second, _ = asyncio.run(history(seed, list(range(1, 9))))
    assert first == second


@given(st.integers(0, 10_000), st.permutations(range(1, 9)))
def test_whatever_goes_wrong_no_attempt_starts_twice_and_the_machine_is_never_overfull(
    seed: int, order: list[int]
) -> None:
    _, world = asyncio.run(history(seed, order))
    truth = world.cluster.truth
    assert all(starts == 1 for starts in truth.starts.values())
    assert truth.most_units_used.get("gpus", 0) <= world.total.gpus
    assert truth.most_units_used.get("cpus", 0) <= world.total.cpus
    assert set(truth.usage) == set(truth.started_at) == set(truth.ended_at)
    assert not list(world.cluster.live())


@given(st.integers(0, 10_000))
def test_in_the_end_the_accounting_is_the_truth_of_everything_that_was_not_forgotten(seed: int) -> None:
    async def check() -> None:
        faults = Faults(double_start=0.3, late_accounting=0.5, doubled_row=0.5, corrected_row=0.5, vanished=0.2)
        world = World(seed=seed, faults=faults)
        for number in range(1, 6):
            await world.submit(number, Behaviour(run_s=20))
            world.clock.advance(41)
        world.clock.advance(3600)
        latest = {row.natural_key: row for row in await world.rows()}
        told: dict[UUID, Decimal] = {}
        for row in latest.values():
            assert row.final
            assert row.attempt_id is not None
            told[row.attempt_id] = told.get(row.attempt_id, Decimal(0)) + row.components["gpu_s"]
        truth = world.cluster.truth
        assert {id_: used for id_, used in told.items() if id_ not in truth.forgotten} == {
            id_: used["gpu_s"] for id_, used in truth.usage.items() if id_ not in truth.forgotten
        }

    asyncio.run(check())


async def test_an_attempt_meets_the_same_fate_in_any_order_of_submission() -> None:
    ends: list[dict[UUID, Seen]] = []
    for order in ([1, 2, 3, 4], [4, 2, 1, 3]):
        world = World(seed=3, faults=Faults(node_failure=0.5, preemption=0.3))
        for number in order:
            await world.submit(number)
        world.clock.advance(200)
        world.cluster.catch_up(world.clock())
        ends.append(dict(sorted(world.cluster.truth.endings.items())))
    assert ends[0] == ends[1]
    assert len(set(ends[0].values())) > 1


async def test_a_job_waits_runs_and_ends_at_its_own_time() -> None:
    world = World()
    ref = await world.submit(1, Behaviour(run_s=30, exit_code=4, ending=Seen.FAILED))
    assert await world.seen(ref) is Seen.WAITING
    world.clock.advance(10)
    assert await world.seen(ref) is Seen.RUNNING
    world.clock.advance(30)
    [end] = await world.backend.observe([ref])
    assert isinstance(end, Observation)
    assert (end.seen, end.exit_code) == (Seen.FAILED, 4)
    assert end.started_at is not None
    assert end.ended_at == end.started_at + timedelta(seconds=30)
    [row] = await world.rows()
    assert row.components == {"gpu_s": Decimal(30), "cpu_s": Decimal(60)}


async def test_a_full_machine_says_so_and_takes_the_job_when_it_has_room() -> None:
    world = World()
    await world.submit(1, gpus=4)
    try:
        await world.submit(2)
    except Unavailable as full:
        assert not full.maybe_done  # noqa: PT017  what follows matters as much
    world.clock.advance(60)
    assert await world.submit(2) is not None


async def test_after_a_crash_native_ids_belong_to_others_and_the_old_refs_find_nothing() -> None:
    """Given two attempts that the controller forgets, when others get their ids, then nobody sees another's job."""
    world = World()
    old = [await world.submit(number) for number in (1, 2)]
    lost = world.cluster.crash(world.clock())
    assert lost == [UUID(int=1), UUID(int=2)]
    new = [await world.submit(number) for number in (3, 4)]
    assert [ref.native_id for ref in new] == [ref.native_id for ref in old]
    answers = await world.backend.observe([*old, *new])
    assert [isinstance(answer, Forgotten) for answer in answers] == [True, True, False, False]


async def test_a_vanished_job_may_run_on_and_hold_its_units_unseen() -> None:
    world = World()
    world.cluster.force_next(vanishes_at_share=0.5, orphaned=True)
    ref = await world.submit(1, Behaviour(run_s=60))
    world.clock.advance(50)
    assert await world.seen(ref) is None
    assert (await world.backend.capacity()).free.gpus == 3
    assert await world.rows() == []
    world.clock.advance(50)
    assert (await world.backend.capacity()).free.gpus == 4
    assert world.cluster.truth.endings[ref.attempt_id] is Seen.SUCCEEDED
    assert world.cluster.truth.forgotten == {ref.attempt_id}


async def test_a_second_start_is_a_second_record_that_used_nothing() -> None:
    world = World()
    world.cluster.force_next(starts_again_after_s=3.0)
    ref = await world.submit(1)
    world.clock.advance(60)
    used, refused = await world.rows()
    assert (used.components["gpu_s"], refused.components["gpu_s"]) == (30, 0)
    assert used.natural_key != refused.natural_key
    assert refused.facts["turned_away"] == "yes"
    assert world.cluster.truth.refused_at_gate[ref.attempt_id] == 1
    assert await world.seen(ref) is Seen.SUCCEEDED


async def test_a_corrected_record_keeps_its_key_and_changes_its_value() -> None:
    world = World()
    world.cluster.force_next(corrected_after_s=100.0)
    await world.submit(1)
    world.clock.advance(40)
    [first] = await world.rows()
    world.clock.advance(100)
    [second] = await world.rows()
    assert first.natural_key == second.natural_key
    assert (first.components["gpu_s"], second.components["gpu_s"]) == (31, 30)


async def test_a_circuit_uses_qpu_seconds_and_shots() -> None:
    world = World(total=Resources(qpus=1))
    request = JobRequest(
        attempt_id=UUID(int=1),
        tenant="tenant-a",
        resources=Resources(qpus=1),
        walltime_s=100,
        payload=Circuit(program=b"", shots=4000),
    )
    await world.backend.submit(request)
    world.clock.advance(60)
    [row] = await world.rows()
    assert {"qpu_s", "shot"} <= set(row.components) <= world.backend.capabilities().components
    assert row.components["shot"] == 4000


async def test_flapping_comes_in_bursts_and_passes() -> None:
    world = World(seed=5, faults=Faults(flapping=0.1, flapping_calls=4))
    outages: list[bool] = []
    for _ in range(200):
        try:
            await world.backend.capacity()
        except Unavailable as refused:
            assert not refused.maybe_done  # noqa: PT017  either answer is right
            outages.append(True)
        else:
            outages.append(False)
    bursts = "".join("x" if out else "." for out in outages).strip("x").split(".")
    lengths = {len(burst) for burst in bursts if burst}
    assert lengths
    assert all(length % 4 == 0 for length in lengths)


async def test_the_next_submission_can_be_told_its_fate() -> None:
    world = World()
    world.cluster.force_next(answer=Answer.DELAYED_EFFECT, appears_after_s=5.0)
    try:
        await world.submit(1)
    except Unavailable as silence:
        assert silence.maybe_done  # noqa: PT017  what follows matters as much
    assert await world.backend.find(UUID(int=1)) is None
    world.clock.advance(5)
    assert await world.backend.find(UUID(int=1)) is not None
