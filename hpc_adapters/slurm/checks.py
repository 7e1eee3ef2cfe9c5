"""What a cluster of these settings refuses for good, and in which words, before anything reaches Slurm. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from hpc_adapters.confined.request import is_variable
from hpc_adapters.contract import (
    SECRETS_BYTES,
    WORDS_BYTES,
    Feature,
    Identity,
    JobRequest,
    Placement,
    Script,
    words_bytes,
)
from hpc_adapters.errors import Rejected
from hpc_adapters.features import names_asked
from hpc_adapters.slurm.settings import ImageKind, SlurmSettings

_USER: Final = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_ACCOUNT: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
_NOBODY: Final = frozenset({"root", "slurm", "munge"})
_OURS: Final = ("SLURM_", "SPANK_", "KYOYO_", "SBATCH_", "SRUN_")
_READ_BY_SHELLS: Final = frozenset({"BASH_ENV", "ENV", "SHELLOPTS", "BASHOPTS", "UID", "EUID", "PPID", "IFS"})
_HEARD: Final = frozenset({"HUP", "INT", "QUIT", "USR1", "USR2", "TERM", "ALRM"})
_LONGEST_WARNING_S: Final = 65_535
_MOST_LICENSES: Final = 1_000_000
_MOST_PROCESSES: Final = 1024


def check(request: JobRequest, settings: SlurmSettings) -> tuple[Script, Identity]:
    """Payload and identity of an acceptable request; otherwise `Rejected`."""
    if not isinstance(request.payload, Script):
        raise Rejected("unsupported-payload", payload=type(request.payload).__name__.lower())
    if request.identity is None:
        raise Rejected("no-identity")
    _check_identity(request.identity)
    _check_walltime(request.walltime_s, settings)
    _check_size(request, settings)
    _check_placement(request.placement, request.identity, settings)
    _check_script(request.payload, settings)
    _check_launch(request, request.payload, settings)
    return request.payload, request.identity


def _check_identity(identity: Identity) -> None:
    if _USER.fullmatch(identity.user) is None or identity.user in _NOBODY:
        raise Rejected("unknown-user", user=identity.user[:32])
    if _ACCOUNT.fullmatch(identity.account) is None:
        raise Rejected("unknown-account", account=identity.account[:64])


def _check_walltime(walltime_s: int, settings: SlurmSettings) -> None:
    if walltime_s <= 0:
        raise Rejected("invalid-walltime", walltime_s=walltime_s)
    if walltime_s > settings.max_walltime_s:
        raise Rejected("walltime-too-long", walltime_s=walltime_s, limit_s=settings.max_walltime_s)


def _check_size(request: JobRequest, settings: SlurmSettings) -> None:
    nodes, tasks = request.placement.nodes, request.placement.tasks_per_node
    if nodes < 1 or tasks < 1:
        raise Rejected("invalid-resources", unit="nodes" if nodes < 1 else "tasks", asked=min(nodes, tasks))
    if nodes > settings.max_nodes:
        raise Rejected("too-large", unit="nodes", asked=nodes, limit=settings.max_nodes)
    for unit in ("gpus", "cpus", "memory_mb", "qpus"):
        asked = getattr(request.resources, unit)
        if asked < 0:
            raise Rejected("invalid-resources", unit=unit, asked=asked)
        if unit == "qpus" and asked and settings.qpu_gres is None:
            raise Rejected("no-qpu", asked=asked)
        parts = nodes * tasks if unit == "cpus" else nodes
        if asked % parts:
            raise Rejected("uneven-layout", unit=unit, asked=asked, parts=parts)


def _check_placement(placement: Placement, identity: Identity, settings: SlurmSettings) -> None:
    if placement.gpu_type is not None and placement.gpu_type not in settings.types():
        raise Rejected("unknown-gpu-type", asked=placement.gpu_type[:64], allowed=_shown(settings.types()))
    constraint = placement.constraint
    if constraint is not None and names_asked(placement)[Feature.CONSTRAINT] - settings.constraints:
        raise Rejected("unknown-constraint", asked=constraint[:64], allowed=_shown(settings.constraints))
    _check_reservation(placement.reservation, identity, settings)
    for name, count in placement.licenses.items():
        if name not in settings.licenses or not 0 < count <= _MOST_LICENSES:
            raise Rejected("unknown-license", asked=name[:64], allowed=_shown(settings.licenses))
    if placement.image is not None and placement.image not in settings.images:
        raise Rejected("image-not-allowed", asked=placement.image[:128], allowed=_shown(settings.images))
    signal = placement.signal
    if signal is not None and (signal.name not in _HEARD or not 0 < signal.before_s <= _LONGEST_WARNING_S):
        raise Rejected("invalid-signal", asked=signal.name[:16], before_s=signal.before_s, allowed=_shown(_HEARD))


def _check_reservation(name: str | None, identity: Identity, settings: SlurmSettings) -> None:
    if name is None:
        return
    if name not in settings.reservations:
        raise Rejected("unknown-reservation", asked=name[:64])
    accounts = settings.reservations[name]
    if accounts and identity.account not in accounts:
        raise Rejected("reservation-not-allowed", asked=name)


def _check_script(script: Script, settings: SlurmSettings) -> None:
    if not script.body.strip():
        raise Rejected("empty-script")
    if len(script.body) > settings.script_cap_bytes:
        raise Rejected("script-too-large", size_bytes=len(script.body), limit_bytes=settings.script_cap_bytes)
    for name, value in (*script.environment.items(), *script.secrets.items()):
        if not is_variable(name, value) or _size(value) is None or name in _READ_BY_SHELLS or name.startswith(_OURS):
            raise Rejected("invalid-environment", name=name[:128])
    sizes = [_size(word) for word in script.arguments]
    if None in sizes or any("\0" in word for word in script.arguments):
        raise Rejected("invalid-arguments")
    for total, limit in (
        (words_bytes(script.arguments, script.environment), WORDS_BYTES),
        (words_bytes(script.secrets.values(), {}), SECRETS_BYTES),
    ):
        if total > limit:
            raise Rejected("arguments-too-large", size_bytes=total, limit_bytes=limit)


def _check_launch(request: JobRequest, script: Script, settings: SlurmSettings) -> None:
    if script.launch is None:
        return
    if not 0 < script.launch.processes_per_node <= _MOST_PROCESSES:
        raise Rejected("invalid-launch", processes_per_node=script.launch.processes_per_node)
    hook = settings.image_hook
    if request.placement.image is not None and hook is not None and hook.kind is ImageKind.STEP:
        raise Rejected("image-not-with-torchrun", image=request.placement.image)


def _size(word: str) -> int | None:
    """In bytes. None: half of a surrogate pair, which no program can be given."""
    try:
        return len(word.encode())
    except UnicodeEncodeError:
        return None


def _shown(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "-"
