"""What is asked of the portal: the JobSpec of the API, made from a script, a command or a circuit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from errno import EISDIR, ENOENT
from pathlib import Path

from kyoyo.errors import BadScript, UsageError
from kyoyo.quantum.programs import is_document, program_of_file
from kyoyo.script import Directives, layout_of, over, parse_script
from kyoyo.script.amounts import Gpus
from kyoyo.script.arrays import Array
from kyoyo.script.relations import Dependency, SignalWish

COMMAND_SCRIPT = '#!/bin/sh\nexec "$@"\n'
"""Runs the job's arguments as they are: no word of a command is ever quoted or split again."""
CIRCUIT_WALLTIME_S = 600
CIRCUIT_SHOTS = 1_000
QUANTUM = "quantum"
_LATER = {"elements": 1, "wait_s": 300}
_UNREADABLE = {ENOENT: "wrong.no_file", EISDIR: "wrong.directory"}


@dataclass(frozen=True, slots=True)
class SessionWish:
    """A QPU held open for circuits that name this job: until it is cancelled, idle for so long, or out of walltime."""

    idle_s: int
    dedicated: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class QpuBeside:
    """A QPU that a batch or training job calls while it runs (`kyoyo.qpu_session`). shots: of all calls together.

    idle_s: without a further call for so long none is taken any more; call_s: the walltime of one call; elements:
    so many of a call's bindings have the device's base time in the quote, where its vendor runs each as a job
    of its own; wait_s: a call that the device has not begun for so long, also at its
    vendor, ends as `QpuRefused('device-away')`.
    """

    offering: str
    shots: int
    calls: int
    idle_s: int = 300
    call_s: int = 60
    elements: int = 1
    wait_s: int = 300

    def to_json(self) -> Mapping[str, object]:
        """As the API takes it; what an older portal does not know only where it was asked for."""
        told = asdict(self)
        return {name: value for name, value in told.items() if name not in _LATER or value != _LATER[name]}


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSpec:
    """One job, complete but for its offering, which the client fills in when only one fits.

    `session`: it is no program but a session; `session_job`: the session that this circuit runs in, by its job's id.
    `asked` stays local: where the output goes, whether to wait, and what settled() makes definite.
    """

    name: str
    kind: str
    body: str
    walltime_s: int
    offering: str | None = None
    """Several, with commas between them: it runs on the one where it starts first."""
    anywhere: bool = False
    """On whatever offering fits."""
    data_location: str | None = None
    """'jp': nothing of it leaves Japan."""
    project: str = "default"
    service_class: str = "standard"
    gpus: int = 0
    shots: int = 0
    arguments: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    max_attempts: int = 1
    max_timeouts: int = 0
    nodes: int = 1
    tasks_per_node: int = 1
    gpu_type: str | None = None
    cpus: int | None = None
    memory_mb: int | None = None
    constraint: str | None = None
    reservation: str | None = None
    shorten: bool = False
    """In a reservation of your organisation: the time limit may be cut to what that has left."""
    licenses: Mapping[str, int] = field(default_factory=dict)
    exclusive: bool = False
    image: str | None = None
    signal: SignalWish | None = None
    secrets: Sequence[str] = ()
    launch: Mapping[str, object] | None = None
    inputs: Sequence[Mapping[str, str]] = ()
    outputs: Sequence[str] = ()
    begin_at: datetime | None = None
    dependencies: Sequence[Dependency] = ()
    array: Array | None = None
    session: SessionWish | None = None
    session_job: str | None = None
    elements: int = 1
    """Of a circuit: so many of its bindings have the device's base time in the quote."""
    qpu: QpuBeside | None = None
    max_cost: Decimal | int | None = None
    """Yen with tax, the most that you will pay for all of it; the portal stops a circuit before, and refuses others."""
    asked: Directives = field(default_factory=Directives)

    @property
    def offering_kind(self) -> str:
        """Which kind of offering can run it."""
        return QUANTUM if self.kind == QUANTUM else "gpu"

    def on(self, offering: str) -> JobSpec:
        """The same on this offering."""
        return replace(self, offering=offering)

    def on_devices(self, offering_of: Callable[[str], str]) -> JobSpec:
        """The same with the offering of each QPU that it names, however it is named."""
        qpu = self.qpu and replace(self.qpu, offering=offering_of(self.qpu.offering))
        names = [] if self.kind != QUANTUM or self.offering is None else _names(self.offering)
        named = ",".join(offering_of(each) for each in names) or self.offering
        return replace(self, offering=named, qpu=qpu)

    def settled(self, now: datetime, environment: Mapping[str, str]) -> JobSpec:
        """The same as seen from here and now. UsageError: there is no such day."""
        begin, exports = self.asked.begin, self.asked.exports
        exported = exports.taken_from(environment) if exports else {}
        return replace(
            self,
            begin_at=begin.at(now) if begin and self.begin_at is None else self.begin_at,
            environment={**exported, **self.environment},
        )

    def offered(self, choose: Callable[[str], str]) -> JobSpec:
        """The same with its offering, where it names none: `choose` knows the only one of a kind. UsageError."""
        if self.anywhere or self.offering is not None:
            return self
        return replace(self, offering=choose(self.offering_kind))

    def to_json(self) -> Mapping[str, object]:
        """The request body. What was not asked for is left out, so that an older portal understands it, too."""
        return {
            "name": self.name,
            "kind": self.kind,
            **self._place(),
            "project": self.project,
            "service_class": self.service_class,
            "gpus": self.gpus,
            "walltime_s": self.walltime_s,
            "shots": self.shots,
            **self._body(),
            "arguments": list(self.arguments),
            "environment": dict(self.environment),
            "max_attempts": self.max_attempts,
            **self._wishes(),
        }

    def _place(self) -> Mapping[str, object]:
        if self.anywhere:
            return {"anywhere": True}
        names = _names(self.offering or "")
        return {"offering": names if len(names) > 1 else self.offering}

    def _body(self) -> Mapping[str, object]:
        if self.session is not None:
            return {"session": {"idle_s": self.session.idle_s, "dedicated": self.session.dedicated}}
        return {"program" if self.kind == QUANTUM else "script": self.body}

    def _wishes(self) -> Mapping[str, object]:
        wishes: Mapping[str, object] = {
            "max_timeouts": self.max_timeouts,
            "nodes": self.nodes if self.nodes > 1 else None,
            "tasks_per_node": self.tasks_per_node if self.tasks_per_node > 1 else None,
            "gpu_type": self.gpu_type,
            "cpus": self.cpus,
            "memory_mb": self.memory_mb,
            "constraint": self.constraint,
            "reservation": self.reservation,
            "shorten": self.shorten,
            "licenses": dict(self.licenses),
            "exclusive": self.exclusive,
            "image": self.image,
            "signal": self.signal and {"name": self.signal.name, "before_s": self.signal.before_s},
            "secrets": list(self.secrets),
            "launch": self.launch and dict(self.launch),
            "inputs": [dict(each) for each in self.inputs],
            "outputs": list(self.outputs),
            "begin_at": self.begin_at and self.begin_at.astimezone(UTC).isoformat(),
            "dependencies": [{"kind": each.kind, "job": _named(each.job)} for each in self.dependencies],
            "array": self.array and {"indices": list(self.array.indices), "max_running": self.array.max_running},
            "session_job": self.session_job,
            "elements": self.elements if self.elements > 1 else None,
            "qpu": self.qpu and self.qpu.to_json(),
            "data_location": self.data_location,
            "max_cost_yen": None if self.max_cost is None else f"{Decimal(self.max_cost):f}",
        }
        return {name: value for name, value in wishes.items() if value}


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What the caller says beside the script: each overrides the script's directive. None: not said.

    `asked`: everything else that sbatch has an option for.
    """

    name: str | None = None
    walltime_s: int | None = None
    gpus: int | None = None
    offering: str | None = None
    project: str | None = None
    output: str | None = None
    kind: str = "batch"
    service_class: str | None = None
    arguments: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    max_attempts: int | None = None
    max_timeouts: int = 0
    secrets: Sequence[str] = ()
    launch: Mapping[str, object] | None = None
    inputs: Sequence[Mapping[str, str]] = ()
    outputs: Sequence[str] = ()
    qpu: QpuBeside | None = None
    shorten: bool = False
    anywhere: bool = False
    data_location: str | None = None
    asked: Directives = field(default_factory=Directives)

    def directives(self) -> Directives:
        """All that of it which a script could have said, too."""
        plain = Directives(
            name=self.name,
            walltime_s=self.walltime_s,
            gpus=None if self.gpus is None else Gpus(self.gpus),
            offering=self.offering,
            project=self.project,
            output=self.output,
            service_class=self.service_class,
            max_attempts=self.max_attempts,
        )
        return over(self.asked, plain)


def spec_of_script(path: Path, choices: Choices) -> JobSpec:
    """A script file with its #SBATCH lines, overridden by the choices. BadScript, UsageError."""
    return spec_of_text(read_text(path), name=path.stem, choices=choices)


