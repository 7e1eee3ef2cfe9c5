"""Between our documents and the vendor's objects, inside the bridge's process. Imports qiskit."""

from __future__ import annotations

import io
import math
from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any

import numpy as np
from qiskit import QuantumCircuit, qpy
from qiskit.primitives.containers.bindings_array import BindingsArray
from qiskit.primitives.containers.bit_array import BitArray
from qiskit.primitives.containers.estimator_pub import EstimatorPub
from qiskit.primitives.containers.sampler_pub import SamplerPub

from hpc_adapters.errors import Rejected
from hpc_adapters.workloads.qpy_check import QpyLimits, check_qpy

_LIMITS = QpyLimits(qubits=10_000, bits=10_000, operations=10**7)
"""Of what is safe to load. What the device takes was checked before."""


def pubs_of(isa: Mapping[str, Any]) -> list[Any]:
    """The PUBs of a translated document, as the primitives take them. Rejected: it is not what translation writes."""
    try:
        circuits = [_circuit(each["qpy"]) for each in isa["circuits"]]
        make = _sampler_pub if isa["primitive"] == "sampler" else _estimator_pub
        return [make(circuits[pub["circuit"]], pub) for pub in isa["pubs"]]
    except Rejected:
        raise
    except Exception as error:  # noqa: BLE001  a parser of binary data may raise anything
        raise Rejected("malformed-translation", reason=type(error).__name__) from None


def _circuit(data: str) -> QuantumCircuit:
    """From a confined process, which read a tenant's program: it is believed no more than the program."""
    binary = b64decode(data, validate=True)
    check_qpy(binary, _LIMITS)
    [circuit] = qpy.load(io.BytesIO(binary))
    return circuit


def _bindings(told: Mapping[str, Any] | None) -> BindingsArray:
    if told is None or not told["names"]:
        return BindingsArray(shape=tuple(told["shape"]) if told else ())
    names = tuple(told["names"])
    return BindingsArray({names: np.asarray(told["values"], dtype=float).reshape((*told["shape"], len(names)))})


def _sampler_pub(circuit: QuantumCircuit, pub: Mapping[str, Any]) -> SamplerPub:
    return SamplerPub(circuit, _bindings(pub.get("parameters")), shots=pub["shots"])


def _estimator_pub(circuit: QuantumCircuit, pub: Mapping[str, Any]) -> EstimatorPub:
    told = pub["observables"]
    observables = np.empty(len(told["values"]), dtype=object)
    observables[:] = told["values"]
    return EstimatorPub.coerce(
        (circuit, observables.reshape(told["shape"]), _bindings(pub.get("parameters")), 1 / math.sqrt(pub["shots"]))
    )


def result_of(result: Any) -> list[dict[str, Any]]:
    """Each PUB's data in the form of `kyoyo.result/1`."""
    return [{"data": {name: _field(value) for name, value in pub.data.items()}} for pub in result]


def _field(value: Any) -> dict[str, Any]:
    if isinstance(value, BitArray):
        data = np.ascontiguousarray(value.array, dtype=np.uint8).tobytes()
        told = {"kind": "bits", "num_bits": value.num_bits, "shape": list(value.shape), "shots": value.num_shots}
        return told | {"bytes": b64encode(data).decode()}
    array = np.asarray(value, dtype=float)
    values = [each if math.isfinite(each) else None for each in array.ravel().tolist()]
    return {"kind": "float", "shape": list(array.shape), "values": values}
