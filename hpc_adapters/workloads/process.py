"""What a workload does as a process of its own: tell of its progress, leave its outcome, and start quickly."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hpc_adapters.workloads.circuit_refusals import CircuitRefused


def tell(event: str, **facts: object) -> None:
    """One line of progress: time, event, facts. The adapter reads the time of `executing` from here."""
    now = datetime.now(UTC)  # noqa: TID251  an edge: this is the job itself
    words = " ".join(f"{key}={value}" for key, value in facts.items() if key != "message")
    print(now.isoformat(timespec="microseconds"), event, words, flush=True)  # noqa: T201  its job


def leave(result: dict[str, Any], *, max_bytes: int) -> None:
    """Write `result.json` at once or not at all. CircuitRefused: it is larger than anybody would take."""
    body = json.dumps(result, sort_keys=True).encode()
    if len(body) > max_bytes:
        raise CircuitRefused("result-too-large", bytes=len(body), max_bytes=max_bytes)
    Path("result.json.new").write_bytes(body)
    Path("result.json.new").rename("result.json")


def load_no_vendor() -> None:
    """Keep vendors' libraries out of this process. To be called first, and only by what ends with its program.

    qiskit's translation loads all plugins that are installed, and the only ones are those of qiskit-ibm-runtime: more
    than a second of a processor, and code that has no business beside a tenant's program.
    """
    sys.modules.update({"qiskit_ibm_runtime": None})  # type: ignore[dict-item]  # as Python documents: no such import
