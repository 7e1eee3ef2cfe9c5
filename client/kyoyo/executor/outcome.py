"""What a function that ran as a job has left, as the runner writes it: its value, or the traceback of its error."""

from __future__ import annotations

import base64
import pickle
from typing import Any

from kyoyo.executor.errors import ForgedResult
from kyoyo.executor.sealing import is_sealed
from kyoyo.models import Fields

SUCCESS, ERROR = "success", "error"


def kind_of(left: object) -> str:
    """SUCCESS or ERROR; empty: it is nothing that a function left."""
    told = _fields(left)
    return told.text("outcome", "") if told.told.get("kyoyo_executor") == 1 else ""


def traceback_of(left: object) -> str:
    """Of an ERROR."""
    return _fields(left).text("traceback", "")


def is_pickled(left: object) -> bool:
    """Whether the value of a SUCCESS is no plain JSON."""
    return "value" not in _fields(left).told


def value_of(left: object, *, job: str, key: bytes | None, index: int = 0) -> Any:
    """Of a SUCCESS. key: of the submission; None: nothing is unpickled. ForgedResult."""
    told = _fields(left)
    if "value" in told.told:
        return told.told["value"]
    try:
        body = base64.b64decode(told.text("pickle", ""), validate=True)
    except ValueError:
        body = b""
    if key is None or not is_sealed(body, told.text("seal", ""), key=key, index=index):
        raise ForgedResult(f"job {job}: the pickled result bears no seal of this executor")
    return pickle.loads(body)  # noqa: S301  sealed by the script that we sent


def _fields(left: object) -> Fields:
    return Fields(left if isinstance(left, dict) else {})
