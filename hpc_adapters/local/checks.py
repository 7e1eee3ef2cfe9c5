"""What this kind of backend refuses for good, and in which words. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from signal import Signals
from typing import Final

from hpc_adapters.confined.request import is_variable
from hpc_adapters.contract import SECRETS_BYTES, WORDS_BYTES, JobRequest, Resources, Script, Signal, words_bytes
from hpc_adapters.errors import Rejected

_OURS: Final = ("KYOYO_", "SLURM_", "CUDA_")
_UNCATCHABLE: Final = frozenset({"KILL", "STOP"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds of one job, whoever sends it."""

    script_bytes: int = 2**20
    words_bytes: int = WORDS_BYTES
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
    if (signal := request.placement.signal) is not None:
        _check_signal(signal, request.walltime_s)
    return request.payload


def _check_size(asked: Resources, total: Resources) -> None:
    for unit in ("gpus", "cpus", "memory_mb", "qpus"):
        wanted, there = getattr(asked, unit), getattr(total, unit)
        if wanted < 0:
            raise Rejected("invalid-resources", unit=unit, asked=wanted)
        if wanted > there:
            raise Rejected("too-large", unit=unit, asked=wanted, limit=there)


def _check_signal(signal: Signal, walltime_s: int) -> None:
    known = f"SIG{signal.name}" in Signals.__members__ and signal.name not in _UNCATCHABLE
    if not known or not 0 < signal.before_s < walltime_s:
        raise Rejected("invalid-signal", name=signal.name, before_s=signal.before_s, walltime_s=walltime_s)


def _check_script(script: Script, limits: Limits) -> None:
    if not script.body.strip():
        raise Rejected("empty-script")
    if len(script.body) > limits.script_bytes:
        raise Rejected("script-too-large", size_bytes=len(script.body), limit_bytes=limits.script_bytes)
    _check_variables(script)
    if any("\0" in word or _encoded(word) is None for word in script.arguments):
        raise Rejected("invalid-arguments")
    for size, limit in (
        (words_bytes(script.arguments, script.environment), limits.words_bytes),
        (words_bytes(script.secrets.values(), {}), SECRETS_BYTES),
    ):
        if size > limit:
            raise Rejected("arguments-too-large", size_bytes=size, limit_bytes=limit)


def _check_variables(script: Script) -> None:
    for name, value in (*script.environment.items(), *script.secrets.items()):
        if not is_variable(name, value) or _encoded(value) is None:
            raise Rejected("invalid-environment", name=name)
    for name in script.secrets:  # set last, so that they would win over ours
        if name.startswith(_OURS) or name in {"PATH", "HOME"}:
            raise Rejected("invalid-environment", name=name)


def _encoded(word: str) -> int | None:
    """Size in bytes. None: half of a surrogate pair, which no program can be given."""
    try:
        return len(word.encode())
    except UnicodeEncodeError:
        return None
