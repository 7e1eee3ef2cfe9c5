"""What every tick of the scheduler gets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from uuid import UUID

from accounts.sealing import CannotUnseal, Sealed
from hpc_adapters.contract import Backend
from infra.db.connection import Lease, Pool
from scheduler.core.lifecycle import PATIENCE, Patience
from scheduler.core.quotas import Share
from scheduler.core.snapshot import POLICY, Policy
from scheduler.files import Shelf
from scheduler.loops.memory import Memory
from scheduler.policy import DEFAULT_SHARE, HALF_LIFE


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Limits on everything. Times in seconds."""

    call_timeout_s: float = 15
    """A backend that has not answered by then has not answered."""
    hand_over_budget_s: float = 5
    """One dispatch tick begins no cycle later than this, and no hand-over later than this after it was decided."""
    hand_overs: int = 8
    """So many calls of `submit` may be on their way to one backend at a time."""
    capacity_reuse_s: float = 2
    """A backend's word about its free units is good for so long, while nothing of ours has started or ended there."""
    capacity_renew_s: float = 0.5
    """When nothing waits it is asked again after this, so that what comes next need not wait for the answer."""
    look_after_s: float = 2
    """So long a hand-over may be without an answer before the sweep asks for it."""
    item_limit: int = 200
    """Items of one kind in one tick."""
    observe_batch: int = 100
    """Attempts in one call of observe."""
    stray_window_s: float = 3_600
    """So long after an unconfirmed end a backend is asked whether it has a stray."""
    result_window_s: float = 86_400
    """So long after an end its result is looked for."""
    keep_runs_days: int | None = 90
    """So long a backend of ours keeps the folder of an attempt after its end; None: for ever."""
    check_every_s: float = 600
    """So often the dispatcher's book is compared with the database; where they differ, another one is opened."""
    park_s: float = 60
    """So long a job with a fault of ours stays out of the plan."""
    fiscal_year_wall: bool = True
    """Nothing starts that could still run when the Japanese fiscal year ends."""
    half_life: timedelta = HALF_LIFE
    default_share: Share = DEFAULT_SHARE
    policy: Policy = POLICY
    patience: Patience = PATIENCE


def _no_keys(sealed: Sealed) -> str:
    raise CannotUnseal(f"no keys: {sealed.key_id}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Deps:
    """pool: as kyoyo_worker. lease: proof of leading this loop; without one (tests) writes are not fenced."""

    pool: Pool
    lease: Lease | None
    backends: Mapping[str, Backend]
    new_id: Callable[[], UUID]
    unseal: Callable[[Sealed], str] = _no_keys
    """Opens a member's secret at the moment of its hand-over. Its value is neither stored nor logged."""
    shelf: Shelf | None = None
    """Files of organisations; None: none are kept here."""
    memory: Memory = field(default_factory=Memory)
    """Outlives a tick: the same for all ticks of a process."""
    settings: Settings = Settings()

    def patience(self, backend: str) -> Patience:
        """Not less than what the backend itself says that an absence needs."""
        ours = self.settings.patience
        known = self.backends.get(backend)
        if known is None:
            return ours
        return replace(ours, missing_for_s=max(ours.missing_for_s, known.capabilities().settle_window_s))

    def absence_proves_after_s(self, backend: Backend) -> float:
        """Counted from the noted hand-over: by then its request has left us, and has appeared or never will."""
        settings = self.settings
        return settings.hand_over_budget_s + settings.call_timeout_s + backend.capabilities().settle_window_s
