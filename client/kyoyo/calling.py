"""Inside a job: calls to the QPU that was submitted beside it. Standard library only.

    session = kyoyo.qpu_session()
    for angle in angles:
        result = session.run(circuit(angle), shots=1000)

A call is a file in KYOYO_QPU_DIR, and so is its answer: the job needs neither a network nor a token. This module
travels pickled by value, so it imports nothing of Kyoyo; as one file beside a program it does as well.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FOLDER = "KYOYO_QPU_DIR"
CALL = "kyoyo.call/1"
_SHORTEST_S, _LONGEST_S = 0.02, 0.5


class QpuRefused(RuntimeError):
    """A call that was not carried out, or has left no result. code: a machine word; facts: what it is about."""

    def __init__(self, code: str, facts: Mapping[str, Any]) -> None:
        super().__init__(code, dict(facts))
        self.code, self.facts = code, facts


class QpuSession:
    """The mailbox of this job. Several threads and processes may use it: calls are carried out one after the other."""

    def __init__(self, folder: str | Path | None = None) -> None:
        """folder: the mailbox; None: that of this job. LookupError: it was submitted without a QPU."""
        found = folder if folder is not None else os.environ.get(FOLDER)
        if not found:
            raise LookupError(f"{FOLDER} is not set: this job was submitted without a QPU")
        self._folder = Path(found)
        self._next = 1

    def run(self, program: Any, *, shots: int | None = None, timeout_s: float | None = None) -> dict[str, Any]:
        """call() and result(): what the device left, as a circuit's `Job.result()` has it. QpuRefused, TimeoutError."""
        return self.result(self.call(program, shots=shots), timeout_s=timeout_s)

    def call(self, program: Any, *, shots: int | None = None) -> int:
        """Ask, and do not wait; the number of the call. program: OpenQASM text or a Qiskit circuit, with `shots`, or a
        document of PUBs.
        """
        if not isinstance(program, str | Mapping):
            from qiskit import qasm3  # noqa: PLC0415  whoever has a circuit has it

            program = qasm3.dumps(program)
        if isinstance(program, str):
            if shots is None:
                raise ValueError("OpenQASM text needs shots")
            told = json.dumps({"format": CALL, "program": program, "shots": shots})
        else:
            told = json.dumps(program)
        fd, name = tempfile.mkstemp(prefix=".call-", dir=self._folder)
        aside = Path(name)
        try:
            with os.fdopen(fd, "w", encoding="utf-8") as file:
                file.write(told)
            return self._leave(aside)
        finally:
            aside.unlink()

    def result(self, number: int, *, timeout_s: float | None = None) -> dict[str, Any]:
        """The answer to a call, once it is there. timeout_s None: as long as the job may run."""
        answer, pause_s = self._folder / f"call-{number}.result.json", _SHORTEST_S
        until = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            try:
                told = json.loads(answer.read_text(encoding="utf-8"))
                break
            except FileNotFoundError:
                if until is not None and time.monotonic() > until:
                    raise TimeoutError(f"no answer to call {number} after {timeout_s} s") from None
            time.sleep(pause_s)
            pause_s = min(pause_s * 1.5, _LONGEST_S)
        error = told.get("error") if isinstance(told, dict) else None
        if isinstance(error, dict):
            raise QpuRefused(str(error.get("code")), error.get("facts") or {})
        return dict(told)

    def _leave(self, aside: Path) -> int:
        """Under the first number that nobody has: a link is made whole, and only where there is no file yet."""
        while True:
            number = self._next
            self._next += 1
            try:
                os.link(aside, self._folder / f"call-{number}.json")
            except FileExistsError:
                continue
            return number


def qpu_session(folder: str | Path | None = None) -> QpuSession:
    """The QPU beside this job. LookupError: it was submitted without one."""
    return QpuSession(folder)


def with_session(function: Any) -> Any:
    """What a decorated function runs as: it is given the session."""
    return function(qpu_session())
