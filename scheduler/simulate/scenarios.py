"""Which runs stand side by side: every policy as things are, and in each "what if". Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from scheduler.simulate import options
from scheduler.simulate.workload import Setting


def scenarios(
    base: Setting, policies: Sequence[str], what_ifs: Sequence[str], more_gpus: int, *, as_it_is: str
) -> list[Setting]:
    """more_gpus: of every "what if", or a "what if" of its own where there is none."""
    worlds: list[tuple[dict[str, int], int]] = [({}, 0)]
    for words in what_ifs or ([""] if more_gpus else []):
        weights, more = options.changes(words)
        worlds.append((weights, more_gpus if more is None else more))
    return [
        replace(
            base,
            policy=policy,
            weights=weights,
            gpus=base.gpus + more,
            name=_named(policy, weights, more, as_it_is, worlds),
        )
        for policy in policies
        for weights, more in worlds
    ]


def _named(policy: str, weights: dict[str, int], more: int, as_it_is: str, worlds: Sequence[object]) -> str:
    if len(worlds) == 1:
        return policy
    changes = [f"{name}={weight}" for name, weight in weights.items()] + ([f"gpus=+{more}"] if more else [])
    return f"{policy} · {', '.join(changes) or as_it_is}"
