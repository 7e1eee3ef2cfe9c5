"""What the simulator that is installed here computes on. Asked in a process of its own: the server loads no qiskit."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Final

_ASK: Final = "import json, qiskit_aer; print(json.dumps(list(qiskit_aer.AerSimulator().available_devices())))"
_PATIENCE_S: Final = 120


def simulator_devices(python: str = sys.executable) -> frozenset[str]:
    """Some of 'CPU' and 'GPU', by that Python's qiskit-aer; none: it has none. Takes seconds."""
    try:
        said = subprocess.run([python, "-I", "-c", _ASK], capture_output=True, check=True, timeout=_PATIENCE_S)  # noqa: S603  our own line
        return frozenset(map(str, json.loads(said.stdout)))
    except (OSError, ValueError, subprocess.SubprocessError):
        return frozenset()
