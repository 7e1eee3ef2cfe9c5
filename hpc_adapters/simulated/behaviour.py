"""What a simulated job does: told by its payload, so that a test or a trace decides and the cluster only obeys."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from hpc_adapters.contract import Circuit, JobRequest, Script, Seen, SessionHold

SHEBANG = b"#!simulated\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """True run time and ending of the user's code, when nothing cuts it short."""

    run_s: float = 1.0
    ending: Seen = Seen.SUCCEEDED
    exit_code: int = 0
    stdout: str = ""
    """Comes whole at the end; the line 'started' comes at the start."""
    stderr: str = ""
    result: dict[str, Any] | None = None

    def script(self) -> Script:
        """The payload that makes a simulated cluster behave so."""
        told = {
            "run_s": self.run_s,
            "ending": self.ending.value,
            "exit_code": self.exit_code,
            "stdout": self.stdout,
            "stderr": self.stderr,
            "result": self.result,
        }
        return Script(body=SHEBANG + json.dumps(told, sort_keys=True).encode())


def declared(request: JobRequest) -> Behaviour:
    """Read what the payload declares. A script of another kind runs a second and succeeds; a circuit gives a GHZ-like
    even split of its shots.
    """
    match request.payload:
        case Script(body=body) if body.startswith(SHEBANG):
            told = json.loads(body.removeprefix(SHEBANG))
            return Behaviour(**{**told, "ending": Seen(told["ending"])})
        case Script():
            return Behaviour()
        case Circuit(shots=shots):
            return Behaviour(run_s=1 + shots / 1000, result={"counts": {"0": shots - shots // 2, "1": shots // 2}})
        case SessionHold():
            return Behaviour(run_s=request.walltime_s)
