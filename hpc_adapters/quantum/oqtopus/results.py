"""From the vendor's results to ours. Pure. `Unreadable`: what it gave is no result of what was asked."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from math import isfinite, prod
from typing import Any

Json = dict[str, Any]


class Unreadable(Exception):
    """The vendor's answer is not a result of what was asked. The message says which part, without content."""


def document(
    plan: Json,
    answers: Sequence[Json],
    transpiled: Sequence[Json | None],
    *,
    device: str,
    calibration_id: str | None,
) -> bytes:
    """`result.json`. `answers`: the vendor's, for each run of the plan in its order."""
    common: Json = {
        "device": device,
        "calibration_id": calibration_id,
        "program_sha256": plan["program_sha256"],
        "versions": {"oqtopus-user-api": "1.0"},
    }
    if plan["plain"]:
        [run], [answer] = plan["runs"], answers
        body = common | {
            "counts": _spaced(_counts(answer, run), run["registers"]),
            "shots": run["shots"],
            "qubits": plan["qubits"],
            "operations": plan["operations"],
        }
    else:
        pubs = [_pub(number, pub, plan, answers, transpiled) for number, pub in enumerate(plan["pubs"])]
        body = common | {"format": "kyoyo.result/1", "primitive": plan["primitive"], "pubs": pubs}
    return json.dumps(body, sort_keys=True).encode()


def _pub(number: int, pub: Json, plan: Json, answers: Sequence[Json], transpiled: Sequence[Json | None]) -> Json:
    mine = [(run, at) for at, run in enumerate(plan["runs"]) if run["pub"] == number]
    elements = prod(pub["shape"])
    if plan["primitive"] == "sampler":
        data = _bits(pub, [(run, answers[at]) for run, at in mine], elements)
    else:
        data = _estimates(pub, [(run, answers[at]) for run, at in mine], elements)
    terms = sum(max(1, len(run["operators"])) for run, _ in mine)
    metadata = next((_metadata(transpiled[at]) for _, at in mine if transpiled[at]), {})
    return {"shots": pub["shots"], "executions": pub["shots"] * terms, "data": data, "metadata": metadata}


def _counts(answer: Json, run: Json) -> dict[str, int]:
    """Bits as digits without spaces. As many as there are bits, and as many shots as were asked."""
    counts = answer.get("sampling", {}).get("counts") if isinstance(answer.get("sampling"), Mapping) else None
    if not isinstance(counts, Mapping) or not counts:
        raise Unreadable("counts")
    width = sum(bits for _, bits in run["registers"])
    found: dict[str, int] = {}
    for outcome, count in counts.items():
        bits = str(outcome).replace(" ", "")
        if set(bits) - set("01") or (width and len(bits) != width):
            raise Unreadable("outcome")
        if not isinstance(count, int) or isinstance(count, bool) or count < 0:
            raise Unreadable("count")
        found[bits] = found.get(bits, 0) + count
    if sum(found.values()) != run["shots"]:
        raise Unreadable("shots")
    return dict(sorted(found.items()))


def _spaced(counts: Mapping[str, int], registers: Sequence[tuple[str, int]]) -> dict[str, int]:
    """Registers separated by a space, the last declared first, as Qiskit writes them."""
    return {" ".join(_split(bits, registers)[::-1]) if registers else bits: n for bits, n in counts.items()}


def _split(bits: str, registers: Sequence[tuple[str, int]]) -> list[str]:
    """The digits of each register, in the order of declaration; the first declared is at the end."""
    parts, end = [], len(bits)
    for _, width in registers:
        parts.append(bits[end - width : end])
        end -= width
    return parts


def _bits(pub: Json, results: Sequence[tuple[Json, Json]], elements: int) -> Json:
    """BitArray of each register: (*shape, shots, bytes) in C order, the most significant byte first.

    The vendor tells counts, so the shots of an element are in the order of their outcomes, in all registers the same.
    """
    if len(results) != elements:
        raise Unreadable("elements")
    registers = pub["registers"]
    packed = [bytearray() for _ in registers]
    for run, answer in sorted(results, key=lambda one: one[0]["element"]):
        for outcome, count in _counts(answer, run).items():
            for part, into, (_, width) in zip(_split(outcome, registers), packed, registers, strict=True):
                into.extend(int(part or "0", 2).to_bytes(-(-width // 8), "big") * count)
    return {
        name: {
            "kind": "bits",
            "num_bits": width,
            "shape": pub["shape"],
            "shots": pub["shots"],
            "bytes": b64encode(into).decode("ascii"),
        }
        for (name, width), into in zip(registers, packed, strict=True)
    }


def _estimates(pub: Json, results: Sequence[tuple[Json, Json]], elements: int) -> Json:
    values = [0.0] * elements
    spreads = [0.0] * elements
    for element, constant in pub["constants"]:
        values[element] = constant
    if len(results) + len(pub["constants"]) != elements:
        raise Unreadable("elements")
    for run, answer in results:
        told = answer.get("estimation")
        told = told if isinstance(told, Mapping) else {}
        values[run["element"]] = run["constant"] + _number(told.get("exp_value"))
        spreads[run["element"]] = _number(told.get("stds"))
    return {
        name: {"kind": "float", "shape": pub["shape"], "values": column}
        for name, column in (("evs", values), ("stds", spreads))
    }


def _number(told: Any) -> float:
    """Older servers tell a complex number as a pair."""
    if isinstance(told, Sequence) and not isinstance(told, str) and told:
        told = told[0]
    if not isinstance(told, int | float) or isinstance(told, bool) or not isfinite(told):
        raise Unreadable("expectation")
    return float(told)


def _metadata(transpiled: Json | None) -> Json:
    """What the vendor's own translation came to, as far as it tells."""
    stats = (transpiled or {}).get("stats")
    after = stats.get("after") if isinstance(stats, Mapping) else None
    after = after if isinstance(after, Mapping) else {}
    pairs = {"depth": "depth", "operations": "n_gates", "two_qubit_gates": "n_gates_2q"}
    return {ours: after[theirs] for ours, theirs in pairs.items() if isinstance(after.get(theirs), int)}
