"""The text that starts a program under torchrun."""

from __future__ import annotations

import ast
import shlex
import subprocess
from pathlib import Path

import pytest

from hpc_adapters.contract import Torchrun
from hpc_adapters.launching import torchrun as module
from hpc_adapters.launching.torchrun import torchrun


def last_line(text: str) -> str:
    """The command that starts the program, its Python text included."""
    return next(text[text.index(start) :] for start in ("srun ", '"$kyoyo_python" -c') if start in text)


def test_one_node_needs_no_slurm_and_starts_so_many_processes() -> None:
    text = torchrun(Torchrun(processes_per_node=4), nodes=1, script="/job/train.py", arguments=["--lr", "1e-3"])
    words = shlex.split(last_line(text))
    assert words[:2] == ["$kyoyo_python", "-c"]
    assert words[3:] == [
        *("--standalone", "--nproc-per-node", "4", "--max-restarts", "0", "/job/train.py", "--lr", "1e-3")
    ]


def test_on_slurm_an_agent_is_a_task_of_srun_also_on_one_node() -> None:
    words = shlex.split(last_line(torchrun(Torchrun(processes_per_node=2), nodes=1, script="/x", slurm=True)))
    assert words[:4] == ["srun", "--nodes=1", "--ntasks=1", "--ntasks-per-node=1"]
    assert "--standalone" in words


def test_several_nodes_meet_at_slurm_s_address_of_the_first() -> None:
    text = torchrun(Torchrun(processes_per_node=8), nodes=3, script="/x", slurm=True)
    assert 'scontrol show hostnames "$SLURM_JOB_NODELIST"' in text
    assert "--nodes=3 --ntasks=3 --ntasks-per-node=1" in text
    assert '--rdzv-endpoint "${kyoyo_address:-$kyoyo_first}:$kyoyo_port"' in text
    assert '--rdzv-id "$KYOYO_ATTEMPT_ID"' in text
    with pytest.raises(ValueError, match="srun"):
        torchrun(Torchrun(processes_per_node=8), nodes=2, script="/x")


@pytest.mark.parametrize("slurm", [False, True])
def test_no_word_of_the_user_is_read_by_the_shell(*, slurm: bool) -> None:
    words = ["a b", "$(touch /x)", "'", '"', "`id`", "; exit 1", "", "-c", "日本"]
    text = torchrun(Torchrun(processes_per_node=1), nodes=1, script="/s c.py", arguments=words, slurm=slurm)
    assert shlex.split(text)[-len(words) - 1 :] == ["/s c.py", *words]


def test_without_a_script_the_shell_s_own_words_are_the_program() -> None:
    text = torchrun(Torchrun(processes_per_node=1), nodes=1)
    told = "told() { shift 7; printf '<%s>' \"$@\"; }\n" + text.replace('"$kyoyo_python"', "told")
    done = subprocess.run(["sh", "-c", told, "sh", "/a b.py", "c d"], check=True, capture_output=True, text=True)
    assert done.stdout == "</a b.py><c d>"


@pytest.mark.parametrize(
    ("first_line", "site", "python"),
    [
        ("#!/sw/venv/bin/python3.12", "", "/sw/venv/bin/python3.12"),
        ("#!/usr/bin/env python3", "", "python3"),
        ("#!/usr/bin/python3 -u", "", "python3"),
        ("#!/bin/bash", "", "python3"),
        ("import torch", "", "python3"),
        ("", "", "python3"),
        ("#!/sw/python", "/image/python", "/image/python"),
    ],
)
def test_the_program_s_first_line_names_its_python(tmp_path: Path, first_line: str, site: str, python: str) -> None:
    script = tmp_path / "a b.py"
    script.write_text(first_line)
    text = torchrun(Torchrun(processes_per_node=1), nodes=1, script=str(script))
    told = text[: text.index('"$kyoyo_python" -c')] + 'printf %s "$kyoyo_python"'
    environment = {"KYOYO_PYTHON": site} if site else {}
    done = subprocess.run(["sh", "-c", told], env=environment, check=True, capture_output=True, text=True)
    assert done.stdout == python
    environment["KYOYO_SITE_PYTHON"] = "/site/python"
    done = subprocess.run(["sh", "-c", told], env=environment, check=True, capture_output=True, text=True)
    assert done.stdout == (python if python != "python3" else "/site/python")


def test_what_the_agent_runs_is_python_and_the_text_is_sh() -> None:
    ast.parse(module._AGENT)
    for nodes in (1, 2):
        text = torchrun(Torchrun(processes_per_node=1), nodes=nodes, script="/x", slurm=True)
        subprocess.run(["sh", "-n"], input=text, check=True, text=True)
