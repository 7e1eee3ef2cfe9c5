"""Kyoyo (共用): submit jobs to shared GPUs and quantum computers, and know what they cost.

from kyoyo import Client

with Client() as client:
    job = client.submit("train.sh", time="1h", max_cost_yen=5_000)
    for text in job.logs(follow=True):
        print(text, end="")
    print(job.wait().state, job.result(), job.cost)
"""

from __future__ import annotations

from importlib import import_module
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
    from kyoyo.functions import FunctionJob, hybrid_job
    from kyoyo.hybrid import HybridJob, Phase, Repeat
    from kyoyo.quantum.errors import JobFailed
    from kyoyo.rounds import Done

__all__ = [
    "AutoExecutor",
    "BadScript",
    "Choices",
    "Client",
    "Conflict",
    "Cost",
    "Done",
    "Estimate",
    "FunctionJob",
    "HybridJob",
    "Job",
    "JobFailed",
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


_ON_DEMAND = {
    "AutoExecutor": "kyoyo.executor",
    "Done": "kyoyo.rounds",
    "FunctionJob": "kyoyo.functions",
    "HybridJob": "kyoyo.hybrid",
    "JobFailed": "kyoyo.quantum.errors",
    "Phase": "kyoyo.hybrid",
    "Repeat": "kyoyo.hybrid",
    "hybrid_job": "kyoyo.functions",
}


def __getattr__(name: str) -> Any:
    """Functions as jobs on demand: nothing else needs what they import."""
    if name in _ON_DEMAND:
        return getattr(import_module(_ON_DEMAND[name]), name)
    raise AttributeError(name)
