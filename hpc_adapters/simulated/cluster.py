"""The simulated cluster itself: what exists and happens there, whoever looks. The adapter only looks at it.

Events wait in a heap and happen when somebody asks after their time (`catch_up`); nothing here reads a clock, so the
same calls at the same times give the same history.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID

from hpc_adapters.contract import JobRequest, Observation, Resources, Seen
from hpc_adapters.simulated.behaviour import Behaviour, declared
from hpc_adapters.simulated.chance import Chance
from hpc_adapters.simulated.faults import Delays, Fate, Faults, draw_fate
from hpc_adapters.simulated.resources import minus, used_by
from hpc_adapters.simulated.truth import Truth, components


@dataclass(slots=True, eq=False)
class Incarnation:
    """One native job. An attempt has one; two when it was submitted again or the cluster started it twice."""

    native_id: str
    serial: int
    request: JobRequest
    behaviour: Behaviour
    fate: Fate
    appeared_at: datetime
    eligible: bool = False
    started_at: datetime | None = None
    passed_gate: bool = False
    ended_at: datetime | None = None
    ending: Seen | None = None
    exit_code: int | None = None
    cancelled_at: datetime | None = None
    forgotten: bool = False
    told: list[Observation] = field(default_factory=list)
    """Observations given so far: what a late message repeats."""

    @property
    def holds_units(self) -> bool:
        return self.started_at is not None and self.ended_at is None

    @property
    def refused_at_gate(self) -> bool:
        """It ran nothing and ended: it tells nothing about the attempt."""
        return self.started_at is not None and self.ended_at is not None and not self.passed_gate

    @property
    def seen(self) -> Seen:
        if self.ending is not None:
            return self.ending
        return Seen.RUNNING if self.passed_gate else Seen.WAITING


class Cluster:
    """State and events. Callers give `now`, and call `catch_up(now)` before they look."""

    def __init__(
        self,
        *,
        total: Resources,
        seed: int,
        faults: Faults,
        delays: Delays,
        behave: Callable[[JobRequest], Behaviour] = declared,
    ) -> None:
        self.total = total
        self.faults = faults
        self.delays = delays
        self.chance = Chance(seed)
        self.truth = Truth()
        self.calls = count()
        self.burst_left = 0
        self.reachable = True
        """False: nobody gets an answer. A switch for tests."""
        self.native: dict[str, Incarnation] = {}
        self.by_attempt: dict[UUID, list[Incarnation]] = {}
        self.ended: list[Incarnation] = []
        """In order of their end."""
        self._live: dict[int, Incarnation] = {}
        self._forced: dict[str, Any] = {}
        self._behave = behave
        self._submissions: dict[UUID, int] = {}
        self._events: list[tuple[datetime, int, Callable[[datetime], None]]] = []
        self._order = count()
        self._next_id = count(1001)
        self._reusable: list[str] = []

    # -- what others ask ----------------------------------------------------------------------------------------------

    def catch_up(self, now: datetime) -> None:
        """Let everything happen that was due until now, in order of time."""
        while self._events and self._events[0][0] <= now:
            at, _, happen = heapq.heappop(self._events)
            happen(at)

    def fate_of_next_submission(self, attempt_id: UUID) -> Fate:
        n = self._submissions[attempt_id] = self._submissions.get(attempt_id, 0) + 1
        drawn = draw_fate(self.faults, self.delays, self.chance, attempt_id, n)
        forced, self._forced = self._forced, {}
        return replace(drawn, **forced)

    def force_next(self, **parts_of_fate: Any) -> None:
        """Let the next submission have these parts of its fate, whatever the seed says. For tests of one fault."""
        self._forced = parts_of_fate

    def accept(self, request: JobRequest, fate: Fate, now: datetime) -> None:
        """The submission takes effect: now, or when its fate lets it appear."""
        self._at(now + timedelta(seconds=fate.appears_after_s), lambda at: self._appear(request, fate, at))
        self.catch_up(now)

    def known(self, attempt_id: UUID) -> Incarnation | None:
        """The native job that stands for an attempt: the one that passed the gate, else the oldest."""
        alive = [i for i in self.incarnations(attempt_id) if not i.refused_at_gate]
        return next((i for i in alive if i.passed_gate), alive[0] if alive else None)

    def incarnations(self, attempt_id: UUID) -> list[Incarnation]:
        return [i for i in self.by_attempt.get(attempt_id, []) if not i.forgotten]

    def live(self) -> Iterable[Incarnation]:
        """What waits or runs, in order of arrival."""
        return self._live.values()

    def cancel(self, job: Incarnation, now: datetime) -> None:
        if job.ended_at is not None or job.cancelled_at is not None:
            return
        job.cancelled_at = now
        slow = self.chance.between(0.05, self.delays.cancel_s, "cancel", job.request.attempt_id)
        wait_s = 0.0 if job.started_at is None else slow
        self._at(now + timedelta(seconds=wait_s), lambda at: self._end(job, Seen.CANCELLED, at))
        self.catch_up(now)

    def unclaimed(self) -> Resources:
        """What is left beside everything that was accepted and has not ended."""
        return minus(self.total, used_by(job.request.resources for job in self._live.values()))

    def crash(self, now: datetime, *, loses_s: float = 5.0) -> list[UUID]:
        """The controller dies and comes back without what it accepted in the last seconds: those jobs are forgotten
        and their native ids given away again; one that had started goes on unseen. Returns the lost attempts.
        """
        self.catch_up(now)
        after = now - timedelta(seconds=loses_s)
        young = [job for job in self.native.values() if job.appeared_at > after]
        for job in young:
            self._forget(job, now, orphaned=True, id_reused=True)
        return [job.request.attempt_id for job in young]

    # -- what happens by itself ---------------------------------------------------------------------------------------

    def _at(self, when: datetime, happen: Callable[[datetime], None]) -> None:
        heapq.heappush(self._events, (when, next(self._order), happen))

    def _appear(self, request: JobRequest, fate: Fate, at: datetime) -> None:
        self.truth.submissions[request.attempt_id] += 1
        self._incarnate(request, fate, at, wait_s=fate.starts_after_s)

    def _incarnate(self, request: JobRequest, fate: Fate, at: datetime, *, wait_s: float) -> None:
        native_id = self._reusable.pop(0) if self._reusable else str(next(self._next_id))
        job = Incarnation(native_id, next(self._order), request, self._behave(request), fate, at)
        self.native[native_id] = job
        self._live[job.serial] = job
        self.by_attempt.setdefault(request.attempt_id, []).append(job)
        self._at(at + timedelta(seconds=wait_s), lambda when: self._make_eligible(job, when))

    def _make_eligible(self, job: Incarnation, at: datetime) -> None:
        job.eligible = True
        self._start_what_fits(at)

    def _used(self) -> Resources:
        return used_by(job.request.resources for job in self._live.values() if job.holds_units)

    def _start_what_fits(self, at: datetime) -> None:
        for job in [i for i in self._live.values() if i.eligible and i.started_at is None]:
            if job.request.resources.fits(minus(self.total, self._used())):
                self._start(job, at)

    def _start(self, job: Incarnation, at: datetime) -> None:
        """The head of the job asks the start gate; only the first of an attempt passes and runs the user's code."""
        job.started_at = at
        self._note_use()
        attempt_id = job.request.attempt_id
        if self.truth.starts[attempt_id]:
            self.truth.refused_at_gate[attempt_id] += 1
            self._at(at + timedelta(milliseconds=200), lambda when: self._end(job, Seen.CANCELLED, when))
            return
        job.passed_gate = True
        self.truth.starts[attempt_id] += 1
        self.truth.started_at[attempt_id] = at
        self._plan_run(job, at)

    def _plan_run(self, job: Incarnation, at: datetime) -> None:
        wanted_s, ending = job.behaviour.run_s, job.behaviour.ending
        if wanted_s > job.request.walltime_s:
            wanted_s, ending = job.request.walltime_s, Seen.TIMED_OUT
        if job.fate.cut_short is not None:
            wanted_s, ending = wanted_s * job.fate.cut_at_share, job.fate.cut_short
        self._at(at + timedelta(seconds=wanted_s), lambda when: self._end(job, ending, when))
        if job.fate.vanishes_at_share is not None:
            vanishes_at = at + timedelta(seconds=wanted_s * job.fate.vanishes_at_share)
            self._at(vanishes_at, lambda when: self._vanish(job, when))
        if job.fate.starts_again_after_s is not None:
            wait_s = job.fate.starts_again_after_s
            self._incarnate(job.request, job.fate, at, wait_s=wait_s)

    def _vanish(self, job: Incarnation, at: datetime) -> None:
        if job.ended_at is None:
            self._forget(job, at, orphaned=job.fate.orphaned, id_reused=job.fate.id_reused)

    def _forget(self, job: Incarnation, at: datetime, *, orphaned: bool, id_reused: bool) -> None:
        if job.forgotten:
            return
        job.forgotten = True
        if job.passed_gate:
            self.truth.forgotten.add(job.request.attempt_id)
        del self.native[job.native_id]
        if id_reused:
            self._reusable.append(job.native_id)
        if not (job.holds_units and orphaned):
            self._end(job, Seen.NODE_FAILED, at)

    def _end(self, job: Incarnation, ending: Seen, at: datetime) -> None:
        if job.ended_at is not None:
            return
        job.ended_at, job.ending = at, ending
        del self._live[job.serial]
        self.ended.append(job)
        if ending in {Seen.SUCCEEDED, Seen.FAILED}:
            job.exit_code = job.behaviour.exit_code if job.passed_gate else 0
        if job.passed_gate and job.started_at is not None:
            attempt_id = job.request.attempt_id
            self.truth.ended_at[attempt_id], self.truth.endings[attempt_id] = at, ending
            self.truth.usage[attempt_id] = components(job.request, at - job.started_at)
        self._start_what_fits(at)

    def _note_use(self) -> None:
        used = self._used()
        for unit in ("gpus", "cpus", "memory_mb", "qpus"):
            most = self.truth.most_units_used
            most[unit] = max(most.get(unit, 0), getattr(used, unit))
