"""What every program is told of its job in its environment, the same words on every backend. Pure."""

from __future__ import annotations

from hpc_adapters.contract import ArrayTask, JobRequest


def job_variables(request: JobRequest) -> dict[str, str]:
    """The job, the attempt, and the task of an array. Paths are the backend's to add."""
    variables = {
        "KYOYO_ATTEMPT_ID": str(request.attempt_id),
        "KYOYO_JOB_ID": str(request.job_id or request.attempt_id),
        "KYOYO_RESTART_COUNT": str(max(0, request.ordinal - 1)),
    }
    if request.number is not None:
        variables["KYOYO_JOB_NUMBER"] = str(request.number)
    return variables | (array_variables(request.array) if request.array else {})


def array_variables(task: ArrayTask) -> dict[str, str]:
    """As Slurm would tell a task of an array of its own."""
    told = {
        "JOB_ID": task.number,
        "TASK_ID": task.index,
        "TASK_MIN": task.first,
        "TASK_MAX": task.last,
        "TASK_STEP": task.step,
        "TASK_COUNT": task.count,
    }
    return {f"SLURM_ARRAY_{name}": str(value) for name, value in told.items()}
