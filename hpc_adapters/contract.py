"""The port: what Kyoyo asks of every machine that runs jobs, and what each answer means.

A backend is an unreliable narrator. It may answer late, twice, out of order or not at all; it may forget what it
accepted, give its ids to somebody else and start a job twice. Three rules make that harmless:

1. The **attempt id** is ours, is made before the first call, and is the identity of everything here. The backend's own
   id (`Ref.native_id`) is a hint for speed; an adapter that reads by it must check that the attempt id matches.
2. `submit` may be repeated with the same attempt id. The user's code starts behind a **start gate** that one submission
   of an attempt can pass once, so a repeated submission can waste a moment and never run twice.
3. An unknown outcome is `Unavailable(maybe_done=True)`, a foreign state that we do not know is `Seen.UNKNOWN`. Neither
   is ever guessed away in an adapter; the scheduler's lifecycle decides.

Every method may raise `Unavailable`; what else it may raise is said with it. Times are aware and in UTC.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Protocol, runtime_checkable
from uuid import UUID

from hpc_adapters.errors import Forgotten


class Seen(StrEnum):
    """Our word for a foreign state. Each backend's `translate.py` maps every word it knows; the rest is UNKNOWN."""

    WAITING = "waiting"
    """Accepted, not started."""
    RUNNING = "running"
    """The user's code has started."""
    SUCCEEDED = "succeeded"
    """Ended by itself with exit code 0."""
    FAILED = "failed"
    """Ended by itself with another exit code."""
    TIMED_OUT = "timed_out"
    """Ended by the backend at its walltime."""
    OUT_OF_MEMORY = "out_of_memory"
    """Ended by the backend for its memory."""
    CANCELLED = "cancelled"
    """Ended because somebody cancelled it."""
    PREEMPTED = "preempted"
    """Ended because the backend gave its resources to another job."""
    NODE_FAILED = "node_failed"
    """Ended because a machine under it failed. Our side's fault: the user is not charged."""
    UNKNOWN = "unknown"
    """The backend answered with something that we cannot read. Not an end."""

    @property
    def is_end(self) -> bool:
        """Whether the backend says that the user's code runs no more."""
        return self not in {Seen.WAITING, Seen.RUNNING, Seen.UNKNOWN}


class Isolation(StrEnum):
    """How far a backend keeps jobs of different tenants apart."""

    PER_ATTEMPT = "per_attempt"
    """Own user id or namespace and own folder for each attempt: many organisations may share the backend."""
    SINGLE_TENANT = "single_tenant"
    """No separation: the backend serves the first organisation that uses it, and rejects every other."""


class Stream(StrEnum):
    """What a job leaves behind to be read."""

    STDOUT = "stdout"
    STDERR = "stderr"
    RESULT = "result"
    """The file `result.json` that the job wrote in its working folder (bounded; absent for many jobs)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """An amount of every kind of unit; a job's request or a machine's size."""

    gpus: int = 0
    cpus: int = 0
    memory_mb: int = 0
    qpus: int = 0

    def fits(self, free: Resources) -> bool:
        """Whether this amount can be taken from `free`."""
        return (
            self.gpus <= free.gpus
            and self.cpus <= free.cpus
            and self.memory_mb <= free.memory_mb
            and self.qpus <= free.qpus
        )


class Feature(StrEnum):
    """What a job may ask for beyond plain resources. A backend rejects what it does not name in its capabilities."""

    NODES = "nodes"
    """More than one machine, and more than one task on each."""
    GPU_TYPE = "gpu_type"
    CONSTRAINT = "constraint"
    RESERVATION = "reservation"
    LICENSES = "licenses"
    EXCLUSIVE = "exclusive"
    SIGNAL = "signal"
    """A signal of the job's choice, so long before its walltime ends."""
    IMAGE = "image"
    """A container image, of those that the site allows."""
    SECRETS = "secrets"
    TORCHRUN = "torchrun"
    SESSION = "session"
    """Circuits inside a SessionHold."""
    FILES = "files"
    """Input files brought to the job, output files brought back (see `job_files`)."""
    CALLS = "calls"
    """A running job calls a QPU through a mailbox in its working folder (see `job_files.Mailbox`)."""


