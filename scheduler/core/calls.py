"""Calls that a running job makes to its QPU: what one may ask for, what it is told, when it is too late. Pure.

A call is a file that a stranger wrote. It is a document of PUBs, which says its shots itself, or

    {"format": "kyoyo.call/1", "program": "OPENQASM 3.0; …", "shots": 1000}

and its answer is the result of the device as it left it, or {"error": {"code": …, "facts": {…}}}.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from hpc_adapters.programs import MAX_DOCUMENT_BYTES, ProgramRefused, format_of, work_of
from hpc_adapters.programs import Format as ProgramFormat
from scheduler.core.model import EndReason, State

CALL = "kyoyo.call/1"
MAX_CALL_BYTES = 2 * MAX_DOCUMENT_BYTES
"""Of the file: a program, its characters escaped as JSON does."""
MAX_REFUSED = 100
"""So many calls of an attempt are refused; after one more none of its files is read any more."""
IDLE = "session-idle"
"""Why a call is refused that comes after too long a silence."""
AWAY = "device-away"
"""What a call is told that its device did not take in time."""
_DIGITS = 400  # of a number in a call
_MICRO_S = 1_000_000


class CallRefused(Exception):
    """A call that is not carried out. code: a machine word; facts: JSON values, nothing of the call's own text."""

    def __init__(self, code: str, **facts: object) -> None:
        super().__init__(code)
        self.code, self.facts = code, facts


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """What a job was quoted for its calls. calls, shots: of all of them, over all its attempts; max_shots: of one."""

    calls: int
    shots: int
    max_shots: int
    idle_s: int
    base_us: int
    per_kshot_us: int
    nu_per_hour: float


@dataclass(frozen=True, slots=True)
class Used:
    """What its calls so far took of it: every one that became an attempt, whatever became of that."""

    calls: int = 0
    shots: int = 0


@dataclass(frozen=True, slots=True)
class Call:
    """A call that may be carried out. max_qpu_us: the QPU time at which it is stopped."""

    program: bytes
    shots: int
    max_qpu_us: int
    nu: float


def judged(told: bytes, allowed: Allowance, used: Used) -> Call:
    """The call in a file, if it is one and still covered by the quote. CallRefused."""
    if len(told) > MAX_CALL_BYTES:
        raise CallRefused("call-too-large", max_bytes=MAX_CALL_BYTES)
    try:
        program, shots = _read(told)
    except ProgramRefused as refused:
        raise CallRefused(refused.code, **refused.facts) from refused
    if used.calls >= allowed.calls:
        raise CallRefused("too-many-calls", limit=allowed.calls)
    if shots > allowed.max_shots:
        raise CallRefused("too-many-shots", requested=shots, limit=allowed.max_shots)
    left = allowed.shots - used.shots
    if shots > left:
        raise CallRefused("more-shots-than-quoted", requested=shots, left=left)
    qpu_us = qpu_time_us(allowed, shots)
    return Call(program, shots, qpu_us, qpu_us / _MICRO_S / 3600 * allowed.nu_per_hour)


def qpu_time_us(allowed: Allowance, shots: int) -> int:
    """Of one call, as it was quoted: rounded up."""
    return max(1, allowed.base_us - (-allowed.per_kshot_us * shots // 1000))


def all_qpu_time_us(allowed: Allowance) -> int:
    """At most, of all calls together, however the shots are divided among them: each rounds up by itself."""
    return allowed.calls + qpu_time_us(allowed, allowed.shots) + (allowed.calls - 1) * allowed.base_us


def all_calls_nu(allowed: Allowance) -> float:
    """Normalised units of all calls together, at most."""
    return all_qpu_time_us(allowed) / _MICRO_S / 3600 * allowed.nu_per_hour


def is_idle(allowed: Allowance, since: datetime, now: datetime) -> bool:
    """Whether no call has come for too long. since: the answer to the last one."""
    return now - since > timedelta(seconds=allowed.idle_s)


def answer_of(state: State, reason: str | None, result: bytes) -> bytes:
    """What a call is told of its attempt's end: the device's own result where it left one."""
    refused = (reason or "").removeprefix("refused:")
    if refused != (reason or ""):
        return refusal(refused, {})
    if reason == EndReason.DEVICE_AWAY:
        return refusal(AWAY, {})
    if state is State.SUCCEEDED and result:
        return result
    if state is State.FAILED and result and _is_error(result):
        return result
    return refusal("call-failed", {"state": state.value, "reason": reason or ""})


def refusal(code: str, facts: Mapping[str, object]) -> bytes:
    """The same of one that was not carried out, or has left nothing."""
    return json.dumps({"error": {"code": code, "facts": dict(facts)}}, ensure_ascii=True).encode("ascii")


def _is_error(result: bytes) -> bool:
    """Whether a failed attempt has said itself what was wrong."""
    try:
        told = json.loads(result)
    except (ValueError, RecursionError):
        return False
    return isinstance(told, dict) and "error" in told


def _read(told: bytes) -> tuple[bytes, int]:
    """The program and its executions. CallRefused, ProgramRefused."""
    try:
        call = json.loads(told, parse_int=_integer)
    except (ValueError, RecursionError) as error:
        raise CallRefused("malformed-call", at="json") from error
    if not isinstance(call, dict):
        raise CallRefused("malformed-call", at="call")
    if call.get("format") != CALL:
        return told, work_of(told).executions
    if call.keys() != {"format", "program", "shots"} or not isinstance(call["program"], str):
        raise CallRefused("malformed-call", at="call")
    if type(call["shots"]) is not int or call["shots"] < 1:
        raise CallRefused("malformed-call", at="shots")
    program = call["program"].encode("utf-8", "surrogatepass")
    if format_of(program) is ProgramFormat.PUBS:
        raise CallRefused("malformed-call", at="program")
    return program, int(call["shots"])


def _integer(digits: str) -> int:
    if len(digits) > _DIGITS:
        raise ValueError("too long")
    return int(digits)
