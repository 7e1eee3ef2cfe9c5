"""What would start a waiting job now: fewer GPUs, a shorter limit, another machine. Asked of the world as it is. Pure.

Each answer was tried (core/supposing.py): with this one change, and all else as it is, it starts at once, also if it
must be submitted anew for that. Cores and memory go down with the GPUs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from hpc_adapters.contract import Resources
from scheduler.core.book.gate import Gate
from scheduler.core.book.seconds import Clock
from scheduler.core.hall import Hall
from scheduler.core.request import Request
from scheduler.core.shapes import Shapes
from scheduler.core.supposing import NEW, Supposing

_STEP_S: Final = 60
"""Limits are told in whole minutes, one less than would do: so they are true for a while, and seldom others."""
_TRIES: Final = 4


class Answers:
    """Of one world. names: its machines, by their indices."""

    def __init__(
        self,
        *,
        engine: Supposing,
        names: Sequence[str],
        halls: Mapping[str, Hall],
        shapes: Shapes,
        gate: Gate,
        clock: Clock,
    ) -> None:
        self._engine, self._names, self._halls = engine, names, halls
        self._shapes, self._gate, self._clock = shapes, gate, clock

    def would(self, job: Request, now_s: int) -> dict[str, object]:
        """Facts as JSON, those that there are: gpus (so many at most), limit_s and ends_by (no longer than that),
        backends (where it would start as it is).

        job: as if it were submitted now, under the number of the one that waits.
        """
        found: dict[str, object] = {}
        gpus = self._fewer(job, now_s)
        if gpus:
            found["gpus"] = gpus
        limit_s, ends_s = self._shorter(job, now_s)
        if limit_s:
            found["limit_s"], found["ends_by"] = limit_s, self._clock.instant(ends_s).isoformat()
        elsewhere = self._elsewhere(job, now_s)
        if elsewhere:
            found["backends"] = elsewhere
        return found

    def _fewer(self, job: Request, now_s: int) -> int:
        """0: no fewer would do."""
        needs, hall = self._shapes.needs(job.shape), self._halls[self._names[job.machine]]
        most = min(needs.gpus - 1, hall.free_now.gpus)
        if most < 1 or needs.qpus:
            return 0
        if self._starts(self._scaled(job, most), now_s, of=job):
            return most
        few, many = 0, most
        while many - few > 1:
            middle = (few + many) // 2
            if self._starts(self._scaled(job, middle), now_s, of=job):
                few = middle
            else:
                many = middle
        return few

    def _shorter(self, job: Request, now_s: int) -> tuple[int, int]:
        """A limit, and when what is in its way begins; 0: no shorter one would do.

        A shorter one may stand in the way of something else, so it is tried; it passes all that a longer one passes.
        """
        limit_s, ends_s = job.limit_s, 0
        for _ in range(_TRIES):
            longest = self._longest(job._replace(limit_s=limit_s), now_s, of=job)
            if longest >= limit_s:
                return (limit_s, ends_s) if limit_s < job.limit_s else (0, 0)
            limit_s, ends_s = (longest - _STEP_S) // _STEP_S * _STEP_S, now_s + longest
            if limit_s < _STEP_S:
                break
        return 0, 0

    def _scaled(self, job: Request, gpus: int) -> Request:
        needs = self._shapes.needs(job.shape)
        cpus, memory_mb = (-(-part * gpus // needs.gpus) for part in (needs.cpus, needs.memory_mb))
        fewer = Resources(gpus=gpus, cpus=cpus, memory_mb=memory_mb)
        return self._at(job, job.machine, fewer)

    def _at(self, job: Request, machine: int, needs: Resources) -> Request:
        units = max(1, self._halls[self._names[machine]].units_of(needs))
        shape = self._shapes.of(needs, self._shapes.calls(job.shape), self._shapes.footing(job.shape))
        return job._replace(machine=machine, shape=shape, units=units)

    def _elsewhere(self, job: Request, now_s: int) -> list[str]:
        """Of what runs on GPUs and calls no device."""
        needs = self._shapes.needs(job.shape)
        if not needs.gpus or needs.qpus or self._shapes.calls(job.shape) is not None:
            return []
        others = (machine for machine in range(len(self._names)) if machine != job.machine)
        return [self._names[each] for each in others if self._starts(self._at(job, each, needs), now_s, of=job)]

    def _starts(self, supposed: Request, now_s: int, *, of: Request) -> bool:
        return self._longest(supposed, now_s, of=of) >= supposed.limit_s

    def _longest(self, supposed: Request, now_s: int, *, of: Request | None = None) -> int:
        before = supposed if of is None else of
        self._gate.micro_nu[NEW] = self._sized(supposed, before)
        try:
            return self._engine.longest(supposed._replace(number=NEW), now_s, instead_of=before.number)
        finally:
            del self._gate.micro_nu[NEW]

    def _sized(self, supposed: Request, before: Request) -> tuple[int, int]:
        """Its normalised units, as those of the one that waits go: by units and time, rounded up."""
        size = self._gate.size(before)
        whole = max(1, before.units * before.limit_s)
        return -(-size.micro_nu * supposed.units * supposed.limit_s // whole), size.calls_micro_nu
