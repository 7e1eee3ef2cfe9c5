"""What runs in each round of a hybrid loop: a user's function between the files of the rounds. Standard library only.

It travels pickled by value, so it imports nothing of Kyoyo. Files are those of `kyoyo.hybrid`.
"""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

STATE = "state.pickle"
PROGRAM = "circuit.json"
RESULT = "result.json"
DONE = "kyoyo-done"


class Done:
    """What a propose function returns instead of a program when it has found what it looked for."""

    def __init__(self, value: Any = None) -> None:
        self.value = value


def one_round(propose: Callable[[Any, Any], tuple[Any, Any]], propose_phase: str, measure_phase: str) -> Any:
    """propose(state, result) -> (state, program), with what the round before left; (state, Done(value)) ends the job.

    state: anything that can be pickled, None in the first round. result: the JSON that the QPU left. program: a
    document of PUBs as a mapping, or OpenQASM text. The value of a Done is the job's result.
    """
    given = Path(os.environ.get("KYOYO_INPUT_DIR") or "inputs")
    left = Path(os.environ.get("KYOYO_OUTPUT_DIR") or "output")
    left.mkdir(parents=True, exist_ok=True)
    old, measured = given / propose_phase / STATE, given / measure_phase / RESULT
    state = pickle.loads(old.read_bytes()) if old.is_file() else None  # noqa: S301  our own, of the round before
    result = json.loads(measured.read_text(encoding="utf-8")) if measured.is_file() else None
    state, program = propose(state, result)
    (left / STATE).write_bytes(pickle.dumps(state))
    if not isinstance(program, str | dict):  # a Done by whatever way it came here, or None
        (left / DONE).write_text("", encoding="utf-8")
        return getattr(program, "value", None)
    text = program if isinstance(program, str) else json.dumps(program)
    (left / PROGRAM).write_text(text, encoding="utf-8")
    return None
