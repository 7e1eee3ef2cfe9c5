"""Accepting a run: its folder appears complete, in one rename, or not at all."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final
from uuid import UUID

from hpc_adapters import masking
from hpc_adapters.confined import folder, sandbox
from hpc_adapters.confined.model import FilePath, RunSpec
from hpc_adapters.confined.times import to_us
from hpc_adapters.job_files import MAILBOX

_FILE_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_FIRST_UID: Final = 1_900_000_000  # a range that no distribution hands out (systemd: "unused", below 2^31)
_UIDS: Final = 100_000_000
_STAGING, CLAIMS, LINEAGES = ".staging", ".uids", ".lineages"


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """How this machine keeps runs apart and within their bounds. `kind` as in `sandbox`."""

    kind: str
    control_groups: bool = True


def accept(root: Path, spec: RunSpec, *, means: Means, now: datetime) -> None:
    """Make the run's folder durably, unless it is there. OSError: nothing was accepted."""
    target = root / str(spec.attempt_id)
    if target.exists():
        return
    uid = claim_uid(root, spec.lineage or spec.attempt_id) if means.kind == sandbox.ROOT else os.geteuid()
    (root / _STAGING).mkdir(mode=0o700, exist_ok=True)
    if spec.lineage is not None:
        _make_lineage(root, spec.lineage, uid)
    staging = Path(tempfile.mkdtemp(dir=root / _STAGING))
    try:
        _fill(staging, target, spec, means=means, uid=uid, now=now)
        with suppress(FileExistsError, NotADirectoryError):
            _publish(staging, target)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    folder.sync(str(root))


def _make_lineage(root: Path, lineage: UUID, uid: int) -> None:
    """The folder that the runs of a lineage share: theirs to write, and reached by no other."""
    (root / LINEAGES).mkdir(mode=0o700, exist_ok=True)
    place = root / LINEAGES / str(lineage)
    place.mkdir(mode=0o700, exist_ok=True)
    if os.geteuid() == 0:
        os.chown(place, uid, uid)


def _publish(staging: Path, target: Path) -> None:
    """Of two that accept the same attempt at once, one wins: a folder is not renamed over one with content."""
    try:
        staging.rename(target)
    except OSError:
        if not target.exists():
            raise


def _fill(staging: Path, target: Path, spec: RunSpec, *, means: Means, uid: int, now: datetime) -> None:
    kind = means.kind
    files, work = staging / folder.FILES, staging / folder.WORK
    files.mkdir()
    files.chmod(0o755)
    for name, content in spec.files.items():
        if _FILE_NAME.fullmatch(name) is None:
            raise ValueError(f"not a plain file name: {name!r}")
        folder.write_bytes(str(files), name, content, 0o755)
    script = sandbox.start_script(
        kind,
        uid=uid,
        processes=spec.processes,
        environment=_environment(spec, _seen_from(kind, target, spec)),
        argv=_argv(spec, files="/kyoyo" if kind != sandbox.NONE else str(target / folder.FILES)),
        ends_in_s=int(spec.walltime_s),
        reads_secrets=bool(spec.secrets),
    )
    folder.write_bytes(str(files), folder.START, script.encode(), 0o755)
    if spec.secrets:
        folder.write_bytes(str(staging), folder.SECRETS, sandbox.secrets_text(spec.secrets).encode())
        marks = masking.marks_of(spec.secrets.values(), salt=spec.attempt_id.bytes)
        folder.write_bytes(str(staging), folder.MARKS, masking.as_json(marks))
    for place in (work, *(work / name for name in spec.folders)):
        place.mkdir(mode=0o700)
        if kind == sandbox.ROOT:
            os.chown(place, uid, uid)
    folder.write_json(str(staging), folder.REQUEST, _request(spec, target, means=means, uid=uid, now=now))


