"""From an acceptable request to the body of Slurm's job submission, for every version of the API. Pure.

Limits always stand in the request: over REST Slurm reads no #SBATCH line. Nothing of the tenant's choosing is in it but
the program, as base64, and names that the site's own settings allow.
"""

from __future__ import annotations

from dataclasses import replace
from shlex import join
from typing import Final

from hpc_adapters.contract import Identity, JobRequest, Script
from hpc_adapters.jobhead.places import STDERR, STDOUT, Places, job_name
from hpc_adapters.jobhead.variables import head_of
from hpc_adapters.jobhead.wrapper import Head, batch_script
from hpc_adapters.launching.torchrun import torchrun
from hpc_adapters.slurm.models import Json
from hpc_adapters.slurm.settings import ImageHook, ImageKind, SlurmSettings
from hpc_adapters.slurm.versions import at_least

_SCRIPT_IN_JOB_SINCE: Final = "v0.0.41"
_ENVIRONMENT: Final = ["PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8"]


def body(
    request: JobRequest, script: Script, identity: Identity, *, settings: SlurmSettings, places: Places, version: str
) -> Json:
    """What is posted. The request has passed `checks.check`."""
    batch = batch_script(head(request, script, settings=settings, places=places))
    job = {**_what(request, identity, settings, places), **_size(request, settings), **_extras(request, settings)}
    if at_least(version, _SCRIPT_IN_JOB_SINCE):
        return {"job": {**job, "script": batch}}
    return {"script": batch, "job": job}


def head(request: JobRequest, script: Script, *, settings: SlurmSettings, places: Places) -> Head:
    """What the head of the job is told."""
    found = head_of(request, script, places)
    if settings.python is not None:
        found = replace(found, own={**found.own, "KYOYO_SITE_PYTHON": settings.python})
    prefix = _prefix(request, settings, places)
    launch = ""
    if script.launch is not None:
        program = str(places.work / "script")
        launch = torchrun(
            script.launch, nodes=request.placement.nodes, script=program, arguments=script.arguments, slurm=True
        )
        if prefix:
            launch = _python_in_image(prefix, places) + launch
    signal = request.placement.signal
    return replace(found, launch=launch, prefix=prefix, warning=signal.name if signal else "")


def _what(request: JobRequest, identity: Identity, settings: SlurmSettings, places: Places) -> dict[str, object]:
    name = job_name(request.attempt_id)
    found: dict[str, object] = {
        "name": name,
        "comment": name,
        "account": identity.account,
        "partition": settings.partition,
        "requeue": False,
        "kill_on_node_fail": True,
        "open_mode": ["APPEND"],
        "current_working_directory": str(places.work),
        "standard_input": "/dev/null",
        "standard_output": str(places.work / STDOUT),
        "standard_error": str(places.work / STDERR),
        "environment": _ENVIRONMENT,
        "time_limit": _number(-(-request.walltime_s // 60)),
    }
    qos = settings.qos_of(identity.account, request.service_class)
    return {**found, "qos": qos} if qos else found


def _size(request: JobRequest, settings: SlurmSettings) -> dict[str, object]:
    placement, asked = request.placement, request.resources
    tasks = placement.nodes * placement.tasks_per_node
    found: dict[str, object] = {
        "nodes": str(placement.nodes),
        "tasks": tasks,
        "tasks_per_node": placement.tasks_per_node,
    }
    if asked.cpus:
        found["cpus_per_task"] = asked.cpus // tasks
    if asked.memory_mb:
        found["memory_per_node"] = _number(asked.memory_mb // placement.nodes)
    gres: list[str] = []
    if asked.gpus:
        kind = placement.gpu_type or settings.gpu_type
        gres.append(f"gres/gpu:{f'{kind}:' if kind else ''}{asked.gpus // placement.nodes}")
    if asked.qpus:  # in tres_per_job both releases took it and allocated none
        gres.append(f"{settings.qpu_tres}:{asked.qpus // placement.nodes}")
    return {**found, "tres_per_node": ",".join(gres)} if gres else found


def _extras(request: JobRequest, settings: SlurmSettings) -> dict[str, object]:
    placement = request.placement
    found: dict[str, object] = {}
    if placement.constraint is not None:
        found["constraints"] = placement.constraint
    if placement.reservation is not None:
        found["reservation"] = placement.reservation
    if placement.licenses:
        found["licenses"] = ",".join(f"{name}:{count}" for name, count in sorted(placement.licenses.items()))
    if placement.exclusive:
        found["shared"] = ["none"]
    if placement.signal is not None:
        found["kill_warning_signal"] = placement.signal.name
        found["kill_warning_delay"] = _number(placement.signal.before_s)
        found["kill_warning_flags"] = ["BATCH_JOB"]
    image, hook = placement.image, settings.image_hook
    if image is not None and hook is not None and hook.kind is ImageKind.OCI:
        found["container"] = settings.images[image]
    return found


def _prefix(request: JobRequest, settings: SlurmSettings, places: Places) -> tuple[str, ...]:
    """Words before the program that start it in its image."""
    image, hook = request.placement.image, settings.image_hook
    if image is None or hook is None:
        return ()
    return _words(hook, settings.images[image], str(places.work))


def _words(hook: ImageHook, image: str, work: str) -> tuple[str, ...]:
    filled = hook.filled(image=image, work=work)
    match hook.kind:
        case ImageKind.OCI:
            return ()
        case ImageKind.PREFIX:
            return filled
        case ImageKind.STEP:
            return ("srun", "--ntasks=1", "--nodes=1", "--export=ALL", "--mem=0", *filled)


def _python_in_image(prefix: tuple[str, ...], places: Places) -> str:
    """Lines that let torchrun's Python be the one of the image, on every node."""
    wrapper = str(places.work / "in-image")
    run = f'#!/bin/sh\nexec {join(prefix)} "${{KYOYO_IMAGE_PYTHON:-python3}}" "$@"\n'
    return f"printf '%s' {join([run])} >{wrapper} && chmod 0700 {wrapper} || exit 73\nexport KYOYO_PYTHON={wrapper}\n"


def _number(value: int) -> dict[str, object]:
    return {"set": True, "infinite": False, "number": value}
