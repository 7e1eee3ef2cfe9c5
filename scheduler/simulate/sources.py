"""A workload with all that is known of it, and what is tried on it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from scheduler.simulate import options
from scheduler.simulate.errors import ExperimentRefused
from scheduler.simulate.rows import TraceJob
from scheduler.simulate.shares import Share
from scheduler.simulate.workload import Setting


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """gpus: of the machine without a name (0: none, or nobody knows); pools, qpus: units of those with one.

    rates: milli-NU per hour. left_out: attempts that are not in it.
    """

    name: str
    jobs: Sequence[TraceJob]
    shares: Sequence[Share]
    gpus: int = 0
    pools: Mapping[str, int] = field(default_factory=dict)
    qpus: Mapping[str, int] = field(default_factory=dict)
    rates: Mapping[str, int] = field(default_factory=dict)
    left_out: int = 0


def with_machines(asked: Setting, source: Source, sizes: options.Sizes, *, nodes_of: int = 0) -> Setting:
    """What is asked, on the machines of the source or those that were named.

    ExperimentRefused: nothing tells how large they are, or which of several one number means.
    """
    pools, gpus = {**source.pools, **sizes.pools}, sizes.gpus or source.gpus
    if gpus and len(pools) == 1 and source.pools:
        pools, gpus = dict.fromkeys(pools, gpus), 0
    if (gpus and source.pools) or not (gpus or pools or source.qpus):
        value = str(sizes.gpus or "")
        raise ExperimentRefused(option="--gpus", value=value, problem="not_read", known="N | NAME=N")
    return replace(
        asked,
        gpus=gpus,
        pools=pools,
        qpus={**source.qpus, **asked.qpus},
        rates={**source.rates, **asked.rates},
        nodes_of=options.nodes_of(nodes_of, pools=[*pools.values(), *([gpus] if gpus else [])]),
    )
