"""The bound that limits rest on is a bound of what Qiskit really makes of a program."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

import hpc_adapters
from hpc_adapters.workloads.circuit_job import CircuitJob

pytestmark = pytest.mark.quantum

HEAD = 'OPENQASM 3.0; include "stdgates.inc"; qubit[4] q; bit[4] c;\n'
JOB = CircuitJob(
    device="d",
    qubits=8,
    memory_mb=1,
    cpus=1,
    basis_gates=("rz", "sx", "x", "cx"),
    coupling=None,
    max_operations=100_000,
    shots=200,
    seed=1,
    service_us=0,
    paced=False,
)
PROGRAMS = [
    "h q; cx q[0:2], q[1:3];",
    "for int i in [0:9] { rx(0.1 * i) q; for int j in [0:2:9] { cx q[0], q[1]; } }",
    "gate f a, b { cx a, b; rz(0.3) b; } gate g a, b { f a, b; f b, a; f a, b; } g q[0], q[1]; g q[2], q[3];",
    "pow(7) @ sx q; inv @ t q[0]; U(0.1, 0.2, 0.3) q; barrier q; reset q[3]; gphase(0.3);",
    "let pair = q[0:1]; h pair; cx pair, q[2:3]; swap q[0], q[1]; ccx q[0], q[1], q[2];",
    "c[0] = measure q[0]; if (c[0]) { x q[1]; for int i in [1:5] { h q[2]; } } else { h q; }",
]


@pytest.mark.parametrize("body", PROGRAMS)
def test_a_program_written_out_has_no_more_operations_than_were_counted(body: str) -> None:
    from qiskit.transpiler import PassManager  # noqa: PLC0415  an optional part
    from qiskit.transpiler.passes import UnrollForLoops  # noqa: PLC0415  see above
    from qiskit_qasm3_import import convert  # noqa: PLC0415  see above

    from hpc_adapters.workloads.circuit_limits import Limits, measure_program  # noqa: PLC0415  see above
    from hpc_adapters.workloads.run_circuit import parse_program  # noqa: PLC0415  see above

    program = parse_program(HEAD + body + "c = measure q;")
    counted = measure_program(program, Limits(qubits=8, memory_mb=1)).operations
    circuit = PassManager([UnrollForLoops()]).run(convert(program))
    own = [gate for gate in ("f", "g") if gate in circuit.count_ops()]
    while own:
        circuit = circuit.decompose(gates_to_decompose=own)
        own = [gate for gate in ("f", "g") if gate in circuit.count_ops()]
    assert circuit.size() <= counted


@pytest.mark.parametrize("coupling", [None, ((0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 6), (6, 7))])
def test_the_same_seed_gives_the_same_counts_in_the_device_s_gates(
    coupling: tuple[tuple[int, int], ...] | None,
) -> None:
    from dataclasses import replace  # noqa: PLC0415  beside the others

    from hpc_adapters.workloads.circuit_run import execute, prepare  # noqa: PLC0415  an optional part
    from hpc_adapters.workloads.run_circuit import parse_program  # noqa: PLC0415  see above

    job = replace(JOB, coupling=coupling)
    program = parse_program(HEAD + "h q; cx q[0], q[3]; t q; h q; c = measure q;")
    first, again, other = (prepare(program, replace(job, seed=seed)) for seed in (5, 5, 6))
    assert set(first.count_ops()) <= {*job.basis_gates, "measure", "barrier"}
    runs = [execute(circuit, replace(job, seed=seed)) for circuit, seed in ((first, 5), (again, 5), (other, 6))]
    assert runs[0] == runs[1] != runs[2]
    assert sum(runs[0].values()) == job.shots


def test_a_gpu_is_used_only_where_the_simulator_reports_one_and_refused_by_name_elsewhere() -> None:
    from dataclasses import replace  # noqa: PLC0415  beside the others

    from qiskit_aer import AerSimulator  # noqa: PLC0415  see above

    from hpc_adapters.pubs import Options  # noqa: PLC0415  see above
    from hpc_adapters.quantum.aer.gpu import simulator_devices  # noqa: PLC0415  see above
    from hpc_adapters.workloads.circuit_refusals import DEVICE_CODES, CircuitRefused  # noqa: PLC0415  see above
    from hpc_adapters.workloads.circuit_run import Machine  # noqa: PLC0415  see above

    on_gpu = replace(JOB, gpu=True)
    with pytest.raises(CircuitRefused) as refused:
        Machine(on_gpu, Options(), devices=("CPU",))
    assert refused.value.code == "no-gpu"
    assert refused.value.code in DEVICE_CODES  # not the program's fault, and free
    assert Machine(JOB, Options(), devices=("CPU",)).simulator(2).options.device == "CPU"
    assert Machine(replace(JOB, gpu=False), Options(), devices=("CPU", "GPU")).simulator(2).options.device == "CPU"
    here = AerSimulator().available_devices()
    assert simulator_devices() == set(here)
    if "GPU" in here:
        assert Machine(on_gpu, Options()).simulator(2).options.device == "GPU"
    else:
        with pytest.raises(CircuitRefused, match="no-gpu"):
            Machine(on_gpu, Options())


def test_a_backend_with_a_gpu_is_offered_only_where_there_is_one(tmp_path: Path) -> None:
    from hpc_adapters.quantum.aer.gpu import simulator_devices  # noqa: PLC0415  an optional part
    from portal.bootstrap import build_backends  # noqa: PLC0415  see above
    from portal.settings import Settings, SettingsWrong  # noqa: PLC0415  see above

    if "GPU" in simulator_devices():
        pytest.skip("the simulator here has a GPU")
    assert simulator_devices("/nonexistent/python") == frozenset()
    (tmp_path / "machines.toml").write_text('[backends.fast]\nkind = "aer"\ngpu = true\n')
    with pytest.raises(SettingsWrong, match=r"backend fast: gpu = true.*no GPU"):
        build_backends(Settings(data_dir=tmp_path / "data", backends_file=tmp_path / "machines.toml"))


def test_a_program_s_process_loads_no_vendor_s_library_and_says_nothing_of_it(tmp_path: Path) -> None:
    (tmp_path / "job.json").write_text(json.dumps(asdict(JOB)))
    (tmp_path / "program").write_text(HEAD + "h q; c = measure q;")
    command = [sys.executable, "-X", "importtime", "-m", "hpc_adapters.workloads.run_circuit", "job.json", "program"]
    here = {**os.environ, "PYTHONPATH": str(Path(hpc_adapters.__file__).parents[1])}
    ran = subprocess.run(command, cwd=tmp_path, env=here, capture_output=True, text=True, check=True)
    loaded = {line.rpartition("|")[2].strip() for line in ran.stderr.splitlines() if line.startswith("import time:")}
    assert "qiskit.transpiler.preset_passmanagers" in loaded
    assert not {name for name in loaded if name.startswith("qiskit_ibm_runtime")}
    assert [line for line in ran.stderr.splitlines() if not line.startswith("import time:")] == []
    assert sum(json.loads((tmp_path / "result.json").read_text())["counts"].values()) == JOB.shots
