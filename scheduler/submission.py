"""What a customer asks for, and what of it can be judged without knowing anything else. Pure."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from accounts.names import clean_name, is_reserved_variable
from hpc_adapters.contract import WORDS_BYTES, Feature, Placement, Torchrun, words_bytes
from hpc_adapters.programs import Format, ProgramRefused, format_of, work_of
from pricing.model import ServiceClass
from pricing.units import yen_text
from scheduler.core.model import JobKind
from scheduler.core.placement import JAPAN
from scheduler.errors import (
    ArgumentsNotOffered,
    AttemptsOutOfRange,
    BadArgument,
    BadPlacement,
    BadSession,
    BadVariable,
    CostCapNotPositive,
    GpusNotOffered,
    IdempotencyKeyInvalid,
    IdempotencyKeyMissing,
    MissingScript,
    MissingShebang,
    NegativeGpus,
    NegativeShots,
    NegativeWalltime,
    OptionNotForCircuits,
    ProgramNotRead,
    ScriptNotText,
    ScriptTooLarge,
    ShotsDiffer,
    TimeoutsOutOfRange,
    TooManyArguments,
    TooManyVariables,
    WordsTooLarge,
)
from scheduler.files import InputWish, checked_files
from scheduler.options import (
    ArrayWish,
    Dependency,
    check_array,
    check_dependencies,
    check_launch,
    check_placement,
    in_range,
    shown,
)

MAX_BODY_BYTES = 1_048_576
MAX_ARGUMENTS = 256
MAX_VARIABLES = 256
MAX_VALUE_CHARACTERS = 4_096
MAX_KEY_CHARACTERS = 255
MAX_ATTEMPTS = 10
MAX_CANDIDATES = 8
"""Offerings of one job."""
MAX_SECRETS = 24
"""Each of 32 KiB at most, together within SECRETS_BYTES: what every machine takes."""
MAX_CALLS = 10_000
MAX_CALL_SHOTS = 10**9
"""Of all calls of a job together."""
MAX_IDLE_S = 86_400
MAX_CALL_S = 86_400
MAX_ELEMENTS = 1_000
_LATER = {"elements": 1, "wait_s": 300}
_NOT_FOR_CIRCUITS = ("cpus", "memory_mb", "secrets", "launch", "max_timeouts", "inputs", "outputs")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_JOB = re.compile(r"[0-9A-Fa-f-]{1,40}")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
"""Control characters; tab and newline may stand in a value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionWish:
    """A quantum device, or a vendor's session on it, held for circuits to come. dedicated False: a batch."""

    idle_s: int
    dedicated: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class QpuWish:
    """A QPU that a running job may call. calls, shots: of all calls together; idle_s: without a call for so long
    after one, none is taken any more; call_s: walltime of one call; elements: as a submission's, of each
    call; wait_s: what the device has not begun for so long ends, unrun and free, for the job's GPUs wait with
    it.
    """

    offering_id: str
    shots: int
    calls: int
    idle_s: int = 300
    call_s: int = 60
    elements: int = 1
    wait_s: int = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A job as it was asked for. body: the script, or the text of a circuit: OpenQASM 2 or 3, or a document of PUBs
    (hpc_adapters.programs), whose executions are its shots. project: its slug.
    """

    name: str
    kind: JobKind
    offering_id: str
    body: bytes = field(repr=False)
    walltime_s: int
    gpus: int = 0
    shots: int = 0
    project: str = "default"
    service_class: ServiceClass = ServiceClass.STANDARD
    arguments: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    max_attempts: int = 1
    placement: Placement = field(default_factory=Placement)
    cpus: int | None = None
    """Over all nodes; None: all that the GPUs bring. So with memory_mb."""
    memory_mb: int | None = None
    secrets: Sequence[str] = ()
    """Names of the member's own secrets, each given to the job in the variable of its name."""
    launch: Torchrun | None = None
    max_timeouts: int = 0
    """So many time-outs are continued by another attempt; the quote covers them all."""
    begin_at: datetime | None = None
    dependencies: Sequence[Dependency] = ()
    array: ArrayWish | None = None
    inputs: Sequence[InputWish] = ()
    outputs: Sequence[str] = ()
    """Patterns of what is kept of its working folder."""
    max_cost_micro_yen: int | None = None
    """The most that its owner will pay, with tax: a circuit is stopped before it costs more."""
    circuits: int = 1
    """PUBs of a document; known once it was checked."""
    elements: int = 1
    """So often may the device's base time be taken by one circuit job, as quoted: some vendors run each element of each
    PUB as a job of its own."""
    pub_shots: int | None = None
    """The most shots of one of a document's PUBs, as far as it was checked; None: no document, `shots` is all."""
    session: SessionWish | None = None
    """It is no program but a session, of kind QUANTUM and without a body, open for its walltime at most."""
    session_job: str | None = None
    """Of a circuit: the session job in which it runs, by its number or id."""
    qpu: QpuWish | None = None
    """Of a batch or training job: what it may call while it runs."""
    shorten: bool = False
    """In a reservation: its walltime may be cut to what that has left."""
    alternatives: Sequence[str] = ()
    """Offerings on which it may run as well as on `offering_id`."""
    anywhere: bool = False
    """On whatever offering fits; none is named."""
    data_location: str | None = None
    """'jp': nothing of it leaves Japan. None: wherever its organisation's and project's rules let it run."""

    def features(self) -> frozenset[Feature]:
        """What its backend must offer."""
        asked = set(self.placement.features())
        asked |= {Feature.SECRETS} if self.secrets else set()
        asked |= {Feature.TORCHRUN} if self.launch else set()
        asked |= {Feature.FILES} if self.inputs or self.outputs else set()
        asked |= {Feature.CALLS} if self.qpu is not None else set()
        asked |= {Feature.SESSION} if self.session is not None or self.session_job is not None else set()
        return frozenset(asked)


