"""One cycle of planning over a long queue, against sorted() over as many three-key tuples: processor seconds of each.

On a queue of 2,000 jobs every decision must be the one of a brute-force oracle.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from statistics import median
from time import process_time

from scheduler.core.cycle import plan
from scheduler.core.snapshot import Plan, Policy, Snapshot
from tests.bench import _oracle
from tests.bench._load import sized
from tests.bench._queue import invented
from tests.support.benchmark import Result

_JOBS, _ORGANISATIONS, _ORACLE_JOBS = 100_000, 1_000, 2_000


async def run() -> Result:
    contested = invented(jobs=_ORACLE_JOBS, organisations=40, seed=3)
    _require_oracle(replace(contested, policy=Policy(max_starts=10)))
    snapshot = invented(jobs=sized(_JOBS), organisations=_ORGANISATIONS, seed=1)
    keys = [
        (snapshot.standings[each.organisation_id].used_micro_nu, each.submitted_at, each.attempt_id)
        for each in snapshot.waiting
    ]
    planned, sort = _median_s(lambda: plan(snapshot)), _median_s(lambda: sorted(keys))
    decided = plan(snapshot)
    return Result(
        name="plan_cycle",
        figure=round(planned, 3),
        unit="processor s",
        peer=round(sort, 3),
        ratio=round(planned / sort, 1),
        facts={
            "jobs": len(snapshot.waiting),
            "organisations": _ORGANISATIONS,
            "started": len(decided.starts),
            "jobs_per_s": round(len(snapshot.waiting) / planned),
            "oracle_jobs": _ORACLE_JOBS,
        },
    )


def _median_s(work: Callable[[], object]) -> float:
    def once() -> float:
        began = process_time()
        work()
        return process_time() - began

    return median(once() for _ in range(3))


def _require_oracle(snapshot: Snapshot) -> None:
    expected, barred = _oracle.decisions(snapshot)
    planned = plan(snapshot)
    starts = [(start.attempt_id, None) for start in planned.starts]
    assert starts == [each for each in expected if each[1] is None], "other jobs start, or in another order"
    waits = {wait.attempt_id: wait.why for wait in planned.waits}
    assert waits == barred | {attempt_id: why for attempt_id, why in expected if why}, "they wait for other reasons"
    assert _in_line(planned) == [each for each in expected if each[1] is not None], "they wait in another order"


def _in_line(planned: Plan) -> list[_oracle.Decision]:
    return [(wait.attempt_id, wait.why) for wait in planned.waits if "position" in wait.facts]
