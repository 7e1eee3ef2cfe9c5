"""submitit's executor in front of the portal: functions go there as jobs, results and exceptions come back."""

from kyoyo.executor.auto import AutoExecutor
from kyoyo.executor.delayed import Checkpointable, DelayedSubmission
from kyoyo.executor.errors import FailedJobError, ForgedResult, UncompletedJobError
from kyoyo.executor.job import Job

__all__ = [
    "AutoExecutor",
    "Checkpointable",
    "DelayedSubmission",
    "FailedJobError",
    "ForgedResult",
    "Job",
    "UncompletedJobError",
]