WORDS_BYTES = 65_536
"""Arguments and environment of a job together, by `words_bytes`. More is Rejected("arguments-too-large")."""
SECRETS_BYTES = 2**20
"""The same for the values of its secrets."""


def words_bytes(arguments: Iterable[str], environment: Mapping[str, str]) -> int:
    """In UTF-8, each word with the byte that ends it. A lone surrogate, which nothing can carry, counts as it can."""
    words = (*arguments, *environment, *environment.values())
    return sum(len(word.encode("utf-8", "surrogatepass")) + 1 for word in words)


@dataclass(frozen=True, slots=True, kw_only=True)
class Torchrun:
    """Start the body, a Python program, under torchrun: one agent a node, so many processes under each."""

    processes_per_node: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A program for CPUs and GPUs: a script with a shebang line, started in a working folder of its own.

    `secrets` are the member's own, by name of the variable: they reach the job only, never a log, a command line or
    the backend's records.
    """

    body: bytes
    arguments: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    launch: Torchrun | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Circuit:
    """Work for a QPU: OpenQASM 2 or 3 text, or a document of PUBs (see `programs`). Always UTF-8 text.

    `shots`: of the text's one circuit; of a document all executions together, each parameter set and each group of
    observables that is measured by itself. `max_qpu_us`: so much QPU time at most, whatever it turns out to need; the
    backend refuses what it knows to need more, and stops what does. None: the device's own limits.
    """

    program: bytes
    shots: int
    max_qpu_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionHold:
    """A QPU, or a vendor's session on it, held for calls that come while it is open.

    The attempt is RUNNING once it is open, and SUCCEEDED when it was closed, was idle for longer than `idle_s`, or has
    reached its walltime. Closing it is cancelling the attempt: what was used is charged as its offering says.
    """

    idle_s: int
    dedicated: bool = True
    """False: a batch. Its jobs run one after the other without others in between where the device can, and its
    idle time holds nobody up."""


@dataclass(frozen=True, slots=True)
class Identity:
    """As whom an attempt runs where the site knows people: a Unix user, and the account that it is counted under."""

    user: str
    account: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """Send the job this signal (a name without SIG) so many seconds before its walltime ends."""

    name: str
    before_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """How the resources are laid out. The defaults ask for nothing special, and every backend takes them."""

    nodes: int = 1
    """The resources are the sum over the nodes, and divide evenly."""
    tasks_per_node: int = 1
    gpu_type: str | None = None
    constraint: str | None = None
    reservation: str | None = None
    licenses: Mapping[str, int] = field(default_factory=dict)
    exclusive: bool = False
    signal: Signal | None = None
    image: str | None = None

    def features(self) -> frozenset[Feature]:
        """What a backend must offer for it."""
        asked = {
            Feature.NODES: self.nodes > 1 or self.tasks_per_node > 1,
            Feature.GPU_TYPE: self.gpu_type is not None,
            Feature.CONSTRAINT: self.constraint is not None,
            Feature.RESERVATION: self.reservation is not None,
            Feature.LICENSES: bool(self.licenses),
            Feature.EXCLUSIVE: self.exclusive,
            Feature.SIGNAL: self.signal is not None,
            Feature.IMAGE: self.image is not None,
        }
        return frozenset(feature for feature, is_asked in asked.items() if is_asked)


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayTask:
    """Which task of an array this is. Told to the program; each task is an attempt of its own."""

    number: int
    """The array's number, as its owner knows it."""
    index: int
    first: int
    last: int
    step: int
    count: int


