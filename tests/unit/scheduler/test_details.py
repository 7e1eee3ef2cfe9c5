"""Every machine word that the quantum adapters can say has words for people, in both languages."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import hpc_adapters
from hpc_adapters.devices import DeviceState
from hpc_adapters.quantum.aer import sessions as aer_sessions
from hpc_adapters.quantum.ibm_runtime import sessions as ibm_sessions
from hpc_adapters.workloads.circuit_refusals import CODES
from scheduler.core.details import ENDED, NOT_NOW, PROGRAM, words_for

ADAPTERS = Path(hpc_adapters.__file__).parent
WORD = re.compile(r"[a-z0-9]+(-[a-z0-9]+)+(-|: ?)?|[a-z0-9]+: ?")
REFUSALS = {"Rejected", "CircuitRefused", "ProgramRefused"}  # what those say has its advice: see test_explain
NO_DETAILS = {
    "6f717470-7573-4000-8000-000000000000",  # a name space of ids
    "ibm-quantum-compute-service",  # kinds of resources, in settings
    "ibm-quantum-system",
    "latin-1",
    "utf-8",
    "oqtopus-user-api",  # where a result is from
    "q-api-token",  # headers
    "retry-after",
    "qiskit-ibm-runtime",
    "qpu-cap",  # why we stop a job ourselves; it is told as 'qpu-cap-reached'
    "calibration: ",  # of health, which operators read
    "no-isolation: one organisation only",
}


def said_in(tree: ast.AST) -> Iterator[str]:
    """Its words of that form, but for what a refusal is named by; and all that is said with Unavailable."""
    skipped: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            first = node.args[0] if node.args else None
            if node.func.id in REFUSALS and first is not None:
                skipped.add(id(first))
            if node.func.id == "Unavailable" and isinstance(first, ast.Constant):
                yield str(first.value)
        if isinstance(node, ast.Expr):  # a docstring
            skipped.add(id(node.value))
        is_text = isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in skipped
        if is_text and WORD.fullmatch(node.value):
            yield node.value


@pytest.mark.parametrize("path", sorted((ADAPTERS / "quantum").rglob("*.py")), ids=lambda path: path.stem)
def test_every_word_of_an_adapter_has_words_for_people(path: Path) -> None:
    said = set(said_in(ast.parse(path.read_text(encoding="utf-8")))) - NO_DETAILS
    assert {word for word in said if words_for(word) is None} == set()


def test_so_have_those_that_are_no_words_of_that_form() -> None:
    states = {state.value for state in DeviceState} - {"online"}
    sessions = {getattr(each, name) for each in (aer_sessions, ibm_sessions) for name in ("CLOSED", "IDLE", "EXPIRED")}
    confined = set(re.findall(r'[dD]etail"?(?: = |: |=)"([a-z-]+)"', _text("confined"))) | {"supervisor-vanished"}
    assert len(confined) >= 4
    for word in (*states, *(f"device-{state}" for state in states), *sessions, *confined, *CODES):
        assert words_for(word) is not None, word
    assert set(PROGRAM) == set(CODES)


def test_a_word_may_carry_facts() -> None:
    assert words_for("vendor-error: HTTP 503: away") == words_for("vendor-error")
    assert words_for("qrmi-OSError-503") == NOT_NOW["qrmi"]
    assert words_for("ibm-6003") is not None
    assert words_for("of-tomorrow") is words_for("") is None


@pytest.mark.parametrize("pair", [*ENDED.values(), *NOT_NOW.values(), *PROGRAM.values()])
def test_phrases_fit_into_brackets(pair: tuple[str, str]) -> None:
    ja, en = pair
    assert ja
    assert not ja.endswith("。")
    assert en.isascii()
    assert not en.endswith(".")


def _text(folder: str) -> str:
    return "".join(path.read_text(encoding="utf-8") for path in (ADAPTERS / folder).rglob("*.py"))
