"""A device's calibration file: its id, its history, and what is no calibration."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from hpc_adapters.devices import GateData, QubitData
from hpc_adapters.quantum.aer.calibrations import CalibrationFile, CalibrationUnreadable, calibration_of

TOML = """
at = 2026-04-01T03:00:00+09:00
coupling = [[0, 1]]
qubits = [{t1_us = 120.0, t2_us = 90.0, readout_error = 0.02, readout_ns = 1200.0}, {readout_error = 0.04}]
gates = [{name = "cx", qubits = [0, 1], error = 0.01, duration_ns = 300.0}, {name = "sx", qubits = [0]}]
"""


def changed(path: Path, content: str) -> None:
    """Written, with another time than before."""
    before = path.stat().st_mtime_ns if path.exists() else 0
    path.write_text(content)
    os.utime(path, ns=(before + 10**9, before + 10**9))


def test_a_file_is_read_with_its_id_and_medians(tmp_path: Path) -> None:
    changed(tmp_path / "c.toml", TOML)
    loaded = CalibrationFile(tmp_path / "c.toml", tmp_path / "kept", qubits=2).current()
    calibration = loaded.calibration
    assert (loaded.coupling, loaded.basis_gates) == (((0, 1),), None)
    assert calibration.at is not None
    assert calibration.at.isoformat() == "2026-03-31T18:00:00+00:00"
    assert (calibration.two_qubit_error, calibration.readout_error) == (0.01, 0.03)
    assert len(calibration.id) == 16
    assert set(calibration.id) <= set("0123456789abcdef")


def test_the_id_is_that_of_the_properties_in_any_order_and_not_of_the_date() -> None:
    qubits = [QubitData(t1_us=1.0), QubitData()]
    gates = [GateData("sx", (0,), 0.1), GateData("cx", (0, 1), 0.2)]
    one = calibration_of(qubits, gates, None)
    assert one.id == calibration_of(qubits, gates[::-1], None).id
    assert one.id != calibration_of(qubits[::-1], gates, None).id


def test_a_change_is_a_new_calibration_and_the_old_one_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    changed(path, TOML)
    file = CalibrationFile(path, tmp_path / "kept", qubits=2)
    first = file.current().calibration
    changed(path, TOML.replace("0.01", "0.02"))
    second = file.current().calibration
    assert second.id != first.id
    assert second.two_qubit_error == 0.02
    again = CalibrationFile(path, tmp_path / "kept", qubits=2)
    assert [each.id for each in again.history()] == [first.id, second.id]


@pytest.mark.parametrize(
    "content",
    [
        "",
        "qubits = 3\ngates = []",
        "qubits = [{error = 1.0}]\ngates = []",
        "qubits = [{readout_error = 1.5}]\ngates = []",
        "qubits = [{t1_us = -1}]\ngates = []",
        "qubits = [{t1_us = nan}]\ngates = []",
        'qubits = [{}]\ngates = [{name = "x", qubits = [1]}]',
        "at = 2026-04-01T03:00:00\nqubits = []\ngates = []",
        "qubits = []\ngates = []",
    ],
)
def test_what_is_no_calibration_is_not_taken_and_the_last_one_stays(tmp_path: Path, content: str) -> None:
    path = tmp_path / "c.toml"
    changed(path, content)
    with pytest.raises(CalibrationUnreadable):
        CalibrationFile(path, tmp_path / "kept", qubits=2)
    changed(path, TOML)
    file = CalibrationFile(path, tmp_path / "kept", qubits=2)
    good = file.current()
    changed(path, content)
    assert file.current() == good
    assert file.problem.startswith("c.toml:")
    path.unlink()
    assert file.current() == good


def test_what_is_kept_is_read_back_as_it_was(tmp_path: Path) -> None:
    changed(tmp_path / "c.toml", TOML)
    file = CalibrationFile(tmp_path / "c.toml", tmp_path / "kept", qubits=2)
    [kept] = file.history()
    assert kept == file.current().calibration
    [path] = (tmp_path / "kept").glob("*.json")
    assert json.loads(path.read_text())["coupling"] == [[0, 1]]
