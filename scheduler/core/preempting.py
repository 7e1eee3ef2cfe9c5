"""Which running attempts make room for the first in line, so that the least work is lost. Pure.

Work lost is units × time since the attempt started, or since its last checkpoint where that is known. The choice is
exact for up to `_MOST` candidates as long as `_NODES` looks suffice; beyond that it is the best that was found, and
still one of which nobody could be left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from uuid import UUID

from hpc_adapters.contract import Resources
from pricing.model import ServiceClass
from scheduler.core.classes import may_preempt
from scheduler.core.resources import minus, plus, total
from scheduler.core.snapshot import Holding, Preempt, Preemption

_MOST = 200
_NODES = 1_000
_MICRO_S = timedelta(microseconds=1)
_MICRO = 1_000_000
_HOUR_S = 3_600


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocked:
    """The first in line, which does not fit. free: what it could have now."""

    needs: Resources
    service_class: ServiceClass
    free: Resources


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """An attempt that holds units of the same backend. units: what an hour of it is worth, in millionths of a NU."""

    attempt_id: UUID
    organisation_id: UUID
    service_class: ServiceClass
    needs: Resources
    started_at: datetime
    units: int
    checkpoint_at: datetime | None = None
    leaving: bool = False
    """It is being cancelled, or makes room already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Victim:
    """Of one that makes room: how long it ran, and what work is lost: units × microseconds."""

    attempt_id: UUID
    organisation_id: UUID
    ran: timedelta
    lost: int

    @property
    def lost_nu(self) -> float:
        return self.lost / (_MICRO * _MICRO * _HOUR_S)


def victims(
    blocked: Blocked, running: Iterable[Running], *, policy: Preemption, recent: Mapping[UUID, int], now: datetime
) -> Sequence[Victim] | None:
    """Who makes room. Empty: it fits already, or will when all that is leaving has left. None: by the rules nobody can.

    recent: how many of each organisation were asked to in the last hour. Of two choices that lose equally much the one
    of fewer attempts; then by their order, which is total: the result depends on no order of the input.
    """
    held = sorted(running, key=lambda each: each.attempt_id)
    free = plus(blocked.free, total(each.needs for each in held if each.leaving))
    lacking = _vector(minus(blocked.needs, free))
    if not any(lacking):
        return ()
    if not policy.is_on:
        return None
    protected = timedelta(seconds=policy.protected_s)
    eligible = [
        _Candidate(each, _lost(each, now), _given(each, lacking))
        for each in held
        if may_preempt(blocked.service_class, each.service_class)
        and not each.leaving
        and now - each.started_at >= protected
        and recent.get(each.organisation_id, 0) < policy.per_organisation
    ]
    useful = sorted((each for each in eligible if any(each.gives)), key=lambda each: each.order(lacking))[:_MOST]
    chosen = _Search(useful, lacking, policy, recent).best()
    return None if chosen is None else [each.victim(now) for each in chosen]


def making_room(
    blocked: Blocked,
    holding: Iterable[Holding],
    *,
    policy: Preemption,
    recent: Mapping[UUID, int],
    now: datetime,
) -> tuple[Preempt, ...]:
    """The same as parts of a plan; empty: nobody is asked, for whatever reason.

    holding: all that is with the backend, outside of reservations that are on. Each has the facts of its record: of
    whom it makes room for, the class alone.
    """
    here = {each.attempt_id: each for each in holding}
    chosen = victims(blocked, running_of(here.values()), policy=policy, recent=recent, now=now)
    return tuple(
        Preempt(
            attempt_id=each.attempt_id,
            backend=here[each.attempt_id].backend,
            for_class=blocked.service_class,
            facts={
                "rule": "least_work_lost",
                "for_class": blocked.service_class.value,
                "ran_s": int(each.ran.total_seconds()),
                "lost_nu": round(each.lost_nu, 6),
                "asked_in_hour": recent.get(each.organisation_id, 0),
                "max_in_hour": policy.per_organisation,
                "protected_s": policy.protected_s,
            },
        )
        for each in chosen or ()
    )


def running_of(holding: Iterable[Holding]) -> Iterator[Running]:
    """What holds units as what may make room. A call gives way to nobody: it ends with the job that made it."""
    for each in holding:
        if each.started_at is not None:
            walltime_s = max(1, round((each.until - each.started_at).total_seconds()))
            yield Running(
                attempt_id=each.attempt_id,
                organisation_id=each.organisation_id,
                service_class=ServiceClass.STANDARD if each.is_call else each.service_class,
                needs=each.needs,
                started_at=each.started_at,
                units=each.micro_nu * _HOUR_S // walltime_s,
                leaving=each.leaving,
            )


_Vector = tuple[int, int, int, int]


def _vector(amount: Resources) -> _Vector:
    return amount.gpus, amount.qpus, amount.cpus, amount.memory_mb


def _less(lacking: _Vector, given: _Vector) -> _Vector:
    gpus, qpus, cpus, memory_mb = (max(0, a - b) for a, b in zip(lacking, given, strict=True))
    return gpus, qpus, cpus, memory_mb


def _given(each: Running, lacking: _Vector) -> _Vector:
    """What it would give of what is lacking."""
    gpus, qpus, cpus, memory_mb = (min(a, b) for a, b in zip(_vector(each.needs), lacking, strict=True))
    return gpus, qpus, cpus, memory_mb


