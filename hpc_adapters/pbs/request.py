"""A request as arguments of qsub, and qsub's refusals. Pure.

Nothing of the tenant's choosing becomes an argument: the name is the attempt id, the script is ours, and the payload is
inside it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from hpc_adapters.contract import Identity, JobRequest, Script
from hpc_adapters.errors import BackendError, Rejected, Unavailable
from hpc_adapters.jobhead.places import STDERR, STDOUT, Places, job_name
from hpc_adapters.jobhead.variables import head_of
from hpc_adapters.jobhead.wrapper import Head
from hpc_adapters.launching.torchrun import torchrun
from hpc_adapters.pbs.commands import Done
from hpc_adapters.pbs.parsing import duration
from hpc_adapters.pbs.settings import PbsSettings

NO_SERVER = "cannot connect to server"
"""What every command says when the server does not answer (its exit code differs from command to command)."""

PERMANENT: Mapping[str, str] = {
    "Unknown queue": "unknown-queue",
    "Access to queue is denied": "queue-denied",
    "Queue is not enabled": "queue-disabled",
    "Unknown resource": "unknown-resource",
    "Illegal attribute or resource value": "bad-resource-value",
    "Resource invalid in": "bad-resource-value",
    "Job violates queue and/or server resource limits": "over-limit",
    "Resource limit exceeds allowable": "over-limit",
    "Job rejected by all possible destinations": "over-limit",
    "node(s) specification error": "bad-resource-value",
    "Invalid Account": "invalid-account",
    "Bad UID for job execution": "invalid-user",
    "Bad GID for job execution": "invalid-user",
    "Unauthorized Request": "not-allowed",
    "Invalid credential": "not-allowed",
    "hook rejected request": "site-rule",
    "name is too long": "name-too-long",
}
"""Messages of a server that will never take this job (src/lib/Liblog/pbs_messages.c of OpenPBS)."""

TEMPORARY = (
    "Maximum number of jobs",
    "would exceed",
    "No free connections",
    "Server connection table full",
    "Server shutting down",
    "Resource temporarily unavailable",
    "Resource busy",
    NO_SERVER,
)
"""Messages of a server that took nothing, and may later."""

RUN = ("${PBS_JOBID%%.*}", "0", "")
"""Id, restart count and start of a run, as a shell on the node knows them."""
_JOB_ID = re.compile(r"\d+(?:\.[A-Za-z0-9][A-Za-z0-9._-]*)?")


def checked(request: JobRequest, settings: PbsSettings) -> tuple[Script, Identity]:
    """Payload and identity of an acceptable request. Rejected: what this site or this adapter can never do."""
    if request.identity is None:
        raise Rejected("no-identity")
    if not isinstance(request.payload, Script):
        raise Rejected("unsupported-payload", payload=type(request.payload).__name__.lower())
    if request.walltime_s <= 0:
        raise Rejected("invalid-walltime", walltime_s=request.walltime_s)
    if settings.max_walltime_s is not None and request.walltime_s > settings.max_walltime_s:
        raise Rejected("walltime-too-long", walltime_s=request.walltime_s, limit_s=settings.max_walltime_s)
    if request.payload.launch is not None and request.placement.nodes > 1:
        raise Rejected("unsupported-torchrun", nodes=request.placement.nodes)  # no srun, and no site to try another way
    return request.payload, request.identity


def head(request: JobRequest, script: Script, places: Places) -> Head:
    """What the head of the job is told."""
    launch = (
        torchrun(script.launch, nodes=1, script=str(places.work / "script"), arguments=script.arguments)
        if script.launch
        else ""
    )
    return replace(head_of(request, script, places), launch=launch, run=RUN)


def submission(request: JobRequest, identity: Identity, settings: PbsSettings, work: Path) -> list[str]:
    """Arguments of qsub; the script comes on stdin. Rejected: a layout that does not divide evenly."""
    return [
        settings.command("qsub"),
        *("-N", job_name(request.attempt_id)),
        *("-q", settings.queue),
        *(settings.project_option, identity.account),
        *("-l", f"select={_select(request, settings)}"),
        *("-l", f"walltime={duration(request.walltime_s)}"),
        *("-o", str(work / STDOUT)),
        *("-e", str(work / STDERR)),
        *("-k", "doe"),  # straight into those files, so that they can be followed while it runs
        *("-r", "n"),  # only the portal starts it again
        *("-m", "n"),
        *("-S", "/bin/bash"),
        *("-W", "umask=0077"),
        "-",
    ]


def _select(request: JobRequest, settings: PbsSettings) -> str:
    nodes, wanted = request.placement.nodes, request.resources
    for unit, amount in {"gpus": wanted.gpus, "cpus": wanted.cpus, "memory_mb": wanted.memory_mb}.items():
        if amount % nodes:
            raise Rejected("invalid-resources", unit=unit, amount=amount, nodes=nodes)
    return settings.select.format(
        nodes=nodes, gpus=wanted.gpus // nodes, cpus=wanted.cpus // nodes, memory_mb=wanted.memory_mb // nodes
    )


def submitted_id(done: Done) -> str:
    """The job id that qsub printed. Rejected, Unavailable: what it said instead."""
    if done.exit_code:
        raise refusal(done)
    printed = done.out.decode(errors="replace").strip()
    if _JOB_ID.fullmatch(printed) is None:
        raise Unavailable("qsub printed no job id", maybe_done=True)
    return printed


def refusal(done: Done) -> BackendError:
    """What qsub complains of, in our words. One that nobody knows may have left a job behind."""
    for message, code in PERMANENT.items():
        if message in done.err:
            return Rejected(code, said=done.err[:200])
    if any(message in done.err for message in TEMPORARY):
        return Unavailable(done.err[:200], maybe_done=False)
    return Unavailable(done.err[:200] or f"qsub ended with {done.exit_code}", maybe_done=True)