def checked(request: Submission) -> Submission:
    """The request with a clean name, or the first refusal: InvalidName and those of the functions below."""
    clean = replace(request, name=clean_name(request.name, field="name"))
    _check_amounts(clean)
    _check_session(clean)
    _check_qpu(clean)
    if clean.session is None:
        _check_body(clean)
    if clean.kind is JobKind.QUANTUM:
        _check_circuit(clean)
        clean = clean if clean.session is not None else _measured(clean)
    clean = _with_places(clean)
    _check_arguments(clean.arguments)
    _check_environment(clean.environment, clean.secrets)
    _check_together(clean)
    check_placement(clean.placement, walltime_s=clean.walltime_s)
    check_dependencies(clean.dependencies)
    clean = replace(clean, inputs=checked_files(clean.inputs, clean.outputs))
    if clean.launch is not None:
        check_launch(clean.launch)
    if clean.array is not None:
        check_array(clean.array)
    return clean


def checked_key(key: str | None) -> str:
    """IdempotencyKeyMissing, IdempotencyKeyInvalid."""
    if not key:
        raise IdempotencyKeyMissing
    if len(key) > MAX_KEY_CHARACTERS:
        raise IdempotencyKeyInvalid(problem="too_long", limit=MAX_KEY_CHARACTERS)
    if not (key.isascii() and key.isprintable()):
        raise IdempotencyKeyInvalid(problem="not_ascii", limit=MAX_KEY_CHARACTERS)
    return key


def request_sha256(request: Submission) -> bytes:
    """The same for the same request, however its parts were ordered; different for any other."""
    told = {
        "name": request.name,
        "kind": request.kind.value,
        "offering": request.offering_id,
        "project": request.project,
        "service_class": request.service_class.value,
        "gpus": request.gpus,
        "walltime_s": request.walltime_s,
        "shots": request.shots,
        "arguments": list(request.arguments),
        "environment": dict(request.environment),
        "max_attempts": request.max_attempts,
        "body_sha256": hashlib.sha256(request.body).hexdigest(),
        **options_told(request),
    }
    canonical = json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).digest()