def _lost(each: Running, now: datetime) -> int:
    since = each.started_at if each.checkpoint_at is None else max(each.started_at, each.checkpoint_at)
    return each.units * (max(now - since, timedelta(0)) // _MICRO_S)


@dataclass(frozen=True, slots=True)
class _Candidate:
    running: Running
    lost: int
    gives: _Vector

    def order(self, lacking: _Vector) -> tuple[Fraction, int, UUID]:
        """Least work for what it gives first."""
        return self.lost / self.share(lacking), self.lost, self.running.attempt_id

    def share(self, lacking: _Vector) -> Fraction:
        """How much of what is lacking, all kinds together."""
        return sum((Fraction(a, b) for a, b in zip(self.gives, lacking, strict=True) if b), start=Fraction(0))

    def victim(self, now: datetime) -> Victim:
        one = self.running
        return Victim(
            attempt_id=one.attempt_id, organisation_id=one.organisation_id, ran=now - one.started_at, lost=self.lost
        )


class _Search:
    """Branch and bound down the order of the candidates."""

    def __init__(
        self, useful: Sequence[_Candidate], lacking: _Vector, policy: Preemption, recent: Mapping[UUID, int]
    ) -> None:
        self._all, self._lacking = useful, lacking
        self._policy, self._recent = policy, recent
        self._room = policy.per_hour - sum(recent.values())
        self._kinds = [kind for kind, amount in enumerate(lacking) if amount]
        self._most = {kind: max((each.gives[kind] for each in useful), default=0) for kind in self._kinds}
        self._cheapest = {
            kind: sorted(
                (place for place, each in enumerate(useful) if each.gives[kind]),
                key=lambda place, kind=kind: Fraction(useful[place].lost, useful[place].gives[kind]),  # type: ignore[misc]
            )
            for kind in self._kinds
        }
        self._left = _NODES
        self._found: tuple[int, int] | None = None
        self._chosen: list[_Candidate] | None = None
        self._of: Counter[UUID] = Counter()

    def best(self) -> Sequence[_Candidate] | None:
        if self._room > 0:
            self._begin()
            self._go(0, self._lacking, 0, [])
        return None if self._chosen is None else self._needed(self._chosen)

    def _begin(self) -> None:
        """Some way, for a start: those who give most, as many as may be asked. The search looks for a better one."""
        rest, of, taken = self._lacking, Counter[UUID](), list[_Candidate]()
        for each in sorted(self._all, key=lambda one: (-one.share(self._lacking), one.lost, one.running.attempt_id)):
            organisation = each.running.organisation_id
            if of[organisation] + self._recent.get(organisation, 0) >= self._policy.per_organisation:
                continue
            if not any(rest) or len(taken) == self._room:
                break
            of[organisation] += 1
            taken.append(each)
            rest = _less(rest, each.gives)
        if not any(rest):
            self._chosen = list(self._needed(taken))
            self._found = sum(each.lost for each in self._chosen), len(self._chosen)

    def _go(self, first: int, lacking: _Vector, lost: int, taken: list[_Candidate]) -> None:
        for place in range(first, len(self._all)):
            bound = self._bound(place, lacking)
            if bound is None or self._left <= 0:
                return
            fewest = len(taken) + bound[1]
            if fewest > self._room or (self._found is not None and (lost + bound[0], fewest) >= self._found):
                return
            each = self._all[place]
            organisation = each.running.organisation_id
            if self._of[organisation] + self._recent.get(organisation, 0) >= self._policy.per_organisation:
                continue
            self._left -= 1
            self._of[organisation] += 1
            self._take(place, each, lacking, lost, taken)
            self._of[organisation] -= 1

    def _take(self, place: int, each: _Candidate, lacking: _Vector, lost: int, taken: list[_Candidate]) -> None:
        more, rest = [*taken, each], _less(lacking, each.gives)
        if any(rest):
            if len(more) < self._room:
                self._go(place + 1, rest, lost + each.lost, more)
        elif self._found is None or (lost + each.lost, len(more)) < self._found:
            self._found, self._chosen = (lost + each.lost, len(more)), more

    def _bound(self, first: int, lacking: _Vector) -> tuple[int, int] | None:
        """The least that can still be lost, and by how few, from this place on. None: all of them are not enough."""
        least, fewest = 0, 0
        for kind in self._kinds:
            missing, cost = lacking[kind], 0
            for place in self._cheapest[kind]:
                if missing <= 0:
                    break
                if place >= first:
                    one = self._all[place]
                    part = min(missing, one.gives[kind])
                    cost += one.lost * part // one.gives[kind]
                    missing -= part
            if missing > 0:
                return None
            least = max(least, cost)
            if lacking[kind]:
                fewest = max(fewest, -(-lacking[kind] // self._most[kind]))
        return least, fewest

    def _needed(self, chosen: Sequence[_Candidate]) -> Sequence[_Candidate]:
        """Without whom the others are enough."""
        kept = list(chosen)
        for each in sorted(chosen, key=lambda one: (-one.lost, one.running.attempt_id)):
            rest = [one for one in kept if one is not each]
            if all(sum(one.gives[kind] for one in rest) >= self._lacking[kind] for kind in self._kinds):
                kept = rest
        return kept
