"""A hybrid job as a customer asks for it, and what of it can be judged without knowing anything else. Pure.

A phase is a submission of its own kind, without what only a whole job can be asked for (files of the store, other jobs,
a time, an array). Its names, its order and its loop are scheduler.core.phases'.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from accounts.names import clean_name
from hpc_adapters.filenames import problem_of
from infra.refusal import Refusal
from scheduler import submission
from scheduler.core.model import MAIN, JobKind
from scheduler.core.phases import MAX_PHASES, Asked, NoSuchPhase, Repeat, Step, count_of, unfolded
from scheduler.core.placement import JAPAN
from scheduler.errors import BadPhase, BadPlacement, BadSession, ScriptTooLarge, TooManyPhases
from scheduler.files import checked_files
from scheduler.options import check_dependencies, in_range, shown
from scheduler.submission import Submission

MAX_ROUNDS = MAX_PHASES
MAX_BODIES_BYTES = 32 * 2**20
"""Of all phases together, its loop unfolded."""
_MOST = 2**31 - 1
_NAME = re.compile(r"[a-z][a-z0-9-]{0,50}")
_STAND_IN = b"OPENQASM 3.0;\n"
"""For the program of a phase that an earlier one writes: it is checked when it is there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseWish:
    """One phase. takes: whose outputs it reads; None: as is usual. program_from: a file that one of these leaves."""

    request: Submission
    takes: Sequence[str] | None = None
    program_from: str | None = None
    skippable: bool = False

    @property
    def name(self) -> str:
        """Its name in the specification."""
        return self.request.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Hybrid(Submission):
    """Its offering, kind and body are its phases'. `hybrid()` makes one."""

    phases: Sequence[PhaseWish] = ()
    repeat: Repeat | None = None

    def steps(self) -> Sequence[tuple[Step, PhaseWish]]:
        """Every phase that may run, in its order. Of a checked one."""
        wishes = {each.name: each for each in self.phases}
        return [(step, wishes[step.base]) for step in unfolded(_asked(self.phases), self.repeat)]

    def hands_on(self) -> bool:
        """Whether a phase reads what another leaves: somebody must keep it."""
        return any(step.takes or wish.program_from is not None for step, wish in self.steps())


def checked(request: Submission) -> Submission:
    """submission.checked() of any request. Of a hybrid one also BadPhase, TooManyPhases; and a refusal of one of its
    phases names it in the fact `phase`.
    """
    if not isinstance(request, Hybrid):
        if request.kind is JobKind.HYBRID:
            raise BadPhase(phase="", problem="no_phases")
        return submission.checked(request)
    if request.array is not None:
        raise BadPhase(phase="", problem="array")
    if request.session is not None or request.session_job is not None or request.qpu is not None:
        raise BadSession(problem="session_kind")
    _check_places(request)
    check_dependencies(request.dependencies)
    _check_shape(request)
    clean = replace(
        request,
        name=clean_name(request.name, field="name"),
        phases=tuple(_checked_phase(each) for each in request.phases),
        inputs=checked_files(request.inputs, ()),
    )
    _check_inputs(clean)
    steps = clean.steps()
    _check_steps(steps)
    return _with_sums(clean, [wish.request for _, wish in steps])


def request_sha256(request: Submission) -> bytes:
    """submission.request_sha256() of any request."""
    if not isinstance(request, Hybrid):
        return submission.request_sha256(request)
    told = {
        "job": submission.request_sha256(request).hex(),
        "phases": [_told(each) for each in request.phases],
        "repeat": None if request.repeat is None else [request.repeat.first, request.repeat.last, request.repeat.times],
    }
    return hashlib.sha256(json.dumps(told, sort_keys=True, separators=(",", ":")).encode()).digest()


def _told(each: PhaseWish) -> Mapping[str, Any]:
    return {
        "request": submission.request_sha256(each.request).hex(),
        "takes": None if each.takes is None else list(each.takes),
        "program_from": each.program_from,
        "skippable": each.skippable,
    }


