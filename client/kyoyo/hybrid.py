"""Hybrid jobs: GPUs and QPUs in turn, under one quote, one hold and one bill. No GPU is held while a circuit waits.

    job = client.submit(
        kyoyo.HybridJob(
            name="vqe",
            phases=[
                Phase.gpu("propose.py", name="propose", gpus=1, time="5m"),
                Phase.qpu(name="measure", program_from="circuit.json", shots=27_000, offering="qpu-demo"),
            ],
            repeat=Repeat("propose", "measure", 30),
            max_cost=30_000,
        ),
    )

A phase finds what the phases that it takes from have left in KYOYO_INPUT_DIR/NAME/…, and leaves its own files in
KYOYO_OUTPUT_DIR. A file `kyoyo-done` among them ends the job; what would have come costs nothing.
"""

from __future__ import annotations

import secrets
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any

from kyoyo import calling
from kyoyo import rounds as within
from kyoyo.client import Client
from kyoyo.errors import UsageError
from kyoyo.executor import payload
from kyoyo.executor.delayed import DelayedSubmission
from kyoyo.jobs import Job
from kyoyo.rounds import Done
from kyoyo.script.times import walltime_s
from kyoyo.spec import QUANTUM, JobSpec, QpuBeside, read_text

__all__ = ["CallingFunction", "Done", "HybridFunction", "HybridJob", "Phase", "Repeat", "hybrid_job"]

PROPOSE, MEASURE = "propose", "measure"
_PYTHON = "/usr/bin/env python3"


