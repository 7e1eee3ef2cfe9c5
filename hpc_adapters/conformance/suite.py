"""The conformance suite: every sentence of `contract.py` as a test that each adapter passes.

An adapter's test file subclasses `BackendConformance` (and `FaultConformance`, where its way can be broken) and gives a
fixture `harness`. Nothing here knows which adapter it drives.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import UTC, timedelta
from decimal import Decimal
from uuid import UUID

import pytest

from hpc_adapters.conformance.harness import Act, FaultyHarness, Harness
from hpc_adapters.contract import (
    Backend,
    Capacity,
    Feature,
    Isolation,
    Observation,
    Placement,
    Ref,
    Seen,
    Signal,
    Stream,
    UsageRow,
    Window,
)
from hpc_adapters.errors import Forgotten, Rejected, Unavailable
from hpc_adapters.keeping import Freed, Keeper

NOBODY = UUID(int=0)
UNITS = ("gpus", "cpus", "memory_mb", "qpus")
HOUR = timedelta(hours=1)
ASKING = {
    Feature.NODES: Placement(nodes=2),
    Feature.GPU_TYPE: Placement(gpu_type="h200"),
    Feature.CONSTRAINT: Placement(constraint="nvlink"),
    Feature.RESERVATION: Placement(reservation="course"),
    Feature.LICENSES: Placement(licenses={"solver": 1}),
    Feature.EXCLUSIVE: Placement(exclusive=True),
    Feature.SIGNAL: Placement(signal=Signal(name="USR1", before_s=60)),
    Feature.IMAGE: Placement(image="torch"),
}


async def rows_of(harness: Harness, attempt_id: UUID, window: Window | None = None) -> list[UsageRow]:
    around = window or Window(harness.now() - HOUR, harness.now() + HOUR)
    return [row for row in await harness.backend.accounting(around) if row.attempt_id == attempt_id]


async def final_row(harness: Harness, attempt_id: UUID) -> UsageRow:
    """The record of an ended attempt, waited for as long as the backend may take."""
    for _ in range(harness.patience):
        finals = [row for row in await rows_of(harness, attempt_id) if row.final]
        if finals:
            assert len(finals) == 1
            return finals[0]
        await harness.pause()
    raise AssertionError("the accounting never had the final record")


async def running(harness: Harness, act: Act = Act.RUN_LONG, tenant: str = "tenant-a") -> Ref:
    ref = await harness.backend.submit(harness.request(act, tenant=tenant))
    await harness.until(ref, lambda observation: observation.seen is Seen.RUNNING)
    for _ in range(harness.patience):
        if await harness.starts(ref.attempt_id):
            return ref
        await harness.pause()
    raise AssertionError("running without a start of the payload")


async def ended(harness: Harness, act: Act) -> tuple[Ref, Observation]:
    ref = await harness.backend.submit(harness.request(act))
    return ref, await harness.until_ended(ref)


class BackendConformance:
    """Override the fixture `harness`."""

    @pytest.fixture
    def harness(self) -> Harness:
        raise NotImplementedError

    # -- what it is ---------------------------------------------------------------------------------------------------

    async def test_capabilities_and_health_answer_without_a_job(self, harness: Harness) -> None:
        backend = harness.backend
        assert isinstance(backend, Backend)
        capabilities = backend.capabilities()
        assert capabilities == backend.capabilities()
        assert capabilities.name
        assert capabilities.payloads
        assert capabilities.components
        assert capabilities.components <= {"gpu_s", "cpu_s", "qpu_s", "shot", "session_s", "sim_s"}
        assert capabilities.settle_window_s >= 0
        assert capabilities.accounting_lag_s >= 0
        health = await backend.health()
        assert health.ok, health.detail
        assert health.checked_at.tzinfo is not None
        assert await backend.observe([]) == []

    # -- submit and find ----------------------------------------------------------------------------------------------

    async def test_a_job_runs_once_to_its_end_with_streams_result_and_final_accounting(self, harness: Harness) -> None:
        backend = harness.backend
        submitted_at = harness.now()
        request = harness.request(Act.SUCCEED)
        ref = await backend.submit(request)
        assert (ref.backend, ref.attempt_id) == (backend.capabilities().name, request.attempt_id)
        assert await backend.find(request.attempt_id) == ref

        end = await harness.until_ended(ref)
        assert (end.seen, end.exit_code) == (Seen.SUCCEEDED, 0)
        assert end.started_at is not None
        assert end.ended_at is not None
        assert submitted_at - timedelta(seconds=1) <= end.started_at <= end.ended_at <= harness.now()
        assert end.started_at.utcoffset() == end.ended_at.utcoffset() == UTC.utcoffset(None)
        assert await harness.starts(request.attempt_id) == 1
        assert await backend.find(request.attempt_id) == ref  # ended ones included

        await self._streams_can_be_read_in_pieces(harness, ref)
        await self._accounting_is_exact_and_stable(harness, ref, end)
        await self._a_later_submission_or_cancel_changes_nothing(harness, ref, end)

    async def _streams_can_be_read_in_pieces(self, harness: Harness, ref: Ref) -> None:
        whole = await harness.read(ref, Stream.STDOUT)
        assert whole
        assert await harness.read(ref, Stream.STDOUT, limit=5) == whole
        beyond = await harness.backend.logs(ref, Stream.STDOUT, len(whole))
        assert (beyond.data, beyond.next_offset, beyond.ended) == (b"", len(whole), True)
        assert isinstance(json.loads(await harness.read(ref, Stream.RESULT)), dict)
        await harness.read(ref, Stream.STDERR)

    async def _accounting_is_exact_and_stable(self, harness: Harness, ref: Ref, end: Observation) -> None:
        row = await final_row(harness, ref.attempt_id)
        assert row.natural_key
        assert row.ending is Seen.SUCCEEDED
        assert (row.started_at, row.ended_at) == (end.started_at, end.ended_at)
        assert row.ended_at is not None
        assert set(row.components) <= harness.backend.capabilities().components
        assert row.components
        assert {type(amount) for amount in row.components.values()} == {Decimal}
        assert min(row.components.values()) >= 0
        second = timedelta(seconds=1)
        for window in (
            Window(row.started_at - second, row.ended_at + second),
            Window(row.started_at - HOUR, row.started_at + timedelta(microseconds=1)),
            Window(row.ended_at - timedelta(microseconds=1), row.ended_at + HOUR),
        ):
            assert await rows_of(harness, ref.attempt_id, window) == [row]
        assert await rows_of(harness, ref.attempt_id, Window(row.started_at - HOUR, row.started_at)) == []
        after = row.ended_at + timedelta(microseconds=1)
        assert await rows_of(harness, ref.attempt_id, Window(after, after + HOUR)) == []

    async def _a_later_submission_or_cancel_changes_nothing(self, harness: Harness, ref: Ref, end: Observation) -> None:
        await harness.backend.cancel(ref)
        await harness.pause()
        [again] = await harness.backend.observe([ref])
        assert isinstance(again, Observation)
        assert (again.seen, again.started_at, again.ended_at) == (end.seen, end.started_at, end.ended_at)

    async def test_a_repeated_submission_is_the_same_attempt_and_starts_once(self, harness: Harness) -> None:
        request = harness.request(Act.SUCCEED)
        first, second = await asyncio.gather(harness.backend.submit(request), harness.backend.submit(request))
        assert first == second
        end = await harness.until_ended(first)
        assert await harness.backend.submit(request) == first  # after the end, too
        await harness.restart()
        assert await harness.backend.submit(request) == first
        await harness.pause()
        again = await harness.until_ended(first)
        assert (again.started_at, again.ended_at) == (end.started_at, end.ended_at)
        assert await harness.starts(request.attempt_id) == 1

    async def test_what_is_forgotten_stays_accounted_for_and_never_starts_again(self, harness: Harness) -> None:
        backend = harness.backend
        if not isinstance(backend, Keeper):
            pytest.skip("it keeps no folders of its own")
        request = harness.request(Act.SUCCEED)
        ref = await backend.submit(request)
        await harness.until_ended(ref)
        row = await final_row(harness, request.attempt_id)
        assert await backend.ended_before(harness.now() - HOUR) == []
        assert await backend.ended_before(harness.now() + HOUR) == [request.attempt_id]
        freed = await backend.forget([request.attempt_id, NOBODY])
        assert freed.attempts == 1
        assert freed.bytes > 0
        assert await backend.forget([request.attempt_id]) == Freed()
        await harness.restart()
        backend = harness.backend
        assert isinstance(backend, Keeper)
        assert await backend.ended_before(harness.now() + HOUR) == []
        assert await rows_of(harness, request.attempt_id) == [row]
        assert await backend.find(request.attempt_id) == ref
        assert await backend.submit(request) == ref
        [seen] = await backend.observe([ref])
        assert isinstance(seen, Forgotten)
        with pytest.raises(Forgotten):
            await backend.logs(ref, Stream.STDOUT)
        assert await rows_of(harness, request.attempt_id) == [row]

    async def test_a_failing_job_ends_failed_and_is_accounted_for(self, harness: Harness) -> None:
        ref, end = await ended(harness, Act.FAIL)
        assert end.seen is Seen.FAILED
        assert end.exit_code not in {None, 0}
        row = await final_row(harness, ref.attempt_id)
        assert (row.ending, row.ended_at) == (Seen.FAILED, end.ended_at)

    async def test_a_job_beyond_its_walltime_is_timed_out(self, harness: Harness) -> None:
        _, end = await ended(harness, Act.OVERRUN)
        assert end.seen is Seen.TIMED_OUT
        assert end.ended_at is not None

    async def test_a_rejected_request_leaves_nothing(self, harness: Harness) -> None:
        before = await harness.backend.capacity()
        request = harness.request(Act.REJECTED)
        for _ in range(2):
            with pytest.raises(Rejected) as refusal:
                await harness.backend.submit(request)
            assert refusal.value.code == refusal.value.code.lower().replace("_", "-")
        assert await harness.backend.find(request.attempt_id) is None
        assert await rows_of(harness, request.attempt_id) == []
        after = await harness.backend.capacity()
        assert (after.total, after.free) == (before.total, before.free)

    async def test_what_is_not_offered_is_rejected_by_its_name(self, harness: Harness) -> None:
        offered = harness.backend.capabilities().features
        for feature, placement in ASKING.items():
            if feature in offered:
                continue
            request = replace(harness.request(Act.SUCCEED), placement=placement)
            with pytest.raises(Rejected) as refusal:
                await harness.backend.submit(request)
            assert refusal.value.code == f"unsupported-{feature.value.replace('_', '-')}"
            assert await harness.backend.find(request.attempt_id) is None

    async def test_jobs_run_as_somebody_where_people_are_known(self, harness: Harness) -> None:
        nobodys = replace(harness.request(Act.SUCCEED), identity=None)
        if not harness.backend.capabilities().needs_identity:
            assert (await harness.until_ended(await harness.backend.submit(nobodys))).seen is Seen.SUCCEEDED
            return
        with pytest.raises(Rejected) as refusal:
            await harness.backend.submit(nobodys)
        assert refusal.value.code == "no-identity"
        assert await harness.backend.find(nobodys.attempt_id) is None

    # -- what nobody knows --------------------------------------------------------------------------------------------

    async def test_an_unknown_attempt_is_nowhere(self, harness: Harness) -> None:
        backend = harness.backend
        stranger = Ref(backend.capabilities().name, NOBODY, "12345678")
        assert await backend.find(NOBODY) is None
        [answer] = await backend.observe([stranger])
        assert isinstance(answer, Forgotten)
        assert answer.attempt_id == NOBODY
        with pytest.raises(Forgotten):
            await backend.cancel(stranger)
        with pytest.raises(Forgotten):
            await backend.logs(stranger, Stream.STDOUT)
        assert await rows_of(harness, NOBODY) == []

    async def test_observations_keep_the_order_and_trust_no_native_id_alone(self, harness: Harness) -> None:
        known = await running(harness)
        stranger = Ref(known.backend, NOBODY, known.native_id)
        misled = Ref(known.backend, known.attempt_id, "12345678")
        first, second, third = await harness.backend.observe([stranger, known, misled])
        assert isinstance(first, Forgotten)
        assert isinstance(second, Observation)
        assert isinstance(third, Forgotten)
        assert second.ref == known
        for wrong in (stranger, misled):
            with pytest.raises(Forgotten):
                await harness.backend.logs(wrong, Stream.STDOUT)
            with pytest.raises(Forgotten):
                await harness.backend.cancel(wrong)
        [still] = await harness.backend.observe([known])
        assert isinstance(still, Observation)
        assert still.seen is Seen.RUNNING
        await harness.backend.cancel(known)

    # -- while it runs ------------------------------------------------------------------------------------------------

    async def test_a_running_job_survives_our_restart_and_is_cancelled_when_asked(self, harness: Harness) -> None:
        ref = await running(harness)
        chunk = await harness.backend.logs(ref, Stream.STDOUT)
        assert not chunk.ended
        [open_row] = await rows_of(harness, ref.attempt_id)
        assert (open_row.ended_at, open_row.final) == (None, False)
        if isinstance(harness.backend, Keeper):
            assert await harness.backend.ended_before(harness.now() + HOUR) == []
            assert await harness.backend.forget([ref.attempt_id]) == Freed()

        await harness.backend.close()
        await harness.restart()
        assert await harness.backend.find(ref.attempt_id) == ref
        [seen] = await harness.backend.observe([ref])
        assert isinstance(seen, Observation)
        assert seen.seen is Seen.RUNNING

        await harness.backend.cancel(ref)
        await harness.backend.cancel(ref)
        end = await harness.until_ended(ref)
        assert end.seen is Seen.CANCELLED
        await harness.backend.cancel(ref)
        row = await final_row(harness, ref.attempt_id)
        assert row.natural_key == open_row.natural_key
        assert (row.ending, row.started_at, row.ended_at) == (Seen.CANCELLED, end.started_at, end.ended_at)
        assert await harness.starts(ref.attempt_id) == 1

    async def test_capacity_shrinks_with_running_jobs_and_a_full_machine_creates_nothing(
        self, harness: Harness
    ) -> None:
        empty = await harness.backend.capacity()
        assert empty.online
        assert empty.free == empty.total
        refs = await self._fill(harness)
        assert refs
        full = await self._shrunk(harness, empty)
        assert full.total == empty.total
        assert all(0 <= getattr(full.free, unit) <= getattr(full.total, unit) for unit in UNITS)
        for ref in refs:
            await harness.backend.cancel(ref)
        for ref in refs:
            await harness.until_ended(ref)
        await self._regained(harness, empty)

    async def _regained(self, harness: Harness, empty: Capacity) -> None:
        """An end may be told a moment before the units are free again."""
        for _ in range(harness.patience):
            if (await harness.backend.capacity()).free == empty.free:
                return
            await harness.pause()
        raise AssertionError("every job has ended, and units are still taken")

    async def _shrunk(self, harness: Harness, empty: Capacity) -> Capacity:
        """What was accepted takes its units when it starts, which may be a moment later."""
        for _ in range(harness.patience):
            now = await harness.backend.capacity()
            if any(getattr(now.free, unit) < getattr(empty.free, unit) for unit in UNITS):
                return now
            await harness.pause()
        raise AssertionError("jobs run, and nothing is taken")

    async def _fill(self, harness: Harness) -> list[Ref]:
        refs: list[Ref] = []
        full: Unavailable | None = None
        for _ in range(64):
            request = harness.request(Act.RUN_LONG)
            try:
                refs.append(await harness.backend.submit(request))
            except Unavailable as no_room:
                full = no_room
                break
        assert full is not None, "64 jobs never filled the machine: make it smaller"
        assert not full.maybe_done
        assert await harness.backend.find(request.attempt_id) is None
        return refs

    async def test_two_tenants_share_it_or_the_second_is_rejected(self, harness: Harness) -> None:
        first = await harness.backend.submit(harness.request(Act.SUCCEED, tenant="tenant-a"))
        await harness.until_ended(first)
        theirs = harness.request(Act.SUCCEED, tenant="tenant-b")
        if harness.backend.capabilities().isolation is Isolation.SINGLE_TENANT:
            with pytest.raises(Rejected):
                await harness.backend.submit(theirs)
            assert await harness.backend.find(theirs.attempt_id) is None
            return
        second = await harness.backend.submit(theirs)
        assert (await harness.until_ended(second)).seen is Seen.SUCCEEDED
        keys = [
            row.natural_key for row in await harness.backend.accounting(Window(harness.now() - HOUR, harness.now()))
        ]
        assert len(keys) == len(set(keys))


class FaultConformance:
    """For adapters whose way to the backend can be broken. Override the fixture `faulty`."""

    @pytest.fixture
    def faulty(self) -> FaultyHarness:
        raise NotImplementedError

    async def test_a_lost_answer_is_an_unknown_outcome_that_find_settles(self, faulty: FaultyHarness) -> None:
        request = faulty.request(Act.SUCCEED)
        faulty.lose_next_answer()
        with pytest.raises(Unavailable) as silence:
            await faulty.backend.submit(request)
        assert silence.value.maybe_done
        ref = await faulty.backend.find(request.attempt_id)
        assert ref is not None
        assert (await faulty.until_ended(ref)).seen is Seen.SUCCEEDED
        assert await faulty.starts(request.attempt_id) == 1

    async def test_a_lost_request_is_an_unknown_outcome_and_may_be_repeated(self, faulty: FaultyHarness) -> None:
        request = faulty.request(Act.SUCCEED)
        faulty.lose_next_request()
        with pytest.raises(Unavailable) as silence:
            await faulty.backend.submit(request)
        assert silence.value.maybe_done
        await self._settle(faulty)
        assert await faulty.backend.find(request.attempt_id) is None
        ref = await faulty.backend.submit(request)
        assert (await faulty.until_ended(ref)).seen is Seen.SUCCEEDED
        assert await faulty.starts(request.attempt_id) == 1

    async def test_a_repetition_beside_a_delayed_submission_starts_once(self, faulty: FaultyHarness) -> None:
        request = faulty.request(Act.SUCCEED)
        faulty.delay_next_submission()
        with pytest.raises(Unavailable) as silence:
            await faulty.backend.submit(request)
        assert silence.value.maybe_done
        ref = await faulty.backend.submit(request)
        assert (await faulty.until_ended(ref)).seen is Seen.SUCCEEDED
        await self._settle(faulty)
        assert (await faulty.until_ended(ref)).seen is Seen.SUCCEEDED
        assert await faulty.starts(request.attempt_id) == 1

    async def test_a_second_start_by_the_backend_runs_nothing(self, faulty: FaultyHarness) -> None:
        ref = await running(faulty)
        faulty.start_again(ref.attempt_id)
        await self._settle(faulty)
        [seen] = await faulty.backend.observe([ref])
        assert isinstance(seen, Observation)
        assert seen.seen is Seen.RUNNING
        assert await faulty.starts(ref.attempt_id) == 1

    async def test_a_forgotten_attempt_is_a_value_to_observe_and_an_error_to_ask_for(
        self, faulty: FaultyHarness
    ) -> None:
        ref = await running(faulty)
        faulty.forget(ref.attempt_id)
        other = await running(faulty)
        lost, known = await faulty.backend.observe([ref, other])
        assert isinstance(lost, Forgotten)
        assert isinstance(known, Observation)
        assert await faulty.backend.find(ref.attempt_id) is None
        with pytest.raises(Forgotten):
            await faulty.backend.cancel(ref)
        with pytest.raises(Forgotten):
            await faulty.backend.logs(ref, Stream.STDOUT)

    async def test_an_unreachable_backend_knows_that_nothing_was_done(self, faulty: FaultyHarness) -> None:
        request = faulty.request(Act.SUCCEED)
        faulty.set_reachable(reachable=False)
        assert not (await faulty.backend.health()).ok
        with pytest.raises(Unavailable) as refused:
            await faulty.backend.submit(request)
        assert not refused.value.maybe_done
        for call in (faulty.backend.capacity(), faulty.backend.find(NOBODY), faulty.backend.observe([])):
            with pytest.raises(Unavailable):
                await call
        faulty.set_reachable(reachable=True)
        assert (await faulty.backend.health()).ok
        assert await faulty.backend.find(request.attempt_id) is None

    async def _settle(self, faulty: FaultyHarness) -> None:
        until = faulty.now() + timedelta(seconds=faulty.backend.capabilities().settle_window_s)
        while faulty.now() < until:
            await faulty.pause()
