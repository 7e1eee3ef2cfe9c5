"""The portal as Qiskit programs see it: devices, and the jobs that were sent to them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from types import TracebackType
from typing import Any, Self

from kyoyo.client import Client
from kyoyo.qiskit.backend import KyoyoBackend
from kyoyo.qiskit.jobs import PrimitiveJob
from kyoyo.quantum.devices import Device
from kyoyo.quantum.errors import NoBackend
from kyoyo.spec import QUANTUM

_UNKNOWN_QUEUE = 10**9


class KyoyoService:
    """`KyoyoService()` takes the login of the `kyoyo` command, or KYOYO_URL and KYOYO_TOKEN, as Client does."""

    def __init__(self, url: str | None = None, token: str | None = None, *, client: Client | None = None) -> None:
        self.client = client or Client(url, token)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of connections. Jobs go on, sessions stay open until they are idle."""
        self.client.close()

    def backends(
        self,
        name: str | None = None,
        *,
        min_num_qubits: int | None = None,
        simulator: bool | None = None,
        operational: bool | None = None,
        domestic: bool | None = None,
        filters: Callable[[KyoyoBackend], bool] | None = None,
    ) -> Sequence[KyoyoBackend]:
        """Devices that fit. `operational`: takes work now; `domestic`: stands in Japan."""
        fitting = [
            device
            for device in self.client.devices()
            if (name is None or name in {device.name, device.offering})
            and device.qubits >= (min_num_qubits or 0)
            and simulator in {None, device.simulator}
            and operational in {None, device.online}
            and domestic in {None, device.domestic}
        ]
        backends = [self._backend(device) for device in fitting]
        return [backend for backend in backends if filters is None or filters(backend)]

    def backend(self, name: str) -> KyoyoBackend:
        """One device with its calibration, by its name or that of an offering. UnknownBackend."""
        return self._backend(self.client.device(name))

    def least_busy(self, min_num_qubits: int | None = None, **fitting: Any) -> KyoyoBackend:
        """The device that takes work now and has the shortest queue; further filters as of `backends`. NoBackend."""
        backends = self.backends(min_num_qubits=min_num_qubits, **{"operational": True, **fitting})
        if not backends:
            raise NoBackend(language=self.client.language, given="least_busy")
        return self.backend(min(backends, key=_busy).name)

    def job(self, job: str | int) -> PrimitiveJob:
        """A handle on a job of any earlier process, by id or number. NotFound."""
        return PrimitiveJob(self.client.job(job))

    def jobs(self, limit: int | None = 10, *, backend_name: str | None = None) -> Sequence[PrimitiveJob]:
        """The organisation's quantum jobs, newest first; None: all."""
        offering = None if backend_name is None else self.client.device(backend_name).offering
        found = (
            record
            for record in self.client.all_jobs()
            if record.kind == QUANTUM and offering in {None, record.offering}
        )
        return [PrimitiveJob(self.client.handle(record)) for record in islice(found, limit)]

    def _backend(self, device: Device) -> KyoyoBackend:
        return KyoyoBackend(self, self.client, device)


def _busy(backend: KyoyoBackend) -> tuple[int, str]:
    device = backend.device
    return (_UNKNOWN_QUEUE if device.queue is None else device.queue + device.waiting, backend.name)