def options_told(request: Submission) -> dict[str, Any]:
    """As JSON, only what differs from the usual: a request without options is told as it was before there were any."""
    usual = asdict(Placement())
    told: dict[str, Any] = {
        "placement": {name: value for name, value in asdict(request.placement).items() if value != usual[name]},
        "cpus": request.cpus,
        "memory_mb": request.memory_mb,
        "secrets": sorted(request.secrets),
        "launch": None if request.launch is None else {"processes_per_node": request.launch.processes_per_node},
        "max_timeouts": request.max_timeouts,
        "begin_at": None if request.begin_at is None else request.begin_at.astimezone(UTC).isoformat(),
        "dependencies": sorted([each.kind.value, each.job] for each in request.dependencies),
        "inputs": sorted([each.name, each.key] for each in request.inputs),
        "outputs": sorted(request.outputs),
        "max_cost_micro_yen": None if request.max_cost_micro_yen is None else str(request.max_cost_micro_yen),
        "session": None if request.session is None else [request.session.idle_s, request.session.dedicated],
        "elements": None if request.elements == 1 else request.elements,
        "session_job": request.session_job,
        "shorten": request.shorten or None,
        "alternatives": sorted(request.alternatives),
        "anywhere": request.anywhere or None,
        "data_location": request.data_location,
        "qpu": None if request.qpu is None else _told_of(request.qpu),
        "array": None if request.array is None else [sorted(request.array.indices), request.array.max_running],
    }
    return {name: value for name, value in told.items() if value}


def _told_of(wish: QpuWish) -> dict[str, Any]:
    """What was added later stands there only where it differs from the usual."""
    told = asdict(wish)
    return {name: value for name, value in told.items() if name not in _LATER or value != _LATER[name]}


def _check_amounts(request: Submission) -> None:
    if request.walltime_s <= 0:
        raise NegativeWalltime(requested_s=request.walltime_s)
    if request.gpus < 0:
        raise NegativeGpus(requested=request.gpus)
    if request.shots < 0:
        raise NegativeShots(requested=request.shots)
    if request.max_cost_micro_yen is not None and request.max_cost_micro_yen <= 0:
        raise CostCapNotPositive(max_cost_yen=yen_text(request.max_cost_micro_yen))
    in_range("elements", request.elements, 1, MAX_ELEMENTS if request.kind is JobKind.QUANTUM else 1)
    if not 1 <= request.max_attempts <= MAX_ATTEMPTS:
        raise AttemptsOutOfRange(requested=request.max_attempts, minimum=1, maximum=MAX_ATTEMPTS)
    if not 0 <= request.max_timeouts < request.max_attempts:
        raise TimeoutsOutOfRange(requested=request.max_timeouts, maximum=request.max_attempts - 1)


def _check_body(request: Submission) -> None:
    body = request.body
    if not body.strip():
        raise MissingScript(kind=request.kind.value)
    if len(body) > MAX_BODY_BYTES:
        raise ScriptTooLarge(size_bytes=len(body), limit_bytes=MAX_BODY_BYTES)
    if b"\0" in body:
        raise ScriptNotText(problem="nul")
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise ScriptNotText(problem="not_utf8") from None
    if request.kind is not JobKind.QUANTUM and not text.startswith("#!"):
        raise MissingShebang(first_line=shown(text.lstrip().splitlines()[0]))


def _check_circuit(request: Submission) -> None:
    if request.gpus:
        raise GpusNotOffered(requested=request.gpus)
    if request.arguments or request.environment:
        raise ArgumentsNotOffered
    if request.placement.features():
        raise OptionNotForCircuits(option=min(request.placement.features()).value)
    wanted = {name: getattr(request, name) for name in _NOT_FOR_CIRCUITS}
    for option, value in wanted.items():
        if value:
            raise OptionNotForCircuits(option=option)


def _check_session(request: Submission) -> None:
    """BadSession."""
    wish, inside = request.session, request.session_job
    if wish is None and inside is None:
        return
    problems = {
        "session_kind": request.kind is not JobKind.QUANTUM,
        "session_both": wish is not None and inside is not None,
        "session_program": wish is not None and bool(request.body.strip() or request.shots),
        "session_array": wish is not None and request.array is not None,
        "session_idle": wish is not None and wish.idle_s < 1,
        "session_name": inside is not None and _JOB.fullmatch(inside) is None,
    }
    for problem, is_so in problems.items():
        if is_so:
            raise BadSession(problem=problem)


