from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from kyoyo.errors import BadScript, Unavailable, UsageError
from kyoyo.quantum import DocumentTooLarge
from kyoyo.quantum.programs import MAX_PROGRAM_BYTES, program_of_file
from kyoyo.quantum.results import all_counts, counts_of, error_in, result_of


def bits(num_bits: int, *rows: int, shape: tuple[int, ...] = ()) -> dict[str, Any]:
    width = (num_bits + 7) // 8
    data = b"".join(row.to_bytes(width, "big") for row in rows)
    shots = len(rows) // (shape[0] if shape else 1)
    told = {"num_bits": num_bits, "shape": list(shape), "shots": shots, "bytes": base64.b64encode(data).decode()}
    return {"kind": "bits", **told}


def result(*pubs: dict[str, Any]) -> dict[str, Any]:
    told = [{"shots": 3, "data": pub, "metadata": {}} for pub in pubs]
    return {"format": "kyoyo.result/1", "primitive": "sampler", "calibration_id": "cal-7", "pubs": told}


def test_registers_are_joined_shot_by_shot_the_last_first() -> None:
    left = result({"low": bits(2, 1, 1, 2), "high": bits(9, 256, 0, 256)})
    assert all_counts(left) == [{"100000000 01": 1, "000000000 01": 1, "100000000 10": 1}]
    assert result_of(left).about == {"calibration_id": "cal-7"}


def test_bindings_of_a_pub_are_counted_together_and_pubs_apart() -> None:
    left = result({"c": bits(1, 0, 1, 1, 1, shape=(2,))}, {"c": bits(1, 0, 0)})
    assert all_counts(left) == [{"0": 1, "1": 3}, {"0": 2}]


def test_plain_counts_and_none() -> None:
    assert all_counts({"counts": {"00": 3}}) == [{"00": 3}]
    assert counts_of({"counts": {"00": "3"}}) is None
    assert all_counts({"answer": 42}) == []
    assert all_counts(result({"evs": {"kind": "float", "shape": [], "values": [1.0]}})) == []


@pytest.mark.parametrize(
    "broken",
    [
        {**bits(2, 1, 1), "shots": 3},
        {**bits(2, 1, 1), "bytes": "%%"},
        {**bits(2, 1, 1), "bytes": None},
        {**bits(2, 1, 1), "num_bits": 9},
        {**bits(2, 1, 1), "shape": [-1, -1]},
        {**bits(2, 1, 1), "shape": ["1"]},
        {"kind": "float", "shape": [2], "values": [1.0]},
        {"kind": "float", "shape": [], "values": ["1.0"]},
        {"shape": []},
        None,
    ],
)
def test_a_broken_result_is_told_as_one(broken: Any) -> None:
    with pytest.raises(Unavailable) as wrong:
        all_counts(result({"c": broken}))
    assert wrong.value.code == "unexpected-answer"


def test_a_refusal_inside_is_found() -> None:
    assert error_in({"error": {"code": "too-many-qubits", "facts": {"limit": 12}}}) == (
        "too-many-qubits",
        {"limit": 12},
    )
    assert error_in({"error": "too-many-qubits"}) is None
    assert error_in(None) is None


def test_openqasm_is_sent_as_it_is_and_qpy_in_a_document(tmp_path: Path) -> None:
    qasm, qpy = tmp_path / "a.qasm", tmp_path / "b.qasm"
    qasm.write_text("OPENQASM 2.0;\n")
    qpy.write_bytes(b"QISKIT\x12\x00\xff")
    assert program_of_file(qasm, shots=5) == "OPENQASM 2.0;\n"
    told = json.loads(program_of_file(qpy, shots=5))
    assert told["pubs"] == [{"circuit": 0, "shots": 5}]
    assert base64.b64decode(told["circuits"][0]["data"]) == b"QISKIT\x12\x00\xff"


def test_what_is_no_circuit_is_told(tmp_path: Path) -> None:
    binary, large = tmp_path / "a.bin", tmp_path / "b.qasm"
    binary.write_bytes(b"\xff\xfe")
    large.write_bytes(b" " * (MAX_PROGRAM_BYTES + 1))
    with pytest.raises(BadScript, match="neither OpenQASM"):
        program_of_file(binary, shots=1)
    with pytest.raises(DocumentTooLarge):
        program_of_file(large, shots=1)
    with pytest.raises(UsageError, match="no such file"):
        program_of_file(tmp_path / "none", shots=1)
    with pytest.raises(UsageError, match="is a directory"):
        program_of_file(tmp_path, shots=1)
