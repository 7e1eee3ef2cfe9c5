"""Reasons with what would start their jobs, as was found in the last seconds: a few are looked at in each decision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final, NamedTuple
from uuid import UUID

from scheduler.core.book.book import Book
from scheduler.core.reasons import ANSWERED, WOULD, Why
from scheduler.core.snapshot import Plan, Wait

_AGAIN: Final = timedelta(seconds=10)
_AT_ONCE: Final = 8
_PASSES: Final = 40
"""After so many walks along the heads of the lines nobody more is looked at: an answer takes up to twenty, and where
thousands of gangs wait each takes milliseconds."""
_MEANWHILE: Final = 2
"""Where something is about to start, which waits for this."""
_KNOWN: Final = 2_000


class _Answer(NamedTuple):
    at: datetime
    why: Why
    would: Mapping[str, object]


class Asked:
    """Of one book."""

    def __init__(self) -> None:
        self._known: dict[UUID, _Answer] = {}

    def told(self, book: Book, plan: Plan, now: datetime, *, passes: int = _PASSES) -> list[Wait]:
        """The reasons of the last plan, with the fact `would` (Book.would) where there is an answer.

        passes: after so many (Supposing.passes) no other answer is begun; who is left comes first the next time.
        """
        told = list(plan.waits)
        due = [each for each in told if each.why in ANSWERED and self._is_old(each, now)]
        due.sort(key=self._asked_at)
        elsewhere = book.elsewhere()
        most = elsewhere.passes + passes
        for wait in due[: _MEANWHILE if plan.starts else _AT_ONCE]:
            if elsewhere.passes >= most:
                break
            self._known.pop(wait.attempt_id, None)
            self._known[wait.attempt_id] = _Answer(now, wait.why, book.would(wait.seq))
        for attempt_id in list(self._known)[: max(0, len(self._known) - _KNOWN)]:
            del self._known[attempt_id]
        return [self._with_answer(each) for each in told]

    def _is_old(self, wait: Wait, now: datetime) -> bool:
        known = self._known.get(wait.attempt_id)
        return known is None or known.why is not wait.why or now - known.at >= _AGAIN

    def _asked_at(self, wait: Wait) -> float:
        known = self._known.get(wait.attempt_id)
        return 0.0 if known is None else known.at.timestamp()

    def _with_answer(self, wait: Wait) -> Wait:
        known = self._known.get(wait.attempt_id)
        if known is None or known.why is not wait.why or not known.would:
            return wait
        return replace(wait, facts={**wait.facts, WOULD: known.would})
