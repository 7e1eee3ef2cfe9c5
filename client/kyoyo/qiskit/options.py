"""Options of the primitives. What is not here is not accepted: an option that nobody honours would be a silent lie."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Self

from kyoyo.quantum.errors import NotSupported


@dataclass(slots=True, kw_only=True)
class _Options:
    """`seed`, `noise` and `method` are honoured by simulators only; the portal refuses what a device cannot do.

    `max_execution_time`: seconds that one job may take at most; the quote is for that long. `max_cost_yen`: the most
    that you will pay for each job, with tax; it is stopped before. `name`, `project`, `service_class`: as of any job.
    `dynamical_decoupling` ("XX", "XpXm", "XY4"), `twirl_gates`, `twirl_measure`: of devices of IBM; others refuse them.
    """

    optimization_level: int = 1
    seed: int | None = None
    noise: bool | None = None
    method: str | None = None
    dynamical_decoupling: str | None = None
    twirl_gates: bool | None = None
    twirl_measure: bool | None = None
    max_execution_time: int | None = None
    max_cost_yen: int | None = None
    name: str | None = None
    project: str | None = None
    service_class: str | None = None

    @classmethod
    def of(cls, told: Self | Mapping[str, Any] | None, language: str) -> Self:
        """A copy of options, or options by their names. NotSupported: there is no such option."""
        if isinstance(told, cls):
            return replace(told)
        options = cls()
        options.update(language, **dict(told or {}))  # type: ignore[arg-type]  # a mapping, as the other was taken
        return options

    def update(self, language: str = "en", **told: Any) -> None:
        """Change some of them. NotSupported: there is no such option."""
        known = {each.name for each in fields(self)}
        for name, value in told.items():
            if name not in known:
                raise NotSupported(language=language, what=f"options.{name}", instead=", ".join(sorted(known)))
            setattr(self, name, value)

    def for_program(self) -> Mapping[str, object]:
        """Those that travel in the document."""
        told = {name: value for name, value in asdict(self).items() if name in _IN_PROGRAM}
        return {name: value for name, value in told.items() if value is not None}


@dataclass(slots=True, kw_only=True)
class SamplerOptions(_Options):
    """`default_shots`: of a PUB that says none itself."""

    default_shots: int = 1024


@dataclass(slots=True, kw_only=True)
class EstimatorOptions(_Options):
    """`default_precision`: standard error wanted of a PUB that says none; 1/64 is 4096 shots for each Pauli string.

    `resilience_level`: 1 (read-out errors) is quoted as twice the executions, 2 (gate errors, too) as four times.
    """

    default_precision: float = 0.015625
    resilience_level: int | None = None


_IN_PROGRAM = frozenset(
    {
        "optimization_level",
        "seed",
        "noise",
        "method",
        "resilience_level",
        "dynamical_decoupling",
        "twirl_gates",
        "twirl_measure",
    }
)
