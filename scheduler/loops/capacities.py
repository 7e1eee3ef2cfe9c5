"""What backends said of their free units, kept for a moment: a submission should not wait for that answer again."""

from __future__ import annotations

from dataclasses import dataclass

from scheduler.core.snapshot import Holding, Pool


@dataclass(frozen=True, slots=True)
class _Answer:
    pool: Pool
    asked_s: float


class Capacities:
    """The last answers. An answer is good while what it counted is as it was, and for a while at most."""

    def __init__(self) -> None:
        self._answers: dict[str, _Answer] = {}

    def known(self, name: str, *, now_s: float, for_s: float) -> Pool | None:
        """None: ask. now_s: by the clock by which answers are kept."""
        answer = self._answers.get(name)
        if answer is None or not answer.pool.online or now_s - answer.asked_s > for_s:
            return None
        return answer.pool

    def keep(self, pool: Pool, *, asked_s: float) -> None:
        self._answers[pool.name] = _Answer(pool, asked_s)

    def moved(self, held: Holding) -> None:
        """It has started or ended: an answer that counted it is old."""
        answer = self._answers.get(held.backend)
        if answer is None:
            return
        asked_at = answer.pool.asked_at
        if asked_at is None or held.sent_at is None or held.sent_at < asked_at:
            del self._answers[held.backend]

    def silent(self, name: str) -> None:
        """It did not answer: what it said before is not believed, either."""
        self._answers.pop(name, None)

    def forget(self) -> None:
        self._answers.clear()
