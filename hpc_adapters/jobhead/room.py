"""Whether the cluster takes one more attempt now: what runs at once, and a few that wait in Slurm's own queue. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from hpc_adapters.contract import Resources


def has_room(free: Resources, waiting: Iterable[Resources], asked: Resources, *, look_ahead: int) -> bool:
    """`free`: not given to a job. `waiting`: ours that Slurm has accepted and not started.

    Those of them that fit are about to start, and the rest are the look-ahead. Sums over nodes: fragments count as
    room, so that at worst one more waits there than here.
    """
    ahead = 0
    for each in waiting:
        if each.fits(free):
            free = _less(free, each)
        else:
            ahead += 1
    return asked.fits(free) or ahead < look_ahead


def _less(free: Resources, taken: Resources) -> Resources:
    return Resources(
        gpus=free.gpus - taken.gpus,
        cpus=free.cpus - taken.cpus,
        memory_mb=free.memory_mb - taken.memory_mb,
        qpus=free.qpus - taken.qpus,
    )
