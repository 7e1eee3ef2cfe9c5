"""What a document of PUBs says, once it was read: circuits, their bindings and observables, and how much work they are.

Pure, and of the standard library only: it is seen inside the sandbox, too. `programs` reads documents.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

MAX_CIRCUITS: Final = 100
MAX_PUBS: Final = 300
MAX_SHOTS: Final = 10**7
"""Of one PUB; a device has its own limit below it."""
MAX_EXECUTIONS: Final = 10**9
MAX_NAMES: Final = 1_000
"""Parameters of one circuit."""
MAX_BINDINGS: Final = 10_000
"""Of all PUBs together, after broadcasting; of an estimator its elements."""
MAX_VALUES: Final = 100_000
"""Parameter values of all PUBs together."""
MAX_TERMS: Final = 20_000
"""Pauli terms of all PUBs together."""
MAX_DIMENSIONS: Final = 8
RESILIENCE: Final = (1, 2, 4)
"""By level: as many executions again to learn the read-out errors, and at level 2 one set for each noise factor."""
DECOUPLING: Final = ("XX", "XpXm", "XY4")
"""Sequences of pulses on idle qubits."""
MITIGATION: Final = ("resilience_level", "dynamical_decoupling", "twirl_gates", "twirl_measure")
"""Names of the options against errors."""
MAX_PAULI: Final = 1_024


class ProgramRefused(Exception):
    """The program will not be run. `code` is one of `workloads.circuit_refusals.CODES`; `facts`: numbers, names."""

    def __init__(self, code: str, **facts: str | int) -> None:
        super().__init__(code, facts)
        self.code = code
        self.facts = facts


class Primitive(StrEnum):
    """What is wanted of a document's circuits."""

    SAMPLER = "sampler"
    """Bits, shot by shot."""
    ESTIMATOR = "estimator"
    """Expectation values."""


class CircuitFormat(StrEnum):
    """How a circuit in a document is written."""

    OPENQASM2 = "openqasm2"
    OPENQASM3 = "openqasm3"
    QPY = "qpy"


@dataclass(frozen=True, slots=True)
class CircuitText:
    """One circuit of a document, unparsed. `text`: OpenQASM, or QPY in base64."""

    format: CircuitFormat
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Parameters:
    """Values for a circuit's parameters: a row for each binding, the bindings in C order over `shape`."""

    names: Sequence[str]
    shape: tuple[int, ...]
    values: Sequence[Sequence[float]] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Observables:
    """Real sums of Pauli strings (the last letter is qubit 0), in C order over `shape`."""

    shape: tuple[int, ...]
    values: Sequence[Mapping[str, float]] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pub:
    """One circuit with its bindings, and the shots of each execution. `circuit`: its place in the document."""

    circuit: int
    shots: int
    parameters: Parameters | None = None
    observables: Observables | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Of its result: that of its parameters, and of its observables broadcast with them."""
        mine = () if self.parameters is None else self.parameters.shape
        return broadcast(mine, () if self.observables is None else self.observables.shape)

    @property
    def bindings(self) -> int:
        """Elements of its result."""
        return math.prod(self.shape)

    @property
    def executions(self) -> int:
        """Shots of all: for a sampler of each binding; for an estimator of each Pauli string of each element.

        Strings of identities alone need none. A device that measures several strings at once takes fewer.
        """
        if self.observables is None:
            return self.shots * self.bindings
        strings = sum(sum(bool(term.strip("I")) for term in each) for each in self.observables.values)
        return self.shots * strings * (self.bindings // math.prod(self.observables.shape))


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How it is to be run. `seed` is honoured by simulators only, `noise` and `method` by those that have them.

    The rest is done against errors, by vendors that can: others refuse it by name. Only what is bounded can be asked
    for, because it is quoted: probabilistic error cancellation and its like, whose cost is only known after, cannot.
    """

    optimization_level: int = 1
    seed: int | None = None
    noise: bool = True
    method: str = "automatic"
    resilience_level: int = 0
    """Of an estimator. 1: read-out errors; 2: those of gates, too, by extrapolation from noise factors 1, 3 and 5."""
    dynamical_decoupling: str | None = None
    """One of DECOUPLING."""
    twirl_gates: bool = False
    twirl_measure: bool = False

    @property
    def factor(self) -> int:
        """So many times its PUBs' executions are needed at most, and quoted."""
        return RESILIENCE[self.resilience_level]

    @property
    def mitigation(self) -> Mapping[str, object]:
        """What is asked for against errors, by its name; empty: nothing."""
        told = {name: getattr(self, name) for name in MITIGATION}
        return {name: value for name, value in told.items() if value}


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A checked document of PUBs."""

    primitive: Primitive
    circuits: Sequence[CircuitText]
    pubs: Sequence[Pub]
    options: Options


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """How much a document asks for. `executions`, all together, is what `Circuit.shots` must be; `shots` is the most
    that any of its PUBs asks of one execution after the other, which a device limits by itself. An estimator of numbers
    alone (identities) needs no execution, and is quoted one: a job is always of something.
    """

    primitive: Primitive
    circuits: int
    pubs: int
    executions: int
    bindings: int
    shots: int


def work_in(document: Document) -> Work:
    """What a checked document asks for."""
    return Work(
        primitive=document.primitive,
        circuits=len(document.circuits),
        pubs=len(document.pubs),
        executions=max(1, document.options.factor * sum(pub.executions for pub in document.pubs)),
        bindings=sum(pub.bindings for pub in document.pubs),
        shots=max(pub.shots for pub in document.pubs),
    )


def broadcast(first: tuple[int, ...], second: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of two arrays together, as NumPy has it. ProgramRefused('shapes-differ')."""
    longest = max(len(first), len(second))
    one = (1,) * (longest - len(first)) + first
    two = (1,) * (longest - len(second)) + second
    if any(a != b and 1 not in {a, b} for a, b in zip(one, two, strict=True)):
        raise ProgramRefused("shapes-differ", first=shown(first), second=shown(second))
    return tuple(max(a, b) for a, b in zip(one, two, strict=True))


def shown(shape: Sequence[int]) -> str:
    """For a message."""
    return "x".join(map(str, shape[:MAX_DIMENSIONS])) or "()"


def bound(pubs: Sequence[Pub], options: Options) -> None:
    """ProgramRefused: all of them together ask for too much."""
    sums = (
        ("too-many-executions", MAX_EXECUTIONS, options.factor * sum(pub.executions for pub in pubs)),
        ("too-many-bindings", MAX_BINDINGS, sum(pub.bindings for pub in pubs)),
        ("too-many-parameters", MAX_VALUES, sum(_values(pub.parameters) for pub in pubs)),
        ("too-many-observables", MAX_TERMS, sum(_terms(pub.observables) for pub in pubs)),
    )
    for code, limit, asked in sums:
        if asked > limit:
            raise ProgramRefused(code, asked=asked, limit=limit)


def _values(parameters: Parameters | None) -> int:
    return 0 if parameters is None else len(parameters.names) * len(parameters.values)


def _terms(observables: Observables | None) -> int:
    return 0 if observables is None else sum(map(len, observables.values))
