"""What backends said of their free units, kept for a moment: a submission should not wait for that answer again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from scheduler.core.snapshot import Holding, Pool

_Seen = frozenset[tuple[UUID, bool]]


@dataclass(frozen=True, slots=True)
class _Answer:
    pool: Pool
    asked_s: float
    seen: _Seen


class Capacities:
    """The last answers. An answer is good while what it counted is as it was, and for a while at most."""

    def __init__(self) -> None:
        self._answers: dict[str, _Answer] = {}

    def known(self, name: str, holding: Iterable[Holding], *, now_s: float, for_s: float) -> Pool | None:
        """None: ask. now_s: by the clock by which answers are kept."""
        answer = self._answers.get(name)
        if answer is None or not answer.pool.online or now_s - answer.asked_s > for_s:
            return None
        return answer.pool if answer.seen == _seen(answer.pool, holding) else None

    def keep(self, pool: Pool, holding: Iterable[Holding], *, asked_s: float) -> None:
        """holding: as it was when the backend was asked."""
        self._answers[pool.name] = _Answer(pool, asked_s, _seen(pool, holding))


def _seen(pool: Pool, holding: Iterable[Holding]) -> _Seen:
    """What the backend's count knew of ours: an end or a start among these makes the answer old."""
    at: datetime | None = pool.asked_at
    return frozenset(
        (each.attempt_id, each.started)
        for each in holding
        if each.backend == pool.name and (at is None or each.sent_at is None or each.sent_at < at)
    )