def spec_of_text(body: str, *, name: str, choices: Choices) -> JobSpec:
    """The same of a script that is no file. BadScript, UsageError."""
    return _spec(body, asked=over(parse_script(body), choices.directives()), fallback_name=name, choices=choices)


def spec_of_command(command: Sequence[str], choices: Choices) -> JobSpec:
    """A command line, run word for word."""
    if not command:
        raise UsageError(key="wrong.no_command")
    told = replace(choices, arguments=tuple(command))
    return _spec(COMMAND_SCRIPT, asked=choices.directives(), fallback_name=Path(command[0]).name, choices=told)


def spec_of_circuit(path: Path, *, shots: int | None, choices: Choices) -> JobSpec:
    """A file with one circuit, OpenQASM 2 or 3 or QPY, or with a document of PUBs. UsageError.

    shots None: 1,000, and of a document those that it says itself.
    """
    program = program_of_file(path, shots=CIRCUIT_SHOTS if shots is None else shots)
    usual = 0 if is_document(program) else CIRCUIT_SHOTS
    return spec_of_program(program, name=path.stem, shots=usual if shots is None else shots, choices=choices)


def spec_of_program(
    program: str, *, name: str, shots: int, choices: Choices, session_job: str | None = None
) -> JobSpec:
    """OpenQASM text, or a document of PUBs; `shots` are all its executions together."""
    return JobSpec(
        name=choices.name or name,
        kind=QUANTUM,
        body=program,
        walltime_s=choices.walltime_s or CIRCUIT_WALLTIME_S,
        offering=choices.offering,
        project=choices.project or "default",
        service_class=choices.service_class or "standard",
        shots=shots,
        session_job=session_job,
    )


