"""What a request must be before anything is asked of anybody. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from hpc_adapters.contract import Capabilities, Circuit, JobRequest, SessionHold
from hpc_adapters.errors import Rejected
from hpc_adapters.features import refuse_unoffered
from hpc_adapters.programs import Format, document_of, format_of
from hpc_adapters.pubs import Document, Options, Primitive, ProgramRefused, work_in
from hpc_adapters.quantum.ibm_runtime.options import primitive_options
from hpc_adapters.quantum.ibm_runtime.settings import IbmSettings
from hpc_adapters.quantum.sizes import check_size

MAX_EXECUTION_S: Final = 3 * 3600
"""IBM's own limit of a job."""
_SECOND_US: Final = 1_000_000


def tag_of(attempt_id: UUID) -> str:
    """The tag under which IBM keeps the attempt's job."""
    return f"kyoyo-{attempt_id.hex}"


def attempt_of(tags: object) -> UUID | None:
    """Whose job it is by its tags; None: nobody's here."""
    for tag in tags if isinstance(tags, list) else []:
        name, _, digits = str(tag).partition("-")
        if name == "kyoyo" and len(digits) == 32 and set(digits) <= set("0123456789abcdef"):  # noqa: PLR2004  a UUID
            return UUID(digits)
    return None


def check_request(request: JobRequest, settings: IbmSettings, capabilities: Capabilities) -> None:
    """Rejected: 'unsupported-payload', 'unsupported-…', 'invalid-resources', 'too-large', 'invalid-walltime'."""
    if not isinstance(request.payload, Circuit | SessionHold):
        raise Rejected("unsupported-payload", payload=type(request.payload).__name__.lower())
    refuse_unoffered(request, capabilities)
    check_size(request, slots=settings.slots)


def check_hold(hold: SessionHold, settings: IbmSettings) -> None:
    """Rejected: 'unsupported-session', 'invalid-idle-time'."""
    if hold.dedicated and not settings.sessions:
        raise Rejected("unsupported-session", feature="session")
    if hold.idle_s < 1:
        raise Rejected("invalid-idle-time", idle_s=hold.idle_s)


def check_circuit(circuit: Circuit, settings: IbmSettings) -> None:
    """Rejected, as the document says; 'invalid-shots', 'executions-differ', 'qpu-cap-too-small'."""
    try:
        document = document_of(circuit.program) if format_of(circuit.program) is Format.PUBS else None
    except ProgramRefused as refused:
        raise Rejected(refused.code, **refused.facts) from refused
    most = circuit.shots if document is None else _most_shots(document, circuit)
    if not 1 <= most <= settings.max_shots:
        raise Rejected("invalid-shots", shots=most, max_shots=settings.max_shots)
    if circuit.max_qpu_us is not None and circuit.max_qpu_us < _SECOND_US:
        raise Rejected("qpu-cap-too-small", needed_us=_SECOND_US, cap_us=circuit.max_qpu_us)


def options_of(circuit: Circuit) -> Mapping[str, Any]:
    """Of the primitive that runs it. Of a program that was checked."""
    if format_of(circuit.program) is not Format.PUBS:
        return primitive_options(Primitive.SAMPLER, Options())
    document = document_of(circuit.program)
    return primitive_options(document.primitive, document.options)


def _most_shots(document: Document, circuit: Circuit) -> int:
    executions = work_in(document).executions
    if executions != circuit.shots:
        raise Rejected("executions-differ", asked=circuit.shots, counted=executions)
    return max(pub.shots for pub in document.pubs)


def limit_s(circuit: Circuit, walltime_s: int) -> tuple[int, bool]:
    """How long IBM may run it, in whole seconds, and whether that is the program's cap instead of its walltime."""
    limit = min(walltime_s, MAX_EXECUTION_S)
    if circuit.max_qpu_us is None or circuit.max_qpu_us // _SECOND_US > limit:
        return limit, False
    return circuit.max_qpu_us // _SECOND_US, True
