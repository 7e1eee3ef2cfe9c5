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

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from kyoyo.errors import UsageError
from kyoyo.script.times import seconds_of
from kyoyo.spec import QUANTUM, JobSpec, read_text


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
        return cls(name=named, kind="batch", body=body, gpus=gpus, walltime_s=seconds_of(time), **more)

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
            walltime_s=seconds_of(time),
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