def _asked(phases: Sequence[PhaseWish]) -> list[Asked]:
    return [Asked(each.name, each.takes) for each in phases]


def _check_places(request: Hybrid) -> None:
    """Each phase has one offering: what is promised of it would else be of two machines at once."""
    if request.data_location not in {None, JAPAN}:
        raise BadPlacement(problem="location")
    every = (request, *(each.request for each in request.phases))
    if any(each.alternatives or each.anywhere for each in every):
        raise BadPlacement(problem="phases")


def _check_shape(request: Hybrid) -> None:
    """Names and order."""
    names = [each.name for each in request.phases]
    if not names:
        raise BadPhase(phase="", problem="no_phases")
    for name in names:
        if _NAME.fullmatch(name) is None or name == MAIN:
            raise BadPhase(phase=shown(name), problem="name")
        if names.count(name) > 1:
            raise BadPhase(phase=name, problem="twice")
    if request.repeat is not None:
        in_range("repeat.times", request.repeat.times, 1, MAX_ROUNDS)
    try:
        count = count_of(_asked(request.phases), request.repeat)
        if count > MAX_PHASES:
            raise TooManyPhases(count=count, limit=MAX_PHASES)
        unfolded(_asked(request.phases), request.repeat)
    except NoSuchPhase as wrong:
        raise BadPhase(phase=shown(wrong.phase), problem="no_such_phase", name=shown(wrong.name)) from wrong


def _checked_phase(wish: PhaseWish) -> PhaseWish:
    asked = wish.request
    _check_program_from(wish)
    if asked.session is not None or asked.session_job is not None or asked.qpu is not None:
        raise BadSession(problem="session_phase", phase=wish.name)
    given = asked if wish.program_from is None else replace(asked, body=_STAND_IN)
    try:
        clean = submission.checked(given)
    except Refusal as refused:
        refused.facts.setdefault("phase", wish.name)
        raise
    takes = None if wish.takes is None else tuple(dict.fromkeys(wish.takes))
    return replace(wish, request=replace(clean, body=asked.body), takes=takes)


def _check_program_from(wish: PhaseWish) -> None:
    if wish.request.kind is JobKind.HYBRID:
        raise BadPhase(phase=wish.name, problem="kind")
    name = wish.program_from
    if name is None:
        return
    if wish.request.kind is not JobKind.QUANTUM or problem_of(name) is not None:
        raise BadPhase(phase=wish.name, problem="program_from")
    if wish.request.body:
        raise BadPhase(phase=wish.name, problem="two_programs")


def _check_inputs(request: Hybrid) -> None:
    """The folders of phases are theirs."""
    names = {each.name for each in request.phases}
    for each in request.inputs:
        if each.name.split("/", 1)[0] in names:
            raise BadPhase(phase=each.name.split("/", 1)[0], problem="input_name")


def _check_steps(steps: Sequence[tuple[Step, PhaseWish]]) -> None:
    size = sum(len(wish.request.body) for _, wish in steps)
    if size > MAX_BODIES_BYTES:
        raise ScriptTooLarge(size_bytes=size, limit_bytes=MAX_BODIES_BYTES)
    names = [step.name for step, _ in steps]
    for step, wish in steps:
        if names.count(step.name) > 1:
            raise BadPhase(phase=step.name, problem="twice")
        if wish.program_from is not None and not step.takes:
            raise BadPhase(phase=step.name, problem="nothing_to_take")


def _with_sums(request: Hybrid, steps: Sequence[Submission]) -> Hybrid:
    """What the job as a whole is told to be."""
    return replace(
        request,
        kind=JobKind.HYBRID,
        offering_id=steps[0].offering_id,
        walltime_s=min(sum(each.walltime_s for each in steps), _MOST),
        gpus=max(each.gpus for each in steps),
        shots=min(sum(each.shots for each in steps), _MOST),
        max_attempts=1,
        body=b"",
    )
