"""The simulated cluster keeps the contract, and its faults stay within what the contract allows."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest

from hpc_adapters.conformance.harness import Act, FaultyHarness
from hpc_adapters.conformance.suite import BackendConformance, FaultConformance
from hpc_adapters.contract import Isolation, JobRequest, Resources, Seen
from hpc_adapters.simulated import Answer, Behaviour, SimulatedBackend, SimulatedClock

BEHAVIOURS = {
    Act.SUCCEED: Behaviour(run_s=5, stdout="hello from the cluster\n", result={"accuracy": 0.97}),
    Act.FAIL: Behaviour(run_s=5, ending=Seen.FAILED, exit_code=3),
    Act.RUN_LONG: Behaviour(run_s=600),
    Act.OVERRUN: Behaviour(run_s=600),
    Act.REJECTED: Behaviour(),
}


class SimulatedHarness(FaultyHarness):
    def __init__(self, isolation: Isolation) -> None:
        self.clock = SimulatedClock(datetime(2026, 11, 20, 9, tzinfo=UTC))
        self.simulated = SimulatedBackend(
            name="sim", total=Resources(gpus=4, cpus=8), seed=7, clock=self.clock, isolation=isolation
        )
        self.backend = self.simulated
        self._ids = iter(range(1, 1000))

    def request(self, act: Act, *, tenant: str = "tenant-a") -> JobRequest:
        return JobRequest(
            attempt_id=UUID(int=next(self._ids)),
            tenant=tenant,
            resources=Resources(gpus=5 if act is Act.REJECTED else 1, cpus=1),
            walltime_s=3 if act is Act.OVERRUN else 3600,
            payload=BEHAVIOURS[act].script(),
        )

    def now(self) -> datetime:
        return self.clock()

    async def pause(self) -> None:
        self.clock.advance(0.5)

    async def restart(self) -> None:
        self.backend = self.simulated = self.simulated.reconnected()

    async def starts(self, attempt_id: UUID) -> int:
        return self.simulated.cluster.truth.starts[attempt_id]

    def lose_next_answer(self) -> None:
        self.simulated.cluster.force_next(answer=Answer.LOST_ANSWER)

    def lose_next_request(self) -> None:
        self.simulated.cluster.force_next(answer=Answer.LOST_REQUEST)

    def delay_next_submission(self) -> None:
        self.simulated.cluster.force_next(answer=Answer.DELAYED_EFFECT, appears_after_s=8.0)

    def forget(self, attempt_id: UUID) -> None:
        self.simulated.cluster.crash(self.clock(), loses_s=3600)

    def set_reachable(self, *, reachable: bool) -> None:
        self.simulated.cluster.reachable = reachable

    def start_again(self, attempt_id: UUID) -> None:
        job = self.simulated.cluster.known(attempt_id)
        assert job is not None
        self.simulated.cluster.accept(job.request, replace(job.fate, appears_after_s=1.0), self.clock())


class TestSimulated(BackendConformance):
    @pytest.fixture
    def harness(self) -> SimulatedHarness:
        return SimulatedHarness(Isolation.PER_ATTEMPT)


class TestSimulatedForOneTenant(BackendConformance):
    @pytest.fixture
    def harness(self) -> SimulatedHarness:
        return SimulatedHarness(Isolation.SINGLE_TENANT)


class TestSimulatedFaults(FaultConformance):
    @pytest.fixture
    def faulty(self) -> SimulatedHarness:
        return SimulatedHarness(Isolation.PER_ATTEMPT)
