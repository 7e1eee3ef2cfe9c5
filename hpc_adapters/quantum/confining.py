"""How an adapter runs one of our workloads on an untrusted program: confined, and with no more than it needs to see."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from uuid import UUID

from hpc_adapters.confined.model import FilePath, RunSpec

_PACKAGE: Final = Path(__file__).resolve().parents[1]
_PYTHON: Final = tuple(
    folder for folder in dict.fromkeys((Path(sys.prefix), Path(sys.base_prefix))) if not folder.is_relative_to("/usr")
)  # every sandbox sees /usr
_SEEN: Final = tuple(_PACKAGE / name for name in ("workloads", "programs.py", "pubs.py"))
PYTHON_MB: Final = 768
"""The interpreter with qiskit, and room for translating a large circuit."""
PROCESSES: Final = 64


def workload(
    module: str,
    *,
    attempt_id: UUID,
    tenant: str,
    job: bytes,
    program: bytes,
    walltime_s: float,
    memory_mb: int,
    cpus: int = 1,
    grace_s: float = 2.0,
    result_bytes: int = 2**20,
    facts: Mapping[str, object] | None = None,
) -> RunSpec:
    """`python -m hpc_adapters.workloads.<module> JOB PROGRAM` without network. `memory_mb`: beside the interpreter."""
    return RunSpec(
        attempt_id=attempt_id,
        tenant=tenant,
        argv=[
            *(sys.executable, "-s", "-P", "-B", "-m", f"hpc_adapters.workloads.{module}"),
            *(FilePath("job.json"), FilePath("program")),
        ],
        files={"job.json": job, "program": program},
        environment={
            "PYTHONPATH": str(_PACKAGE.parent),
            "QISKIT_PARALLEL": "FALSE",
            "RAYON_NUM_THREADS": str(cpus),  # else a thread for every core of the machine
        },
        walltime_s=walltime_s,
        memory_mb=memory_mb + PYTHON_MB,
        cpus=cpus,
        read_only=(*_PYTHON, *_SEEN),
        stdout_cap_bytes=2**20,
        result_cap_bytes=result_bytes,
        grace_s=grace_s,
        processes=PROCESSES,
        disk_mb=64,
        facts=dict(facts or {}),
    )
