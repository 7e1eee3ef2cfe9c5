"""What a confined process says of a program that it refused: a stranger's words, as the program may write them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Final

from hpc_adapters.workloads.circuit_refusals import CODES

_MAX_FACTS: Final = 16
_MAX_TEXT: Final = 200
_MOST: Final = 2**63
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")
_TAKEN: Final = frozenset({"self", "code"})
"""Names of `Rejected`'s own."""


def refusal_in(told: Mapping[str, object]) -> tuple[str, dict[str, object]] | None:
    """Code and facts of {"error": {"code", "facts"}}; None: it says no code that we know."""
    error = told.get("error")
    if not isinstance(error, dict):
        return None
    code = error.get("code")
    return (code, facts_in(error.get("facts"))) if isinstance(code, str) and code in CODES else None


def facts_in(told: object) -> dict[str, object]:
    """So many short names with numbers or short printable texts, as `Rejected` takes them; all else is left out."""
    if not isinstance(told, dict):
        return {}
    known = [(name, value) for name, value in told.items() if _is_name(name) and _is_value(value)]
    return dict(known[:_MAX_FACTS])


def _is_name(name: object) -> bool:
    return isinstance(name, str) and _NAME.fullmatch(name) is not None and name not in _TAKEN


def _is_value(value: object) -> bool:
    match value:
        case bool():
            return True
        case int():
            return -_MOST <= value < _MOST
        case float():
            return math.isfinite(value)
        case str():
            return len(value) <= _MAX_TEXT and value.isprintable()
        case _:
            return False