def _check_qpu(request: Submission) -> None:
    """BadSession, OptionOutOfRange."""
    wish = request.qpu
    if wish is None:
        return
    if request.kind not in {JobKind.BATCH, JobKind.TRAINING}:
        raise BadSession(problem="qpu_kind")
    if request.array is not None:
        raise BadSession(problem="qpu_array")
    in_range("qpu.calls", wish.calls, 1, MAX_CALLS)
    in_range("qpu.shots", wish.shots, wish.calls, MAX_CALL_SHOTS)
    in_range("qpu.idle_s", wish.idle_s, 1, MAX_IDLE_S)
    in_range("qpu.call_s", wish.call_s, 1, MAX_CALL_S)
    in_range("qpu.elements", wish.elements, 1, MAX_ELEMENTS)
    in_range("qpu.wait_s", wish.wait_s, 1, MAX_IDLE_S)


def _with_places(request: Submission) -> Submission:
    """Each offering once. BadPlacement."""
    if request.data_location not in {None, JAPAN}:
        raise BadPlacement(problem="location")
    named = tuple(dict.fromkeys(each for each in request.alternatives if each != request.offering_id))
    problems = {
        "two_ways": request.anywhere and bool(request.offering_id or named),
        "too_many": len(named) >= MAX_CANDIDATES,
    }
    if request.anywhere or named:
        problems |= {
            "session": request.session is not None or request.session_job is not None,
            "qpu": request.qpu is not None,
            "reservation": request.placement.reservation is not None,
        }
    for problem, is_so in problems.items():
        if is_so:
            raise BadPlacement(problem=problem)
    return replace(request, alternatives=named)


def _measured(request: Submission) -> Submission:
    """A circuit with the shots that its text asks for. ProgramNotRead, ShotsDiffer."""
    try:
        if format_of(request.body) is not Format.PUBS:
            return request
        work = work_of(request.body)
    except ProgramRefused as refused:
        raise ProgramNotRead(problem=refused.code, **refused.facts) from None
    if request.shots not in {0, work.executions}:
        raise ShotsDiffer(requested=request.shots, executions=work.executions)
    return replace(request, shots=work.executions, circuits=work.pubs, pub_shots=work.shots)


def _check_arguments(arguments: Sequence[str]) -> None:
    if len(arguments) > MAX_ARGUMENTS:
        raise TooManyArguments(count=len(arguments), limit=MAX_ARGUMENTS)
    for index, argument in enumerate(arguments):
        problem = _problem_of(argument)
        if problem is not None:
            raise BadArgument(index=index, problem=problem)


def _check_environment(environment: Mapping[str, str], secrets: Sequence[str]) -> None:
    if len(environment) > MAX_VARIABLES:
        raise TooManyVariables(count=len(environment), limit=MAX_VARIABLES)
    in_range("secrets", len(secrets), 0, MAX_SECRETS)
    for name in secrets:
        problem = _problem_of_name(name) or ("twice" if name in environment or secrets.count(name) > 1 else None)
        if problem is not None:
            raise BadVariable(name=shown(name), problem=problem)
    for name, value in environment.items():
        problem = _problem_of_name(name) or _problem_of(value)
        if problem is not None:
            raise BadVariable(name=shown(name), problem=problem)


def _check_together(request: Submission) -> None:
    size = words_bytes(request.arguments, request.environment)
    if size > WORDS_BYTES:
        raise WordsTooLarge(size_bytes=size, limit_bytes=WORDS_BYTES)


def _problem_of_name(name: str) -> str | None:
    if _VARIABLE.fullmatch(name) is None:
        return "name"
    return "reserved" if is_reserved_variable(name) else None


def _problem_of(value: str) -> str | None:
    if len(value) > MAX_VALUE_CHARACTERS:
        return "too_long"
    if _CONTROL.search(value) or not _encodes(value):
        return "control_character"
    return None


def _encodes(value: str) -> bool:
    """A lone surrogate cannot be written anywhere."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