Payload = Script | Circuit | SessionHold


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRequest:
    """All that a backend is told of an attempt. No name or text of the tenant's choosing but the payload itself."""

    attempt_id: UUID
    tenant: str
    """Opaque key of the organisation, for isolation only."""
    resources: Resources
    walltime_s: int
    payload: Payload
    job_id: UUID | None = None
    """What the attempts of one job share, such as the folder of its checkpoints; None: an attempt by itself."""
    ordinal: int = 1
    """Which attempt of its job this is."""
    number: int | None = None
    """The job's number, as its owner knows it."""
    service_class: str = "standard"
    identity: Identity | None = None
    placement: Placement = field(default_factory=Placement)
    array: ArrayTask | None = None
    session: UUID | None = None
    """The attempt of the SessionHold that this circuit runs in: `Rejected('session-over')` where it is not open."""
    has_inputs: bool = False
    """Its inputs were brought (see `job_files`) to be found in KYOYO_INPUT_DIR; else `Rejected('inputs-missing')`."""
    has_calls: bool = False
    """It may call a QPU: it finds its mailbox in KYOYO_QPU_DIR."""

    def features(self) -> frozenset[Feature]:
        """What a backend must offer to take it."""
        asked = set(self.placement.features())
        asked |= {Feature.FILES} if self.has_inputs else set()
        asked |= {Feature.CALLS} if self.has_calls else set()
        asked |= {Feature.SESSION} if self.session is not None else set()
        if isinstance(self.payload, Script):
            asked |= {Feature.SECRETS} if self.payload.secrets else set()
            asked |= {Feature.TORCHRUN} if self.payload.launch else set()
        return frozenset(asked)


@dataclass(frozen=True, slots=True)
class Ref:
    """Where an attempt is. `native_id` is the backend's own id: reused after crashes, never trusted alone."""

    backend: str
    attempt_id: UUID
    native_id: str


BY_OWNER = "by-owner"


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What the backend says of one attempt now. `detail` is a short machine word for the story, without tenant text.

    BY_OWNER as the detail of a CANCELLED one: its owner ended it on the backend, past us. It costs what it used.
    """

    ref: Ref
    seen: Seen
    observed_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    exit_code: int | None = None
    detail: str = ""
    not_now: bool = False
    """Beside UNKNOWN: nothing strange was said, but what could tell is away (the accounting, say). Ask again, and doubt
    nothing meanwhile."""


@dataclass(frozen=True, slots=True)
class Window:
    """Half-open interval of time [since, until)."""

    since: datetime
    until: datetime

    def touches(self, started_at: datetime, ended_at: datetime | None) -> bool:
        """Whether what began then was running in it, or ended in it. None: it still runs."""
        return started_at < self.until and (ended_at is None or ended_at >= self.since)


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageRow:
    """One line of the backend's accounting.

    `natural_key` is the source's own identity of the record: the same record has the same key in every window, two
    starts of one attempt have two. `components` are exact amounts in the units 'gpu_s' (units × seconds), 'cpu_s'
    (allocated CPUs × seconds), 'qpu_s', 'shot', 'session_s' (wall time that a session was open), 'sim_s' (CPUs or GPUs
    of a simulator × seconds). `facts` are measured side figures: 'cpu_used_s', 'peak_memory_mb',
    'gpus', 'cpus', 'memory_mb'; 'gpu_utilisation_pct', 'gpu_memory_peak_mb', 'gpu_energy_j' where they were measured,
    else 'gpu_measured' is 'no'. `final`: the backend will not change this record by itself any more.
    A second start that the start gate turned away is a record with the fact 'turned_away', and its components are 0:
    'yes' where the record of the first start is another one, 'overwritten' where the backend keeps only this one. A
    record whose end the backend will never tell has the fact 'runaway', and its components are 0.
    `attempt_id` is None for something that ran outside the portal.
    """

    natural_key: str
    attempt_id: UUID | None
    started_at: datetime
    ended_at: datetime | None
    final: bool
    ending: Seen
    components: Mapping[str, Decimal]
    facts: Mapping[str, str | int | float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogChunk:
    """A piece of a stream: `data` begins at byte `offset`; read on at `next_offset`.

    `ended`: no byte will ever follow. `truncated`: the size cap cut the stream at its end.
    """

    data: bytes
    offset: int
    next_offset: int
    ended: bool
    truncated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """Units in service, and free at this moment. `online` False: nothing may be started now.

    draining: what jobs, whosever, still hold on machines that are in service no more, and so in neither of the two.
    """

    at: datetime
    total: Resources
    free: Resources
    online: bool = True
    draining: Resources = field(default_factory=Resources)
    free_gpus: tuple[int, ...] = ()
    """Of each node that works the GPUs that are free, most first; empty: it does not tell of its nodes."""
    node_gpus: int = 0
    """GPUs of its largest node, where it tells."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What this backend is and can do; constant while the process lives."""

    name: str
    isolation: Isolation
    payloads: frozenset[type[Payload]]
    components: frozenset[str]
    """Every component that its accounting may contain."""
    settle_window_s: float
    """After a submission of unknown outcome: how long an absence must last before it proves anything."""
    accounting_lag_s: float
    """How long after an end the accounting may still lack the record."""
    features: frozenset[Feature] = frozenset()
    """What jobs may ask for here. Anything else is `Rejected('unsupported-<feature>')`."""
    choices: Mapping[Feature, frozenset[str]] = field(default_factory=dict)
    """The names that may be asked for with a feature, where the site has a list of them."""
    needs_identity: bool = False
    """Jobs run as their owner's own user of the site: a request without `identity` is `Rejected('no-identity')`."""
    look_ahead: int = 0
    """So many attempts may wait in the backend's own queue, so that it never idles between two of our cycles."""
    domestic: bool = False
    """It stands in Japan, as its settings say; nothing said is no. Of a quantum device its own word counts instead."""