def _request(spec: RunSpec, target: Path, *, means: Means, uid: int, now: datetime) -> folder.Json:
    return {
        "attempt_id": str(spec.attempt_id),
        "tenant": spec.tenant,
        "accepted_us": to_us(now),
        "sandbox": means.kind,
        "control_groups": means.control_groups,
        "uid": uid,
        "inputs": None if spec.inputs is None else str(spec.inputs),
        "lineage": None if spec.lineage is None else str(_lineage_of(target, spec.lineage)),
        "signal": None if spec.signal is None else [spec.signal.name, spec.signal.before_s],
        "read_only": [str(path) for path in spec.read_only],
        "network": spec.network,
        "walltime_s": spec.walltime_s,
        "grace_s": spec.grace_s,
        "memory_mb": spec.memory_mb,
        "cpus": spec.cpus,
        "processes": spec.processes,
        "disk_mb": spec.disk_mb,
        "stdout_cap_bytes": spec.stdout_cap_bytes,
        "result_cap_bytes": spec.result_cap_bytes,
        "facts": dict(spec.facts),
    }


def _argv(spec: RunSpec, *, files: str) -> list[str]:
    return [f"{files}/{word.name}" if isinstance(word, FilePath) else word for word in spec.argv]


def _lineage_of(target: Path, lineage: UUID) -> Path:
    return target.parent / LINEAGES / str(lineage)


@dataclass(frozen=True, slots=True)
class Seen:
    """Where the run finds its folders."""

    work: str
    lineage: str | None
    inputs: str


def _seen_from(kind: str, target: Path, spec: RunSpec) -> Seen:
    if kind != sandbox.NONE:
        lineage = None if spec.lineage is None else sandbox.LINEAGE_INSIDE
        return Seen(sandbox.WORK_INSIDE, lineage, sandbox.INPUTS_INSIDE)
    lineage = None if spec.lineage is None else str(_lineage_of(target, spec.lineage))
    work = target / folder.WORK
    return Seen(str(work), lineage, str(spec.inputs or work / "input"))


def _environment(spec: RunSpec, seen: Seen) -> dict[str, str]:
    """Built from nothing: the job's own variables, then ours, which it cannot replace."""
    return {**spec.environment, **own_variables(spec, seen)}


def own_variables(spec: RunSpec, seen: Seen) -> dict[str, str]:
    """What every run finds in its environment."""
    work = seen.work
    checkpoint = {} if seen.lineage is None else {"KYOYO_CHECKPOINT_DIR": seen.lineage}
    software = [str(path / "bin") for path in spec.read_only if (path / "bin").is_dir()]
    threads = str(max(1, spec.cpus))
    return {
        "PATH": ":".join([*software, sandbox.SYSTEM_PATH]),
        "HOME": work,
        "PWD": work,
        "LANG": "C.UTF-8",
        "TMPDIR": "/tmp",  # noqa: S108  inside the sandbox it is the run's own
        "KYOYO_ATTEMPT_ID": str(spec.attempt_id),
        "KYOYO_RESULT": f"{work}/{folder.RESULT}",
        "KYOYO_INPUT_DIR": seen.inputs,
        "KYOYO_OUTPUT_DIR": f"{work}/output",
        **({"KYOYO_QPU_DIR": f"{work}/{MAILBOX}"} if MAILBOX in spec.folders else {}),
        **checkpoint,
        "OMP_NUM_THREADS": threads,
        "OPENBLAS_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
    }


def is_variable(name: str, value: str) -> bool:
    """Whether a job may set it. The loader's variables are refused: no honest job needs them."""
    return _VARIABLE.fullmatch(name) is not None and "\0" not in value and not name.startswith("LD_")


def claim_uid(root: Path, owner: UUID) -> int:
    """The user id of an attempt or a lineage: derived from its id, and never given to two of this root."""
    claims = root / CLAIMS
    claims.mkdir(mode=0o700, exist_ok=True)
    for step in range(1000):
        uid = _FIRST_UID + (owner.int + step) % _UIDS
        try:
            fd = os.open(claims / str(uid), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            if (claims / str(uid)).read_text() == str(owner):
                return uid
            continue
        with os.fdopen(fd, "w") as file:
            file.write(str(owner))
        return uid
    raise OSError("no free user id")


def sweep_staging(root: Path, *, older_than: datetime) -> None:
    """Remove what starts that died halfway have left behind."""
    for left in (root / _STAGING).glob("*"):
        with suppress(OSError):
            if to_us(older_than) > left.stat().st_mtime_ns // 1000:
                shutil.rmtree(left, ignore_errors=True)
