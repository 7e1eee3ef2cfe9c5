"""From confined runs and the program's own words to the port's. Pure."""

from __future__ import annotations

import json
from datetime import datetime

from hpc_adapters.confined.model import Phase, RunState
from hpc_adapters.contract import Seen
from hpc_adapters.workloads.circuit_refusals import CODES

_EXECUTING, _MEASURED = "executing", "measured"
_MEASURED_WORDS = 2
_DIGITS = 12


def seen(state: RunState) -> Seen:
    """A total table: an ended run without a readable ending is UNKNOWN."""
    match state.phase:
        case Phase.STARTING:
            return Seen.WAITING
        case Phase.RUNNING:
            return Seen.RUNNING
        case Phase.ENDED | Phase.VANISHED:
            return state.ending or Seen.UNKNOWN


def execution_began(stdout: bytes) -> datetime | None:
    """When the program reached the device, by the line that `run_circuit` printed then.

    The line comes from inside the sandbox: what cannot be read counts as never.
    """
    for line in stdout.decode(errors="replace").splitlines():
        when, _, rest = line.partition(" ")
        if rest.split(" ", 1)[0] == _EXECUTING:
            try:
                began = datetime.fromisoformat(when)
            except ValueError:
                return None
            return began if began.tzinfo is not None else None
    return None


def executions_taken(stdout: bytes) -> int | None:
    """How many executions the program said it had taken, when it was through. None: it did not say."""
    for line in reversed(stdout.decode(errors="replace").splitlines()):
        words = line.split(" ")
        if words[1:2] == [_MEASURED]:
            digits = words[2].removeprefix("executions=") if len(words) > _MEASURED_WORDS else ""
            return int(digits) if digits.isdecimal() and len(digits) <= _DIGITS else None
    return None


def refusal_code(result: bytes) -> str:
    """The code that a failed program left, when it is one of ours; empty otherwise."""
    try:
        code = json.loads(result)["error"]["code"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
    return code if isinstance(code, str) and code in CODES else ""