@dataclass(frozen=True, slots=True)
class Repeat:
    """The phases from `first` to `last`, so many times. All rounds are quoted; those that do not run cost nothing."""

    first: str
    last: str
    times: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """One phase. `gpu` and `qpu` make one; offering None: the only one that fits."""

    name: str
    kind: str
    walltime_s: int
    offering: str | None = None
    body: str = ""
    program_from: str | None = None
    gpus: int = 0
    shots: int = 0
    elements: int = 1
    takes: Sequence[str] | None = None
    skippable: bool = False
    max_attempts: int = 1
    arguments: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    secrets: Sequence[str] = ()
    outputs: Sequence[str] = ()

    @classmethod
    def gpu(
        cls, script: str | Path, *, name: str | None = None, gpus: int = 1, time: str | int = "10:00", **more: Any
    ) -> Phase:
        """A script: a file, or its text when it begins with `#!`. time: as sbatch's. UsageError."""
        is_text = isinstance(script, str) and script.startswith("#!")
        body = str(script) if is_text else read_text(Path(script))
        named = name or (Path(str(script)).stem.lower() if not is_text else "gpu")
        return cls(name=named, kind="batch", body=body, gpus=gpus, walltime_s=_seconds(time), **more)

    @classmethod
    def qpu(
        cls,
        program: str | Path | None = None,
        *,
        shots: int,
        program_from: str | None = None,
        name: str = "qpu",
        time: str | int = "10:00",
        **more: Any,
    ) -> Phase:
        """A program: a file of it, or the name of a file that an earlier phase leaves. shots: executions at most."""
        if (program is None) == (program_from is None):
            raise UsageError(key="wrong.script_or_command")
        body = "" if program is None else read_text(Path(program))
        return cls(
            name=name,
            kind="quantum",
            body=body,
            program_from=program_from,
            shots=shots,
            walltime_s=_seconds(time),
            **more,
        )

    def to_json(self) -> Mapping[str, object]:
        """As the API takes it."""
        wishes: Mapping[str, object] = {
            "program" if self.kind == "quantum" else "script": self.body,
            "program_from": self.program_from,
            "gpus": self.gpus,
            "shots": self.shots,
            "elements": self.elements if self.elements > 1 else None,
            "skippable": self.skippable,
            "arguments": list(self.arguments),
            "environment": dict(self.environment),
            "secrets": list(self.secrets),
            "outputs": list(self.outputs),
        }
        return {
            "name": self.name,
            "kind": self.kind,
            "offering": self.offering,
            "walltime_s": self.walltime_s,
            "max_attempts": self.max_attempts,
            **({} if self.takes is None else {"takes": list(self.takes)}),
            **{name: value for name, value in wishes.items() if value},
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class HybridJob(JobSpec):
    """Phases one after the other; `Client.submit` and `Client.estimate` take it as any other spec."""

    kind: str = "hybrid"
    body: str = ""
    walltime_s: int = 1
    offering: str | None = ""
    phases: Sequence[Phase] = ()
    repeat: Repeat | None = None

    def offered(self, choose: Callable[[str], str]) -> HybridJob:
        """Each phase with its offering."""
        named = [
            each
            if each.offering is not None
            else replace(each, offering=choose(QUANTUM if each.kind == QUANTUM else "gpu"))
            for each in self.phases
        ]
        return replace(self, phases=tuple(named))

    def on_devices(self, offering_of: Callable[[str], str]) -> HybridJob:
        """Each phase on a QPU with its offering, however it is named."""
        named = [
            replace(each, offering=offering_of(each.offering)) if each.kind == QUANTUM and each.offering else each
            for each in self.phases
        ]
        return replace(self, phases=tuple(named))

    def to_json(self) -> Mapping[str, object]:
        """The request body."""
        common = JobSpec.to_json(self)
        shared = ("name", "kind", "project", "service_class", "inputs", "begin_at", "dependencies", "max_cost_yen")
        told = {name: common[name] for name in shared if name in common}
        loop = self.repeat
        repeat = {} if loop is None else {"repeat": {"first": loop.first, "last": loop.last, "times": loop.times}}
        return {**told, "phases": [each.to_json() for each in self.phases], **repeat}


class HybridFunction:
    """A propose function as a loop of GPU and QPU phases. Calling it submits it."""

    def __init__(self, propose: Callable[[Any, Any], Any], **said: Any) -> None:
        self.propose = propose
        self._said = said

    def __call__(self, *, client: Client | None = None, **changed: Any) -> Job:
        """Submit it. `changed`: anything that the decorator takes."""
        return (client or Client()).submit(self.spec(**changed))

    def spec(self, **changed: Any) -> HybridJob:
        """What would be submitted."""
        return self._spec(**{**self._said, **changed})

    def _spec(
        self,
        *,
        gpus: int,
        qpu: str | None,
        shots: int,
        rounds: int,
        time: str | int,
        gpu_offering: str | None,
        python: str,
        **more: Any,
    ) -> HybridJob:
        script = _script(DelayedSubmission(within.one_round, self.propose, PROPOSE, MEASURE), within, python)
        more.setdefault("name", _name_of(self.propose))
        return HybridJob(
            phases=(
                Phase.gpu(script, name=PROPOSE, gpus=gpus, time=time, offering=gpu_offering),
                Phase.qpu(name=MEASURE, program_from=within.PROGRAM, shots=shots, time=time, offering=qpu),
            ),
            repeat=Repeat(PROPOSE, MEASURE, rounds),
            **more,
        )


class CallingFunction:
    """A function that calls a QPU while it runs as a job. Calling it submits it."""

    def __init__(self, function: Callable[[Any], Any], **said: Any) -> None:
        self.function = function
        self._said = said

    def __call__(self, *, client: Client | None = None, **changed: Any) -> Job:
        """Submit it. `changed`: anything that the decorator takes."""
        return (client or Client()).submit(self.spec(**changed))

    def spec(self, **changed: Any) -> JobSpec:
        """What would be submitted."""
        return self._spec(**{**self._said, **changed})

    def _spec(
        self,
        *,
        gpus: int,
        qpu: str | None,
        shots: int,
        calls: int,
        time: str | int,
        gpu_offering: str | None,
        python: str,
        idle_s: int = 300,
        call_s: int = 60,
        elements: int = 1,
        wait_s: int = 300,
        **more: Any,
    ) -> JobSpec:
        if qpu is None:
            raise UsageError(key="wrong.qpu_unnamed")
        more.setdefault("name", _name_of(self.function))
        return JobSpec(
            kind="batch",
            body=_script(DelayedSubmission(calling.with_session, self.function), calling, python),
            walltime_s=_seconds(time),
            offering=gpu_offering,
            gpus=gpus,
            qpu=QpuBeside(
                offering=qpu,
                shots=shots,
                calls=calls,
                idle_s=idle_s,
                call_s=call_s,
                elements=elements,
                wait_s=wait_s,
            ),
            **more,
        )


def _script(call: DelayedSubmission, ours: ModuleType, python: str) -> str:
    """The call by value, with its own module and ours, which need not be where the job runs."""
    own = sys.modules.get(getattr(call.args[0], "__module__", ""))
    by_value = (ours,) if own is None or own.__name__ == "__main__" else (ours, own)
    return payload.script_of(
        [payload.dumped(call, by_value)], key=secrets.token_bytes(32), signal=None, pickled=True, python=python
    )


def _name_of(function: Callable[..., Any]) -> str:
    return getattr(function, "__name__", None) or type(function).__name__


def hybrid_job(
    *,
    shots: int,
    gpus: int = 1,
    qpu: str | None = None,
    rounds: int = 30,
    calls: int | None = None,
    max_cost: Decimal | int | None = None,
    time: str | int = "10:00",
    gpu_offering: str | None = None,
    python: str = _PYTHON,
    **more: Any,
) -> Callable[[Callable[..., Any] | type], Any]:
    """Make a loop of a function propose(state, result) -> (state, program), or of a class with such a method.

        @kyoyo.hybrid_job(gpus=1, qpu="qpu-demo", shots=27_000, max_cost=30_000)
        def vqe(state, result):
            ...
            return state, circuit        # or: return state, kyoyo.Done(energy)

        job = vqe()

    shots: executions of one round at most. qpu: a quantum offering. max_cost: yen with tax, for all rounds together.

    With `calls` it is one job that keeps its GPU and calls the QPU while it runs, so many times at most; shots are then
    those of all calls, and the function is given the session (kyoyo.QpuSession):

        @kyoyo.hybrid_job(gpus=1, qpu="qpu-demo", calls=50, shots=50_000, max_cost=30_000)
        def vqe(session):
            ...
            return session.run(circuit, shots=1_000)["counts"]
    """
    said = {"gpus": gpus, "qpu": qpu, "shots": shots, "max_cost": max_cost, "time": time, "python": python, **more}

    def made(what: Callable[..., Any] | type) -> HybridFunction | CallingFunction:
        if calls is not None:
            return CallingFunction(what, calls=calls, gpu_offering=gpu_offering, **said)
        propose = what().propose if isinstance(what, type) else what
        return HybridFunction(
            propose,
            rounds=rounds,
            gpu_offering=gpu_offering,
            **said,
        )

    return made


def _seconds(time: str | int) -> int:
    return walltime_s(time) if isinstance(time, str) else time
