"""submitit's parameters as sbatch's options. Pure; one that cannot be kept is refused by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from kyoyo.errors import UsageError
from kyoyo.script import Directives, directives_of
from kyoyo.script.options import TAKES, Given, Takes

SIGNAL = "USR2"
SIGNAL_DELAY_S = 90
ATTEMPTS = 3
"""Of a function that can go on: preempted and lost attempts cost nothing."""
_OPTIONS: Mapping[str, str] = {
    "name": "job-name",
    "job_name": "job-name",
    "nodes": "nodes",
    "tasks_per_node": "ntasks-per-node",
    "ntasks_per_node": "ntasks-per-node",
    "gpus_per_node": "gpus-per-node",
    "num_gpus": "gpus",
}
_OWN = frozenset(
    {
        "timeout_min",
        "time",
        "mem_gb",
        "array_parallelism",
        "signal_delay_s",
        "max_num_timeout",
        "additional_parameters",
        "python",
        "stderr_to_stdout",
        "max_cost_yen",
        "max_attempts",
        "environment",
        "secrets",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """What an executor asks for with each submission."""

    asked: Directives
    array_parallelism: int | None = None
    signal_delay_s: int = SIGNAL_DELAY_S
    max_timeouts: int = 0
    max_attempts: int | None = None
    max_cost_yen: int | None = None
    python: str = "/usr/bin/env python3"
    environment: Mapping[str, str] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()


def parameters_of(said: Mapping[str, object]) -> Parameters:
    """All that update_parameters was told. UsageError names the first that cannot be kept."""
    plain = {name.removeprefix("slurm_"): value for name, value in said.items()}
    asked = directives_of(_given(plain))
    if (asked.nodes or 1) > 1 or (asked.ntasks_per_node or 1) > 1:
        raise UsageError(key="wrong.one_task")
    environment, secrets = plain.get("environment"), plain.get("secrets")
    return Parameters(
        asked=asked,
        array_parallelism=_whole(plain, "array_parallelism"),
        signal_delay_s=_whole(plain, "signal_delay_s") or SIGNAL_DELAY_S,
        max_timeouts=_whole(plain, "max_num_timeout") or 0,
        max_attempts=_whole(plain, "max_attempts"),
        max_cost_yen=_whole(plain, "max_cost_yen"),
        python=str(plain.get("python") or "/usr/bin/env python3"),
        environment={str(k): str(v) for k, v in environment.items()} if isinstance(environment, Mapping) else {},
        secrets=tuple(map(str, secrets)) if isinstance(secrets, list | tuple) else (),
    )


def _given(said: Mapping[str, object]) -> Iterator[Given]:
    for name, value in said.items():
        if name in {"timeout_min", "time"}:
            yield Given("time", _minutes(value))
        elif name == "mem_gb":
            yield Given("mem", f"{_megabytes(value)}M")
        elif name == "additional_parameters" and isinstance(value, Mapping):
            yield from _given({str(inner): each for inner, each in value.items()})
        elif name not in _OWN and value is not None:
            yield _option(name, value)


def _option(name: str, value: object) -> Given:
    option = _OPTIONS.get(name, name.replace("_", "-"))
    takes = TAKES.get(option)
    if takes is None or (takes is Takes.NOTHING and value is not True):
        raise UsageError(key="wrong.parameter", name=name)
    return Given(option, None if value is True else str(value))


def _minutes(value: object) -> str:
    """Minutes as a number, which may be a fraction; or a time as sbatch has it."""
    return f"{round(value * 60)}s" if isinstance(value, int | float) else str(value)


def _megabytes(value: object) -> int:
    if not isinstance(value, int | float) or value <= 0:
        raise UsageError(key="wrong.memory", option="mem_gb", value=repr(value))
    return round(value * 1024)


def _whole(said: Mapping[str, object], name: str) -> int | None:
    value = said.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise UsageError(key="wrong.count", option=name, value=repr(value))
    return value
