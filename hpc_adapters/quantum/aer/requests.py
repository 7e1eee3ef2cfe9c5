"""From a request to a confined run of a circuit or a session: what the server may refuse, and what it writes down."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Final
from uuid import UUID

from hpc_adapters.confined.model import RunSpec
from hpc_adapters.contract import Circuit, JobRequest, SessionHold
from hpc_adapters.devices import Calibration
from hpc_adapters.errors import Rejected
from hpc_adapters.pubs import MAX_EXECUTIONS, Document, ProgramRefused, work_in
from hpc_adapters.quantum.aer.calibrations import Loaded
from hpc_adapters.quantum.aer.device import DeviceSettings, ServiceTime
from hpc_adapters.quantum.confining import workload
from hpc_adapters.quantum.mitigation import refuse_mitigation
from hpc_adapters.workloads.circuit_job import CircuitJob, JobCalibration
from hpc_adapters.workloads.program_text import check_any

_MODULE: Final = "run_circuit"
_START_UP_S: Final = 2  # of a job's walltime before it reaches the device
_SESSION_MB: Final = 64  # a session's process only sleeps
CIRCUIT, SESSION = "circuit", "session"


def seed_of(attempt_id: UUID) -> int:
    """The seed of translation and sampling: the first 31 bits of SHA-256 of the attempt id's 16 bytes.

    The same attempt has the same counts wherever and how often it is computed.
    """
    return int.from_bytes(sha256(attempt_id.bytes).digest()[:4], "big") >> 1


@dataclass(frozen=True, slots=True)
class Device:
    """A device as it is now: its settings, and what its calibration file says."""

    settings: DeviceSettings
    loaded: Loaded | None

    @property
    def calibration(self) -> Calibration | None:
        """The one in use."""
        return None if self.loaded is None else self.loaded.calibration

    @property
    def basis_gates(self) -> tuple[str, ...]:
        """The file's, or the settings'."""
        told = None if self.loaded is None else self.loaded.basis_gates
        return tuple(self.settings.basis_gates if told is None else told)

    @property
    def coupling(self) -> tuple[tuple[int, int], ...] | None:
        """The file's, or the settings'."""
        told = None if self.loaded is None else self.loaded.coupling
        chosen = self.settings.coupling if told is None else told
        return None if chosen is None else tuple((a, b) for a, b in chosen)

    def job(self, *, shots: int, seed: int, service: ServiceTime, estimate: bool = False) -> CircuitJob:
        """What the confined program is told."""
        settings = self.settings
        return CircuitJob(
            device=settings.name,
            qubits=settings.qubits,
            memory_mb=settings.memory_mb,
            cpus=settings.cpus,
            basis_gates=self.basis_gates,
            coupling=self.coupling,
            max_operations=settings.max_operations,
            shots=shots,
            seed=seed,
            service_us=service.full_us,
            base_us=service.base_us,
            paced=settings.paced and not settings.is_simulator,
            max_shots=settings.max_shots,
            methods=tuple(settings.methods),
            gpu=settings.gpu,
            noise=settings.noise,
            calibration=_properties(self.calibration),
            delay_us=settings.rep_delay_us,
            estimate=estimate,
        )


def _properties(calibration: Calibration | None) -> JobCalibration | None:
    if calibration is None:
        return None
    return JobCalibration(
        id=calibration.id,
        qubits=[(each.t1_us, each.t2_us, each.readout_error, each.readout_ns) for each in calibration.qubits],
        gates=[(each.name, each.qubits, each.error, each.duration_ns) for each in calibration.gates],
    )


def check_circuit(circuit: Circuit, settings: DeviceSettings) -> ServiceTime:
    """What can be known without parsing; the rest is refused inside the confined process. `Rejected`."""
    try:
        told = check_any(circuit.program)
    except ProgramRefused as refused:
        raise Rejected(refused.code, **refused.facts) from refused
    shots = circuit.shots
    if isinstance(told, Document):
        executions = work_in(told).executions
        if executions != circuit.shots:
            raise Rejected("executions-differ", asked=executions, declared=circuit.shots)
        refuse_mitigation(told.options)
        if told.options.method not in {*settings.methods, "automatic"}:
            raise Rejected("unsuitable-method", method=told.options.method)
        shots = max(pub.shots for pub in told.pubs)
    if not 1 <= shots <= settings.max_shots or circuit.shots > MAX_EXECUTIONS:
        raise Rejected("invalid-shots", shots=shots, max_shots=settings.max_shots)
    service = settings.service_time(circuit.shots)
    if circuit.max_qpu_us is not None and service.full_us > circuit.max_qpu_us:
        raise Rejected("qpu-cap-too-small", needed_us=service.full_us, max_qpu_us=circuit.max_qpu_us)
    return service


def circuit_run(request: JobRequest, circuit: Circuit, device: Device, *, grace_s: float) -> RunSpec:
    """`Rejected`: as `check_circuit`, and 'walltime-too-short'."""
    settings = device.settings
    service = check_circuit(circuit, settings)
    needed_s = _START_UP_S + -(-service.full_us // 1_000_000)
    if settings.paced and not settings.is_simulator and needed_s > request.walltime_s:
        raise Rejected("walltime-too-short", needed_s=needed_s, walltime_s=request.walltime_s)
    job = asdict(device.job(shots=circuit.shots, seed=seed_of(request.attempt_id), service=service))
    if circuit.max_qpu_us is not None and not settings.is_simulator:
        job["stop_us"] = circuit.max_qpu_us + int(settings.cap_slack_s * 1e6)
    return workload(
        _MODULE,
        attempt_id=request.attempt_id,
        tenant=request.tenant,
        job=json.dumps(job).encode(),
        program=circuit.program,
        walltime_s=request.walltime_s,
        memory_mb=settings.memory_mb,
        cpus=settings.cpus,
        grace_s=grace_s,
        facts={
            "kind": CIRCUIT,
            **asdict(service),
            "cap_us": circuit.max_qpu_us,
            "sim_units": settings.sim_units if settings.is_simulator else 0,
            "session": None if request.session is None else str(request.session),
            "calibration_id": None if device.calibration is None else device.calibration.id,
        },
    )


def session_run(request: JobRequest, hold: SessionHold) -> RunSpec:
    """A process that sleeps, for walltime and cancel to end, whoever lives then. `Rejected('invalid-idle-time')`."""
    if hold.idle_s <= 0:
        raise Rejected("invalid-idle-time", idle_s=hold.idle_s)
    facts: Mapping[str, object] = {
        "kind": SESSION,
        "idle_s": hold.idle_s,
        "dedicated": hold.dedicated,
        "walltime_s": request.walltime_s,
    }
    return RunSpec(
        attempt_id=request.attempt_id,
        tenant=request.tenant,
        argv=["/bin/sh", "-c", "echo open; exec sleep infinity"],
        walltime_s=request.walltime_s,
        memory_mb=_SESSION_MB,
        grace_s=0.5,
        processes=8,
        disk_mb=1,
        facts=facts,
    )


def estimate_run(circuit: Circuit, service: ServiceTime, device: Device, *, turn: int = 0) -> RunSpec:
    """Translation only. The same program on the same calibration and settings has the same id: its run is its cache.

    `turn`: another id, after one that gave no answer.
    """
    settings = device.settings
    job = json.dumps(asdict(device.job(shots=circuit.shots, seed=1, service=service, estimate=True))).encode()
    digest = sha256(sha256(job).digest() + sha256(circuit.program).digest() + bytes(turn)).digest()
    return workload(
        _MODULE,
        attempt_id=UUID(bytes=digest[:16]),
        tenant="estimates",
        job=job,
        program=circuit.program,
        walltime_s=settings.estimate_s,
        memory_mb=settings.memory_mb,
        cpus=1,
        grace_s=0.5,
    )
