"""One cycle: snapshot → plan. Pure and deterministic; the simulator runs this very function."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from hpc_adapters.contract import Resources
from scheduler.core.booked import Floor
from scheduler.core.decided import Way, settings_version, start_facts, way_of
from scheduler.core.dependencies import Fate
from scheduler.core.fairshare import fair_order
from scheduler.core.preempting import Blocked, making_room
from scheduler.core.quotas import Quotas
from scheduler.core.reasons import Why
from scheduler.core.resources import plain
from scheduler.core.snapshot import Holding, Never, Plan, Pool, Preempt, Snapshot, Standing, Start, Task, Wait, Waiting
from scheduler.core.walls import RESERVATION, booked_out, first_wall, limit_inside
from scheduler.core.windows import in_the_way

_NAMED_JOBS = 20
POLICY_NAME = "fair-share"
"""In the records of decisions."""


def plan(snapshot: Snapshot) -> Plan:
    """What starts now, in order, and the one reason of each that waits.

    0. End what will never start.
    1. Set aside what cannot start whatever the others do.
    2. Order the rest fairly: first what runs in a reservation of its own, which takes nobody's turn.
    3. Go down that order: start what fits and delays nobody before it, nor a reservation. For the first on a backend
       that does not fit, running work of a class that gives way is asked to make room.
    """
    nevers = {each.attempt_id: never for each in snapshot.waiting if (never := _hopeless(each, snapshot)) is not None}
    alive = [each for each in snapshot.waiting if each.attempt_id not in nevers]
    barred = {each.attempt_id: wait for each in alive if (wait := _barred(each, snapshot)) is not None}
    barred |= throttled([each for each in alive if each.attempt_id not in barred], snapshot.holding)
    contenders = [each for each in alive if each.attempt_id not in barred]
    cycle = _Cycle(snapshot, Counter(each.backend for each in contenders))
    for inside in (True, False):
        rest = [each for each in contenders if (each.inside is not None) is inside]
        for each in fair_order(rest, snapshot.standings, snapshot.stakes):
            cycle.decide(each)
    waits = [*cycle.waits, *sorted(barred.values(), key=lambda wait: wait.attempt_id)]
    ends = tuple(nevers[attempt_id] for attempt_id in sorted(nevers))
    return Plan(starts=tuple(cycle.starts), waits=tuple(waits), nevers=ends, preempts=tuple(cycle.preempts))


def _hopeless(job: Waiting, snapshot: Snapshot) -> Never | None:
    """What it waits for can no longer happen, or its reservation has too little time left for it."""
    if job.cancel_wanted:
        return None
    if job.outlook.fate is Fate.NEVER:
        return Never(attempt_id=job.attempt_id, jobs=job.outlook.jobs)
    if job.inside is not None and _limit_of(job, snapshot) is None:
        return Never(attempt_id=job.attempt_id, reservation=job.inside.name)
    return None


def _limit_of(job: Waiting, snapshot: Snapshot) -> int | None:
    """The walltime that it may have if it starts now. None: its reservation has not enough of it left."""
    if job.inside is None:
        return job.walltime_s
    grace_s = snapshot.policy.reservation_grace_s
    return limit_inside(job.inside, walltime_s=job.walltime_s, now=snapshot.now, grace_s=grace_s)


def _barred(job: Waiting, snapshot: Snapshot) -> Wait | None:  # noqa: C901, PLR0911, PLR0912  a list of reasons
    """Why it is out of the contest of this cycle, however much is free."""
    pool = snapshot.pools.get(job.backend)
    standing = snapshot.standings[job.organisation_id]
    if job.cancel_wanted:
        return _wait(job, Why.CANCEL_PENDING, {})
    if standing.refused is not None:
        return _wait(job, Why.NOT_ELIGIBLE, {"code": standing.refused})
    if job.outlook.fate is not Fate.MET:
        return _wait(job, Why.DEPENDENCY, {"jobs": list(job.outlook.jobs[:_NAMED_JOBS])})
    if job.begin_at is not None and snapshot.now < job.begin_at:
        return _wait(job, Why.BEGIN_TIME, {"until": job.begin_at.isoformat()})
    if job.inside is not None and snapshot.now < job.inside.since:
        facts = {"reservation": job.inside.name, "until": job.inside.since.isoformat()}
        return _wait(job, Why.RESERVATION_AHEAD, facts)
    if job.staging is not None:
        return _wait(job, Why.STAGING, {"problem": job.staging} if job.staging else {})
    if job.not_before is not None and snapshot.now < job.not_before:
        return _backing_off(job, job.not_before)
    if pool is None:
        return _wait(job, Why.BACKEND_OFFLINE, {"backend": job.backend})
    if (window := _window(job, pool, snapshot.now)) is not None:
        return window
    if not pool.online:
        return _wait(job, Why.BACKEND_OFFLINE, {"backend": job.backend, **_told_of(pool)})
    if (wall := _wall(job, standing, snapshot)) is not None:
        return wall
    if (unready := _unready(job, snapshot)) is not None:
        return unready
    if not job.needs.fits(pool.total):
        return _wait(
            job, Why.EXCEEDS_MACHINE, {"needed": plain(job.needs), "total": plain(pool.total, asked=job.needs)}
        )
    return None


def _unready(job: Waiting, snapshot: Snapshot) -> Wait | None:
    """The device that it will call is away, or would be before it ends: its GPUs would wait for nothing."""
    if job.calls is None:
        return None
    device = snapshot.pools.get(job.calls)
    if device is None:
        return _wait(job, Why.BACKEND_OFFLINE, {"backend": job.calls})
    if (window := _window(job, device, snapshot.now)) is not None:
        return window
    if not device.online:
        return _wait(job, Why.BACKEND_OFFLINE, {"backend": device.name, **_told_of(device)})
    until = snapshot.now + timedelta(seconds=job.walltime_s)
    booking = booked_out(snapshot.bookings, device, since=snapshot.now, until=until)
    if booking is not None:
        return _wait(job, Why.WALL, {"kind": RESERVATION, "at": booking.since.isoformat(), "backend": device.name})
    return None


def _wall(job: Waiting, standing: Standing, snapshot: Snapshot) -> Wait | None:
    """It could still run when its organisation may not any more, or when the year is over. A call ends with its job."""
    if job.is_call:
        return None
    until = snapshot.now + timedelta(seconds=_limit_of(job, snapshot) or job.walltime_s)
    met = first_wall([*standing.walls, *snapshot.walls], since=snapshot.now, until=until)
    return None if met is None else _wait(job, Why.WALL, {"kind": met.kind, "at": met.at.isoformat()})


def _window(job: Waiting, pool: Pool, now: datetime) -> Wait | None:
    """It could still run when the device goes offline, or the device is in such a time already."""
    met = in_the_way(pool.windows, since=now, until=now + timedelta(seconds=job.walltime_s))
    if met is None:
        return None
    facts = {"since": met.since.isoformat(), "until": met.until.isoformat(), "kind": met.kind.value}
    return _wait(job, Why.DEVICE_WINDOW, {"backend": pool.name, **facts, **_queue_of(pool)})


def _told_of(pool: Pool) -> dict[str, object]:
    return {} if pool.condition is None else {"condition": pool.condition}


def _queue_of(pool: Pool) -> dict[str, object]:
    """Of a device that says so: how many wait at its vendor."""
    return {} if pool.vendor_queue is None else {"vendor_queue": pool.vendor_queue}


def _backing_off(job: Waiting, until: datetime) -> Wait:
    if job.refused is not None:
        return _wait(job, Why.NOT_ELIGIBLE, {"code": job.refused})
    if job.parked is not None:
        return _wait(job, Why.PARKED, {"until": until.isoformat(), "problem": job.parked})
    return _wait(job, Why.RETRY_LATER, {"until": until.isoformat()})


def _wait(job: Waiting, why: Why, facts: Mapping[str, object]) -> Wait:
    return Wait(attempt_id=job.attempt_id, why=why, facts=facts)


def throttled(contenders: Iterable[Waiting], holding: Iterable[Holding]) -> dict[UUID, Wait]:
    """Tasks of arrays with a limit, beyond it: out of the contest, so that they take nobody's turn."""
    running = Counter(each.array_id for each in holding if each.array_id is not None)
    by_array: dict[UUID, list[tuple[Task, Waiting]]] = {}
    for each in contenders:
        if each.task is not None and each.task.max_running is not None:
            by_array.setdefault(each.task.array_id, []).append((each.task, each))
    waits = {}
    for array_id, tasks in by_array.items():
        most = tasks[0][0].max_running or 0
        tasks.sort(key=lambda each: (each[0].index, each[1].attempt_id))
        for _, late in tasks[max(0, most - running[array_id]) :]:
            facts = {"running": running[array_id], "max": most}
            waits[late.attempt_id] = _wait(late, Why.ARRAY_THROTTLE, facts)
    return waits


