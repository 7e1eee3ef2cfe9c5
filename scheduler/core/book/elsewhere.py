"""Where what waits could run besides where it waits: what bars it there, and whether it would start now. Pure.

Asked after a decision. What starts is for the engine to decide all the same, in the order of that machine.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from hpc_adapters.contract import Resources
from scheduler.core.book.aside import aside
from scheduler.core.book.gate import Gate
from scheduler.core.book.queued import Queued
from scheduler.core.book.telling import Reason, Telling
from scheduler.core.hall import Hall
from scheduler.core.reasons import Why
from scheduler.core.request import Request
from scheduler.core.shapes import Shapes
from scheduler.core.snapshot import Pool, Waiting
from scheduler.core.supposing import NEW, Supposing


class Elsewhere:
    """Of one world at the instant of its last decision. starting: what is about to start, and waits no more."""

    def __init__(
        self,
        *,
        engine: Supposing,
        machines: Mapping[str, int],
        halls: Mapping[str, Hall],
        pools: Mapping[str, Pool],
        shapes: Shapes,
        gate: Gate,
        telling: Telling,
        request: Callable[[int, Waiting, int, int], Request | None],
        now_s: int,
        waiting: Queued,
        starting: Collection[int],
    ) -> None:
        self._engine, self._machines, self._halls, self._pools = engine, machines, halls, pools
        self._shapes, self._gate, self._telling, self._request = shapes, gate, telling, request
        self._now_s, self._waiting, self._starting = now_s, waiting, starting

    def job(self, number: int) -> Waiting | None:
        """What waits for nothing but its turn, or for its machine. None: it does not, or is about to start."""
        job = None if number in self._starting else self._waiting.get(number)
        if job is None or number in self._engine.waiting:
            return job
        apart = aside(job, now=self._telling.now)
        if apart is not None:  # what its machine was refused for says nothing of another one
            return job if apart.why is Why.NOT_ELIGIBLE else None
        is_throttled = job.task is not None and job.task.max_running is not None
        return None if is_throttled or job.inside is not None else job

    @property
    def passes(self) -> int:
        """How many the engine has gone through to find out what would start, for whomever."""
        return self._engine.passes

    def ranks(self, machines: Iterable[str], most: int) -> dict[int, int]:
        """The first of the line of each of these machines, with their places in it."""
        known = [self._machines[name] for name in machines if name in self._machines]
        lines = [self._engine.ranking(machine, self._now_s, most) for machine in known]
        return {number: place for line in lines for place, number in enumerate(line)}

    def nodes(self, backend: str) -> tuple[Sequence[int], int]:
        """GPUs that are free on each of its nodes, and those of a whole one; nothing where it does not tell."""
        pool = self._pools.get(backend)
        return ((), 0) if pool is None else (pool.free_gpus, pool.node_gpus)

    def bars(self, job: Waiting) -> str | None:
        """Why it may not start there however much is free: a word of core.reasons.Why. None: nothing."""
        supposed = self._supposed(job)
        if supposed is None:
            return Why.BACKEND_OFFLINE.value
        barred = self._telling.barred(supposed, job.backend)
        return None if barred is None else barred[0].value

    def lacks(self, job: Waiting) -> Reason | None:
        """Why it would wait there; None: nobody knows that machine."""
        supposed = self._supposed(job)
        if supposed is None:
            return None
        found = self._telling.barred(supposed, job.backend) or self._telling.crowded(supposed, job.backend)
        if found[0] is Why.NEXT_CYCLE and not self.starts(
            job
        ):  # what was reserved is forgotten once something is tried
            return Why.RESERVED_FOR_EARLIER, {}
        return found

    def has_room(self, backend: str, needs: Sequence[Resources], limit_s: int) -> bool:
        """Whether so much is free there for so long, whoever may have it: a quick look."""
        hall = self._halls.get(backend)
        return hall is not None and hall.horizon(self._shapes.of(_sum(needs))) >= limit_s

    def starts(self, job: Waiting, beside: Sequence[Resources] = ()) -> bool:
        """Whether it would, with all that is about to go there too, without passing over anybody who could.

        It is tried as one that came just now (core/supposing.py): what is told is never too good.
        """
        supposed = self._supposed(job)
        if supposed is None:
            return False
        whole = self._shapes.of(_sum([job.needs, *beside]), job.calls)
        if self._halls[job.backend].horizon(whole) < supposed.limit_s:
            return False
        self._gate.micro_nu[NEW] = job.micro_nu, job.calls_micro_nu
        try:
            asked = supposed._replace(shape=whole)
            return self._engine.longest(asked, self._now_s, instead_of=job.seq) >= supposed.limit_s
        finally:
            del self._gate.micro_nu[NEW]

    def _supposed(self, job: Waiting) -> Request | None:
        if job.backend not in self._halls:
            return None
        sized = replace(job, micro_nu=0, calls_micro_nu=0)  # nothing of it is to be remembered
        return self._request(NEW, sized, job.walltime_s, self._now_s)


def _sum(parts: Iterable[Resources]) -> Resources:
    known = list(parts)
    return Resources(
        gpus=sum(each.gpus for each in known),
        cpus=sum(each.cpus for each in known),
        memory_mb=sum(each.memory_mb for each in known),
        qpus=sum(each.qpus for each in known),
    )
