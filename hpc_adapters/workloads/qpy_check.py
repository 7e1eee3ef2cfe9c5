"""QPY walked through byte by byte before anything loads it: whatever is not named here is refused.

Taken are the versions whose symbolic expressions are replayed operations (13 and later; those before hold text for a
symbolic library to parse), one circuit a file, standard gates and other instructions of a fixed list, plain control
flow, and parameters. Nothing here builds an object: sizes are read, compared with what is left of the file, and
skipped. The layout is that of the documentation of `qiskit.qpy`, "QPY Format". Standard library only.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from hpc_adapters.pubs import MAX_NAMES
from hpc_adapters.workloads.circuit_refusals import CircuitRefused

FIRST_VERSION, LAST_VERSION = 13, 18
GATES: Final = frozenset(
    {"IGate", "XGate", "YGate", "ZGate", "HGate", "SGate", "SdgGate", "TGate", "TdgGate", "SXGate", "SXdgGate"}
    | {"PhaseGate", "RGate", "RXGate", "RYGate", "RZGate", "UGate", "U1Gate", "U2Gate", "U3Gate", "GlobalPhaseGate"}
    | {"CXGate", "CYGate", "CZGate", "CHGate", "CSGate", "CSdgGate", "CSXGate", "CPhaseGate", "CRXGate", "CRYGate"}
    | {"CRZGate", "CUGate", "CU1Gate", "CU3Gate", "SwapGate", "iSwapGate", "DCXGate", "ECRGate", "RXXGate", "RYYGate"}
    | {"RZZGate", "RZXGate", "XXMinusYYGate", "XXPlusYYGate", "CCXGate", "CCZGate", "CSwapGate", "RCCXGate"}
    | {"C3XGate", "C3SXGate", "C4XGate", "RC3XGate"}
)
OTHERS: Final = frozenset({"Measure", "Reset", "Barrier", "Delay"})
CONTROL_FLOW: Final = frozenset({"IfElseOp", "ForLoopOp", "BreakLoopOp", "ContinueLoopOp"})
_PLAIN: Final = {b"i": 8, b"f": 8, b"c": 16, b"z": 0}  # values of a fixed size
_OPERATION_BYTES: Final = 35
_OPERANDS: Final = frozenset(b"pfinc")
_UNIT_BYTES: Final = 8
_CONDITION, _ANNOTATED = 0b11, 0b1000_0000
_ABSENT: Final = {True: 0xFFFF_FFFF, False: -1}


@dataclass(frozen=True, slots=True, kw_only=True)
class QpyLimits:
    """What is taken of one file; operations are those written down, loops not written out."""

    qubits: int
    bits: int
    operations: int = 100_000
    registers: int = 256
    block_depth: int = 16
    parameters: int = MAX_NAMES
    expression_operations: int = 200
    """Of one expression: it is evaluated by recursion."""
    expression_depth: int = 8
    metadata_bytes: int = 16_384


def check_qpy(data: bytes, limits: QpyLimits) -> None:
    """CircuitRefused('unsupported-qpy-version' | 'malformed-qpy' | 'unsafe-qpy' | 'unsupported-statement' | a size)."""
    if len(data) < 7 or data[:6] != b"QISKIT":  # noqa: PLR2004  magic and version
        raise CircuitRefused("malformed-qpy", at_byte=0)
    version = data[6]
    if not FIRST_VERSION <= version <= LAST_VERSION:
        raise CircuitRefused("unsupported-qpy-version", version=version, first=FIRST_VERSION, last=LAST_VERSION)
    walker = _Walker(data, version, limits)
    walker.file()


class _Walker:
    """One pass over the bytes; `at` is the next one, `end` the end of the innermost piece."""

    def __init__(self, data: bytes, version: int, limits: QpyLimits) -> None:
        self.data, self.version, self.limits = data, version, limits
        self.at, self.end = 0, len(data)
        self.operations = 0

    # -- pieces -------------------------------------------------------------------------------------------------------

    def unpack(self, layout: str) -> tuple[Any, ...]:
        """The next fields, in network order. The next bytes are behind them then."""
        return struct.unpack(f"!{layout}", self.take(struct.calcsize(f"!{layout}")))

    def one(self, layout: str) -> Any:
        """The next single field."""
        return self.unpack(layout)[0]

    def take(self, size: int) -> bytes:
        """The next so many bytes, which must be there."""
        if not 0 <= size <= self.end - self.at:
            self.malformed()
        self.at += size
        return self.data[self.at - size : self.at]

    def text(self, size: int) -> str:
        """The next so many bytes as UTF-8."""
        try:
            return self.take(size).decode()
        except UnicodeDecodeError:
            self.malformed()

    def malformed(self) -> NoReturn:
        raise CircuitRefused("malformed-qpy", at_byte=self.at)

    def unsafe(self, kind: str) -> NoReturn:
        raise CircuitRefused("unsafe-qpy", kind=ascii(kind)[1:41], at_byte=self.at)

    def bounded(self, asked: int, limit: int, code: str) -> None:
        if asked > limit:
            raise CircuitRefused(code, asked=asked, limit=limit)

    def filled(self, outer: int) -> None:
        """A piece was read to its last byte; back to what is around it."""
        if self.at != self.end:
            self.malformed()
        self.end = outer

    def inside(self, size: int) -> int:
        """Go into a piece of this size. Returns the end of what is around it, for `filled`."""
        outer = self.end
        if not 0 <= size <= self.end - self.at:
            self.malformed()
        self.end = self.at + size
        return outer

    # -- circuits -----------------------------------------------------------------------------------------------------

    def file(self) -> None:
        _magic, _version, _major, _minor, _patch, programs, encoding = self.unpack("6sBBBBQc")
        if programs != 1 or encoding not in {b"p", b"e"}:
            self.malformed()
        if (kind := self.one("c")) != b"q":
            self.unsafe(kind.decode("latin-1"))
        if self.version >= 16 and self.one("Q") != self.at:  # noqa: PLR2004  where the circuit begins
            self.malformed()
        self.circuit(0)
        if self.at != self.end:
            self.malformed()

    def circuit(self, depth: int) -> None:
        self.bounded(depth, self.limits.block_depth, "nesting-too-deep")
        name, phase_type, phase, qubits, bits, metadata, registers, instructions, variables = self.unpack("H1cHIIQIQI")
        self.bounded(qubits, self.limits.qubits, "too-many-qubits")
        self.bounded(bits, self.limits.bits, "too-many-bits")
        self.bounded(registers, self.limits.registers, "too-many-bits")
        self.bounded(metadata, self.limits.metadata_bytes, "program-too-large")
        self.text(name)
        self.value(phase_type, phase)
        self.text(metadata)
        for _ in range(registers):
            self.register(qubits, bits)
        if variables:
            raise CircuitRefused("unsupported-statement", statement="variable")
        if self.version >= 15 and self.one("I"):  # noqa: PLR2004  annotations
            self.unsafe("annotation")
        if self.version >= 18:  # noqa: PLR2004  vectors once a circuit
            self.vectors()
        if self.one("Q"):
            self.unsafe("custom instruction")
        for _ in range(instructions):
            self.instruction(qubits, bits, depth)
        if self.version < 18 and self.one("H"):  # noqa: PLR2004  pulse calibrations
            self.unsafe("calibration")
        self.layout()

    def register(self, qubits: int, bits: int) -> None:
        newer = self.version >= 18  # noqa: PLR2004  indices of 32 bits, and contiguous registers
        kind, _standalone, size, name, _in_circuit, *attached = self.unpack("1c?IH??" if newer else "1c?IH?")
        if kind not in {b"q", b"c", b"a"}:
            self.malformed()
        total = bits if kind == b"c" else qubits
        self.bounded(size, max(self.limits.qubits, self.limits.bits), "too-many-bits")
        self.text(name)
        if newer and attached == [True]:
            if not 0 <= self.one("I") <= total - size:
                self.malformed()
            return
        for index in self.unpack(f"{size}I" if newer else f"{size}q"):
            if index != _ABSENT[newer] and not 0 <= index < total:
                self.malformed()

    def vectors(self) -> None:
        for _ in range(self.one("H")):
            name, size, _root = self.unpack("HQ16s")
            self.bounded(size, self.limits.parameters, "too-many-parameters")
            self.text(name)

    def layout(self) -> None:
        exists, initial, mapping, final, registers, _inputs = self.unpack("?iiiIi")
        if not exists:
            return
        self.bounded(registers, self.limits.registers, "too-many-bits")
        for _ in range(registers):
            self.register(self.limits.qubits, self.limits.bits)
        for _ in range(max(0, initial)):
            index, name = self.unpack("ii")
            if (index, name) != (-1, -1):
                self.text(name)
        self.take(4 * (max(0, mapping) + max(0, final)))

    # -- instructions -------------------------------------------------------------------------------------------------

    def instruction(self, qubits: int, bits: int, depth: int) -> None:
        self.operations += 1
        self.bounded(self.operations, self.limits.operations, "too-many-operations")
        name_size, label, parameters, qargs, cargs, extras, condition, _value, _controls, _state = self.unpack(
            "HHHIIBHqII"
        )
        name = self.text(name_size)
        if name not in GATES | OTHERS | CONTROL_FLOW:
            self.unsafe(name)
        if extras & ~_CONDITION or extras & _CONDITION > 1:
            self.unsafe("annotation" if extras & _ANNOTATED else "expression")
        if extras and name != "IfElseOp":  # the old form of a condition, on a gate
            raise CircuitRefused("unsupported-statement", statement="condition")
        self.text(label)
        self.condition(condition, bits)
        for number in range(qargs + cargs):
            kind, index = self.unpack("1cI")
            if kind != (b"q" if number < qargs else b"c") or index >= (qubits if number < qargs else bits):
                self.malformed()
        for _ in range(parameters):
            kind, size = self.unpack("1cQ")
            self.parameter(name, kind, size, depth)

    def condition(self, size: int, bits: int) -> None:
        """A bit by its number, or a register by its name."""
        said = self.take(size)
        if self.version >= 18 and size and said[0] == 0:  # noqa: PLR2004  a tag before it
            if size != 5 or int.from_bytes(said[1:], "big") >= bits:  # noqa: PLR2004  tag and 32 bits
                self.malformed()
        elif self.version < 18 and said[:1] == b"\0":  # noqa: PLR2004  see above
            digits = said[1:]
            if not digits.isdigit() or len(digits) > 9 or int(digits) >= bits:  # noqa: PLR2004  digits of a number
                self.malformed()

    def parameter(self, name: str, kind: bytes, size: int, depth: int) -> None:
        if kind == b"q" and name in {"IfElseOp", "ForLoopOp"}:
            outer = self.inside(size)
            self.circuit(depth + 1)
            self.filled(outer)
        elif kind == b"r" and name == "ForLoopOp":
            if size != 24 or self.unpack("qqq")[2] == 0:  # noqa: PLR2004  start, stop, step
                self.malformed()
        elif kind == b"t" and name == "ForLoopOp":
            self.tuple_of_integers(size)
        elif kind == b"s" and name == "Delay":
            self.bounded(size, _UNIT_BYTES, "malformed-qpy")
            self.text(size)
        else:
            self.value(kind, size)

    def tuple_of_integers(self, size: int) -> None:
        outer = self.inside(size)
        count = self.one("Q")
        for _ in range(count):
            if self.unpack("1cQ") != (b"i", 8):
                self.unsafe("tuple")
            self.take(8)
        self.filled(outer)

    # -- values -------------------------------------------------------------------------------------------------------

    def value(self, kind: bytes, size: int, depth: int = 0) -> None:
        """A number, a parameter or an expression; arrays, strings, modifiers and all else are refused."""
        if kind in _PLAIN:
            if size != _PLAIN[kind]:
                self.malformed()
            self.take(size)
            return
        outer = self.inside(size)
        if kind == b"p":
            self.parameter_name()
        elif kind == b"v":
            self.vector_element()
        elif kind == b"e":
            self.expression(depth)
        else:
            self.unsafe(kind.decode("latin-1"))
        self.filled(outer)

    def parameter_name(self) -> None:
        name, _uuid = self.unpack("H16s")
        self.text(name)

    def vector_element(self) -> None:
        if self.version >= 18:  # noqa: PLR2004  by its place in the circuit's table
            _vector, index = self.unpack("HQ")
            self.bounded(index, self.limits.parameters, "too-many-parameters")
            return
        name, size, _uuid, index = self.unpack("HQ16sQ")
        self.bounded(max(size, index), self.limits.parameters, "too-many-parameters")
        self.text(name)

    def expression(self, depth: int) -> None:
        """Symbols and numbers, and the operations between them in the order of a stack."""
        self.bounded(depth, self.limits.expression_depth, "nesting-too-deep")
        elements, size = self.unpack("QQ")
        operations, rest = divmod(size, _OPERATION_BYTES)
        if rest:
            self.malformed()
        self.bounded(operations, self.limits.expression_operations, "nesting-too-deep")
        for _ in range(operations):
            _code, left, _left, right, _right = self.unpack("Bc16sc16s")
            if left[0] not in _OPERANDS or right[0] not in _OPERANDS:
                self.unsafe("substitution")
        for _ in range(elements):
            symbol, kind, held = self.unpack("ccQ")
            self.symbol(symbol, depth)
            if kind in {b"p", b"v"}:
                self.take(held)
            else:
                self.value(kind, held, depth + 1)

    def symbol(self, kind: bytes, depth: int) -> None:
        if kind == b"p":
            self.parameter_name()
        elif kind == b"v":
            self.vector_element()
        else:
            self.unsafe(f"symbol {kind.decode('latin-1')} {depth}")
