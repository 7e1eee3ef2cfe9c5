"""What this kind of backend refuses for good, and in which words. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from hpc_adapters.confined.request import is_variable
from hpc_adapters.contract import JobRequest, Resources, Script
from hpc_adapters.errors import Rejected


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds of one job, whoever sends it."""

    script_bytes: int = 2**20
    words_bytes: int = 65_536
    """Arguments and environment together."""
    default_memory_mb: int = 512
    """For a request that names none."""
    stdout_cap_bytes: int = 16 * 2**20
    result_cap_bytes: int = 2**20
    disk_mb: int = 20_480
    processes: int = 512
    grace_s: float = 10.0


def effective(asked: Resources, total: Resources, limits: Limits) -> Resources:
    """What is booked: a request that names no CPU or memory gets a little of each."""
    return Resources(
        gpus=asked.gpus,
        cpus=asked.cpus or min(1, total.cpus),
        memory_mb=asked.memory_mb or min(limits.default_memory_mb, total.memory_mb),
        qpus=asked.qpus,
    )


def check(request: JobRequest, *, total: Resources, limits: Limits) -> Script:
    """The payload of an acceptable request; otherwise `Rejected`."""
    if not isinstance(request.payload, Script):
        raise Rejected("unsupported-payload", payload=type(request.payload).__name__.lower())
    if request.walltime_s <= 0:
        raise Rejected("invalid-walltime", walltime_s=request.walltime_s)
    _check_size(effective(request.resources, total, limits), total)
    _check_script(request.payload, limits)
    return request.payload


def _check_size(asked: Resources, total: Resources) -> None:
    for unit in ("gpus", "cpus", "memory_mb", "qpus"):
        wanted, there = getattr(asked, unit), getattr(total, unit)
        if wanted < 0:
            raise Rejected("invalid-resources", unit=unit, asked=wanted)
        if wanted > there:
            raise Rejected("too-large", unit=unit, asked=wanted, limit=there)


def _check_script(script: Script, limits: Limits) -> None:
    if not script.body.strip():
        raise Rejected("empty-script")
    if len(script.body) > limits.script_bytes:
        raise Rejected("script-too-large", size_bytes=len(script.body), limit_bytes=limits.script_bytes)
    for name, value in script.environment.items():
        if not is_variable(name, value) or _encoded(value) is None:
            raise Rejected("invalid-environment", name=name)
    words = [*script.arguments, *script.environment, *script.environment.values()]
    sizes = [_encoded(word) for word in words]
    if None in sizes or any("\0" in word for word in script.arguments):
        raise Rejected("invalid-arguments")
    size = sum(size + 1 for size in sizes if size is not None)
    if size > limits.words_bytes:
        raise Rejected("arguments-too-large", size_bytes=size, limit_bytes=limits.words_bytes)


def _encoded(word: str) -> int | None:
    """Size in bytes. None: half of a surrogate pair, which no program can be given."""
    try:
        return len(word.encode())
    except UnicodeEncodeError:
        return None
