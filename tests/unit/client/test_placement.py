"""A job that may run on several offerings, as it is said and as it is sent."""

from __future__ import annotations

from pathlib import Path

import pytest

from kyoyo.script import directives_of
from kyoyo.script.options import Given
from kyoyo.spec import Choices, JobSpec, spec_of_script


def spec(tmp_path: Path, *lines: str, **choices: object) -> JobSpec:
    script = tmp_path / "job.sh"
    script.write_text("\n".join(["#!/bin/sh", "#SBATCH --time=1:00:00", *lines, "hostname"]) + "\n")
    return spec_of_script(script, Choices(**choices))  # type: ignore[arg-type]  by their names


def nothing_fits(kind: str) -> str:
    raise AssertionError(kind)


@pytest.mark.parametrize("said", ["gpu-a,gpu-b", "gpu-a,,gpu-b,"])
def test_several_partitions_are_several_offerings(tmp_path: Path, said: str) -> None:
    """As Slurm means it: the one that offers the earliest start is used."""
    for found in (spec(tmp_path, f"#SBATCH -p {said}"), spec(tmp_path, offering=said)):
        assert found.offered(nothing_fits).to_json()["offering"] == ["gpu-a", "gpu-b"]
    asked = directives_of([Given("partition", said)])
    assert spec(tmp_path, "#SBATCH --partition=old", asked=asked).to_json()["offering"] == ["gpu-a", "gpu-b"]


def test_one_is_sent_as_it_always_was_and_anywhere_names_none(tmp_path: Path) -> None:
    assert spec(tmp_path, offering="gpu-a").to_json()["offering"] == "gpu-a"
    told = spec(tmp_path, "#SBATCH -p gpu-a", anywhere=True, data_location="jp").offered(nothing_fits).to_json()
    assert (told["anywhere"], told["data_location"]) == (True, "jp")
    assert "offering" not in told
    assert "data_location" not in spec(tmp_path, offering="gpu-a").to_json()


def test_devices_are_called_by_their_names(tmp_path: Path) -> None:
    circuit = JobSpec(name="bell", kind="quantum", body="…", walltime_s=60, offering="torino,aer")
    assert circuit.on_devices({"torino": "qpu-t", "aer": "qpu-a"}.__getitem__).to_json()["offering"] == [
        "qpu-t",
        "qpu-a",
    ]
