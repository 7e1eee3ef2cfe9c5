"""IBM's data as our result documents, and what a translation says of QPU time. Pure."""

from __future__ import annotations

from base64 import b64decode
from collections import Counter
from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any, Final

from hpc_adapters.devices import EstimateSource, ServiceEstimate
from hpc_adapters.quantum import numbers

RESULT: Final = "kyoyo.result/1"
_SPREAD: Final = 2.0
"""The most that a job takes, against what its gates' durations say."""


def about(isa: Mapping[str, Any]) -> dict[str, Any]:
    """What of a translation is kept for the result: all but the circuits themselves."""
    pubs = [_about(pub) for pub in isa["pubs"]]
    registers = isa["circuits"][isa["pubs"][0]["circuit"]]["registers"]
    kept = ("primitive", "plain", "versions", "program_sha256")
    qubits = max(circuit["qubits"] for circuit in isa["circuits"])
    return {key: isa[key] for key in kept} | {"pubs": pubs, "registers": registers, "qubits": qubits}


def _about(pub: Mapping[str, Any]) -> dict[str, Any]:
    told = {key: pub[key] for key in ("shots", "executions", "metadata")}
    return told | {"number": numbers.data_of(pub)} if numbers.is_number(pub) else told


def executions_of(isa: Mapping[str, Any]) -> int:
    """Of all PUBs, as the confined process counted them."""
    return sum(int(pub["executions"]) for pub in isa["pubs"])


def bytes_of(isa: Mapping[str, Any]) -> int:
    """How large a sampler's result will be, in base64."""
    if isa["primitive"] != "sampler":
        return 0
    widths = [sum(-(-size // 8) for _, size in circuit["registers"]) for circuit in isa["circuits"]]
    in_bytes: int = sum(int(pub["executions"]) * widths[pub["circuit"]] for pub in isa["pubs"])
    return in_bytes * 4 // 3


def estimate(isa: Mapping[str, Any], *, base_us: int, per_kshot_us: int, calibration_id: str | None) -> ServiceEstimate:
    """QPU time by the circuits' durations; by the model where one of them is not known."""
    metadata = [pub["metadata"] for pub in isa["pubs"]]
    shape: dict[str, Any] = {
        "qubits": max(circuit["qubits"] for circuit in isa["circuits"]),
        "depth": max(each["depth"] for each in metadata),
        "two_qubit_gates": max(each["two_qubit_gates"] for each in metadata),
        "calibration_id": calibration_id,
    }
    if any(pub["shot_s"] is None for pub in isa["pubs"]):
        return model(executions_of(isa), base_us=base_us, per_kshot_us=per_kshot_us, **shape)
    device_us = ceil(sum(int(pub["executions"]) * float(pub["shot_s"]) for pub in isa["pubs"]) * 1e6)
    return ServiceEstimate(
        low_us=device_us, high_us=base_us + ceil(device_us * _SPREAD), source=EstimateSource.DURATIONS, **shape
    )


def model(executions: int, *, base_us: int, per_kshot_us: int, **shape: Any) -> ServiceEstimate:
    """QPU time by the service-time model, half as much to twice as much."""
    device_us = per_kshot_us * executions // 1000
    return ServiceEstimate(
        low_us=device_us // 2, high_us=base_us + ceil(device_us * _SPREAD), source=EstimateSource.MODEL, **shape
    )


def result_document(
    told: Mapping[str, Any], kept: Mapping[str, Any], *, device: str, calibration_id: str | None
) -> dict[str, Any]:
    """`told`: the bridge's `result`, of what had to be measured; `kept`: what `about` kept.

    The form of the program decides that of the result.
    """
    if kept["plain"]:
        return _plain(told, kept, device=device, calibration_id=calibration_id)
    if len(told["pubs"]) != sum("number" not in pub for pub in kept["pubs"]):
        raise ValueError("another number of PUBs")
    measured = iter(told["pubs"])
    pubs = [
        {
            **({"data": pub["number"]} if "number" in pub else next(measured)),
            "shots": pub["shots"],
            "executions": pub["executions"],
            "metadata": pub["metadata"],
        }
        for pub in kept["pubs"]
    ]
    return {
        "format": RESULT,
        "primitive": kept["primitive"],
        "device": device,
        "calibration_id": calibration_id,
        "versions": kept["versions"],
        "seed": None,
        "program_sha256": kept["program_sha256"],
        "pubs": pubs,
    }


def _plain(
    told: Mapping[str, Any], kept: Mapping[str, Any], *, device: str, calibration_id: str | None
) -> dict[str, Any]:
    [pub] = kept["pubs"]
    metadata = pub["metadata"]
    return {
        "counts": counts_of(told["pubs"][0]["data"], kept["registers"]),
        "shots": pub["shots"],
        "qubits": kept["qubits"],
        "operations": sum(metadata["operations"].values()),
        "depth": metadata["depth"],
        "seed": None,
        "device": device,
        "versions": kept["versions"],
        "calibration_id": calibration_id,
        "program_sha256": kept["program_sha256"],
    }


def counts_of(data: Mapping[str, Any], registers: Sequence[Sequence[Any]]) -> dict[str, int]:
    """Counts by outcome: registers separated by a space, the last declared first, as Qiskit writes them."""
    columns = [_words(data[name]) for name, _ in reversed(registers)]
    found = Counter(" ".join(row) for row in zip(*columns, strict=True))
    return dict(sorted(found.items()))


def _words(field: Mapping[str, Any]) -> list[str]:
    """Each shot's bits, the last one first."""
    data, bits = b64decode(field["bytes"]), int(field["num_bits"])
    size = -(-bits // 8)
    shots = (data[at : at + size] for at in range(0, len(data), size))
    return [format(int.from_bytes(shot, "big"), f"0{bits}b")[-bits:] for shot in shots]
