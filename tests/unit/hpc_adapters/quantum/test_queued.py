"""Attempts at a vendor with a queue: where they are together, what they used, what is kept of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import cast
from uuid import UUID

import pytest

from hpc_adapters.contract import Seen
from hpc_adapters.quantum.queued.attempts import Attempts
from hpc_adapters.quantum.queued.model import RemoteJob, progress
from hpc_adapters.quantum.queued.records import Accepted, Job, Records
from hpc_adapters.quantum.queued.settings import QueuedSettings
from hpc_adapters.quantum.queued.telling import Telling
from hpc_adapters.quantum.queued.usage import used

T0 = datetime(2026, 11, 21, 9, tzinfo=UTC)
ATTEMPT = UUID(int=7)
ASKED = Accepted(
    tenant="a",
    walltime_s=60,
    shots=2000,
    max_qpu_us=None,
    base_us=500_000,
    per_kshot_us=1_000_000,
    calibration_id=None,
    at_us=0,
)


def job(seen: Seen | None, *, execution_s: str | None = None, ran: bool = True) -> RemoteJob:
    return RemoteJob(
        job_id="j",
        seen=seen,
        execution_s=None if execution_s is None else Decimal(execution_s),
        running_at=T0 if ran else None,
        ended_at=T0 + timedelta(seconds=4) if seen is not None and seen.is_end else None,
    )


@pytest.mark.parametrize(
    ("seen", "stop", "expected"),
    [
        ([Seen.WAITING, None], "", (Seen.WAITING, "", False)),
        ([Seen.SUCCEEDED, Seen.WAITING], "", (Seen.RUNNING, "", False)),
        ([Seen.SUCCEEDED, Seen.UNKNOWN], "", (Seen.UNKNOWN, "unknown-status", False)),
        ([Seen.SUCCEEDED, Seen.SUCCEEDED], "cancel", (Seen.SUCCEEDED, "", True)),
        ([Seen.SUCCEEDED, Seen.CANCELLED], "cancel", (Seen.CANCELLED, "", True)),
        ([Seen.SUCCEEDED, None], "cancel", (Seen.CANCELLED, "", True)),
        ([Seen.CANCELLED], "walltime", (Seen.TIMED_OUT, "", True)),
        ([Seen.CANCELLED], "qpu-cap", (Seen.FAILED, "qpu-cap-reached", True)),
        ([Seen.FAILED, Seen.CANCELLED], "failed", (Seen.FAILED, "failed-at-vendor", True)),
        ([Seen.CANCELLED, Seen.CANCELLED], "failed", (Seen.NODE_FAILED, "cancelled-by-vendor", True)),
        ([Seen.CANCELLED], "", (Seen.NODE_FAILED, "cancelled-by-vendor", True)),
        ([Seen.NODE_FAILED], "cancel", (Seen.NODE_FAILED, "lost-by-vendor", True)),
    ],
)
def test_where_the_jobs_are_together(seen: list[Seen | None], stop: str, expected: tuple[Seen, str, object]) -> None:
    ran = [Seen.SUCCEEDED, Seen.CANCELLED, Seen.FAILED]
    now = progress([job(one, ran=one in ran) for one in seen], stop=stop)
    assert (now.seen, now.detail, now.is_over) == expected


def test_one_failure_ends_the_others() -> None:
    assert progress([job(Seen.FAILED), job(Seen.RUNNING)], stop="").wants_stop


@pytest.mark.parametrize(
    ("seen", "detail", "execution_s", "cap_us", "qpu_s", "shots", "whose"),
    [
        (Seen.SUCCEEDED, "", "1.25", None, "1.25", 2000, "vendor"),
        (Seen.SUCCEEDED, "", None, None, "2.5", 2000, "model"),
        (Seen.SUCCEEDED, "", "9", 3_000_000, "3", 2000, "vendor"),
        (Seen.CANCELLED, "", "1.5", None, "1.5", 1000, "vendor"),
        (Seen.CANCELLED, "", None, None, "2.5", 2000, "model"),
        (Seen.FAILED, "qpu-cap-reached", None, 1_000_000, "1", 2000, "model"),
        (Seen.FAILED, "failed-at-vendor", "1.5", None, "0", 0, "none"),
        (Seen.NODE_FAILED, "lost-by-vendor", None, None, "0", 0, "none"),
    ],
)
def test_what_an_attempt_used(
    seen: Seen, detail: str, execution_s: str | None, cap_us: int | None, qpu_s: str, shots: int, whose: str
) -> None:
    asked = replace(ASKED, max_qpu_us=cap_us)
    components, facts = used(asked, [job(Seen.CANCELLED, execution_s=execution_s)], seen, detail, until=T0)
    assert components == {"qpu_s": Decimal(qpu_s), "shot": Decimal(shots)}
    assert facts["qpu_from"] == whose


def test_what_is_decided_once_stays(tmp_path: Path) -> None:
    records, others = Records(tmp_path), Records(tmp_path)
    records.accept(ATTEMPT, ASKED)
    assert records.choose(ATTEMPT, [Job("a", "n")]) == others.choose(ATTEMPT, [Job("b", "n")]) == [Job("a", "n")]
    assert records.want_stop(ATTEMPT, "cancel") == others.want_stop(ATTEMPT, "walltime") == "cancel"
    assert records.finish(ATTEMPT, {"n": 1}, b"1") == others.finish(ATTEMPT, {"n": 2}, b"2") == {"n": 1}
    assert others.result(ATTEMPT) == b"1"
    assert others.all_ids() == [ATTEMPT]
    records.discard(ATTEMPT)
    assert (others.accepted(ATTEMPT), others.end(ATTEMPT), others.result(ATTEMPT)) == (None, None, None)


async def test_what_has_ended_is_remembered_and_no_file_of_it_is_read_again(tmp_path: Path) -> None:
    """Attempts are kept for ever, and accounting is asked for every second."""
    records = Records(tmp_path)
    records.accept(ATTEMPT, ASKED)
    records.choose(ATTEMPT, [Job("a", "one")])
    ended = {"seen": "succeeded", "started_us": 0, "ended_us": 1, "components": {"qpu_s": "1"}, "facts": {}}
    records.finish(ATTEMPT, ended, b"{}")
    telling = Telling(
        QueuedSettings(name="n", device="d"), attempts=cast("Attempts", None), records=records, clock=lambda: T0
    )
    first = await telling.row(ATTEMPT)
    records.discard(ATTEMPT)
    assert first is not None
    assert await telling.row(ATTEMPT) == first
