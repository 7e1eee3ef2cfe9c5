"""Which runs stand side by side: every policy as things are, and in each "what if". Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from scheduler.simulate import options
from scheduler.simulate.errors import ExperimentRefused
from scheduler.simulate.workload import UNNAMED, Setting

World = tuple[Mapping[str, int], Mapping[str, int]]
"""Weights, and units more by machine."""


def scenarios(
    base: Setting, policies: Sequence[str], what_ifs: Sequence[str], more_gpus: int, *, as_it_is: str
) -> list[Setting]:
    """more_gpus: of every "what if" that says nothing of machines, or a "what if" of its own where there is none."""
    also = {UNNAMED: more_gpus} if more_gpus else {}
    worlds: list[World] = [({}, {})]
    for words in what_ifs or ([""] if more_gpus else []):
        weights, more = options.changes(words)
        worlds.append((weights, more or also))
    return [
        replace(grown(base, more), policy=policy, weights=weights, name=_named(policy, weights, more, as_it_is, worlds))
        for policy in policies
        for weights, more in worlds
    ]


def grown(setting: Setting, more: Mapping[str, int]) -> Setting:
    """With so many more units of these machines. ExperimentRefused: there is none of that name, or not one alone."""
    for name, count in more.items():
        only = [*setting.pools, *([UNNAMED] if setting.gpus else [])]
        machine = only[0] if name == UNNAMED and len(only) == 1 else name
        if machine == UNNAMED and setting.gpus:
            setting = replace(setting, gpus=setting.gpus + count)
        elif machine in setting.pools:
            setting = replace(setting, pools={**setting.pools, machine: setting.pools[machine] + count})
        elif machine in setting.rates:
            setting = replace(setting, qpus={**setting.qpus, machine: setting.qpus.get(machine, 1) + count})
        else:
            known = ", ".join([*only, *setting.rates])
            raise ExperimentRefused(option="--what-if", value=name, problem="unknown_machine", known=known)
    return setting


def _named(
    policy: str, weights: Mapping[str, int], more: Mapping[str, int], as_it_is: str, worlds: Sequence[World]
) -> str:
    if len(worlds) == 1:
        return policy
    changes = [f"{name}={weight}" for name, weight in weights.items()]
    changes += [f"{name}=+{count}" for name, count in more.items() if count]
    return f"{policy} · {', '.join(changes) or as_it_is}"
