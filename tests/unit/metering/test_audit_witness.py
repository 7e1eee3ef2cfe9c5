"""A backend's accounting against what we have of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest

from hpc_adapters.contract import Seen, UsageRow
from metering.audit.model import Told
from metering.audit.witness import Ours, Shelf, Stored, compare

NOON = datetime(2026, 4, 1, 3, tzinfo=UTC)
HOUR = timedelta(hours=1)
ATTEMPT = UUID(int=1)
YOUNG_SINCE = NOON + 20 * HOUR
ROW = UsageRow(
    natural_key="17",
    attempt_id=ATTEMPT,
    started_at=NOON,
    ended_at=NOON + HOUR,
    final=True,
    ending=Seen.SUCCEEDED,
    components={"gpu_s": Decimal("3600.0")},
)
STORED = Stored(
    natural_key="17",
    attempt_id=ATTEMPT,
    started_at=NOON,
    ended_at=NOON + HOUR,
    ending="succeeded",
    components={"gpu_s": Decimal(3600)},
    recorded_at=NOON + 2 * HOUR,
)
OURS = Ours(
    attempt_id=ATTEMPT,
    state="SUCCEEDED",
    is_over=True,
    told_at=NOON + HOUR,
    charged=True,
    without_record=False,
)
SHELF = Shelf(rows={"17": STORED}, attempts={ATTEMPT: OURS}, collected_to=NOON + 24 * HOUR)
TOLD = Told(backend="cluster", since=NOON - HOUR, asked_at=NOON + 24 * HOUR, lag_s=60, rows=[ROW])


def found(told: Told = TOLD, shelf: Shelf = SHELF) -> list[tuple[str, bool]]:
    """(check, is it explained)."""
    return [(each.check, each.explanation is not None) for each in compare(told, shelf, young_since=YOUNG_SINCE)]


def said(*rows: UsageRow) -> Told:
    return replace(TOLD, rows=rows)


def having(*attempts: Ours, rows: tuple[Stored, ...] = (STORED,)) -> Shelf:
    return replace(SHELF, attempts={each.attempt_id: each for each in attempts}, rows={r.natural_key: r for r in rows})


def test_the_same_on_both_sides_is_no_difference() -> None:
    assert found() == []
    assert found(said(ROW, ROW)) == []


@pytest.mark.parametrize(
    "changed",
    [
        {"components": {"gpu_s": Decimal(3601)}},
        {"ended_at": NOON + HOUR + timedelta(microseconds=1)},
        {"ending": Seen.FAILED},
    ],
)
def test_a_record_that_says_something_else_differs(changed: dict[str, object]) -> None:
    assert found(said(replace(ROW, **changed))) == [("accounting-row-differs", False)]


def test_a_missing_record_is_explained_only_when_it_cannot_have_been_collected_yet() -> None:
    assert found(shelf=having(OURS, rows=())) == [("accounting-row-missing", False)]
    early = replace(having(OURS, rows=()), collected_to=NOON + HOUR)
    assert found(shelf=early) == [("accounting-row-missing", True)]


def test_a_record_that_the_backend_does_not_have_is_found() -> None:
    assert found(said()) == [("accounting-row-not-of-backend", False)]
    assert found(replace(said(), since=NOON + 2 * HOUR)) == []  # older than what was asked for


def test_a_run_of_nobody_is_known_and_a_run_of_a_stranger_is_not() -> None:
    alone = replace(SHELF, attempts={})
    assert found(said(ROW), alone) == [("run-of-unknown-attempt", False)]
    outside = replace(ROW, attempt_id=None)
    stored = replace(STORED, attempt_id=None)
    assert found(said(outside), having(rows=(stored,))) == [("run-outside-portal", True)]


def test_two_runs_of_one_attempt_are_found_unless_one_used_nothing() -> None:
    again, stored = replace(ROW, natural_key="18"), replace(STORED, natural_key="18")
    assert found(said(ROW, again), having(OURS, rows=(STORED, stored))) == [("ran-more-than-once", False)]
    turned_away = replace(again, components={"gpu_s": Decimal(0)})
    kept = replace(stored, components={"gpu_s": Decimal(0)})
    assert found(said(ROW, turned_away), having(OURS, rows=(STORED, kept))) == []


def test_an_ended_attempt_that_still_runs_is_found() -> None:
    running = replace(ROW, ended_at=None, final=False, ending=Seen.RUNNING)
    assert ("runs-though-ended", False) in found(said(running))
    assert ("runs-though-ended", True) in found(said(running), having(replace(OURS, state="LOST", charged=False)))


def test_a_charged_attempt_has_a_record() -> None:
    silent = replace(OURS, attempt_id=UUID(int=2))
    assert found(shelf=having(OURS, silent)) == [("attempt-without-record", False)]
    assert found(shelf=having(OURS, replace(silent, without_record=True))) == [("attempt-without-record", True)]
    assert found(shelf=having(OURS, replace(silent, told_at=YOUNG_SINCE))) == [("attempt-without-record", True)]
    assert found(shelf=having(OURS, replace(silent, charged=False))) == []


def test_no_answer_is_not_a_clean_answer() -> None:
    assert found(replace(TOLD, rows=None)) == [("backend-not-asked", False)]