class _Cycle:
    """Decisions as they are made, one after the other, down the fair order."""

    def __init__(self, snapshot: Snapshot, contenders: Mapping[str, int]) -> None:
        self._snapshot, self._contenders = snapshot, contenders
        self._version = settings_version(snapshot.policy)
        self._quotas = Quotas(snapshot)
        self._floors = {pool.name: Floor(pool, snapshot) for pool in snapshot.pools.values()}
        self._positions: Counter[str] = Counter()
        self.starts: list[Start] = []
        self.waits: list[Wait] = []
        self.preempts: list[Preempt] = []
        self._looked: set[str] = set()
        self._recent = Counter(snapshot.preempted)
        for name in sorted(self._floors):
            self._make_way(name)  # the first in line may wait in the backend's own queue

    def decide(self, job: Waiting) -> None:
        # a reservation is as large as it was allowed to be: no quota stops its own jobs
        if job.inside is None and (beyond := self._quotas.refusal(job)) is not None:
            return self._let_wait(job, *beyond)
        limit_s = _limit_of(job, self._snapshot) or job.walltime_s
        bounded = job if limit_s == job.walltime_s else replace(job, walltime_s=limit_s)
        floor = self._floors[job.backend]
        free, kept = floor.free(bounded), floor.is_kept(bounded)
        refusal = floor.refusal(bounded)
        if refusal is None:
            floor.take(bounded)
        elif (earliest := self._make_way(job.backend)) is not None:
            refusal = refusal[0], {**refusal[1], "earliest": earliest.isoformat()}
        if refusal is not None and not floor.take_ahead(job):
            return self._let_wait(job, *refusal)
        self._quotas.take(job)
        if len(self.starts) >= self._snapshot.policy.max_starts:
            return self._let_wait(job, Why.NEXT_CYCLE, {})
        limit = None if job.inside is None else limit_s
        way = way_of(job, seated=refusal is not None, kept=kept)
        self.starts.append(
            Start(
                attempt_id=job.attempt_id,
                backend=job.backend,
                ahead=refusal is not None,
                limit_s=limit,
                way=way.value,
                facts=self._facts(job, way, free),
            )
        )
        return None

    def _facts(self, job: Waiting, way: Way, free: Resources) -> dict[str, object]:
        """Of the record of its start."""
        return start_facts(
            job,
            way,
            standing=self._snapshot.standings[job.organisation_id],
            free=free,
            waiting=self._contenders[job.backend],
            policy=POLICY_NAME,
            settings=self._version,
        )

    def _make_way(self, backend: str) -> datetime | None:
        """Once for each backend, when somebody is first in line there; by when the others have left, if they do."""
        floor = self._floors[backend]
        first = floor.open.first
        if first is None or backend in self._looked:
            return None
        self._looked.add(backend)
        blocked = Blocked(needs=first.needs, service_class=first.service_class, free=floor.open.free)
        here = {each.attempt_id: each for each in floor.open_holding}
        policy, recent = self._snapshot.policy.preemption, self._recent
        asked = making_room(blocked, here.values(), policy=policy, recent=recent, now=self._snapshot.now)
        if not asked or not floor.open.make_way([here[each.attempt_id] for each in asked]):
            return None
        self.preempts += asked
        self._recent.update(here[each.attempt_id].organisation_id for each in asked)
        assert floor.open.reservation is not None
        return floor.open.reservation.at

    def _let_wait(self, job: Waiting, why: Why, facts: Mapping[str, object]) -> None:
        """position: its place in the line before its backend, 1 is next."""
        self._positions[job.backend] += 1
        queue = _queue_of(self._snapshot.pools[job.backend])
        self.waits.append(_wait(job, why, {"position": self._positions[job.backend], **facts, **queue}))
