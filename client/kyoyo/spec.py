"""What is asked of the portal: the JobSpec of the API, made from a script, a command or a circuit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from errno import EISDIR, ENOENT
from pathlib import Path

from kyoyo.errors import BadScript, UsageError
from kyoyo.script import Directives, parse_script

COMMAND_SCRIPT = '#!/bin/sh\nexec "$@"\n'
"""Runs the job's arguments as they are: no word of a command is ever quoted or split again."""
CIRCUIT_WALLTIME_S = 600
_UNREADABLE = {ENOENT: "wrong.no_file", EISDIR: "wrong.directory"}


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSpec:
    """One job, complete but for its offering, which the client fills in when only one fits. `output` stays local."""

    name: str
    kind: str
    body: str
    walltime_s: int
    offering: str | None = None
    project: str = "default"
    service_class: str = "standard"
    gpus: int = 0
    shots: int = 0
    arguments: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    max_attempts: int = 1
    output: str | None = None

    @property
    def offering_kind(self) -> str:
        """Which kind of offering can run it."""
        return "quantum" if self.kind == "quantum" else "gpu"

    def to_json(self) -> Mapping[str, object]:
        """The request body."""
        return {
            "name": self.name,
            "kind": self.kind,
            "offering": self.offering,
            "project": self.project,
            "service_class": self.service_class,
            "gpus": self.gpus,
            "walltime_s": self.walltime_s,
            "shots": self.shots,
            "program" if self.kind == "quantum" else "script": self.body,
            "arguments": list(self.arguments),
            "environment": dict(self.environment),
            "max_attempts": self.max_attempts,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What the caller says beside the script: each overrides the script's directive. None: not said."""

    name: str | None = None
    walltime_s: int | None = None
    gpus: int | None = None
    offering: str | None = None
    project: str | None = None
    output: str | None = None
    kind: str = "batch"
    service_class: str = "standard"
    arguments: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    max_attempts: int = 1


def spec_of_script(path: Path, choices: Choices) -> JobSpec:
    """A script file with its #SBATCH lines, overridden by the choices. BadScript, UsageError."""
    body = read_text(path)
    return _spec(body, directives=parse_script(body), fallback_name=path.stem, choices=choices)


def spec_of_command(command: Sequence[str], choices: Choices) -> JobSpec:
    """A command line, run word for word."""
    if not command:
        raise UsageError(key="wrong.no_command")
    told = replace(choices, arguments=tuple(command))
    return _spec(COMMAND_SCRIPT, directives=Directives(), fallback_name=Path(command[0]).name, choices=told)


def spec_of_circuit(path: Path, *, shots: int, choices: Choices) -> JobSpec:
    """An OpenQASM 3 file."""
    return JobSpec(
        name=choices.name or path.stem,
        kind="quantum",
        body=read_text(path),
        walltime_s=choices.walltime_s or CIRCUIT_WALLTIME_S,
        offering=choices.offering,
        project=choices.project or "default",
        service_class=choices.service_class,
        shots=shots,
    )


def read_text(path: Path) -> str:
    """A file as UTF-8 text. UsageError when it cannot be read."""
    try:
        return path.read_bytes().decode("utf-8")
    except OSError as unreadable:
        raise UsageError(key=_UNREADABLE.get(unreadable.errno or 0, "wrong.unreadable"), path=path) from unreadable
    except UnicodeDecodeError as binary:
        raise BadScript(key="wrong.binary", path=path) from binary


def _spec(body: str, *, directives: Directives, fallback_name: str, choices: Choices) -> JobSpec:
    walltime = choices.walltime_s or directives.walltime_s
    if walltime is None:
        raise UsageError(key="wrong.time_missing")
    gpus = directives.gpus if choices.gpus is None else choices.gpus
    return JobSpec(
        name=choices.name or directives.name or fallback_name,
        kind=choices.kind,
        body=body,
        walltime_s=walltime,
        offering=choices.offering or directives.offering,
        project=choices.project or directives.project or "default",
        service_class=choices.service_class,
        gpus=1 if gpus is None else gpus,
        arguments=choices.arguments,
        environment=choices.environment,
        max_attempts=choices.max_attempts,
        output=choices.output or directives.output,
    )
