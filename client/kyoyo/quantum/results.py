"""Reads what a circuit left: counts of plain OpenQASM, and the arrays of a document's result. Needs no NumPy.

Bits of a register come packed as Qiskit's BitArray has them: rows of whole bytes, the most significant first, filled up
with zeros in front; row after row over shape × shots.
"""

from __future__ import annotations

import base64
import binascii
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

from kyoyo.errors import Unavailable
from kyoyo.models import Fields

FORMAT = "kyoyo.result/1"


@dataclass(frozen=True, slots=True)
class Bits:
    """One register's bits of all shots of all bindings. `data`: prod(shape) × shots × ceil(num_bits / 8) bytes."""

    num_bits: int
    shape: tuple[int, ...]
    shots: int
    data: bytes

    @property
    def row_bytes(self) -> int:
        """Bytes of one shot."""
        return (self.num_bits + 7) // 8

    def words(self) -> list[str]:
        """Each shot as a bitstring, all bindings one after the other."""
        step, kept = self.row_bytes, self.num_bits
        rows = range(0, len(self.data), step) if step else range(0)
        return [f"{int.from_bytes(self.data[at : at + step], 'big'):0{kept}b}" for at in rows]


@dataclass(frozen=True, slots=True)
class Floats:
    """An array of numbers in C order."""

    shape: tuple[int, ...]
    values: Sequence[float]


@dataclass(frozen=True, slots=True)
class Pub:
    """The result of one PUB: arrays by register, or 'evs' and 'stds'."""

    data: Mapping[str, Bits | Floats]
    shots: int
    metadata: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Result:
    """A document's result. `about`: device, calibration_id, versions, seed and the like."""

    primitive: str
    pubs: Sequence[Pub]
    about: Mapping[str, object]


def error_in(left: object) -> tuple[str, Mapping[str, object]] | None:
    """Code and facts of a run that was refused or failed inside; None when there is none."""
    error = left.get("error") if isinstance(left, Mapping) else None
    if not isinstance(error, Mapping) or not isinstance(error.get("code"), str):
        return None
    facts = error.get("facts")
    return error["code"], facts if isinstance(facts, Mapping) else {}


def is_document(left: object) -> bool:
    """Whether it is a document's result."""
    return isinstance(left, Mapping) and left.get("format") == FORMAT


def result_of(left: object) -> Result:
    """Read and check a document's result. Unavailable('unexpected-answer')."""
    told = Fields(left)
    if told.text("format", "") != FORMAT:
        _bad("format")
    about = {name: value for name, value in told.told.items() if name not in {"format", "primitive", "pubs"}}
    return Result(told.text("primitive"), told.items(_pub, "pubs"), about)


def counts_of(left: object) -> Mapping[str, int] | None:
    """Outcome → count of plain OpenQASM's result; None when it has none."""
    found = left.get("counts") if isinstance(left, Mapping) else None
    if not isinstance(found, Mapping) or not all(type(count) is int for count in found.values()):
        return None
    return {str(outcome): count for outcome, count in found.items()}


def all_counts(left: object) -> Sequence[Mapping[str, int]]:
    """Counts of each PUB, all its bindings together; the registers of one are joined as Qiskit does, the last first.

    Empty: nothing was measured shot by shot.
    """
    if (plain := counts_of(left)) is not None:
        return [plain]
    if not is_document(left):
        return []
    return [counts for pub in result_of(left).pubs if (counts := _joined(pub))]


def _joined(pub: Pub) -> Mapping[str, int]:
    registers = [bits.words() for bits in pub.data.values() if isinstance(bits, Bits) and bits.num_bits]
    return dict(Counter(" ".join(words) for words in zip(*reversed(registers), strict=True)))


def _pub(told: object) -> Pub:
    pub = Fields(told)
    data = pub.inner("data").told
    return Pub(
        {name: _array(name, each) for name, each in data.items()}, pub.integer("shots", 0), pub.inner("metadata").told
    )


def _array(name: str, told: object) -> Bits | Floats:
    array = Fields(told)
    shape = tuple(array.integers("shape"))
    if any(size < 0 for size in shape):
        _bad(name)
    if array.text("kind") == "bits":
        bits = Bits(array.integer("num_bits", 0), shape, array.integer("shots", 0), _bytes(name, array.text("bytes")))
        if len(bits.data) != math.prod(shape) * bits.shots * bits.row_bytes:
            _bad(name)
        return bits
    values = array.numbers("values")
    if len(values) != math.prod(shape):
        _bad(name)
    return Floats(shape, values)


def _bytes(name: str, told: str) -> bytes:
    try:
        return base64.b64decode(told, validate=True)
    except binascii.Error:
        _bad(name)


def _bad(name: str) -> NoReturn:
    raise Unavailable("unexpected-answer", f"result: {name}")
