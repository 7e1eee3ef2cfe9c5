"""Rows of a backend's accounting: whether one can be taken, whether it is new, what usage follows from it. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_FLOOR, Decimal
from uuid import NAMESPACE_URL, UUID, uuid5

from hpc_adapters.contract import Seen, UsageRow
from metering.errors import Unreadable, UnreadableRow

COMPONENTS = frozenset({"gpu_s", "cpu_s", "qpu_s", "shot", "session_s", "sim_s"})
_NAMESPACE = uuid5(NAMESPACE_URL, "https://kyoyo.invalid/metering")
_STEP = Decimal("0.000001")
_MOST_TRIES = 12
_LONGEST_NUMBER = 60  # digits; more is no quantity, and not worth writing out
_TOO_MUCH = Decimal(10) ** 14  # numeric(20, 6)
_CLOCK_SKEW = timedelta(days=1)  # a backend may take Japanese time for UTC


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """One version of a record: what we have of it, or what it becomes."""

    row_id: UUID
    number: int
    content_sha256: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Derived:
    """Usage of one component, as a revision of a row says it."""

    usage_record_id: UUID
    component: str
    quantity: Decimal
    supersedes: UUID | None


def as_json(row: UsageRow) -> dict[str, object]:
    """The row's whole content as JSON values, exact; `from_json` reads it back."""
    return {
        "natural_key": row.natural_key,
        "attempt_id": None if row.attempt_id is None else str(row.attempt_id),
        "started_at": _instant(row.started_at),
        "ended_at": None if row.ended_at is None else _instant(row.ended_at),
        "final": row.final,
        "ending": row.ending.value,
        "components": components_text(row.components),
        "facts": dict(row.facts),
    }


def from_json(told: Mapping[str, object]) -> UsageRow:
    """Inverse of `as_json`. KeyError, TypeError or ValueError for anything else."""
    components, facts = told["components"], told["facts"]
    if not (isinstance(components, dict) and isinstance(facts, dict)):
        raise TypeError("components and facts are objects")
    return UsageRow(
        natural_key=str(told["natural_key"]),
        attempt_id=None if told["attempt_id"] is None else UUID(str(told["attempt_id"])),
        started_at=datetime.fromisoformat(str(told["started_at"])),
        ended_at=None if told["ended_at"] is None else datetime.fromisoformat(str(told["ended_at"])),
        final=told["final"] is True,
        ending=Seen(str(told["ending"])),
        components={name: Decimal(text) for name, text in components.items()},
        facts=facts,
    )


def canonical(row: UsageRow) -> str:
    """One text for one content, in ASCII: two rows that say the same have the same. ValueError: not to be written."""
    return json.dumps(as_json(row), sort_keys=True, ensure_ascii=True, allow_nan=False)


def components_text(components: Mapping[str, Decimal]) -> dict[str, str]:
    """Component → exact decimal text; 1.0 and 1.00 are the same."""
    return {name: _exact(amount) for name, amount in components.items()}


def fingerprint(row: UsageRow, revision: int) -> bytes:
    """SHA-256 of a revision and its content. The number is in it so that a value may come back after a correction."""
    return hashlib.sha256(f"{revision}\n{canonical(row)}".encode()).digest()


def is_news(row: UsageRow, known: Revision | None) -> bool:
    """Whether this says something else than the newest revision.

    A stand-in for an end that nobody knows any more corrects no record whose end was told before.
    """
    if known is not None and "runaway" in row.facts:
        return False
    return known is None or fingerprint(row, known.number) != known.content_sha256


def check(row: UsageRow) -> None:
    """UnreadableRow when a final row cannot be true."""
    if row.ended_at is None:
        raise UnreadableRow(Unreadable.NO_END)
    if row.ended_at < row.started_at:
        raise UnreadableRow(Unreadable.END_BEFORE_START)
    if unknown := sorted(row.components.keys() - COMPONENTS):
        raise UnreadableRow(Unreadable.UNKNOWN_COMPONENT, ", ".join(unknown))
    for name, amount in row.components.items():
        if not (amount.is_finite() and 0 <= amount < _TOO_MUCH):
            raise UnreadableRow(Unreadable.BAD_QUANTITY, f"{name}={amount}")


def check_time(row: UsageRow, *, opened_at: datetime, now: datetime) -> None:
    """UnreadableRow when it cannot be a run of an attempt opened then: charged, it would be in a month of its own."""
    if row.started_at < opened_at - _CLOCK_SKEW or (row.ended_at or row.started_at) > now + _CLOCK_SKEW:
        raise UnreadableRow(Unreadable.IMPOSSIBLE_TIME, f"{row.started_at} .. {row.ended_at}")


def contradictory_keys(rows: Iterable[UsageRow]) -> frozenset[str]:
    """Natural keys under which one answer has two different contents: nobody can tell which one is true."""
    first: dict[str, UsageRow] = {}
    return frozenset(row.natural_key for row in rows if first.setdefault(row.natural_key, row) != row)


def proves_completeness(row: UsageRow, growing: AbstractSet[UUID | None]) -> bool:
    """Whether a final row means that its attempt's accounting is complete. growing: attempts with an open record.

    Not while another record of the attempt still grows; and not when it is a second start that the start gate turned
    away, or one whose end nobody knows: the true record may still come.
    """
    is_a_stand_in = row.facts.get("turned_away") == "yes" or "runaway" in row.facts
    return row.final and row.attempt_id not in growing and not is_a_stand_in


def next_revision(backend: str, row: UsageRow, known: Revision | None) -> Revision:
    """What this row becomes when it is news. The same row again has the same identity."""
    number = 1 if known is None else known.number + 1
    content = fingerprint(row, number)
    identity = f"row:{len(backend)}:{backend}:{row.natural_key}:{number}:{content.hex()}"
    return Revision(row_id=uuid5(_NAMESPACE, identity), number=number, content_sha256=content)


def row_sha256(row: UsageRow) -> bytes:
    """Identity of a row that may be unfit for anything else."""
    return hashlib.sha256(readable(row).encode()).digest()


def readable(row: UsageRow) -> str:
    """The content as JSON in ASCII; what JSON cannot say, as Python would write it."""
    try:
        return canonical(row)
    except (ValueError, TypeError, ArithmeticError):
        return json.dumps({"unreadable": ascii(row)})


def next_try_at(tries: int, *, now: datetime) -> datetime | None:
    """When to take a parked row again: twice the wait after each try, up to a day; None: left to an operator."""
    if tries >= _MOST_TRIES:
        return None
    return now + min(timedelta(minutes=2 ** (tries - 1)), timedelta(days=1))


def derive(of_row: UUID, components: Mapping[str, Decimal], before: Mapping[str, UUID]) -> list[Derived]:
    """Usage of a revision, one record per component. before: component → record of the revision before.

    A component that the correction no longer mentions was not used: it is corrected to 0. What is finer than a
    millionth is cut off, in the customer's favour.
    """
    return [
        Derived(
            usage_record_id=uuid5(_NAMESPACE, f"usage:{of_row}:{component}"),
            component=component,
            quantity=components.get(component, Decimal(0)).quantize(_STEP, rounding=ROUND_FLOOR),
            supersedes=before.get(component),
        )
        for component in sorted(components.keys() | before.keys())
    ]


def _instant(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def _exact(amount: Decimal) -> str:
    if not amount.is_finite():
        return str(amount)
    if amount == 0:
        return "0"
    if abs(amount.adjusted()) > _LONGEST_NUMBER:
        return str(amount)
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
