"""What is sent for a hybrid job, and what runs in each of its rounds."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path

import pytest

from kyoyo import Done, HybridJob, Phase, Repeat, UsageError, hybrid_job, rounds


def a_loop() -> HybridJob:
    return HybridJob(
        name="vqe",
        project="chemistry",
        phases=(
            Phase.gpu("#!/bin/sh\ntrue\n", name="propose", gpus=2, time="5:00", takes=[]),
            Phase.qpu(name="measure", program_from="circuit.json", shots=100, offering="heron"),
        ),
        repeat=Repeat("propose", "measure", 3),
    )


def test_a_specification_is_sent_as_the_api_takes_it() -> None:
    told = a_loop().offered({"gpu": "h200", "quantum": "aer"}.__getitem__).to_json()
    assert told == {
        "name": "vqe",
        "kind": "hybrid",
        "project": "chemistry",
        "service_class": "standard",
        "phases": [
            {
                "name": "propose",
                "kind": "batch",
                "offering": "h200",
                "walltime_s": 300,
                "max_attempts": 1,
                "takes": [],
                "script": "#!/bin/sh\ntrue\n",
                "gpus": 2,
            },
            {
                "name": "measure",
                "kind": "quantum",
                "offering": "heron",
                "walltime_s": 600,
                "max_attempts": 1,
                "program_from": "circuit.json",
                "shots": 100,
            },
        ],
        "repeat": {"first": "propose", "last": "measure", "times": 3},
    }
    dear = replace(a_loop(), max_cost=30_000).offered({"gpu": "h200", "quantum": "aer"}.__getitem__).to_json()
    assert dear == {**told, "max_cost_yen": "30000"}


def test_a_script_may_be_a_file_and_a_circuit_has_one_program(tmp_path: Path) -> None:
    (tmp_path / "Train.sh").write_text("#!/bin/sh\n")
    (tmp_path / "bell.qasm").write_text("OPENQASM 3.0;")
    assert Phase.gpu(tmp_path / "Train.sh").name == "train"
    assert Phase.qpu(tmp_path / "bell.qasm", shots=1).body == "OPENQASM 3.0;"
    for wrong in ({}, {"program": "x", "program_from": "y"}):
        with pytest.raises(UsageError):
            Phase.qpu(shots=1, **wrong)


def count(state: int | None, result: object) -> tuple[int, object]:
    seen = (state or 0) + 1
    return seen, {"round": seen, "result": result} if seen < 2 else Done(seen)


def test_rounds_hand_on_their_state_and_end_with_a_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs, outputs = tmp_path / "in", tmp_path / "out"
    monkeypatch.setenv("KYOYO_INPUT_DIR", str(inputs))
    monkeypatch.setenv("KYOYO_OUTPUT_DIR", str(outputs))
    assert rounds.one_round(count, "propose", "measure") is None
    assert json.loads((outputs / rounds.PROGRAM).read_text()) == {"round": 1, "result": None}
    assert not (outputs / rounds.DONE).exists()
    for phase, name in (("propose", rounds.STATE), ("measure", rounds.RESULT)):
        (inputs / phase).mkdir(parents=True)
        content = (outputs / rounds.STATE).read_bytes() if name == rounds.STATE else b'{"counts": {}}'
        (inputs / phase / name).write_bytes(content)
    assert rounds.one_round(count, "propose", "measure") == 2
    assert (outputs / rounds.DONE).exists()
    assert pickle.loads((outputs / rounds.STATE).read_bytes()) == 2


def test_a_decorated_function_or_class_is_a_loop_of_two_phases() -> None:
    class Vqe:
        def propose(self, state: object, result: object) -> tuple[object, object]:
            return state, result

    assert hybrid_job(shots=50, qpu="heron", gpu_offering="h200", max_cost=300)(count).spec().max_cost == 300
    for what in (count, Vqe):
        spec = hybrid_job(shots=50, rounds=7, qpu="heron", gpu_offering="h200", name="mine")(what).spec(rounds=9)
        assert [(each.name, each.kind, each.offering) for each in spec.phases] == [
            ("propose", "batch", "h200"),
            ("measure", "quantum", "heron"),
        ]
        assert spec.repeat == Repeat("propose", "measure", 9)
        assert spec.max_cost is None
        assert spec.phases[0].body.startswith("#!/usr/bin/env python3\n")
