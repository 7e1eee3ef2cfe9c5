"""What OQTOPUS and QRMI tell, as ours; and what of it is no result or not told."""

from __future__ import annotations

import io
import struct
import zlib
from base64 import b64decode, b64encode
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from hpc_adapters.devices import DeviceState
from hpc_adapters.quantum.oqtopus import results
from hpc_adapters.quantum.oqtopus.device_info import device_of
from hpc_adapters.quantum.oqtopus.settings import OqtopusSettings
from hpc_adapters.quantum.qrmi import primitives
from hpc_adapters.quantum.qrmi.primitives import Unreadable, data_of, input_of

NOW = datetime(2026, 11, 21, 9, tzinfo=UTC)
SETTINGS = OqtopusSettings(
    name="d", url="https://api.example.jp", device="d", token_file=Path("t"), qubits=5, max_shots=100
)
RUN = {"pub": 0, "element": 0, "shots": 4, "registers": [["c", 2], ["d", 1]], "operators": [], "constant": 0.0}
PLAIN: dict[str, Any] = {"runs": [RUN], "pubs": [], "plain": True, "program_sha256": "x", "qubits": 3, "operations": 2}


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"sampling": None},
        {"sampling": {"counts": {}}},
        {"sampling": {"counts": {"00": 4}}},
        {"sampling": {"counts": {"002": 4}}},
        {"sampling": {"counts": {"000": 3}}},
        {"sampling": {"counts": {"000": -1, "001": 5}}},
        {"sampling": {"counts": {"000": "4"}}},
        {"sampling": {"counts": {"000": True, "001": 3}}},
    ],
)
def test_counts_that_are_no_result(answer: dict[str, Any]) -> None:
    with pytest.raises(results.Unreadable):
        results.document(PLAIN, [answer], [None], device="d", calibration_id=None)


@pytest.mark.parametrize("told", [None, "1", True, float("nan"), []])
def test_expectations_that_are_no_result(told: object) -> None:
    pub = {"shape": [], "shots": 4, "constants": [], "registers": []}
    plan = PLAIN | {"plain": False, "primitive": "estimator", "pubs": [pub]}
    with pytest.raises(results.Unreadable):
        results.document(plan, [{"estimation": {"exp_value": told}}], [None], device="d", calibration_id=None)


def test_a_device_as_the_apis_document_shows_it() -> None:
    data = '{"qubit_connectivity": ["(1,4)", "(4, 5)", "x"], "t1": {"0": 55.5, "2": 57}}'
    told = {
        "device_type": "simulator",
        "status": "available",
        "n_qubits": 39,
        "n_pending_jobs": 8,
        "basis_gates": ["x"],
        "device_info": f'{{"calibration_data": {data}}}',
    }
    device = device_of(told, SETTINGS, NOW)
    assert (device.simulator, device.technology, device.qubits, device.queue) == (True, "simulator", 39, 8)
    assert device.coupling == [(1, 4), (4, 5)]
    assert device.calibration is not None
    assert [qubit.t1_us for qubit in device.calibration.qubits] == [55.5, None, 57.0]


@pytest.mark.parametrize("info", [None, 7, "{", "[]", '{"qubits": 7}', '{"qubits": [{"id": -1}], "couplings": [3]}'])
def test_what_cannot_be_read_of_a_device_is_not_told(info: object) -> None:
    device = device_of({"status": "melting down", "device_info": info}, SETTINGS, NOW)
    assert (device.state, device.detail) == (DeviceState.OFFLINE, "melting-down")
    assert (device.qubits, device.coupling, device.calibration, device.queue) == (5, None, None, None)


def array(kind: str, shape: tuple[int, ...], data: bytes, *, fortran: bool = False) -> dict[str, Any]:
    header = f"{{'descr': {kind!r}, 'fortran_order': {fortran}, 'shape': {shape!r}, }}".encode()
    packed = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data
    return {"__type__": "ndarray", "__value__": b64encode(zlib.compress(packed)).decode()}


def primitive(fields: dict[str, Any]) -> dict[str, Any]:
    pub = {"__type__": "PubResult", "__value__": {"data": {"__type__": "DataBin", "__value__": {"fields": fields}}}}
    return {"__type__": "PrimitiveResult", "__value__": {"pub_results": [pub]}}


def test_arrays_of_a_primitives_result() -> None:
    bits = {"__type__": "BitArray", "__value__": {"array": array("|u1", (2, 3, 1), b"\1\2\3\0\0\1"), "num_bits": 2}}
    numbers = array("<f8", (2,), struct.pack("<2d", 0.5, float("nan")))
    [told] = data_of(primitive({"c": bits, "evs": numbers}))
    assert (told["data"]["c"]["shape"], told["data"]["c"]["shots"]) == ([2], 3)
    assert b64decode(told["data"]["c"]["bytes"]) == b"\1\2\3\0\0\1"
    assert told["data"]["evs"] == {"kind": "float", "shape": [2], "values": [0.5, None]}


@pytest.mark.parametrize(
    "field",
    [
        {"__type__": "object"},
        array("|O", (1,), b"x"),
        array("<f8", (2,), b"\0" * 8),
        array("<f8", (1,), b"\0" * 8, fortran=True),
        {"__type__": "ndarray", "__value__": "!"},
        {"__type__": "ndarray", "__value__": b64encode(zlib.compress(b"x" * 100)).decode()},
        {"__type__": "BitArray", "__value__": {"array": array("|u1", (3, 2), b"\0" * 6), "num_bits": 2}},
    ],
)
def test_no_array_that_is_not_one(field: dict[str, Any]) -> None:
    with pytest.raises(Unreadable):
        data_of(primitive({"c": field}))


def test_an_array_that_unpacks_without_end_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(primitives, "_BYTES", 1000)
    with pytest.raises(Unreadable):
        data_of(primitive({"c": array("<f8", (10_000,), b"\0" * 80_000)}))


def test_columns_are_in_the_order_in_which_qiskit_sorts_parameters() -> None:
    qpy = b64encode(io.BytesIO(b"QISKIT").getvalue()).decode()
    parameters = {"names": ["t[10]", "t[2]", "a"], "shape": [2], "values": [[1, 2, 3], [4, 5, 6]]}
    isa = {
        "primitive": "sampler",
        "circuits": [{"qpy": qpy}],
        "pubs": [{"circuit": 0, "shots": 9, "parameters": parameters}],
    }
    [[circuit, values, shots]] = input_of(isa)["pubs"]
    assert zlib.decompress(b64decode(circuit["__value__"])) == b"QISKIT"
    assert (values, shots) == ([[3, 2, 1], [6, 5, 4]], 9)
