"""What an operator must hear of: each has a counter and a line in the log."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import structlog
from prometheus_client import Counter, Gauge

from hpc_adapters.contract import UsageRow

_log = structlog.get_logger("metering")

_TAKEN = Counter("kyoyo_accounting_rows_total", "Rows of accounting, by what became of them", ["backend", "taken"])
_PARKED = Counter("kyoyo_accounting_rows_parked_total", "Rows that could not be taken", ["backend", "reason"])
_UNAVAILABLE = Counter("kyoyo_accounting_unavailable_total", "Calls that a backend did not answer", ["backend", "call"])
_WITHOUT_RECORD = Counter("kyoyo_attempts_without_record_total", "Ended attempts with no record", ["backend"])
_LAG = Gauge("kyoyo_accounting_lag_seconds", "For how long a backend's accounting has not been collected", ["backend"])
_INCOMPLETE = Gauge("kyoyo_attempts_incomplete", "Ended attempts whose accounting is overdue", ["backend"])


_RAN_NOTHING = Counter(
    "kyoyo_accounting_ran_nothing_total", "Records that a backend made without running the program", ["backend", "why"]
)
_MARKS = ("turned_away", "runaway")


def ran_nothing(backend: str, row: UsageRow) -> None:
    """A second start that the gate turned away, or a record that the backend lost the end of."""
    for mark in _MARKS:
        if mark in row.facts:
            _RAN_NOTHING.labels(backend, mark.replace("_", "-")).inc()
            _log.warning("accounting-row-ran-nothing", backend=backend, why=mark, key=ascii(row.natural_key))


def taken(backend: str, how: str, natural_key: str, attempt_id: UUID | None) -> None:
    _TAKEN.labels(backend, how).inc()
    if how in {"outside-portal", "unknown-attempt"}:
        _log.warning("accounting-row-not-billed", backend=backend, why=how, key=natural_key, attempt_id=str(attempt_id))


def parked(backend: str, reason: str, natural_key: str, detail: str) -> None:
    _PARKED.labels(backend, reason).inc()
    # In ASCII: what a backend says may be no text at all, and a log that cannot be written must not stop the others.
    _log.error("accounting-row-parked", backend=backend, reason=reason, key=ascii(natural_key), detail=ascii(detail))


def unavailable(backend: str, call: str, detail: str) -> None:
    _UNAVAILABLE.labels(backend, call).inc()
    _log.warning("backend-unavailable", backend=backend, call=call, detail=detail)


def without_record(backend: str, attempt_id: UUID) -> None:
    _WITHOUT_RECORD.labels(backend).inc()
    _log.warning("attempt-settled-without-record", backend=backend, attempt_id=str(attempt_id))


def behind(backend: str, lag: timedelta) -> None:
    """How far the collected accounting ends before now: it grows while the backend does not answer."""
    _LAG.labels(backend).set(max(0.0, lag.total_seconds()))


def incomplete(backend: str, attempts: int) -> None:
    _INCOMPLETE.labels(backend).set(attempts)
