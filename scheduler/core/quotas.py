"""How many jobs an organisation may have: waiting (decided at submission), and with a backend (in each cycle)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from uuid import UUID

from scheduler.core.snapshot import Holding, Standing


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """An organisation's weight in the fair share, and its quotas."""

    weight: int = 1
    max_queued_jobs: int = 1_000
    max_running_jobs: int = 100


def may_queue(share: Share, *, queued: int, asked: int = 1) -> bool:
    """Whether so many more jobs may wait."""
    return queued + asked <= share.max_queued_jobs


class RunningQuota:
    """Counts starts of one cycle against each organisation's quota."""

    def __init__(self, holding: Iterable[Holding], standings: Mapping[UUID, Standing]) -> None:
        self._running = Counter(each.organisation_id for each in holding if not each.is_call)
        self._standings = standings

    def running(self, organisation_id: UUID) -> int:
        return self._running[organisation_id]

    def is_used_up(self, organisation_id: UUID) -> bool:
        return self._running[organisation_id] >= self._standings[organisation_id].max_running_jobs

    def take(self, organisation_id: UUID) -> None:
        self._running[organisation_id] += 1
