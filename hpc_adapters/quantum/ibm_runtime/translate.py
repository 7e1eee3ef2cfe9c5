"""From IBM's words to the port's. Pure.

States: GET /jobs/ID `state.status` with `reason_code`; codes by IBM's registry of errors. Usage: GET /jobs/ID/metrics.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from hpc_adapters.contract import Seen
from hpc_adapters.quantum.stamps import instant

RAN_TOO_LONG: Final = 1305
_TIMED_OUT: Final = 5201
_SESSION_CLOSED: Final = 4001
_PROGRAMS_FAULT: Final = (
    frozenset({1002, 1003, 1101, 1102, 1103, 1104, 1105, 1106, 1107, 1109}),
    range(6000, 9000),  # shots, instructions, waveforms: what the program asks for
)
BY_VENDOR: Final = "cancelled-by-vendor"
SESSION_OVER: Final = "session-over"
CAP_REACHED: Final = "qpu-cap-reached"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What we asked of a job ourselves, which IBM does not tell apart from its own doing."""

    cancelled: bool = False
    out_of_walltime: bool = False
    capped: bool = False
    """Its limit of execution time was the program's cap, not its walltime."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What IBM says of one job."""

    seen: Seen
    detail: str = ""
    started_at: datetime | None = None
    ended_at: datetime | None = None


def told_of(look: Mapping[str, Any], wishes: Wishes) -> Told:
    """A total table: a word that we do not know is UNKNOWN, and its detail is that word."""
    job, metrics = look["job"], look.get("metrics") or {}
    state = job.get("state") if isinstance(job.get("state"), dict) else {}
    word = str(state.get("status", "")).upper()
    code = _code(state)
    stamps = metrics.get("timestamps") or {}
    started, ended = instant(stamps.get("running")), instant(stamps.get("finished"))
    if word in _LIVE:
        return Told(seen=_LIVE[word], started_at=started)
    if word == "COMPLETED":
        return Told(seen=Seen.SUCCEEDED, started_at=started, ended_at=ended)
    if word.startswith("CANCELLED"):
        seen, detail = _cancelled(word, code, wishes)
    elif word == "FAILED":
        seen, detail = _failed(code, wishes)
    else:
        return Told(seen=Seen.UNKNOWN, detail=f"ibm-{_plain(word)}", started_at=started)
    return Told(seen=seen, detail=detail, started_at=started, ended_at=ended)


_LIVE: Final = {"QUEUED": Seen.WAITING, "RUNNING": Seen.RUNNING}


def _cancelled(word: str, code: int, wishes: Wishes) -> tuple[Seen, str]:
    if code == RAN_TOO_LONG or "RAN TOO LONG" in word:
        return _too_long(wishes)
    if wishes.out_of_walltime:
        return Seen.TIMED_OUT, ""
    if wishes.cancelled:
        return Seen.CANCELLED, ""
    if code == _SESSION_CLOSED:
        return Seen.CANCELLED, SESSION_OVER
    return Seen.NODE_FAILED, BY_VENDOR  # our own wishes are written down before they are sent


def _failed(code: int, wishes: Wishes) -> tuple[Seen, str]:
    if code in {RAN_TOO_LONG, _TIMED_OUT}:
        return _too_long(wishes)
    if code == _SESSION_CLOSED:
        return Seen.CANCELLED, SESSION_OVER
    if any(code in codes for codes in _PROGRAMS_FAULT):
        return Seen.FAILED, f"ibm-{code}"
    return Seen.NODE_FAILED, f"ibm-{code}" if code else "ibm-failed"


def _too_long(wishes: Wishes) -> tuple[Seen, str]:
    return (Seen.FAILED, CAP_REACHED) if wishes.capped else (Seen.TIMED_OUT, "")


def _code(state: Mapping[str, Any]) -> int:
    told = state.get("reason_code") or state.get("reasonCode") or 0
    try:
        return int(told)
    except (TypeError, ValueError):
        return 0


def _plain(word: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in word.lower())[:40] or "no-status"


@dataclass(frozen=True, slots=True)
class Usage:
    """QPU seconds that IBM charges. `final`: it has worked them out."""

    qpu_s: Decimal
    final: bool


def usage_of(metrics: Mapping[str, Any]) -> Usage:
    """What cannot be read is 0, and not final: it is asked for again."""
    told = metrics.get("usage")
    if not isinstance(told, dict):
        return Usage(Decimal(0), final=False)
    try:
        used = Decimal(str(told.get("qpu_charge_time_seconds")))
    except InvalidOperation:
        return Usage(Decimal(0), final=False)
    if not used.is_finite() or used < 0:
        return Usage(Decimal(0), final=False)
    return Usage(used, final=str(told.get("status", "pending")) != "pending")


def charged(told: Told, used: Decimal, *, cap_us: int | None) -> Decimal:
    """QPU seconds that count: none for what was not the customer's doing, and never more than the program's cap."""
    if told.seen in {Seen.NODE_FAILED, Seen.UNKNOWN, Seen.WAITING}:
        return Decimal(0)
    return used if cap_us is None else min(used, Decimal(cap_us) / 1_000_000)
