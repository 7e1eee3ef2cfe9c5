"""A training from a few words: how many nodes, how many GPUs on each, which program."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from kyoyo.errors import UsageError
from kyoyo.script import Directives, layout_of, over, parse_script
from kyoyo.script.relations import SignalWish
from kyoyo.spec import Choices, JobSpec, read_text, spec_of_text

WARNING = SignalWish("USR1", 120)
"""Sent before the walltime ends, unless the caller says otherwise or the walltime is hardly longer."""
ATTEMPTS = 3
"""A training is meant to be continued: so many tries after preemptions and failed machines, unless said otherwise."""
_SHEBANG = "#!/usr/bin/env python3\n"
"""Every script needs one. For a program that is started by torchrun it changes nothing but the numbers of its lines."""


def spec_of_training(entry: Path, choices: Choices, *, processes_per_node: int | None = None) -> JobSpec:
    """A Python program under torchrun, one agent a node; as many processes under each as it has GPUs.

    #SBATCH lines of the program are read where it begins with a shebang line. BadScript, UsageError.
    """
    text = read_text(entry)
    body = text if text.startswith("#!") else _SHEBANG + text
    said = over(parse_script(body), choices.directives())
    layout = layout_of(said)
    processes = processes_per_node or max(1, layout.gpus // layout.nodes)
    if layout.tasks_per_node > 1:
        raise UsageError(key="wrong.tasks_of_training")
    meant = replace(choices, kind="training", launch={"kind": "torchrun", "processes_per_node": processes})
    return spec_of_text(body, name=entry.stem, choices=replace(meant, asked=over(_usual(said), meant.asked)))


def _usual(said: Directives) -> Directives:
    """What a training gets when nobody said otherwise."""
    long_enough = said.walltime_s is not None and said.walltime_s >= 2 * WARNING.before_s
    return Directives(
        signal=said.signal or (WARNING if long_enough else None),
        max_attempts=said.max_attempts or ATTEMPTS,
    )
