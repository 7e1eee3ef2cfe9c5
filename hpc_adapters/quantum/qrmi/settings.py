"""What an operator says of one machine that QRMI reaches."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from hpc_adapters.quantum.bridge import Program
from hpc_adapters.quantum.queued.settings import QueuedSettings

PRIMITIVES: Final = {"ibm-quantum-system", "ibm-quantum-compute-service"}
"""Types that take Qiskit primitives, and so our programs."""
_VARIABLE: Final = re.compile(r"QRMI_[A-Z0-9_]{1,100}")
_RESOURCE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,99}")


@dataclass(frozen=True, slots=True, kw_only=True)
class QrmiSettings(QueuedSettings):
    """`device` is the resource's name as QRMI knows it."""

    resource_type: str
    """As QRMI writes it: 'ibm-quantum-system', 'ibm-quantum-compute-service'."""
    config_file: Path
    """JSON: the resource's variables without its name, such as {"QRMI_IBM_QCS_ENDPOINT": "https://…"}. Secret."""
    python: str | None = None
    """Of an environment with qrmi 0.26.4; None: our own."""
    module: str = "qrmi"
    """What is imported there; another one for tests."""
    call_s: float = 12.0
    """Deadline of a call. Whoever misses it is ended, and what it was doing counts as unknown."""
    target_s: float = 60.0
    """How old a look at the device's gates may be when a program is translated."""

    def __post_init__(self) -> None:
        QueuedSettings.__post_init__(self)
        if self.resource_type not in PRIMITIVES:
            raise ValueError(f"resource_type: one of {sorted(PRIMITIVES)}; no program of ours runs on others yet")
        if _RESOURCE.fullmatch(self.device) is None:
            raise ValueError("device: a plain name")

    def program(self) -> Program:
        """The process, with nothing secret in its environment."""
        return Program(module="hpc_adapters.quantum.qrmi.worker", python=self.python)

    def hello(self) -> Mapping[str, Any]:
        """Its first message. OSError, ValueError: the file cannot be read, or is not of that form."""
        told = json.loads(self.config_file.read_text(encoding="utf-8"))
        if not isinstance(told, dict) or not all(
            _VARIABLE.fullmatch(name) and isinstance(value, str) for name, value in told.items()
        ):
            raise ValueError("variables of QRMI, as text")
        return {"resource": self.device, "type": self.resource_type, "module": self.module, "variables": told}
