"""What the port says of sessions, as tests for every backend that offers Feature.SESSION."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

import pytest

from hpc_adapters.conformance.harness import Act, Harness
from hpc_adapters.conformance.suite import NOBODY, final_row, rows_of
from hpc_adapters.contract import Feature, JobRequest, Observation, Ref, Seen, SessionHold
from hpc_adapters.errors import Rejected, Unavailable

LONG_S = 600


class SessionConformance:
    """Override the fixture `harness`. Its acts are circuits; time must be the machine's own."""

    @pytest.fixture
    def harness(self) -> Harness:
        raise NotImplementedError

    async def test_a_session_is_open_until_it_is_closed_and_charged_for_that_time(self, harness: Harness) -> None:
        assert Feature.SESSION in harness.backend.capabilities().features
        assert SessionHold in harness.backend.capabilities().payloads
        ref = await opened(harness)
        [open_row] = await rows_of(harness, ref.attempt_id)
        assert (open_row.natural_key, open_row.final) == (f"{ref.attempt_id}:session", False)

        await harness.backend.close()
        await harness.restart()  # whoever held it may die: the session stays open
        [still] = await harness.backend.observe([ref])
        assert isinstance(still, Observation)
        assert still.seen is Seen.RUNNING

        await harness.backend.cancel(ref)
        await harness.backend.cancel(ref)
        end = await harness.until_ended(ref)
        assert end.seen is Seen.SUCCEEDED
        await self._charged(harness, ref, end)

    async def _charged(self, harness: Harness, ref: Ref, end: Observation) -> None:
        row = await final_row(harness, ref.attempt_id)
        assert end.started_at is not None
        assert end.ended_at is not None
        assert (row.started_at, row.ended_at, row.ending) == (end.started_at, end.ended_at, Seen.SUCCEEDED)
        open_us = (end.ended_at - end.started_at) // timedelta(microseconds=1)
        assert row.components == {"session_s": Decimal(open_us) / 1_000_000}

    async def test_circuits_in_it_run_and_report_their_own_use(self, harness: Harness) -> None:
        session = await opened(harness)
        ref = await harness.backend.submit(inside(harness, session.attempt_id))
        assert (await harness.until_ended(ref)).seen is Seen.SUCCEEDED
        row = await final_row(harness, ref.attempt_id)
        assert row.components["shot"] > 0
        assert "session_s" not in row.components
        [still] = await harness.backend.observe([session])
        assert isinstance(still, Observation)
        assert still.seen is Seen.RUNNING
        await closed(harness, session)

    async def test_a_dedicated_session_keeps_others_away_and_a_batch_does_not(self, harness: Harness) -> None:
        batch = await opened(harness, dedicated=False)
        beside = await harness.backend.submit(harness.request(Act.SUCCEED))
        assert (await harness.until_ended(beside)).seen is Seen.SUCCEEDED
        session = await opened(harness)
        assert (await harness.backend.capacity()).free.qpus == 0
        for late in (harness.request(Act.SUCCEED), held(harness), inside(harness, batch.attempt_id)):
            with pytest.raises(Unavailable) as no_room:
                await harness.backend.submit(late)
            assert not no_room.value.maybe_done
            assert await harness.backend.find(late.attempt_id) is None
        await closed(harness, session)
        ref = await harness.backend.submit(inside(harness, batch.attempt_id))
        assert (await harness.until_ended(ref)).seen is Seen.SUCCEEDED
        await closed(harness, batch)

    async def test_a_session_waits_until_the_device_is_empty(self, harness: Harness) -> None:
        running = await harness.backend.submit(harness.request(Act.RUN_LONG))
        waiting = held(harness)
        with pytest.raises(Unavailable) as no_room:
            await harness.backend.submit(waiting)
        assert not no_room.value.maybe_done
        await harness.backend.cancel(running)
        await harness.until_ended(running)
        session = await harness.backend.submit(waiting)
        await closed(harness, session)

    async def test_what_runs_in_it_ends_with_it(self, harness: Harness) -> None:
        session = await opened(harness)
        ref = await harness.backend.submit(inside(harness, session.attempt_id, Act.RUN_LONG))
        await harness.until(ref, lambda seen: seen.seen is Seen.RUNNING)
        await closed(harness, session)
        assert (await harness.until_ended(ref)).seen in {Seen.CANCELLED, Seen.TIMED_OUT}

    async def test_an_idle_session_ends_and_is_charged_up_to_its_limit(self, harness: Harness) -> None:
        session = await opened(harness, idle_s=2)
        end = await harness.until_ended(session)
        assert end.seen is Seen.SUCCEEDED
        assert end.started_at is not None
        assert end.ended_at is not None
        assert timedelta(seconds=2) <= end.ended_at - end.started_at < timedelta(seconds=10)
        await self._charged(harness, session, end)
        await self._refused(harness, session.attempt_id)

    async def test_a_session_ends_at_its_walltime(self, harness: Harness) -> None:
        ref = await harness.backend.submit(held(harness, walltime_s=2))
        end = await harness.until_ended(ref)
        assert end.seen is Seen.SUCCEEDED
        await self._charged(harness, ref, end)

    async def test_a_session_that_is_not_open_is_a_rejection_by_name(self, harness: Harness) -> None:
        await self._refused(harness, NOBODY)
        session = await opened(harness)
        await self._refused(harness, session.attempt_id, tenant="tenant-b")
        await closed(harness, session)
        await self._refused(harness, session.attempt_id)

    async def _refused(self, harness: Harness, session: UUID, *, tenant: str = "tenant-a") -> None:
        request = replace(harness.request(Act.SUCCEED, tenant=tenant), session=session)
        with pytest.raises(Rejected) as over:
            await harness.backend.submit(request)
        assert over.value.code == "session-over"
        assert await harness.backend.find(request.attempt_id) is None


def held(harness: Harness, *, idle_s: int = LONG_S, dedicated: bool = True, walltime_s: int = LONG_S) -> JobRequest:
    """A request of a session."""
    like = harness.request(Act.SUCCEED)
    return replace(like, payload=SessionHold(idle_s=idle_s, dedicated=dedicated), walltime_s=walltime_s)


def inside(harness: Harness, session: UUID, act: Act = Act.SUCCEED) -> JobRequest:
    """A circuit in it."""
    return replace(harness.request(act), session=session)


async def opened(harness: Harness, *, idle_s: int = LONG_S, dedicated: bool = True) -> Ref:
    ref = await harness.backend.submit(held(harness, idle_s=idle_s, dedicated=dedicated))
    await harness.until(ref, lambda observation: observation.seen is Seen.RUNNING)
    return ref


async def closed(harness: Harness, session: Ref) -> None:
    await harness.backend.cancel(session)
    assert (await harness.until_ended(session)).seen in {Seen.SUCCEEDED, Seen.CANCELLED}
