"""Sampler and Estimator on Kyoyo: each run is one job, and options are honoured or refused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from qiskit.primitives import BaseEstimatorV2, BaseSamplerV2
from qiskit.primitives.containers.estimator_pub import EstimatorPub
from qiskit.primitives.containers.sampler_pub import SamplerPub

from kyoyo.jobs import Job
from kyoyo.models import Estimate
from kyoyo.qiskit.backend import KyoyoBackend
from kyoyo.qiskit.encoding import Program, estimator_program, sampler_program, shots_of
from kyoyo.qiskit.jobs import PrimitiveJob
from kyoyo.qiskit.options import EstimatorOptions, SamplerOptions, _Options
from kyoyo.qiskit.session import Session, active_session
from kyoyo.quantum.errors import BadPrecision, BadShots, NoBackend

Mode = KyoyoBackend | Session | None


class SamplerV2(BaseSamplerV2):  # type: ignore[misc]  # Qiskit tells no types
    """`mode`: a backend, a Session or a Batch; None: the session whose `with` block this is in. NoBackend."""

    def __init__(self, mode: Mode = None, *, options: SamplerOptions | Mapping[str, Any] | None = None) -> None:
        self._mode = _Mode(mode)
        self.options = SamplerOptions.of(options, self._mode.language)

    @property
    def backend(self) -> KyoyoBackend:
        """Where it runs."""
        return self._mode.backend

    def run(self, pubs: Iterable[Any], *, shots: int | None = None) -> PrimitiveJob:
        """Sample each PUB. TooManyQubits, BadShots, DocumentTooLarge, SessionOver, Refused and the like."""
        return PrimitiveJob(self._mode.send(self._program(pubs, shots), self.options, "sampler"))

    def estimate(self, pubs: Iterable[Any], *, shots: int | None = None) -> Estimate:
        """What `run` would cost as a job of its own. Nothing is run or kept; the same refusals."""
        return self._mode.estimate(self._program(pubs, shots), self.options, "sampler")

    def _program(self, pubs: Iterable[Any], shots: int | None) -> Program:
        wanted = self.options.default_shots if shots is None else shots
        self.backend.check((), [wanted])
        coerced = [_sampler_pub(pub, wanted, self.backend) for pub in pubs]
        self.backend.check((pub.circuit for pub in coerced), (pub.shots for pub in coerced))
        return sampler_program(coerced, options=self.options.for_program(), language=self._mode.language)


class EstimatorV2(BaseEstimatorV2):  # type: ignore[misc]  # as above
    """`mode` as of the Sampler. A precision becomes shots for each Pauli string: ceil(1 / precision²).

    Without one it is `options.default_precision`, 1/64: 4,096 shots for each Pauli string of each element, all charged.
    """

    def __init__(self, mode: Mode = None, *, options: EstimatorOptions | Mapping[str, Any] | None = None) -> None:
        self._mode = _Mode(mode)
        self.options = EstimatorOptions.of(options, self._mode.language)

    @property
    def backend(self) -> KyoyoBackend:
        """Where it runs."""
        return self._mode.backend

    def run(self, pubs: Iterable[Any], *, precision: float | None = None) -> PrimitiveJob:
        """Estimate each PUB. TooManyQubits, BadPrecision, DocumentTooLarge, SessionOver, Refused and the like."""
        return PrimitiveJob(self._mode.send(self._program(pubs, precision), self.options, "estimator"))

    def estimate(self, pubs: Iterable[Any], *, precision: float | None = None) -> Estimate:
        """What `run` would cost as a job of its own. Nothing is run or kept; the same refusals."""
        return self._mode.estimate(self._program(pubs, precision), self.options, "estimator")

    def _program(self, pubs: Iterable[Any], precision: float | None) -> Program:
        wanted = self.options.default_precision if precision is None else precision
        coerced = [EstimatorPub.coerce(pub, wanted) for pub in pubs]
        self.backend.check((pub.circuit for pub in coerced), ())
        for pub in coerced:
            self._check_precision(pub.precision)
        return estimator_program(coerced, options=self.options.for_program(), language=self._mode.language)

    def _check_precision(self, precision: float) -> None:
        try:
            self.backend.check((), [shots_of(precision)])
        except (BadShots, BadPrecision) as wrong:
            limit = self.backend.device.max_shots
            told = "0" if limit is None else f"{limit**-0.5:.2g}"
            raise BadPrecision(
                language=self._mode.language, precision=precision, limit=told, backend=self.backend.name
            ) from wrong


class _Mode:
    """Where a primitive runs, and how its jobs are sent there."""

    def __init__(self, mode: Mode) -> None:
        found = active_session() if mode is None else mode
        if not isinstance(found, KyoyoBackend | Session):
            raise NoBackend(given="-" if mode is None else type(mode).__name__)
        self._session = found if isinstance(found, Session) else None
        self.backend: KyoyoBackend = found.backend if isinstance(found, Session) else found
        self.language = self.backend.client.language

    def send(self, program: Program, options: _Options, name: str) -> Job:
        if self._session is None:
            return self.backend.send(program, options, name=name)
        return self._session.run(lambda held: self.backend.send(program, options, name=name, session_job=held))

    def estimate(self, program: Program, options: _Options, name: str) -> Estimate:
        spec = self.backend.spec(program, options, name=name)
        return self.backend.client.estimate(spec, max_cost_yen=options.max_cost_yen)


def _sampler_pub(pub: Any, shots: int, backend: KyoyoBackend) -> SamplerPub:
    """Qiskit refuses shots below 1 in its own words; ours name the device and its limit."""
    said = pub[2] if isinstance(pub, tuple | list) and len(pub) > 2 and pub[2] is not None else shots  # noqa: PLR2004  (circuit, values, shots)
    backend.check((), [said])
    return SamplerPub.coerce(pub, shots)
