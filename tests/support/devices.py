"""A simulated backend that is also a quantum device, and says of itself what a test wants."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime

from hpc_adapters.contract import Backend, Capabilities, Capacity, Circuit, Feature, JobRequest, Ref, SessionHold
from hpc_adapters.devices import (
    Calibration,
    Device,
    DeviceState,
    EstimateSource,
    GateData,
    QubitData,
    ServiceEstimate,
)
from hpc_adapters.errors import Unavailable
from hpc_adapters.simulated.adapter import SimulatedBackend
from hpc_adapters.simulated.behaviour import Behaviour
from tests.support.market import NOW

LINE = ((0, 1), (1, 2), (2, 3), (3, 4), (1, 5), (5, 6))


def a_calibration(name: str = "cal-1", *, at: datetime | None = NOW, error: float = 0.008) -> Calibration:
    """Seven qubits in the shape of an H; the third coupling was not measured."""
    return Calibration(
        id=name,
        at=at,
        qubits=tuple(
            QubitData(t1_us=90.0 + 10 * n, t2_us=70.0, readout_error=0.01 + 0.005 * n, readout_ns=900.0)
            for n in range(7)
        ),
        gates=(
            *(GateData("sx", (n,), 0.0002 + 0.0001 * n, 35.0) for n in range(7)),
            *(
                GateData("cz", pair, None if place == 2 else error * (1 + place), 68.0)
                for place, pair in enumerate(LINE)
            ),
        ),
        two_qubit_error=error,
        readout_error=0.025,
    )


def a_device(**changed: object) -> Device:
    """A seven-qubit device in Japan that is online; state what differs."""
    usual: dict[str, object] = {
        "name": "kyo-7",
        "vendor": "aer",
        "technology": "superconducting",
        "qubits": 7,
        "basis_gates": ("rz", "sx", "x", "cz"),
        "coupling": LINE,
        "simulator": False,
        "domestic": True,
        "sessions": True,
        "max_shots": 100_000,
        "max_circuits": 100,
        "clops": 4_000,
        "quantum_volume": 32,
        "queue": 3,
        "calibration": a_calibration(),
        "observed_at": NOW,
    }
    return Device(**{**usual, **changed})  # type: ignore[arg-type]  any subset of the fields


@dataclass
class DeviceBackend:
    """What a SimulatedBackend does not know is asked here; all else goes there."""

    inner: SimulatedBackend
    told: Device = field(default_factory=a_device)
    problem: Exception | None = None
    """Raised instead of an answer."""
    estimated: ServiceEstimate | Exception = field(
        default_factory=lambda: ServiceEstimate(low_us=900_000, high_us=1_200_000, source=EstimateSource.DURATIONS)
    )
    circuits: list[Circuit] = field(default_factory=list)
    """What estimates were asked for."""
    submitted: list[JobRequest] = field(default_factory=list)

    def __getattr__(self, name: str) -> object:
        return getattr(self.inner, name)

    async def device(self) -> Device:
        if self.problem is not None:
            raise self.problem
        return self.told

    async def estimate(self, circuit: Circuit) -> ServiceEstimate:
        self.circuits.append(circuit)
        if isinstance(self.estimated, Exception):
            raise self.estimated
        return self.estimated

    def capabilities(self) -> Capabilities:
        told = self.inner.capabilities()
        sessions = frozenset({Feature.SESSION}) if self.told.sessions else frozenset()
        return replace(told, features=told.features | sessions, payloads=told.payloads | {SessionHold})

    async def submit(self, request: JobRequest) -> Ref:
        """A session runs for ten minutes; whether a circuit is in one makes no difference to the cluster below."""
        self.submitted.append(request)
        plain = replace(request, session=None)
        if isinstance(request.payload, SessionHold):
            plain = replace(plain, payload=Behaviour(run_s=600).script())
        return await self.inner.submit(plain)

    async def capacity(self) -> Capacity:
        found = await self.inner.capacity()
        return replace(found, online=found.online and self.told.state is DeviceState.ONLINE)


def as_backend(device: DeviceBackend) -> Backend:
    """For whoever takes backends only."""
    return device  # type: ignore[return-value]  by __getattr__


def gone() -> Unavailable:
    """The device does not answer."""
    return Unavailable("no-answer", maybe_done=False)
