"""What every job of a site is told, beside what the site itself adds: its head and its environment. Pure."""

from __future__ import annotations

from pathlib import Path

from hpc_adapters.contract import JobRequest, Script
from hpc_adapters.job_files import MAILBOX
from hpc_adapters.jobhead.places import RESULT, Places, inputs_of
from hpc_adapters.jobhead.wrapper import Head
from hpc_adapters.launching.variables import job_variables

_FOLDERS = ("KYOYO_CHECKPOINT_DIR", "KYOYO_INPUT_DIR", "KYOYO_OUTPUT_DIR", "KYOYO_QPU_DIR")


def head_of(request: JobRequest, script: Script, places: Places) -> Head:
    """The head of a job; the site adds how it launches, warns and calls a run."""
    own = own_variables(request, places)
    return Head(
        work=str(places.work),
        program=script.body,
        arguments=script.arguments,
        environment=script.environment,
        own=own,
        secrets=len(script.secrets),
        user=places.user,
        folders=[own[name] for name in _FOLDERS if name in own],
    )


def own_variables(request: JobRequest, places: Places) -> dict[str, str]:
    """Ours, which win over the job's own."""
    return {
        "LANG": "C.UTF-8",
        **job_variables(request),
        "KYOYO_CHECKPOINT_DIR": str(places.checkpoint),
        "KYOYO_RESULT": str(places.work / RESULT),
        "KYOYO_INPUT_DIR": str(_inputs(request, places)),
        "KYOYO_OUTPUT_DIR": str(places.work / "output"),
        **({"KYOYO_QPU_DIR": str(places.work / MAILBOX)} if request.has_calls else {}),
    }


def _inputs(request: JobRequest, places: Places) -> Path:
    if request.has_inputs:
        return inputs_of(places.folder, places.user, request.attempt_id)
    return places.work / "input"
