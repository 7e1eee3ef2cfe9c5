"""What a customer asks for, and what of it can be judged without knowing anything else. Pure."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from accounts.names import clean_name
from pricing.model import ServiceClass
from scheduler.core.model import JobKind
from scheduler.errors import (
    ArgumentsNotOffered,
    AttemptsOutOfRange,
    BadArgument,
    BadVariable,
    GpusNotOffered,
    IdempotencyKeyInvalid,
    IdempotencyKeyMissing,
    MissingScript,
    MissingShebang,
    NegativeGpus,
    NegativeShots,
    NegativeWalltime,
    ScriptNotText,
    ScriptTooLarge,
    TooManyArguments,
    TooManyVariables,
)

MAX_BODY_BYTES = 1_048_576
MAX_ARGUMENTS = 256
MAX_VARIABLES = 256
MAX_VALUE_CHARACTERS = 4_096
MAX_KEY_CHARACTERS = 255
MAX_ATTEMPTS = 5
_SHOWN_CHARACTERS = 80
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_RESERVED = re.compile(r"(KYOYO_|SLURM_|PBS_|LD_).*|PATH|HOME|IFS|BASH_ENV|ENV", re.DOTALL)
"""Names that the machine sets, or that change what runs before the customer's own code."""
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
"""Control characters; tab and newline may stand in a value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A job as it was asked for. body: the script, or the OpenQASM 3 text of a circuit. project: its slug."""

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


def checked(request: Submission) -> Submission:
    """The request with a clean name, or the first refusal: InvalidName and those of the functions below."""
    clean = replace(request, name=clean_name(request.name, field="name"))
    _check_amounts(clean)
    _check_body(clean)
    if clean.kind is JobKind.QUANTUM:
        _check_circuit(clean)
    _check_arguments(clean.arguments)
    _check_environment(clean.environment)
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
    }
    canonical = json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).digest()


def _check_amounts(request: Submission) -> None:
    if request.walltime_s <= 0:
        raise NegativeWalltime(requested_s=request.walltime_s)
    if request.gpus < 0:
        raise NegativeGpus(requested=request.gpus)
    if request.shots < 0:
        raise NegativeShots(requested=request.shots)
    if not 1 <= request.max_attempts <= MAX_ATTEMPTS:
        raise AttemptsOutOfRange(requested=request.max_attempts, minimum=1, maximum=MAX_ATTEMPTS)


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
        raise MissingShebang(first_line=_shown(text.lstrip().splitlines()[0]))


def _check_circuit(request: Submission) -> None:
    if request.gpus:
        raise GpusNotOffered(requested=request.gpus)
    if request.arguments or request.environment:
        raise ArgumentsNotOffered


def _check_arguments(arguments: Sequence[str]) -> None:
    if len(arguments) > MAX_ARGUMENTS:
        raise TooManyArguments(count=len(arguments), limit=MAX_ARGUMENTS)
    for index, argument in enumerate(arguments):
        problem = _problem_of(argument)
        if problem is not None:
            raise BadArgument(index=index, problem=problem)


def _check_environment(environment: Mapping[str, str]) -> None:
    if len(environment) > MAX_VARIABLES:
        raise TooManyVariables(count=len(environment), limit=MAX_VARIABLES)
    for name, value in environment.items():
        problem = _problem_of_name(name) or _problem_of(value)
        if problem is not None:
            raise BadVariable(name=_shown(name), problem=problem)


def _problem_of_name(name: str) -> str | None:
    if _VARIABLE.fullmatch(name) is None:
        return "name"
    return "reserved" if _RESERVED.fullmatch(name) else None


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


def _shown(text: str) -> str:
    """A piece of the customer's own text as it may stand in an answer."""
    return "".join(char if char.isprintable() else "?" for char in text[:_SHOWN_CHARACTERS])
