"""From Qiskit's PUBs to a document: circuits as QPY, bindings as rows, observables as sums of Pauli strings."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from qiskit import ClassicalRegister, QuantumCircuit, qpy
from qiskit.quantum_info import SparseObservable

from kyoyo.quantum.errors import BadPrecision
from kyoyo.quantum.programs import document, qpy_circuit

QPY_VERSION = min(int(qpy.QPY_VERSION), 18)
"""As new as portals read: a newer Qiskit here writes this older version."""
LOOSE = "kyoyo_loose"
_PAULIS = frozenset("IXYZ")
_FACTORS = (1, 2, 4)
"""How much more is executed by resilience level."""


@dataclass(frozen=True, slots=True)
class Program:
    """A document's text, and all its executions together."""

    text: str
    executions: int


def sampler_program(pubs: Iterable[Any], *, options: Mapping[str, object], language: str = "en") -> Program:
    """From SamplerPubs whose shots are set. DocumentTooLarge."""
    told, circuits = [], _Circuits()
    executions = 0
    for pub in pubs:
        told.append({"circuit": circuits.place_of(pub.circuit), "shots": pub.shots, **_parameters(pub, pub.circuit)})
        executions += pub.shots * math.prod(pub.shape)
    return Program(_text("sampler", circuits, told, options, language), executions)


def estimator_program(pubs: Iterable[Any], *, options: Mapping[str, object], language: str = "en") -> Program:
    """From EstimatorPubs whose precision is set. DocumentTooLarge, BadPrecision.

    Where all observables are numbers (identities), nothing is executed, and one execution is what is quoted. A
    `resilience_level` among the options multiplies them.
    """
    told, circuits = [], _Circuits()
    executions = 0
    for pub in pubs:
        shots, observables = shots_of(pub.precision, language), _observables(pub.observables)
        told.append(
            {
                "circuit": circuits.place_of(pub.circuit),
                "shots": shots,
                **_parameters(pub, pub.circuit),
                "observables": observables,
            }
        )
        executions += shots * _strings(observables["values"]) * (math.prod(pub.shape) // pub.observables.size)
    return Program(_text("estimator", circuits, told, options, language), max(1, executions * _factor(options)))


def circuits_program(
    circuits: Sequence[QuantumCircuit], *, shots: int, options: Mapping[str, object], language: str = "en"
) -> Program:
    """From circuits without parameters, each a PUB of its own. DocumentTooLarge."""
    found = _Circuits()
    pubs = [{"circuit": found.place_of(circuit), "shots": shots} for circuit in circuits]
    return Program(_text("sampler", found, pubs, options, language), shots * len(circuits))


def with_all_bits(circuit: QuantumCircuit) -> QuantumCircuit:
    """The same with its loose classical bits in a register of their own: only registers come back."""
    held = {bit for register in circuit.cregs for bit in register}
    loose = [bit for bit in circuit.clbits if bit not in held]
    if not loose:
        return circuit
    whole = circuit.copy()
    whole.add_register(ClassicalRegister(name=LOOSE, bits=loose))
    return whole


def shots_of(precision: float, language: str = "en") -> int:
    """Shots for a standard error of one Pauli string: ceil(1 / precision²). BadPrecision."""
    if not 0 < precision < math.inf or (wanted := 1 / precision**2) > 1e12:  # noqa: PLR2004  beyond any device
        raise BadPrecision(language=language, precision=precision, limit=0, backend="-")
    return math.ceil(round(wanted, 6))  # 1/√n squared is n, and not n + 1


class _Circuits:
    """Circuits of a document, each object once."""

    def __init__(self) -> None:
        self.told: list[Mapping[str, str]] = []
        self._places: dict[int, int] = {}

    def place_of(self, circuit: QuantumCircuit) -> int:
        """Its place in the document."""
        if id(circuit) not in self._places:
            self._places[id(circuit)] = len(self.told)
            self.told.append(qpy_circuit(_qpy(circuit)))
        return self._places[id(circuit)]


def _qpy(circuit: QuantumCircuit) -> bytes:
    plain = circuit.copy()
    plain.metadata = {}  # its owner's own business, and of any type
    plain._layout = None  # noqa: SLF001  where its qubits came from: observables are over the qubits that it has now
    data = io.BytesIO()
    qpy.dump(plain, data, version=QPY_VERSION)
    return data.getvalue()


def _parameters(pub: Any, circuit: QuantumCircuit) -> Mapping[str, object]:
    values = pub.parameter_values
    if not circuit.num_parameters and not values.shape:
        return {}
    names = [parameter.name for parameter in circuit.parameters]
    rows = values.as_array(circuit.parameters).reshape(math.prod(values.shape), len(names))
    return {"parameters": {"names": names, "shape": list(values.shape), "values": rows.tolist()}}


def _observables(array: Any) -> Mapping[str, Any]:
    values = [_paulis(each) for each in array.ravel().tolist()] if array.shape else [_paulis(array.tolist())]
    return {"shape": list(array.shape), "values": values}


def _paulis(terms: Mapping[str, float]) -> Mapping[str, float]:
    """Projectors such as '0' and '+' written out as Pauli strings."""
    if all(_PAULIS.issuperset(term) for term in terms):
        return {term: float(real) for term, real in terms.items()}
    written = SparseObservable.from_list(list(terms.items())).as_paulis().simplify()
    width = written.num_qubits
    found = {}
    for letters, qubits, real in written.to_sparse_list():
        term = ["I"] * width
        for letter, qubit in zip(letters, qubits, strict=True):
            term[width - 1 - qubit] = letter
        found["".join(term)] = float(real.real)
    return found


def _factor(options: Mapping[str, object]) -> int:
    """As the portal counts; what is no level is the portal's to refuse."""
    level = options.get("resilience_level", 0)
    return _FACTORS[level] if isinstance(level, int) and 0 <= level < len(_FACTORS) else 1


def _strings(values: Sequence[Mapping[str, float]]) -> int:
    return sum(bool(term.strip("I")) for each in values for term in each)


def _text(
    primitive: str,
    circuits: _Circuits,
    pubs: Sequence[Mapping[str, object]],
    options: Mapping[str, object],
    language: str,
) -> str:
    return document(primitive, circuits=circuits.told, pubs=pubs, options=options, language=language)
