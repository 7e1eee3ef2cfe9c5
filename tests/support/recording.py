"""What a book was told and what it decided, as JSON lines; and the same told to another book.

A line is [what, arguments, answer]: the first is the opening. Answers are kept of decisions only, with all their facts.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import Enum
from typing import Any
from uuid import UUID

from hpc_adapters.contract import Resources
from hpc_adapters.devices import DeviceState, OfflineWindow
from pricing.model import ServiceClass
from scheduler.core.book.book import Book
from scheduler.core.book.charges import Charge
from scheduler.core.book.terms import Calendar, Terms
from scheduler.core.dependencies import Fate, Outlook
from scheduler.core.reasons import Why
from scheduler.core.snapshot import (
    Booking,
    Holding,
    Inside,
    Limits,
    Never,
    Plan,
    Policy,
    Pool,
    Preempt,
    Preemption,
    Standing,
    Start,
    Task,
    Wait,
    Waiting,
    Wall,
)

_VALUES = (Resources, OfflineWindow, Charge, Calendar, Terms, Outlook, Booking, Holding, Inside, Limits, Never, Plan)
_MORE = (Policy, Pool, Preempt, Preemption, Standing, Start, Task, Wait, Waiting, Wall)
_ENUMS = (DeviceState, ServiceClass, Fate, Why)
_KNOWN: Mapping[str, Any] = {each.__name__: each for each in (*_VALUES, *_MORE, *_ENUMS)}
_SIMPLE: Mapping[str, Callable[[str], Any]] = {"UUID": UUID, "datetime": datetime.fromisoformat}


class Recorded(Book):
    """Writes down what it is told from outside, and what it decides. A book opened from columns is not recorded."""

    def __init__(self, **opening: Any) -> None:
        self.lines: list[str] = []
        self._depth = 0
        opening = {"waiting": (), "holding": (), **opening}
        opening |= {name: list(opening[name]) for name in ("waiting", "holding")}
        self._write("opened", opening, None)
        super().__init__(**opening)

    def waits(self, job: Waiting, now: datetime) -> None:
        self._told("waits", super().waits, job=job, now=now)

    def holds(self, held: Holding, now: datetime) -> Holding | None:
        known: Holding | None = self._told("holds", super().holds, held=held, now=now)
        return known

    def gone(self, attempt_id: UUID, now: datetime, charge: Charge | None = None, *, seq: int = 0) -> Holding | None:
        known: Holding | None = self._told("gone", super().gone, attempt_id=attempt_id, now=now, charge=charge, seq=seq)
        return known

    def pool(self, pool: Pool, now: datetime) -> None:
        self._told("pool", super().pool, pool=pool, now=now)

    def agreed(self, terms: Terms, now: datetime) -> None:
        self._told("agreed", super().agreed, terms=terms, now=now)

    def dated(self, calendar: Calendar) -> None:
        self._told("dated", super().dated, calendar=calendar)

    def decide(self, now: datetime, **asked: Any) -> Plan:
        self._depth += 1
        plan = super().decide(now, **asked)
        self._depth -= 1
        self._write("decide", {"now": now, **asked}, plan)
        return plan

    def _told(self, what: str, told: Callable[..., Any], **arguments: Any) -> Any:
        if not self._depth:
            self._write(what, arguments, None)
        return told(**arguments)

    def _write(self, what: str, arguments: Mapping[str, Any], answer: Plan | None) -> None:
        self.lines.append(json.dumps([what, _plain(dict(arguments)), _plain(answer)]))


def replayed(lines: Iterable[str]) -> int:
    """How many starts another book decided, all exactly as written. AssertionError: one was decided otherwise."""
    book: Book | None = None
    starts = 0
    for number, line in enumerate(lines):
        what, arguments, answer = json.loads(line)
        told: Mapping[str, Any] = _value(arguments)
        if what == "opened":
            book = Book(**told)
            continue
        assert book is not None  # the first line is the opening
        decided = getattr(book, what)(**told)
        if what == "decide":
            assert json.loads(json.dumps(_plain(decided))) == answer, number
            starts += len(decided.starts)
    return starts


def _plain(value: Any) -> Any:
    """JSON that says of each value what it was."""
    if isinstance(value, Enum):
        return [type(value).__name__, value.value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if is_dataclass(value):
        return [type(value).__name__, {each.name: _plain(getattr(value, each.name)) for each in fields(value)}]
    if isinstance(value, Mapping):
        return ["dict", [[_plain(key), _plain(each)] for key, each in value.items()]]
    if isinstance(value, UUID | datetime):
        return [type(value).__name__, str(value)]
    return ["tuple", [_plain(each) for each in value]]


def _value(plain: Any) -> Any:
    if not isinstance(plain, list):
        return plain
    kind, told = plain
    if kind == "dict":
        return {_value(key): _value(each) for key, each in told}
    if kind == "tuple":
        return tuple(_value(each) for each in told)
    if isinstance(told, dict):
        return _KNOWN[kind](**{name: _value(each) for name, each in told.items()})
    return _SIMPLE[kind](told) if kind in _SIMPLE else _KNOWN[kind](told)
