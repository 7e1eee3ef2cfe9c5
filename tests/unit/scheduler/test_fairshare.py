from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from scheduler.core.fairshare import decayed, nu_of, used_nu
from scheduler.core.model import Attempt, JobKind, State

T0 = datetime(2026, 4, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def ended(ran_s: float | None, *, kind: JobKind = JobKind.BATCH) -> Attempt:
    return Attempt(
        id=UUID(int=1),
        job_id=UUID(int=2),
        organisation_id=UUID(int=3),
        backend="cluster",
        ordinal=1,
        kind=kind,
        max_attempts=1,
        walltime_s=100,
        nu=8.0,
        queued_at=T0,
        trail=(),
        state=State.SUCCEEDED,
        started_at=None if ran_s is None else T0,
        ended_at=T0 + timedelta(seconds=ran_s or 0),
    )


def test_half_is_left_after_a_half_life() -> None:
    assert decayed(8, age=7 * DAY, half_life=7 * DAY) == 4
    assert decayed(8, age=21 * DAY, half_life=7 * DAY) == 1


def test_a_clock_that_runs_ahead_does_not_make_use_grow() -> None:
    assert decayed(8, age=-DAY, half_life=7 * DAY) == 8


def test_one_unit_is_an_hour_of_the_reference_gpu() -> None:
    assert nu_of(units=4, seconds=1800, nu_per_hour=1.0) == 2
    assert nu_of(units=1, seconds=3600, nu_per_hour=2.5) == 2.5


@pytest.mark.parametrize(("ran_s", "nu"), [(None, 0), (0, 0), (25, 2), (100, 8), (130, 8)])
def test_the_real_use_replaces_the_provisional_one(ran_s: float | None, nu: float) -> None:
    assert used_nu(ended(ran_s)) == nu


def test_a_circuit_uses_its_service_time_whatever_its_process_took() -> None:
    assert used_nu(ended(3, kind=JobKind.QUANTUM)) == 8
