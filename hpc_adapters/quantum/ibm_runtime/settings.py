"""What an operator says of one IBM Quantum device."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpc_adapters.quantum.bridge import Program

_WORKER = "hpc_adapters.quantum.ibm_runtime.worker"
_START_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class IbmSettings:
    """One device of one instance, as one backend.

    `credentials_file`: JSON with "token" (an IBM Cloud API key) and "instance" (the CRN). It is read when the bridge
    starts, and handed to it through its standard input.
    """

    name: str
    device: str
    """IBM's name of it, such as ibm_torino."""
    credentials_file: Path
    python: str | None = None
    """Of an environment with qiskit-ibm-runtime 0.51.0; None: our own."""
    domestic: bool = False
    """Whether it stands in Japan."""
    slots: int = 3
    """Jobs and sessions of ours at a time; IBM's plans limit the jobs that have not ended."""
    sessions: bool = True
    """Whether the instance's plan has sessions. Batches are always there."""
    max_operations: int = 100_000
    max_shots: int = 100_000
    """Of one PUB, below the device's own limit."""
    max_result_bytes: int = 32 * 2**20
    translate_s: int = 60
    """So long may a program take to be translated for the device."""
    translate_mb: int = 1024
    """Beside the interpreter with qiskit."""
    translate_wait_s: float = 8.0
    """So long does `submit` wait for that; with its other calls shorter than its caller's time limit."""
    base_us: int = 2_000_000
    """QPU time of a job beside its circuits, for estimates."""
    per_kshot_us: int = 300_000
    """QPU time of a thousand executions, for estimates of what could not be translated."""
    proxy_url: str | None = None
    api_url: str | None = None
    """Another address of the API, and of the tokens; for tests."""
    iam_url: str | None = None
    connect_s: float = 5.0
    answer_s: float = 12.0
    settle_window_s: float = 60.0
    """So long may a job that IBM took be missing in its list."""
    accounting_lag_s: float = 900.0
    """So long after an end IBM may still work out the usage."""
    result_patience_s: float = 900.0
    """So long may the result of a completed job be missing before it counts as lost."""

    def program(self) -> Program:
        """The bridge's process. A proxy is no secret; one that needs a password is not for here."""
        proxies = {"HTTPS_PROXY": self.proxy_url} if self.proxy_url else {}
        return Program(module=_WORKER, python=self.python, environment=proxies, start_s=_START_S)

    def hello(self) -> Mapping[str, Any]:
        """What the bridge is told first, the credentials included. OSError, ValueError: they cannot be read."""
        told = json.loads(self.credentials_file.read_text(encoding="utf-8"))
        if not isinstance(told, dict) or not all(isinstance(told.get(key), str) for key in ("token", "instance")):
            raise ValueError("a credentials file has 'token' and 'instance'")
        return {
            "token": told["token"],
            "instance": told["instance"],
            "device": self.device,
            "api_url": self.api_url,
            "iam_url": self.iam_url,
            "connect_s": self.connect_s,
            "answer_s": self.answer_s,
        }
