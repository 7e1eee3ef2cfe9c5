"""Kyoyo (共用): submit jobs to shared GPUs and quantum computers, and know what they cost.

from kyoyo import Client

with Client() as client:
    job = client.submit("train.sh", time="1h", max_cost_yen=5_000)
    for text in job.logs(follow=True):
        print(text, end="")
    print(job.wait().state, job.result(), job.cost)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kyoyo.calling import QpuRefused, QpuSession, qpu_session
from kyoyo.client import Client
from kyoyo.errors import (
    BadScript,
    Conflict,
    KyoyoError,
    NotFound,
    Problem,
    Refused,
    Unauthorised,
    Unavailable,
    UsageError,
)
from kyoyo.jobs import Job
from kyoyo.models import Cost, Estimate, JobPage, JobRecord, Offering, Price
from kyoyo.spec import Choices, JobSpec, QpuBeside

if TYPE_CHECKING:
    from kyoyo.executor import AutoExecutor
    from kyoyo.hybrid import Done, HybridJob, Phase, Repeat, hybrid_job

__all__ = [
    "AutoExecutor",
    "BadScript",
    "Choices",
    "Client",
    "Conflict",
    "Cost",
    "Done",
    "Estimate",
    "HybridJob",
    "Job",
    "JobPage",
    "JobRecord",
    "JobSpec",
    "KyoyoError",
    "NotFound",
    "Offering",
    "Phase",
    "Price",
    "Problem",
    "QpuBeside",
    "QpuRefused",
    "QpuSession",
    "Refused",
    "Repeat",
    "Unauthorised",
    "Unavailable",
    "UsageError",
    "hybrid_job",
    "qpu_session",
]


_HYBRID = frozenset({"Done", "HybridJob", "Phase", "Repeat", "hybrid_job"})


def __getattr__(name: str) -> Any:
    """The executor on demand: nothing else needs what it imports."""
    if name == "AutoExecutor":
        from kyoyo.executor import AutoExecutor  # noqa: PLC0415  see above

        return AutoExecutor
    if name in _HYBRID:
        from kyoyo import hybrid  # noqa: PLC0415  see above

        return getattr(hybrid, name)
    raise AttributeError(name)
