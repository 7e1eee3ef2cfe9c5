"""From what a job left to Qiskit's own results: PrimitiveResult with BitArrays, or a Result with memory and counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from qiskit import QuantumCircuit
from qiskit.primitives import BitArray, DataBin, PrimitiveResult, PubResult, SamplerPubResult
from qiskit.result import Result
from qiskit.result.models import ExperimentResult, ExperimentResultData

from kyoyo.errors import Unavailable
from kyoyo.quantum.results import Bits, Floats, Pub, counts_of, is_document, result_of

Array = npt.NDArray[Any]


def primitive_result(left: object) -> PrimitiveResult:
    """Of a document, or of plain OpenQASM, whose counts become the register 'meas'. Unavailable: it is neither."""
    if not is_document(left):
        return _of_counts(left)
    result = result_of(left)
    kind = SamplerPubResult if result.primitive == "sampler" else PubResult
    pubs = [kind(_data(pub), metadata=_metadata(pub, result.primitive)) for pub in result.pubs]
    return PrimitiveResult(pubs, metadata={"version": 2, **result.about})


@dataclass(frozen=True, slots=True)
class Layout:
    """What of a circuit is needed to answer for it. `registers`: of what was sent, by name, each bit's place."""

    name: str
    num_qubits: int
    num_clbits: int
    registers: Mapping[str, Sequence[int]]
    sizes: Sequence[tuple[str, int]]
    metadata: Mapping[str, Any]

    @classmethod
    def of(cls, circuit: QuantumCircuit, sent: QuantumCircuit) -> Layout:
        """Of one circuit, and of it as it was sent."""
        return cls(
            name=circuit.name,
            num_qubits=circuit.num_qubits,
            num_clbits=circuit.num_clbits,
            registers={each.name: [sent.find_bit(bit).index for bit in each] for each in sent.cregs},
            sizes=[(each.name, each.size) for each in circuit.cregs],
            metadata=dict(circuit.metadata or {}),
        )


def circuits_result(left: object, layouts: Sequence[Layout], *, backend: str, job_id: str) -> Result:
    """What `backend.run(circuits)` answers with. Unavailable: it has not as many parts as there were circuits."""
    result = result_of(left)
    if len(result.pubs) != len(layouts):
        raise Unavailable("unexpected-answer", f"{len(result.pubs)} results of {len(layouts)} circuits")
    parts = [_experiment(pub, layout) for pub, layout in zip(result.pubs, layouts, strict=True)]
    return Result(backend_name=backend, job_id=job_id, success=True, results=parts, **dict(result.about))


def _data(pub: Pub) -> DataBin:
    arrays = {name: _bit_array(each) if isinstance(each, Bits) else _floats(each) for name, each in pub.data.items()}
    shape = next((each.shape for each in pub.data.values()), ())
    return DataBin(**arrays, shape=shape)


def _bit_array(bits: Bits) -> BitArray:
    rows = np.frombuffer(bits.data, dtype=np.uint8).reshape(*bits.shape, bits.shots, bits.row_bytes)
    return BitArray(rows.copy(), bits.num_bits)


def _floats(told: Floats) -> Array:
    return np.array(told.values, dtype=float).reshape(told.shape)


def _metadata(pub: Pub, primitive: str) -> Mapping[str, object]:
    precision = {"target_precision": pub.shots**-0.5} if primitive == "estimator" and pub.shots else {}
    return {"shots": pub.shots, **precision, **pub.metadata}


def _of_counts(left: object) -> PrimitiveResult:
    counts = counts_of(left)
    if not counts:
        raise Unavailable("unexpected-answer", "the job left neither counts nor a document's result")
    plain = {outcome.replace(" ", ""): count for outcome, count in counts.items()}
    bits = BitArray.from_counts(plain, num_bits=len(next(iter(plain))))
    data = DataBin(meas=bits, shape=())
    return PrimitiveResult([SamplerPubResult(data, metadata={"shots": bits.num_shots})], metadata={"version": 2})


def _experiment(pub: Pub, layout: Layout) -> ExperimentResult:
    memory = _memory(pub, layout)
    words, counts = np.unique(memory, return_counts=True)
    header = {
        "name": layout.name,
        "n_qubits": layout.num_qubits,
        "memory_slots": layout.num_clbits,
        "creg_sizes": [list(each) for each in layout.sizes],
        "metadata": dict(layout.metadata),
    }
    data = ExperimentResultData(
        counts={str(word): int(count) for word, count in zip(words, counts, strict=True)},
        memory=[str(word) for word in memory],
    )
    return ExperimentResult(shots=pub.shots, success=True, data=data, header=header, status="DONE", name=layout.name)


def _memory(pub: Pub, layout: Layout) -> Sequence[str]:
    """Each shot as a hexadecimal word of all classical bits, the last bit first."""
    width = (layout.num_clbits + 7) // 8 * 8
    slots = np.zeros((pub.shots, width), dtype=np.uint8)
    for name, places in layout.registers.items():
        bits = pub.data.get(name)
        if not isinstance(bits, Bits) or bits.num_bits != len(places) or bits.shape or bits.shots != pub.shots:
            raise Unavailable("unexpected-answer", f"register {name!r}")
        rows = np.frombuffer(bits.data, dtype=np.uint8).reshape(bits.shots, bits.row_bytes)
        unpacked = np.unpackbits(rows, axis=1)[:, ::-1]  # now bit i stands in column i
        slots[:, [width - 1 - place for place in places]] = unpacked[:, : bits.num_bits]
    packed = np.packbits(slots, axis=1)
    return [hex(int.from_bytes(row.tobytes(), "big")) for row in packed]
