"""Calls from within a job: numbered without a gap whoever calls, answered in words, asked for as the API takes it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from kyoyo import JobSpec, QpuBeside, QpuRefused, UsageError, hybrid_job, qpu_session
from kyoyo.calling import FOLDER, QpuSession
from kyoyo.cli.submit import qpu_beside


@contextmanager
def a_device(folder: Path, answers: list[dict[str, object]]) -> Iterator[None]:
    """Answers call 1, 2, … as they come."""
    stop = threading.Event()

    def serve() -> None:
        for number, answer in enumerate(answers, start=1):
            while not (folder / f"call-{number}.json").exists():
                if stop.wait(0.01):
                    return
            aside = folder / "new"
            aside.write_text(json.dumps(answer))
            aside.rename(folder / f"call-{number}.result.json")

    serving = threading.Thread(target=serve)
    serving.start()
    try:
        yield
    finally:
        stop.set()
        serving.join()


def test_a_call_is_a_file_and_so_is_its_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FOLDER, str(tmp_path))
    document = {"format": "kyoyo.pubs/1"}
    refused = {"error": {"code": "session-idle", "facts": {"idle_s": 60}}}
    with a_device(tmp_path, [{"counts": {"0": 1}}, refused, {"pubs": []}]):
        session = qpu_session()
        assert session.run("OPENQASM 3.0;", shots=1, timeout_s=30) == {"counts": {"0": 1}}
        with pytest.raises(QpuRefused) as told:
            session.run("OPENQASM 3.0;", shots=1, timeout_s=30)
        assert (told.value.code, told.value.facts) == ("session-idle", {"idle_s": 60})
        assert session.run(document, timeout_s=30) == {"pubs": []}
    asked = json.loads((tmp_path / "call-1.json").read_text())
    assert asked == {"format": "kyoyo.call/1", "program": "OPENQASM 3.0;", "shots": 1}
    assert json.loads((tmp_path / "call-3.json").read_text()) == document
    assert not [each for each in tmp_path.iterdir() if each.name.startswith(".")]
    with pytest.raises(TimeoutError):
        session.result(4, timeout_s=0.01)
    with pytest.raises(ValueError, match="shots"):
        session.call("OPENQASM 3.0;")


@pytest.mark.quantum
def test_a_qiskit_circuit_is_called_as_its_text(tmp_path: Path) -> None:
    qiskit = pytest.importorskip("qiskit")
    bell = qiskit.QuantumCircuit(2)
    bell.h(0)
    bell.cx(0, 1)
    bell.measure_all()
    number = QpuSession(tmp_path).call(bell, shots=7)
    told = json.loads((tmp_path / f"call-{number}.json").read_text())
    assert (told["shots"], told["program"].startswith("OPENQASM 3")) == (7, True)


def test_who_calls_at_once_gets_numbers_without_a_gap(tmp_path: Path) -> None:
    sessions = [QpuSession(tmp_path) for _ in range(4)]
    with ThreadPoolExecutor(8) as threads:
        numbers = list(threads.map(lambda each: sessions[each % 4].call("OPENQASM 3.0;", shots=1), range(40)))
    assert sorted(numbers) == list(range(1, 41))


def test_a_job_without_a_qpu_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(FOLDER, raising=False)
    with pytest.raises(LookupError, match=FOLDER):
        qpu_session()


def test_a_qpu_beside_a_job_is_sent_as_the_api_takes_it() -> None:
    beside = QpuBeside(offering="aer", shots=100, calls=5)
    spec = JobSpec(name="vqe", kind="batch", body="#!/bin/sh\n", walltime_s=60, offering="h200", qpu=beside)
    assert spec.to_json()["qpu"] == {"offering": "aer", "shots": 100, "calls": 5, "idle_s": 300, "call_s": 60}
    assert "qpu" not in JobSpec(name="a", kind="batch", body="#!/bin/sh\n", walltime_s=60).to_json()


def test_a_function_that_calls_is_one_job() -> None:
    @hybrid_job(gpus=1, qpu="aer", calls=5, shots=100, max_cost=300, idle_s=30, gpu_offering="h200")
    def loop(session: QpuSession) -> object:
        return session.run("OPENQASM 3.0;", shots=20)

    spec = loop.spec(time="5:00")
    assert (spec.name, spec.kind, spec.walltime_s, spec.gpus, spec.max_cost) == ("loop", "batch", 300, 1, 300)
    assert spec.qpu == QpuBeside(offering="aer", shots=100, calls=5, idle_s=30)
    with pytest.raises(UsageError):
        hybrid_job(calls=5, shots=100)(loop.function).spec()


def test_the_command_line_says_it_in_one_word() -> None:
    assert qpu_beside(None) is None
    assert qpu_beside("aer:5:100") == QpuBeside(offering="aer", calls=5, shots=100)
    limited = QpuBeside(offering="aer", calls=5, shots=100, idle_s=60, wait_s=20)
    assert qpu_beside("aer:5:100:60:20") == limited
    assert limited.to_json()["wait_s"] == 20
    assert qpu_beside("aer:5:100:60") == QpuBeside(offering="aer", calls=5, shots=100, idle_s=60)
    for wrong in ("aer", "aer:5", ":5:100", "aer:five:100", "aer:5:100:60:1:1"):
        with pytest.raises(UsageError):
            qpu_beside(wrong)
