"""What a customer sends to have a job estimated or run."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, Field, model_validator

from hpc_adapters.contract import Placement, Signal, Torchrun
from portal.api.wire import Count, In, Word, YenIn
from pricing.model import ServiceClass
from pricing.units import micro
from scheduler.core.dependencies import DependencyKind
from scheduler.core.model import JobKind
from scheduler.core.phases import Repeat
from scheduler.errors import BadPhase
from scheduler.files import InputWish
from scheduler.hybrid import Hybrid, PhaseWish
from scheduler.options import MAX_ARRAY_TASKS, ArrayWish, Dependency
from scheduler.submission import QpuWish, SessionWish, Submission

_MAX_ITEMS = 10_000


class SignalSpec(In):
    """Sent to the job so many seconds before its time limit."""

    name: Annotated[Word, Field(examples=["USR1"])]
    before_s: Annotated[Count, Field(examples=[60])]


class TorchrunSpec(In):
    """Start the script, a Python program, under torchrun: so many processes on each node."""

    kind: Literal["torchrun"] = "torchrun"
    processes_per_node: Count


class DependencySpec(In):
    """`job`: a number, an id, or N_k for task k of array N. The number of an array means all of its tasks."""

    kind: DependencyKind
    job: Annotated[Word | Count, Field(examples=[12])]


class ArraySpec(In):
    """One job for each index, which it is told as SLURM_ARRAY_TASK_ID. `max_running`: so many at a time."""

    indices: Annotated[list[Count], Field(max_length=1_000_000, description=f"At most {MAX_ARRAY_TASKS}.")]
    max_running: Count | None = None


class InputSpec(In):
    """An object of the store, and under which name the job finds it in KYOYO_INPUT_DIR (default: the key itself)."""

    key: Word
    name: Word | None = None


class WorkSpec(In):
    """What runs, on what: a job by itself, or a phase of one.

    `script` for batch and training, `program` (OpenQASM or a document of PUBs) for quantum; both are text. What is not
    named is as usual. The machine behind the offering may not do all of it: then it says so by name.
    """

    name: Annotated[str, Field(max_length=1000, examples=["digits"])]
    kind: JobKind
    offering: Annotated[
        Word | Annotated[list[Word], Field(max_length=_MAX_ITEMS)],
        Field(
            description="Several: it runs on the one where it starts first, and costs what that costs; the ceiling is "
            "the dearest one's. At most 8, of a job by itself.",
            examples=["gpu-demo"],
        ),
    ]
    gpus: Annotated[Count, Field(description="Over all nodes.")] = 0
    walltime_s: Annotated[Count, Field(examples=[600])]
    shots: Count = 0
    elements: Annotated[
        Count,
        Field(
            description="Of a circuit: so many elements of its PUBs are quoted with the device's base time each. More "
            "than 1 where its vendor runs each binding as a job of its own."
        ),
    ] = 1
    max_cost_yen: Annotated[
        YenIn | None,
        Field(
            description="The most that you will pay, with consumption tax; of an array, for all its tasks together. A "
            "circuit is stopped before it; anything else is refused where its ceiling with tax lies above it. It never "
            "raises what is held."
        ),
    ] = None
    session: Annotated[SessionSpec | None, Field(description="It is no program but a session.")] = None
    session_job: Annotated[Word | Count | None, Field(description="The session job in which a circuit runs.")] = None
    qpu: Annotated[QpuSpec | None, Field(description="What a batch or training job may call while it runs.")] = None
    script: Annotated[str | None, Field(examples=["#!/bin/sh\necho hello\n"])] = None
    program: str | None = None
    arguments: list[str] = Field(default_factory=list)
    environment: dict[str, str] = Field(default_factory=dict)
    max_attempts: Count = 1
    max_timeouts: Annotated[Count, Field(description="So many time-outs are continued; each is quoted.")] = 0
    nodes: Count = 1
    tasks_per_node: Count = 1
    cpus: Annotated[Count | None, Field(description="Over all nodes; by default all that the GPUs bring.")] = None
    memory_mb: Annotated[Count | None, Field(description="As `cpus`.")] = None
    gpu_type: Word | None = None
    constraint: Word | None = None
    reservation: Annotated[
        Word | None,
        Field(description="A reservation of your organisation, such as R3, or one that the site has made for you."),
    ] = None
    shorten: Annotated[
        bool, Field(description="In a reservation such as R3: the time limit may be cut to what that has left.")
    ] = False
    licenses: dict[str, Count] = Field(default_factory=dict)
    exclusive: bool = False
    signal: SignalSpec | None = None
    image: Word | None = None
    secrets: Annotated[list[Word], Field(max_length=_MAX_ITEMS)] = Field(default_factory=list)
    launch: TorchrunSpec | None = None
    outputs: Annotated[
        list[Word],
        Field(
            max_length=_MAX_ITEMS,
            description="Patterns of files to keep as jobs/NUMBER/…, beside all of KYOYO_OUTPUT_DIR.",
            examples=[["*.pt", "logs/**"]],
        ),
    ] = Field(default_factory=list)

    def work(self) -> Submission:
        """As the scheduler is asked, but for what only a whole job is asked for."""
        text = self.program if self.kind is JobKind.QUANTUM else self.script
        return Submission(
            name=self.name,
            kind=self.kind,
            offering_id="" if not self._offerings() else self._offerings()[0],
            alternatives=tuple(self._offerings()[1:]),
            body=(text or "").encode("utf-8", "surrogatepass"),
            walltime_s=self.walltime_s,
            max_cost_micro_yen=None if self.max_cost_yen is None else micro(self.max_cost_yen),
            session=None if self.session is None else self.session.wish(),
            session_job=None if self.session_job is None else str(self.session_job),
            qpu=None if self.qpu is None else self.qpu.wish(),
            gpus=self.gpus,
            shots=self.shots,
            elements=self.elements,
            shorten=self.shorten,
            arguments=tuple(self.arguments),
            environment=dict(self.environment),
            max_attempts=self.max_attempts,
            max_timeouts=self.max_timeouts,
            placement=self._placement(),
            cpus=self.cpus,
            memory_mb=self.memory_mb,
            secrets=tuple(self.secrets),
            launch=None if self.launch is None else Torchrun(processes_per_node=self.launch.processes_per_node),
            outputs=tuple(self.outputs),
        )

    def _offerings(self) -> list[str]:
        return [self.offering] if isinstance(self.offering, str) else list(self.offering)

    def _placement(self) -> Placement:
        return Placement(
            nodes=self.nodes,
            tasks_per_node=self.tasks_per_node,
            gpu_type=self.gpu_type,
            constraint=self.constraint,
            reservation=self.reservation,
            licenses=dict(self.licenses),
            exclusive=self.exclusive,
            signal=None if self.signal is None else Signal(name=self.signal.name, before_s=self.signal.before_s),
            image=self.image,
        )


class PhaseSpec(WorkSpec):
    """A phase of a hybrid job. It finds what a phase that it takes from has left in KYOYO_INPUT_DIR/NAME/….

    Without `takes` it takes from the phase before it and, in a loop, from itself a round ago. A quantum phase may have
    its program from a file of one of these: `program_from`.
    """

    takes: Annotated[list[Word] | None, Field(max_length=_MAX_ITEMS)] = None
    program_from: Annotated[Word | None, Field(examples=["circuit.json"])] = None
    skippable: Annotated[bool, Field(description="The job goes on if it fails.")] = False

    def wish(self) -> PhaseWish:
        """As the scheduler is asked."""
        return PhaseWish(
            request=self.work(),
            takes=None if self.takes is None else tuple(self.takes),
            program_from=self.program_from,
            skippable=self.skippable,
        )


class RepeatSpec(In):
    """The phases from `first` to `last`, so many times: they become NAME-1, NAME-2, … and are quoted as such."""

    first: Word
    last: Word
    times: Count


class SessionSpec(In):
    """A quantum device held for circuits to come: closed when it was idle for `idle_s`, or at its time limit.

    `dedicated` false: a batch, whose jobs run one after the other and whose idle time holds nobody up.
    """

    idle_s: Annotated[Count, Field(examples=[120])]
    dedicated: bool = True

    def wish(self) -> SessionWish:
        """As the scheduler is asked."""
        return SessionWish(idle_s=self.idle_s, dedicated=self.dedicated)


class QpuSpec(In):
    """A QPU beside a running job, which calls it through the files of KYOYO_QPU_DIR.

    All calls are quoted: `shots` together, at most `calls` of them, each `call_s` long at most. After `idle_s`
    without a further call none is taken any more, and the job goes on. Calls queue for the device, before your
    other circuits; one that it has not begun for `wait_s`, here or at its vendor, ends unrun and free: `device-away`.
    """

    offering: Annotated[Word, Field(examples=["qpu-demo"])]
    shots: Annotated[Count, Field(description="Of all calls together.", examples=[10000])]
    calls: Annotated[Count, Field(examples=[50])]
    idle_s: Count = 300
    call_s: Count = 60
    wait_s: Count = 300
    elements: Annotated[Count, Field(description="Of each call; as a circuit's.")] = 1

    def wish(self) -> QpuWish:
        """As the scheduler is asked."""
        return QpuWish(
            offering_id=self.offering,
            shots=self.shots,
            calls=self.calls,
            idle_s=self.idle_s,
            call_s=self.call_s,
            elements=self.elements,
            wait_s=self.wait_s,
        )


class JobSpec(WorkSpec):
    """A job to run. A hybrid one has `phases`, one after the other; its own offering and walltime are ignored."""

    project: Word = "default"
    anywhere: Annotated[bool, Field(description="On whatever offering fits; `offering` is then not said.")] = False
    data_location: Annotated[
        Word | None,
        Field(
            description="'jp': nothing of it leaves Japan. A rule of your organisation or project holds in any case.",
            examples=["jp"],
        ),
    ] = None
    service_class: ServiceClass = ServiceClass.STANDARD
    begin_at: AwareDatetime | None = None
    dependencies: Annotated[list[DependencySpec], Field(max_length=_MAX_ITEMS)] = Field(default_factory=list)
    array: ArraySpec | None = None
    inputs: Annotated[list[InputSpec], Field(max_length=_MAX_ITEMS)] = Field(default_factory=list)
    phases: Annotated[list[PhaseSpec], Field(max_length=_MAX_ITEMS)] = Field(default_factory=list)
    repeat: RepeatSpec | None = None

    @model_validator(mode="before")
    @classmethod
    def _hybrid(cls, told: Any) -> Any:
        """What its phases say need not be said of a hybrid job."""
        if isinstance(told, dict) and told.get("kind") == JobKind.HYBRID.value:
            return {"offering": "", "walltime_s": 1, **told}
        if isinstance(told, dict) and told.get("anywhere") is True:
            return {"offering": "", **told}
        return told

    def submission(self) -> Submission:
        """As the scheduler is asked. BadPhase."""
        whole = replace(
            self.work(),
            project=self.project,
            anywhere=self.anywhere,
            data_location=self.data_location,
            service_class=self.service_class,
            begin_at=self.begin_at,
            dependencies=tuple(Dependency(kind=each.kind, job=str(each.job)) for each in self.dependencies),
            array=self._array(),
            inputs=tuple(
                InputWish(name=each.key if each.name is None else each.name, key=each.key) for each in self.inputs
            ),
        )
        return self._with_phases(whole)

    def _with_phases(self, whole: Submission) -> Submission:
        if self.kind is not JobKind.HYBRID:
            if self.phases or self.repeat is not None:
                raise BadPhase(phase="", problem="not_hybrid")
            return whole
        usual = JobSpec(
            name=self.name,
            kind=self.kind,
            offering=self.offering,
            walltime_s=self.walltime_s,
            max_cost_yen=self.max_cost_yen,  # for all phases together
        )
        for name in sorted(WorkSpec.model_fields):
            if getattr(self, name) != getattr(usual, name):
                raise BadPhase(phase="", problem="of_a_phase", name=name)
        repeat = None if self.repeat is None else Repeat(**self.repeat.model_dump())
        told = {each.name: getattr(whole, each.name) for each in fields(whole)}
        return Hybrid(**told, phases=tuple(each.wish() for each in self.phases), repeat=repeat)

    def _array(self) -> ArrayWish | None:
        wish = self.array
        return None if wish is None else ArrayWish(indices=tuple(wish.indices), max_running=wish.max_running)