@dataclass(frozen=True, slots=True)
class Health:
    """Whether the backend can do its work. `detail` is for operators."""

    ok: bool
    checked_at: datetime
    detail: str = ""
    clock_skew_s: float | None = None
    """The backend's clock minus ours; None: it does not tell."""
    accounting_backlog: int | None = None
    """Records that its accounting has still to be told; None: it does not tell."""


@runtime_checkable
class Backend(Protocol):
    """The port. One object per configured machine; safe for concurrent use within one event loop."""

    def capabilities(self) -> Capabilities:
        """No I/O."""

    async def capacity(self) -> Capacity:
        """Size and free units now."""

    async def submit(self, request: JobRequest) -> Ref:
        """Hand an attempt over.

        Returned: the backend has accepted it (not: it is durable, not: it has started).
        `Rejected`: nothing was created, and never will be.
        `Unavailable(maybe_done=False)`: nothing was created (also: no room now).
        `Unavailable(maybe_done=True)`: it may exist. Ask `find`.
        Repeated with the same attempt id: the same attempt; its user code still starts at most once.
        """

    async def find(self, attempt_id: UUID) -> Ref | None:
        """Look an attempt up by our id, in everything the backend remembers, ended ones included.

        None: it answered in full and does not know it. While a submission may still be in flight that proves nothing
        before `settle_window_s` has passed.
        """

    async def observe(self, refs: Sequence[Ref]) -> Sequence[Observation | Forgotten]:
        """State of many attempts in one call, in the order of `refs`.

        A `Forgotten` *value* (not raised) stands for an attempt that the backend does not know under this id and
        attempt id, after a full answer.
        """

    async def cancel(self, ref: Ref) -> None:
        """Ask that it end. Returned: the wish was taken, the end is only known by observation.

        Harmless when it has ended already. `Forgotten` is raised when the backend does not know it.
        """

    async def accounting(self, window: Window) -> Sequence[UsageRow]:
        """Every record that touches the window (running in it, or ended in it), each once, in any order."""

    async def logs(self, ref: Ref, stream: Stream, offset: int = 0, limit: int = 65_536) -> LogChunk:
        """Read a stream from a byte offset, at most `limit` bytes. Empty data without `ended`: nothing new yet.

        `Forgotten` is raised when there is no such attempt here.
        """

    async def health(self) -> Health:
        """Never raises: an unreachable backend is a Health that is not ok."""

    async def close(self) -> None:
        """Let go of connections. Jobs go on."""
