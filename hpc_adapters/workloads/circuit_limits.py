"""Limits of a parsed program: what it would do with every loop and gate definition written out, without doing it.

The rule is fail-closed: a statement that is not named here is refused. Sizes are upper bounds computed with Python's
integers, so a program that would unfold into 2^60 gates costs a multiplication.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, is_dataclass
from math import ceil
from typing import Any

from openqasm3 import ast

from hpc_adapters.workloads.circuit_refusals import CircuitRefused

STANDARD_INCLUDE = "stdgates.inc"
_BUILT_IN = {"U": 1}
# The names of stdgates.inc; the importer has the definitions.
_STANDARD = frozenset(
    {"p", "x", "y", "z", "h", "s", "sdg", "t", "tdg", "sx", "rx", "ry", "rz", "u1", "u2", "u3", "id", "phase"}
    | {"cx", "cy", "cz", "cp", "crx", "cry", "crz", "ch", "swap", "cu", "CX", "cphase", "ccx", "cswap"}
)
_CONTROLLED_COST = 20  # operations that one control may cost, once translated to the device's gates


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a device takes. `parameters`: open ones, to be bound later. `memory_mb` None: no state vector is held."""

    qubits: int
    memory_mb: int | None
    parameters: int = 0
    needs_measurement: bool = True
    bits: int = 1024
    operations: int = 100_000
    block_depth: int = 16
    gate_depth: int = 32
    controls: int = 4
    tree_depth: int = 200


@dataclass(frozen=True, slots=True)
class Size:
    """What a program would take."""

    qubits: int
    bits: int
    operations: int


def statevector_bytes(qubits: int) -> int:
    """Two 8-byte floats for each of 2^n amplitudes."""
    return 16 << qubits


def check_memory(qubits: int, limits: Limits) -> None:
    """CircuitRefused('too-much-memory'): the state vector of so many qubits does not fit."""
    if limits.memory_mb is not None and statevector_bytes(qubits) > limits.memory_mb * 2**20:
        needed_mb = statevector_bytes(qubits) // 2**20
        raise CircuitRefused("too-much-memory", needed_mb=needed_mb, max_mb=limits.memory_mb)


def measure_program(program: ast.Program, limits: Limits) -> Size:
    """Its size. CircuitRefused when it exceeds a limit or uses what we do not run."""
    qubits = _check_tree(program, limits)
    surveyor = _Surveyor(limits, physical_qubits=qubits)
    surveyor.block(program.statements, depth=0)
    return surveyor.size()


def _check_tree(program: ast.Program, limits: Limits) -> int:
    """No deep trees (everything after this recurses), no huge numbers. Returns the number of physical qubits named."""
    physical = 0
    for node, depth in _walk(program):
        if depth > limits.tree_depth:
            raise CircuitRefused("nesting-too-deep", depth=depth, max_depth=limits.tree_depth)
        match node:
            case ast.IntegerLiteral(value=value) if value.bit_length() > 64:  # noqa: PLR2004  bits of an integer
                raise CircuitRefused("number-too-large", bits=value.bit_length(), max_bits=64)
            case ast.Identifier(name=name) if name.startswith("$"):
                digits = name[1:]
                if len(digits) > 6 or int(digits) >= limits.qubits:  # noqa: PLR2004  digits of a plausible index
                    raise CircuitRefused("too-many-qubits", qubits=digits[:12], max_qubits=limits.qubits)
                physical = max(physical, int(digits) + 1)
    return physical


def _walk(root: object) -> Iterator[tuple[object, int]]:
    waiting: list[tuple[object, int]] = [(root, 0)]
    while waiting:
        node, depth = waiting.pop()
        if isinstance(node, list):
            waiting.extend((child, depth) for child in node)
        elif isinstance(node, ast.QASMNode) and is_dataclass(node):
            yield node, depth
            waiting.extend((getattr(node, f.name), depth + 1) for f in fields(node) if f.name != "span")


