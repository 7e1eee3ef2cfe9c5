"""Fed just enough: how many of ours wait in Slurm's own queue, from the queue itself and what we have just sent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from hpc_adapters.contract import Capacity, JobRequest, Resources
from hpc_adapters.errors import Rejected, Unavailable
from hpc_adapters.jobhead.room import has_room
from hpc_adapters.slurm import accounting, capacity
from hpc_adapters.slurm.calls import Slurm
from hpc_adapters.slurm.capacity import UP, Machine
from hpc_adapters.slurm.models import Partition
from hpc_adapters.slurm.settings import SlurmSettings
from hpc_adapters.slurm.view import Queue, View

_KEPT: Final = timedelta(minutes=2)
_PARTITION_GOOD_FOR: Final = timedelta(seconds=2)
"""slurmrestd asks slurmdbd, too, for each look at partitions, and an operator changes one by hand."""
_PARTITIONS_S: Final = 3.0
"""Longer nobody waits for what slurmdbd, which may hang, has to say about partitions."""


@dataclass(frozen=True, slots=True)
class _Look:
    """Queue and free units, the queue first: what it calls running is not free any more."""

    queue: Queue
    capacity: Capacity
    nodes: int
    """Of the partition, in service or not."""
    every: Sequence[Machine]
    """The same, as far as Slurm shows them."""


class Waiting:
    """One for each adapter: another process' submissions count as soon as Slurm tells of them."""

    def __init__(self, settings: SlurmSettings, *, slurm: Slurm, view: View, clock: Callable[[], datetime]) -> None:
        self._settings, self._slurm, self._view, self._clock = settings, slurm, view, clock
        self._sent: dict[UUID, tuple[Resources, datetime]] = {}
        self._look: _Look | None = None
        self._lock = asyncio.Lock()
        self._known_partition: Sequence[Partition] | None = None
        self._partition_at: datetime | None = None

    async def capacity(self) -> Capacity:
        """As of now. What was accepted and has not started is free still: whoever plans knows of it. Unavailable."""
        return (await self._recent(0.0)).capacity

    async def require_room(self, request: JobRequest) -> None:
        """Unavailable('no-room'): by a look at Slurm that is as new as this call. Rejected: there never will be."""
        asked, look = request.resources, await self._recent(self._settings.view_s)
        if 0 < look.nodes < request.placement.nodes:  # Slurm would let it wait for ever
            raise Rejected("too-large", unit="nodes", asked=request.placement.nodes, limit=look.nodes)
        if asked.qpus and look.every and not any(machine.total.qpus for machine in look.every):
            raise Rejected("unknown-qpu-type", asked=self._settings.qpu_gres or "-")
        if not capacity.will_ever_run(look.every, asked, request.placement):
            raise Rejected("no-node-fits", nodes=request.placement.nodes, gpus=asked.gpus, qpus=asked.qpus)
        if self._fits(look, asked):
            return
        if not self._fits(await self._recent(0.0), asked):
            raise Unavailable("no-room", maybe_done=False)

    def sent(self, request: JobRequest) -> None:
        """Count it from now on, until Slurm tells of it."""
        self._sent[request.attempt_id] = (request.resources, self._clock())

    def refused(self, request: JobRequest) -> None:
        """Count it no more."""
        self._sent.pop(request.attempt_id, None)

    def _fits(self, look: _Look, asked: Resources) -> bool:
        if not look.capacity.online:
            return False
        waiting = self._known(look.queue).values()
        return has_room(look.capacity.free, waiting, asked, look_ahead=self._settings.look_ahead)

    def _known(self, queue: Queue) -> dict[UUID, Resources]:
        """What waits there, and what we have sent since."""
        self._forget_told(queue)
        sent = {attempt_id: resources for attempt_id, (resources, _) in self._sent.items()}
        qpu = self._settings.qpu_tres
        there = {attempt_id: _asked(job.tres_req, qpu) for attempt_id, job in queue.waiting.items()}
        return {**there, **sent}

    def _forget_told(self, queue: Queue) -> None:
        oldest = self._clock() - _KEPT
        for attempt_id, (_, sent_at) in list(self._sent.items()):
            if queue.claiming(attempt_id) or sent_at < oldest:
                del self._sent[attempt_id]

    async def _recent(self, max_age_s: float) -> _Look:
        if max_age_s and (fresh := self._since(max_age_s)) is not None:
            return fresh  # whoever may use it waits for nobody who asks for a newer one
        async with self._lock:
            if self._since(max_age_s) is None:
                queue = await (self._view.recent(max_age_s) if max_age_s else self._view.now())
                name, kind, qpu = self._settings.partition, self._settings.gpu_type, self._settings.qpu_tres
                nodes = await self._slurm.nodes()
                every = capacity.every_machine(nodes.items, partition=name, qpu=qpu)
                partition = await self._partition(every)
                machines = capacity.machines(nodes.items, partition=name, gpu_type=kind, qpu=qpu)
                left = capacity.draining(nodes.items, partition=name, gpu_type=kind, qpu=qpu)
                found = capacity.capacity(machines, partition, partition=name, at=self._clock(), draining=left)
                size = next((each.total_nodes for each in partition if each.name == name), 0)
                self._look = _Look(queue, found, size, every)
            assert self._look is not None
            return self._look

    def _since(self, max_age_s: float) -> _Look | None:
        """The last look, unless it is older."""
        oldest = self._clock() - timedelta(seconds=max_age_s)
        return None if self._look is None or self._look.capacity.at < oldest else self._look

    async def _partition(self, every: Sequence[Machine]) -> Sequence[Partition]:
        """Ours, or none. slurmctld has just told of its nodes, but slurmrestd asks slurmdbd about partitions, too.

        That may be away for long, and jobs go on: then it is as it was last, or, where we never knew, as the nodes say.
        What is wrong by now slurmctld still refuses.
        """
        name = self._settings.partition
        asked_at = self._clock()
        if self._partition_at is not None and asked_at - self._partition_at < _PARTITION_GOOD_FOR:
            return self._known_partition or []
        try:
            async with asyncio.timeout(_PARTITIONS_S):
                told = (await self._slurm.partitions()).items
        except (Unavailable, TimeoutError):
            if self._known_partition is None and every:
                nodes = len(every)
                return [
                    Partition(
                        name=name,
                        state=(UP,),
                        nodes="",
                        total_nodes=nodes,
                        tres={},
                        max_time_s=None,
                        default_time_s=None,
                    )
                ]
            return self._known_partition or []
        self._known_partition, self._partition_at = [each for each in told if each.name == name], asked_at
        return self._known_partition


def _asked(tres: Mapping[str, int], qpu: str | None) -> Resources:
    return Resources(
        gpus=accounting.gpus(tres),
        cpus=tres.get("cpu", 0),
        memory_mb=tres.get("mem", 0),
        qpus=accounting.qpus(tres, qpu),
    )