def spec_of_session(wish: SessionWish, *, name: str, choices: Choices) -> JobSpec:
    """A session on a quantum offering, open for at most the walltime."""
    return replace(spec_of_program("", name=name, shots=0, choices=choices), session=wish)


def read_text(path: Path) -> str:
    """A file as UTF-8 text. UsageError when it cannot be read."""
    try:
        return path.read_bytes().decode("utf-8")
    except OSError as unreadable:
        raise UsageError(key=_UNREADABLE.get(unreadable.errno or 0, "wrong.unreadable"), path=path) from unreadable
    except UnicodeDecodeError as binary:
        raise BadScript(key="wrong.binary", path=path) from binary


def _spec(body: str, *, asked: Directives, fallback_name: str, choices: Choices) -> JobSpec:
    if asked.walltime_s is None:
        raise UsageError(key="wrong.time_missing")
    layout = layout_of(asked)
    return JobSpec(
        name=asked.name or fallback_name,
        kind=choices.kind,
        body=body,
        walltime_s=asked.walltime_s,
        offering=None if choices.anywhere else asked.offering,
        project=asked.project or "default",
        service_class=asked.service_class or "standard",
        gpus=layout.gpus,
        nodes=layout.nodes,
        tasks_per_node=layout.tasks_per_node,
        gpu_type=layout.gpu_type,
        cpus=layout.cpus,
        memory_mb=layout.memory_mb,
        constraint=asked.constraint,
        reservation=asked.reservation,
        shorten=choices.shorten,
        anywhere=choices.anywhere,
        data_location=choices.data_location,
        licenses=asked.licenses or {},
        exclusive=bool(asked.exclusive),
        image=asked.image,
        signal=asked.signal,
        dependencies=asked.dependencies or (),
        array=asked.array,
        arguments=choices.arguments,
        environment=choices.environment,
        max_attempts=max(asked.max_attempts or 1, choices.max_timeouts + 1),
        max_timeouts=choices.max_timeouts,
        secrets=choices.secrets,
        launch=choices.launch,
        inputs=choices.inputs,
        outputs=choices.outputs,
        qpu=choices.qpu,
        asked=asked,
    )


def _names(offerings: str) -> list[str]:
    """As sbatch's --partition has several: with commas between them."""
    return [name for each in offerings.split(",") if (name := each.strip())]


def _named(job: str) -> str | int:
    return int(job) if job.isdecimal() else job