class _Surveyor:
    """Walks the statements once, adding up."""

    def __init__(self, limits: Limits, *, physical_qubits: int) -> None:
        self.limits = limits
        self.qubits = physical_qubits
        self.bits = 0
        self.operations = 0
        self.measures = False
        self.parameters = 0
        self.registers: dict[str, int] = {}
        self.gates: dict[str, int] = dict(_BUILT_IN)
        self.gate_depths: dict[str, int] = {}
        self.defining: str | None = None

    def size(self) -> Size:
        if self.limits.needs_measurement and not self.measures:
            raise CircuitRefused("no-measurement")
        return Size(self.qubits, self.bits, self.operations)

    # -- statements ---------------------------------------------------------------------------------------------------

    def block(self, statements: Iterable[ast.Statement], *, depth: int) -> int:
        """Operations of these statements, written out."""
        if depth > self.limits.block_depth:
            raise CircuitRefused("nesting-too-deep", depth=depth, max_depth=self.limits.block_depth)
        operations = 0
        for statement in statements:
            operations += self._statement(statement, depth)
            self._bound(operations)
        if depth == 0:
            self.operations = operations
        return operations

    def _bound(self, operations: int) -> None:
        if operations > self.limits.operations:
            shown = min(operations, 10**15)
            raise CircuitRefused("too-many-operations", operations=shown, max_operations=self.limits.operations)

    def _statement(self, statement: ast.Statement, depth: int) -> int:  # noqa: C901, PLR0911  one line for each kind
        match statement:
            case ast.QuantumGate():
                return self._call(statement)
            case ast.QuantumPhase():
                return self._modified(1, statement.modifiers) * self._width(statement.qubits)
            case ast.QuantumMeasurementStatement():
                self.measures = True
                return self._width([statement.measure.qubit])
            case ast.QuantumReset():
                return self._width([statement.qubits])
            case ast.QuantumBarrier() | ast.BreakStatement() | ast.ContinueStatement():
                return 1
            case ast.BranchingStatement():
                taken = self.block(statement.if_block, depth=depth + 1)
                return 1 + taken + self.block(statement.else_block, depth=depth + 1)
            case ast.ForInLoop():
                return self._turns(statement.set_declaration) * (1 + self.block(statement.block, depth=depth + 1))
            case ast.WhileLoop():
                raise CircuitRefused("unbounded-loop", line=_line(statement))
            case _:
                return self._declaration(statement)

    def _declaration(self, statement: ast.Statement) -> int:
        match statement:
            case ast.Include(filename=name):
                if name != STANDARD_INCLUDE:
                    raise CircuitRefused("include-not-allowed", line=_line(statement), allowed=STANDARD_INCLUDE)
                self.gates |= dict.fromkeys(_STANDARD, 1)
            case ast.QubitDeclaration():
                self._declare_qubits(statement)
            case ast.ClassicalDeclaration(type=ast.BitType()):
                return self._declare_bits(statement)
            case ast.AliasStatement(target=target):
                self.registers[target.name] = self.limits.qubits + self.limits.bits
            case ast.QuantumGateDefinition():
                self._define(statement)
            case ast.IODeclaration():
                self._open_parameter(statement)
            case _:
                kind = type(statement).__name__
                raise CircuitRefused("unsupported-statement", statement=kind, line=_line(statement))
        return 0

    def _open_parameter(self, statement: ast.IODeclaration) -> None:
        is_input = statement.io_identifier is ast.IOKeyword["input"]
        if not self.limits.parameters or not is_input or not isinstance(statement.type, ast.FloatType | ast.AngleType):
            raise CircuitRefused("unsupported-statement", statement="IODeclaration", line=_line(statement))
        self.parameters += 1
        if self.parameters > self.limits.parameters:
            raise CircuitRefused("too-many-parameters", asked=self.parameters, limit=self.limits.parameters)

    def _declare_qubits(self, statement: ast.QubitDeclaration) -> None:
        size = 1 if statement.size is None else self._constant(statement.size)
        self.registers[statement.qubit.name] = size
        self.qubits += max(0, size)
        if self.qubits > self.limits.qubits:
            raise CircuitRefused("too-many-qubits", qubits=self.qubits, max_qubits=self.limits.qubits)
        check_memory(self.qubits, self.limits)

    def _declare_bits(self, statement: ast.ClassicalDeclaration) -> int:
        size = getattr(statement.type, "size", None)
        width = 1 if size is None else self._constant(size)
        self.registers[statement.identifier.name] = width
        self.bits += max(0, width)
        if self.bits > self.limits.bits:
            raise CircuitRefused("too-many-bits", bits=self.bits, max_bits=self.limits.bits)
        if isinstance(statement.init_expression, ast.QuantumMeasurement):
            self.measures = True
            return width
        return 0

    # -- gates --------------------------------------------------------------------------------------------------------

    def _define(self, definition: ast.QuantumGateDefinition) -> None:
        """What one call of this gate costs. A gate may only call gates defined before, so no cost is infinite."""
        name = definition.name.name
        self.defining = name
        cost = self.block(definition.body, depth=1)
        called = [s.name.name for s in definition.body if isinstance(s, ast.QuantumGate)]
        depth = 1 + max((self.gate_depths.get(gate, 0) for gate in called), default=0)
        if depth > self.limits.gate_depth:
            raise CircuitRefused("nesting-too-deep", depth=depth, max_depth=self.limits.gate_depth)
        self.defining = None
        self.gates[name] = max(1, cost)
        self.gate_depths[name] = depth

    def _call(self, call: ast.QuantumGate) -> int:
        name = call.name.name
        if name == self.defining:
            raise CircuitRefused("recursive-gate", line=_line(call))
        if name not in self.gates:
            raise CircuitRefused("unknown-gate", gate=name[:40], line=_line(call))
        return self._modified(self.gates[name], call.modifiers) * self._width(call.qubits)

    def _modified(self, cost: int, modifiers: Iterable[ast.QuantumGateModifier]) -> int:
        controls = 0
        for modifier in modifiers:
            match modifier.modifier:
                case ast.GateModifierName.pow:
                    cost *= max(1, ceil(abs(self._power(modifier.argument))))
                case ast.GateModifierName.ctrl | ast.GateModifierName.negctrl:
                    more = 1 if modifier.argument is None else self._constant(modifier.argument)
                    controls += max(1, more)
                    cost *= _CONTROLLED_COST
                case _:  # inv costs nothing
                    pass
            if controls > self.limits.controls:
                raise CircuitRefused("too-many-controls", controls=controls, max_controls=self.limits.controls)
        return cost

    def _power(self, argument: Any) -> float:
        match argument:
            case ast.FloatLiteral(value=value):
                return min(float(value), 1e18)
            case ast.UnaryExpression(op=op, expression=inner) if op.name == "-":
                return self._power(inner)
            case _:
                return self._constant(argument)

    def _width(self, operands: Iterable[Any]) -> int:
        """On how many qubits at most one statement works in turn: broadcast over a register (not inside a gate)."""
        if self.defining is not None:
            return 1
        return max((self._operand_width(operand) for operand in operands), default=1)

    def _operand_width(self, operand: Any) -> int:
        match operand:
            case ast.Identifier(name=name):
                return max(1, self.registers.get(name, 1))
            case ast.IndexedIdentifier(name=ast.Identifier(name=name), indices=[[ast.RangeDefinition()]]):
                return max(1, self.registers.get(name, 1))
            case ast.IndexedIdentifier(indices=[ast.DiscreteSet(values=values)]):
                return max(1, len(values))
            case ast.IndexedIdentifier(indices=[[_]]):
                return 1
            case _:
                return self.limits.qubits

    # -- constants ----------------------------------------------------------------------------------------------------

    def _turns(self, over: Any) -> int:
        match over:
            case ast.DiscreteSet(values=values):
                return len(values)
            case ast.RangeDefinition(start=start, end=end, step=step) if start is not None and end is not None:
                stride = 1 if step is None else self._constant(step)
                if stride == 0:
                    raise CircuitRefused("unbounded-loop", line=_line(over))
                return max(0, (self._constant(end) - self._constant(start)) // stride + 1)
            case _:
                raise CircuitRefused("unbounded-loop", line=_line(over))

    def _constant(self, expression: Any) -> int:
        """An integer known from the text alone. Literals have 64 bits at most and the tree is shallow, so this ends."""
        match expression:
            case ast.IntegerLiteral(value=value):
                return int(value)
            case ast.UnaryExpression(op=op, expression=inner) if op.name == "-":
                return -self._constant(inner)
            case ast.BinaryExpression(op=op, lhs=lhs, rhs=rhs) if op.name in "+-*":
                left, right = self._constant(lhs), self._constant(rhs)
                return left + right if op.name == "+" else left - right if op.name == "-" else left * right
            case _:
                raise CircuitRefused("unbounded-loop" if expression is None else "malformed-program")


def _line(node: Any) -> int:
    span = getattr(node, "span", None)
    return 0 if span is None else int(span.start_line)
