"""A device as Qiskit's BackendV2: its Target, and `run`, by which the primitives of others work, too."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable, Sequence
from typing import Any, Self

from qiskit import QuantumCircuit
from qiskit.providers import BackendV2, Options
from qiskit.transpiler import Target

from kyoyo.client import Client
from kyoyo.jobs import Job
from kyoyo.qiskit.decoding import Layout
from kyoyo.qiskit.encoding import Program, circuits_program, with_all_bits
from kyoyo.qiskit.jobs import CircuitJob
from kyoyo.qiskit.options import SamplerOptions, _Options
from kyoyo.qiskit.target import target_of
from kyoyo.quantum.devices import Device
from kyoyo.quantum.errors import BadShots, NotSupported, TooManyQubits
from kyoyo.spec import Choices, JobSpec, spec_of_program
from kyoyo.texts import Texts

MAX_CIRCUITS = 100
"""Circuits of one document."""
_HONOURED = frozenset({"shots", "seed_simulator", "memory"})
_NO_OTHER = {"meas_level": 2, "meas_return": "single"}
"""What others may say of how bits are read, and what is always so here."""
_warned: set[str] = set()


class KyoyoWarning(UserWarning):
    """Something that was asked for has no effect here."""


class KyoyoBackend(BackendV2):  # type: ignore[misc]  # Qiskit tells no types
    """One device of the portal, as it was when it was asked for: `device` has the calibration under the Target."""

    def __init__(self, provider: Any, client: Client, device: Device) -> None:
        super().__init__(
            provider=provider,
            name=device.name,
            description=f"{device.technology or 'quantum'} device of {device.vendor or 'Kyoyo'}",
            online_date=None,
            backend_version=device.calibration.id if device.calibration else "",
        )
        self.device = device
        self.client = client
        self._target = target_of(device)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Itself: qiskit_ibm_runtime copies its options, the backend among them, and a connection has no copy.

        It does so at each run in its local mode and nowhere else, so that this is where its users can be told.
        """
        if _is_of_runtime():
            _warn_once(self.client.language, "say.local_mode")
        return self

    def __repr__(self) -> str:
        return f"<KyoyoBackend({self.name!r})>"

    @property
    def target(self) -> Target:
        """Gates, couplings, errors and durations."""
        return self._target

    @property
    def max_circuits(self) -> int:
        """Of one job."""
        return min(self.device.max_circuits or MAX_CIRCUITS, MAX_CIRCUITS)

    @classmethod
    def _default_options(cls) -> Options:
        return Options(shots=1024, seed_simulator=None, memory=True)

    def refresh(self) -> Device:
        """Ask the portal how it is now, and make the Target anew."""
        self.device = self.client.device(self.device.name)
        self._target = target_of(self.device)
        return self.device

    def run(self, run_input: QuantumCircuit | Iterable[QuantumCircuit], **options: Any) -> CircuitJob:
        """Run circuits without parameters as one job; each shot's memory is always kept.

        Options: `shots`, and `seed_simulator` for simulators; others have no effect and are warned of. Circuits are
        taken as they are, without optimisation. TooManyQubits, BadShots, DocumentTooLarge, Refused and the like.
        """
        circuits = [run_input] if isinstance(run_input, QuantumCircuit) else list(run_input)
        self._check_options(circuits, options)
        shots = options.get("shots")
        shots = self.options.shots if shots is None else shots
        self.check(circuits, [shots])
        seed = options.get("seed_simulator", self.options.seed_simulator)
        plain = [with_all_bits(circuit) for circuit in circuits]
        told = SamplerOptions(optimization_level=0, seed=None if seed is None else int(seed))
        program = circuits_program(plain, shots=int(shots), options=told.for_program(), language=self.client.language)
        job = self.send(program, told, name=circuits[0].name if circuits else "circuits")
        return CircuitJob(self, job, [Layout.of(*both) for both in zip(circuits, plain, strict=True)])

    def check(self, circuits: Iterable[QuantumCircuit], shots: Iterable[object]) -> None:
        """What can be refused without asking. TooManyQubits, BadShots."""
        known: dict[str, Any] = {"language": self.client.language, "backend": self.name}
        for circuit in circuits:
            if circuit.num_qubits > self.device.qubits:
                raise TooManyQubits(needed=circuit.num_qubits, available=self.device.qubits, **known)
        limit = self.device.max_shots
        for each in shots:
            if not _is_whole(each) or int(each) < 1 or (limit is not None and int(each) > limit):  # type: ignore[call-overload]  # it is whole
                raise BadShots(shots=each, limit="-" if limit is None else f"{limit:,}", **known)

    def send(self, program: Program, options: _Options, *, name: str, session_job: str | None = None) -> Job:
        """Submit a program as one job. A lost answer is asked for again under the same key, so that it runs once."""
        spec = self.spec(program, options, name=name, session_job=session_job)
        return self.client.submit(spec, max_cost_yen=options.max_cost_yen)

    def spec(self, program: Program, options: _Options, *, name: str, session_job: str | None = None) -> JobSpec:
        """What is sent for a program."""
        choices = Choices(
            name=options.name,
            walltime_s=options.max_execution_time,
            offering=self.device.offering,
            project=options.project,
            service_class=options.service_class,
        )
        return spec_of_program(
            program.text, name=name, shots=program.executions, choices=choices, session_job=session_job
        )

    def _check_options(self, circuits: Sequence[QuantumCircuit], options: dict[str, Any]) -> None:
        language = self.client.language
        if options.get("parameter_binds") or any(circuit.num_parameters for circuit in circuits):
            raise NotSupported(language=language, what="unbound parameters in backend.run", instead="SamplerV2")
        idle = {
            name
            for name, value in options.items()
            if name not in _HONOURED and value is not None and _NO_OTHER.get(name) != value
        }
        if idle:
            _warn_once(language, "say.run_ignores", options=", ".join(sorted(idle)))


def _is_whole(value: object) -> bool:
    try:
        return not isinstance(value, bool) and int(value) == value  # type: ignore[call-overload]  # tried
    except (TypeError, ValueError, OverflowError):
        return False


def _is_of_runtime() -> bool:
    """Whether qiskit_ibm_runtime is among the callers."""
    frame = sys._getframe(1)  # noqa: SLF001  nothing else tells who calls
    while frame.f_back is not None:
        frame = frame.f_back
        if str(frame.f_globals.get("__name__", "")).startswith("qiskit_ibm_runtime"):
            return True
    return False


def _warn_once(language: str, key: str, **facts: object) -> None:
    text = Texts(language)(key, **facts)
    if text not in _warned:
        _warned.add(text)
        warnings.warn(text, KyoyoWarning, stacklevel=4)
