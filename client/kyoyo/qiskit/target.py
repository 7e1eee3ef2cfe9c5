"""A Target of what the portal knows of a device, so that transpiling here fits the device there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from qiskit.circuit import Barrier, ControlFlowOp, ForLoopOp, IfElseOp, SwitchCaseOp, WhileLoopOp
from qiskit.circuit.library import get_standard_gate_name_mapping
from qiskit.transpiler import InstructionProperties, QubitProperties, Target

from kyoyo.quantum.devices import Calibration, Device, GateData, QubitData

CONTROL_FLOW: Mapping[str, type[ControlFlowOp]] = {
    "if_else": IfElseOp,
    "for_loop": ForLoopOp,
    "while_loop": WhileLoopOp,
    "switch_case": SwitchCaseOp,
}
_NS, _US = 1e-9, 1e-6
_PAIR = 2
Places = dict[tuple[int, ...], InstructionProperties | None]


def target_of(device: Device) -> Target:
    """Gates by their qubits with error and duration (seconds). Gates that Qiskit has no name for are left out.

    Where every pair may be coupled and nothing is calibrated, gates stand for all qubits, as in Aer's own target.
    """
    calibration = device.calibration or Calibration(id="")
    target = Target(
        description=f"{device.name}, calibration {calibration.id or '-'}",
        num_qubits=device.qubits,
        qubit_properties=[_qubit(each) for each in calibration.qubits] or None,
    )
    measured = {(gate.name, gate.qubits): gate for gate in calibration.gates}
    known = get_standard_gate_name_mapping()
    for name in _names(device):
        if name in CONTROL_FLOW:
            target.add_instruction(CONTROL_FLOW[name], name=name)
        elif (gate := known.get(name)) is not None and not isinstance(gate, Barrier):
            places = _readout(device, calibration) if name == "measure" else _places(name, gate, device, measured)
            if places is None or places:
                target.add_instruction(gate, places, name=name)
    return target


def _names(device: Device) -> Sequence[str]:
    """Where no gates are told any may be used: what runs there is translated there."""
    told = device.basis_gates or (*get_standard_gate_name_mapping(), "if_else", "for_loop")
    always = ("measure", "reset", "delay", "if_else", "for_loop") if device.simulator else ("measure",)
    return list(dict.fromkeys((*told, *always)))


def _places(
    name: str, gate: Any, device: Device, measured: Mapping[tuple[str, tuple[int, ...]], GateData]
) -> Places | None:
    """Where it may stand; None: anywhere."""
    told: Places = {qubits: _properties(each) for (each_name, qubits), each in measured.items() if each_name == name}
    if told:
        return told
    if device.coupling is None:
        return None
    return dict.fromkeys(_everywhere(gate.num_qubits, device))


def _everywhere(width: int, device: Device) -> Iterator[tuple[int, ...]]:
    if width == 1:
        yield from ((qubit,) for qubit in range(device.qubits))
    elif width == _PAIR:
        yield from device.coupling or ()


def _readout(device: Device, calibration: Calibration) -> Places | None:
    if device.coupling is None and not calibration.qubits:
        return None
    told: Places = {(qubit,): None for qubit in range(device.qubits)}
    for qubit, data in enumerate(calibration.qubits):
        told[(qubit,)] = InstructionProperties(duration=_scaled(data.readout_ns, _NS), error=data.readout_error)
    return told


def _properties(gate: GateData) -> InstructionProperties:
    return InstructionProperties(duration=_scaled(gate.duration_ns, _NS), error=gate.error)


def _qubit(data: QubitData) -> QubitProperties:
    return QubitProperties(t1=_scaled(data.t1_us, _US), t2=_scaled(data.t2_us, _US))


def _scaled(value: float | None, unit: float) -> float | None:
    return None if value is None else value * unit
