"""The backends' accounting against what we stored of it, row by row. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from hpc_adapters.contract import UsageRow
from metering.audit.model import Difference, Told


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """The newest revision of a record that we have."""

    natural_key: str
    attempt_id: UUID | None
    started_at: datetime
    ended_at: datetime | None
    ending: str
    components: Mapping[str, Decimal]
    recorded_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Ours:
    """An attempt of ours. told_at: when its end was known. charged: it ended in a way for which its user pays.
    without_record: settled so, on record.
    """

    attempt_id: UUID
    state: str
    is_over: bool
    told_at: datetime | None
    charged: bool
    without_record: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """What we have of one backend. collected_to: its accounting was read up to here."""

    rows: Mapping[str, Stored]
    attempts: Mapping[UUID, Ours]
    collected_to: datetime | None


def compare(told: Told, shelf: Shelf, *, young_since: datetime) -> list[Difference]:
    """young_since: an attempt that ended later may still lack its record."""
    if told.rows is None:
        subject = f"backend:{told.backend}"
        return [Difference(check="backend-not-asked", subject=subject, expected="its accounting", found="no answer")]
    return [
        *_rows(told, told.rows, shelf),
        *_unknown_to_backend(told, told.rows, shelf),
        *_runs(told, told.rows, shelf, young_since),
        *_without_record(told, told.rows, shelf, young_since),
    ]


def _rows(told: Told, rows: Iterable[UsageRow], shelf: Shelf) -> Iterable[Difference]:
    """Each final record of the backend is stored, as it is."""
    for row in {row.natural_key: row for row in rows if row.final}.values():
        stored = shelf.rows.get(row.natural_key)
        expected, found = _said(row), "nothing" if stored is None else _kept(stored)
        if expected != found:
            check = "accounting-row-missing" if stored is None else "accounting-row-differs"
            explanation = _not_collected_yet(told, row, shelf) if stored is None else None
            yield Difference(
                check=check,
                subject=_subject(told, row.natural_key),
                expected=expected,
                found=found,
                explanation=explanation,
            )


def _not_collected_yet(told: Told, row: UsageRow, shelf: Shelf) -> str | None:
    lag = timedelta(seconds=told.lag_s)
    too_young = shelf.collected_to is None or row.ended_at is None or row.ended_at + lag >= shelf.collected_to
    return "it ended after the last collection" if too_young else None


def _unknown_to_backend(told: Told, rows: Iterable[UsageRow], shelf: Shelf) -> Iterable[Difference]:
    """Each stored record of the time that was asked for is the backend's."""
    known = {row.natural_key for row in rows}
    for stored in shelf.rows.values():
        if stored.natural_key in known or (stored.ended_at or stored.started_at) < told.since:
            continue
        late = stored.recorded_at >= told.asked_at or stored.started_at >= told.asked_at
        yield Difference(
            check="accounting-row-not-of-backend",
            subject=_subject(told, stored.natural_key),
            expected="a record of the backend",
            found=_kept(stored),
            explanation="it came after the backend was asked" if late else None,
        )


def _runs(told: Told, rows: Iterable[UsageRow], shelf: Shelf, young_since: datetime) -> Iterable[Difference]:
    """Each run of the backend is an attempt of ours, ran once, and is over when we say so."""
    runs = list({row.natural_key: row for row in rows}.values())
    for row in runs:
        if row.attempt_id is None:
            yield _run(told, row, "run-outside-portal", "an attempt", "none", "it ran outside the portal; never billed")
        elif (ours := shelf.attempts.get(row.attempt_id)) is None:
            yield _run(told, row, "run-of-unknown-attempt", "an attempt of ours", str(row.attempt_id), None)
        elif ours.is_over and not row.final:
            excused = ours.state == "LOST" or (ours.told_at or young_since) >= young_since
            why = "given up, or its record is not final yet" if excused else None
            yield _run(told, row, "runs-though-ended", ours.state, row.ending.value, why)
    used = Counter(row.attempt_id for row in runs if row.attempt_id and any(row.components.values()))
    for attempt_id, count in used.items():
        if count > 1:
            yield Difference(
                check="ran-more-than-once",
                subject=f"attempt:{attempt_id}",
                expected="1 run that used something",
                found=str(count),
            )


def _without_record(told: Told, rows: Iterable[UsageRow], shelf: Shelf, young_since: datetime) -> Iterable[Difference]:
    """Each attempt that is charged has a record."""
    recorded = {row.attempt_id for row in rows} | {stored.attempt_id for stored in shelf.rows.values()}
    for ours in shelf.attempts.values():
        if not ours.charged or ours.attempt_id in recorded or (ours.told_at or told.since) < told.since:
            continue
        explanation = None
        if ours.without_record:
            explanation = "settled for nothing; the audit trail says so"
        elif ours.told_at is not None and ours.told_at >= young_since:
            explanation = "its record may still come"
        yield Difference(
            check="attempt-without-record",
            subject=f"attempt:{ours.attempt_id}",
            expected="a record of its run",
            found="none",
            explanation=explanation,
        )


def _run(told: Told, row: UsageRow, check: str, expected: str, found: str, why: str | None) -> Difference:
    return Difference(
        check=check, subject=_subject(told, row.natural_key), expected=expected, found=found, explanation=why
    )


def _subject(told: Told, natural_key: str) -> str:
    return f"record:{told.backend}/{ascii(natural_key)[1:-1]}"


def _said(row: UsageRow) -> str:
    return _text(row.attempt_id, row.started_at, row.ended_at, row.ending.value, row.components)


def _kept(stored: Stored) -> str:
    return _text(stored.attempt_id, stored.started_at, stored.ended_at, stored.ending, stored.components)


def _text(
    attempt_id: UUID | None, started_at: datetime, ended_at: datetime | None, ending: str, used: Mapping[str, Decimal]
) -> str:
    amounts = " ".join(f"{name}={amount.normalize():f}" for name, amount in sorted(used.items()))
    span = f"{started_at:%Y-%m-%dT%H:%M:%S.%f} .. {'?' if ended_at is None else f'{ended_at:%Y-%m-%dT%H:%M:%S.%f}'}"
    return f"{attempt_id} {ending} {span} {amounts}"
