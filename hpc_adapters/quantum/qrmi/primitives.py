"""Qiskit primitives as IBM's services take and give them, in JSON, without Qiskit. Pure.

A translated document (`workloads/transpile_circuit`) becomes the input of one primitive; its result becomes data as in
`kyoyo.result/1`. `Unreadable`: what came is no such result.
"""

from __future__ import annotations

import ast
import re
import struct
import zlib
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from math import isfinite, prod, sqrt
from typing import Any, Final

Json = dict[str, Any]
_ELEMENT: Final = re.compile(r"(.*)\[(\d+)\]", re.DOTALL)
_MAGIC: Final = b"\x93NUMPY"
_BYTES: Final = 256 * 2**20
_ODD: Final = (KeyError, TypeError, ValueError, IndexError, SyntaxError, zlib.error, struct.error, RecursionError)
_FLOATS: Final = {"<f8": "d", "<f4": "f"}


class Unreadable(Exception):
    """The message says which part, without content."""


def input_of(isa: Json) -> Json:
    """The input of a sampler (version 2) or an estimator: [circuit, values, shots], or with observables, precision."""
    circuits = [
        {"__type__": "QuantumCircuit", "__value__": b64encode(zlib.compress(b64decode(told["qpy"]))).decode()}
        for told in isa["circuits"]
    ]
    is_sampler = isa["primitive"] == "sampler"
    pubs = []
    for pub in isa["pubs"]:
        circuit, values = circuits[pub["circuit"]], _values(pub.get("parameters"))
        if is_sampler:
            pubs.append([circuit, values, pub["shots"]])
        else:
            observables = _nested(pub["observables"]["values"], pub["observables"]["shape"])
            pubs.append([circuit, observables, values, 1 / sqrt(pub["shots"])])
    return {"pubs": pubs, "version": 2, "support_qiskit": True, "options": {}}


def _values(told: Mapping[str, Any] | None) -> list[Any]:
    """Columns in the order in which Qiskit sorts a circuit's parameters."""
    if told is None or not told["names"]:
        return []
    order = sorted(range(len(told["names"])), key=lambda at: _sorting(told["names"][at]))
    rows = [[row[at] for at in order] for row in told["values"]]
    nested: list[Any] = _nested(rows, told["shape"])
    return nested


def _sorting(name: str) -> tuple[str, int]:
    element = _ELEMENT.fullmatch(name)
    return (name, -1) if element is None else (element[1], int(element[2]))


def _nested(flat: Sequence[Any], shape: Sequence[int]) -> Any:
    """A flat list in C order as nested lists."""
    if not shape:
        return flat[0]
    step = len(flat) // shape[0]
    return [_nested(flat[at * step : (at + 1) * step], shape[1:]) for at in range(shape[0])]


def data_of(result: Any) -> list[Json]:
    """The data of each PUB, by field. Unreadable."""
    try:
        value = _value(result, "PrimitiveResult")
        return [{"data": _fields(pub)} for pub in value["pub_results"]]
    except (
        KeyError,
        TypeError,
        ValueError,
        IndexError,
        SyntaxError,
        zlib.error,
        struct.error,
        RecursionError,
    ) as error:
        raise Unreadable(type(error).__name__) from error


def _value(told: Any, kind: str) -> Any:
    if told["__type__"] != kind:
        raise Unreadable(kind)
    return told["__value__"]


def _fields(pub: Any) -> Json:
    if pub["__type__"] not in {"PubResult", "SamplerPubResult"}:
        raise Unreadable("PubResult")
    fields = _value(pub["__value__"]["data"], "DataBin")["fields"]
    return {str(name): _field(told) for name, told in fields.items()}


def _field(told: Any) -> Json:
    if told["__type__"] == "BitArray":
        kind, shape, data = _array(told["__value__"]["array"])
        bits = int(told["__value__"]["num_bits"])
        if kind != "|u1" or shape[-1] != -(-bits // 8) or prod(shape) != len(data):
            raise Unreadable("BitArray")
        *elements, shots, _ = shape
        about = {"kind": "bits", "num_bits": bits, "shape": elements, "shots": shots}
        return about | {"bytes": b64encode(data).decode()}
    kind, shape, data = _array(told)
    values = [value for (value,) in struct.iter_unpack("<" + _FLOATS[kind], data)]
    if len(values) != prod(shape):
        raise Unreadable("array")
    return {"kind": "float", "shape": list(shape), "values": [v if isfinite(v) else None for v in values]}


def _array(told: Any) -> tuple[str, tuple[int, ...], bytes]:
    """Type, shape and content of an array in NumPy's own format, compressed, in base64."""
    packed = b64decode(_value(told, "ndarray"), validate=True)
    unpacker = zlib.decompressobj()
    data = unpacker.decompress(packed, _BYTES)
    if unpacker.unconsumed_tail or data[:6] != _MAGIC:
        raise Unreadable("ndarray")
    size, begin = (struct.unpack("<H", data[8:10])[0], 10) if data[6] == 1 else (struct.unpack("<I", data[8:12])[0], 12)
    header = ast.literal_eval(data[begin : begin + size].decode("latin-1").strip())
    if header["fortran_order"]:
        raise Unreadable("order")
    return str(header["descr"]), tuple(int(side) for side in header["shape"]), data[begin + size :]
