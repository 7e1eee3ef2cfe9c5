from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyoyo.errors import UsageError
from kyoyo.script import layout_of, parse_script
from kyoyo.script.layout import Layout
from kyoyo.script.patterns import Facts, default_pattern, file_name


def laid_out(options: str) -> Layout:
    return layout_of(parse_script(f"#!/bin/sh\n#SBATCH {options}\n"))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("", (1, 1, 1, None, None, None)),
        ("-G 4", (1, 1, 4, None, None, None)),
        ("-N 2", (2, 1, 2, None, None, None)),
        ("-N 2 --gres=gpu:h200:8", (2, 1, 16, "h200", None, None)),
        ("-G 16 --gpus-per-node=8", (2, 1, 16, None, None, None)),
        ("-n 8 --ntasks-per-node=4 --gpus-per-task=1", (2, 4, 8, None, None, None)),
        ("-G 8 --gpus-per-task=1 -N 2", (2, 4, 8, None, None, None)),
        ("-n 4 -c 8 --mem-per-cpu=2G", (1, 4, 1, None, 32, 65_536)),
        ("-N 2 --mem=64G", (2, 1, 2, None, None, 131_072)),
        ("-G 2 --cpus-per-gpu=12 --mem-per-gpu=100G", (1, 1, 2, None, 24, 204_800)),
        ("--mem=0", (1, 1, 1, None, None, None)),
    ],
)
def test_the_sums_are_those_that_slurm_would_allocate(options: str, expected: tuple[object, ...]) -> None:
    told = laid_out(options)
    assert (told.nodes, told.tasks_per_node, told.gpus, told.gpu_type, told.cpus, told.memory_mb) == expected


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ("-N 2 -G 3", "--gpus: 3 does not divide evenly into 2"),
        ("-N 2 -n 3", "--ntasks: 3 does not divide evenly into 2"),
        ("-N 2 -G 4 --gpus-per-node=4", "--gpus and --gpus-per-node contradict each other"),
        ("-n 9 -N 2 --ntasks-per-node=4", "--ntasks and --ntasks-per-node contradict"),
        ("-G h200:1 --gres=gpu:a100:1", "contradict"),
        ("-c 2 --cpus-per-gpu=2", "--cpus-per-task and --cpus-per-gpu contradict"),
    ],
)
def test_what_is_uncertain_is_refused_by_name(options: str, named: str) -> None:
    with pytest.raises(UsageError, match=named):
        laid_out(options)


COUNT = st.one_of(st.none(), st.integers(1, 64))


@given(
    st.fixed_dictionaries(dict.fromkeys(["nodes", "ntasks", "ntasks-per-node", "gpus", "gres", "cpus-per-gpu"], COUNT))
)
def test_every_layout_divides_evenly_over_its_nodes(said: dict[str, int | None]) -> None:
    words = {name: f"gpu:{value}" if name == "gres" else value for name, value in said.items() if value}
    with suppress(UsageError):
        told = laid_out(" ".join(f"--{name}={value}" for name, value in words.items()))
        assert told.gpus % told.nodes == 0
        assert said["ntasks"] in {None, told.nodes * told.tasks_per_node}
        assert said["gpus"] in {None, told.gpus}
        assert said["nodes"] in {None, told.nodes}


FACTS = Facts(job="12", name="a/b", user="sato", array="7", index=3)


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("slurm-%j.out", "slurm-12.out"),
        ("%A_%a.log", "7_3.log"),
        ("logs/%x-%u.%4j", "logs/a_b-sato.0012"),
        ("%N-%b%%", "node0-3%"),
        ("%z %", "%z %"),
        ("\\%j", "%j"),
        ("%99j", "0000000012"),
    ],
)
def test_a_pattern_becomes_a_file_name(pattern: str, name: str) -> None:
    assert file_name(pattern, FACTS) == name


@given(st.text())
def test_a_jobs_name_never_leads_into_another_folder(name: str) -> None:
    told = file_name("%x", Facts(job="1", name=name, user="u"))
    assert "/" not in told
    assert told not in {".", ".."}


def test_the_default_names_are_sbatchs() -> None:
    assert default_pattern(is_task=False) == "slurm-%j.out"
    assert default_pattern(is_task=True) == "slurm-%A_%a.out"
