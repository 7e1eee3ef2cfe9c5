"""A training from a few words."""

from __future__ import annotations

from pathlib import Path

import pytest

from kyoyo.errors import UsageError
from kyoyo.launches import spec_of_training
from kyoyo.script import Directives
from kyoyo.script.amounts import Gpus
from kyoyo.script.relations import SignalWish
from kyoyo.spec import Choices, JobSpec

PROGRAM = "import torch\n"


def spec(tmp_path: Path, program: str = PROGRAM, *, processes: int | None = None, **choices: object) -> JobSpec:
    entry = tmp_path / "train.py"
    entry.write_text(program, encoding="utf-8")
    return spec_of_training(entry, Choices(**choices), processes_per_node=processes)  # type: ignore[arg-type]


def test_a_few_words_make_the_whole_launch(tmp_path: Path) -> None:
    asked = Directives(nodes=2, gpus_per_node=Gpus(4))
    found = spec(tmp_path, walltime_s=3600, asked=asked, arguments=("--lr", "1"), offering="gpu").to_json()
    assert found == {
        "name": "train",
        "kind": "training",
        "offering": "gpu",
        "project": "default",
        "service_class": "standard",
        "gpus": 8,
        "nodes": 2,
        "walltime_s": 3600,
        "shots": 0,
        "script": "#!/usr/bin/env python3\nimport torch\n",
        "arguments": ["--lr", "1"],
        "environment": {},
        "max_attempts": 3,
        "signal": {"name": "USR1", "before_s": 120},
        "launch": {"kind": "torchrun", "processes_per_node": 4},
    }


def test_what_the_program_or_the_caller_says_wins(tmp_path: Path) -> None:
    program = (
        "#!/usr/bin/env python3\n#SBATCH --time=1:00:00 --signal=USR2@30\n#SBATCH -N 2 --gres=gpu:2\nimport torch\n"
    )
    found = spec(tmp_path, program, max_attempts=1, processes=1, max_timeouts=4)
    assert (found.nodes, found.gpus, found.walltime_s) == (2, 4, 3600)
    assert found.signal == SignalWish("USR2", 30)
    assert found.launch == {"kind": "torchrun", "processes_per_node": 1}
    assert found.max_attempts == 5  # the time-outs are continued, if nothing else is
    assert found.body == program


def test_a_short_training_is_not_warned(tmp_path: Path) -> None:
    assert spec(tmp_path, walltime_s=239).signal is None
    assert spec(tmp_path, walltime_s=240).signal == SignalWish("USR1", 120)


def test_a_training_without_gpus_has_one_process_a_node(tmp_path: Path) -> None:
    assert spec(tmp_path, walltime_s=60, gpus=0).launch == {"kind": "torchrun", "processes_per_node": 1}


def test_more_tasks_a_node_are_refused_with_what_to_say_instead(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--processes-per-node"):
        spec(tmp_path, walltime_s=60, asked=Directives(ntasks_per_node=8))
