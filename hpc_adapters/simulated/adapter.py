"""The port over a simulated cluster, with the faults of the way between us and it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import NoReturn
from uuid import UUID

from hpc_adapters.contract import (
    Capabilities,
    Capacity,
    Circuit,
    Feature,
    Health,
    Isolation,
    JobRequest,
    LogChunk,
    Observation,
    Ref,
    Resources,
    Script,
    Seen,
    Stream,
    UsageRow,
    Window,
)
from hpc_adapters.errors import Forgotten, Rejected, Unavailable
from hpc_adapters.features import refuse_unoffered
from hpc_adapters.simulated import accounting
from hpc_adapters.simulated.behaviour import Behaviour, declared
from hpc_adapters.simulated.cluster import Cluster, Incarnation
from hpc_adapters.simulated.faults import RELIABLE, Answer, Delays, Faults

Clock = Callable[[], datetime]


class SimulatedBackend:
    """One object per connection; `reconnected()` gives another one to the same cluster, as after a restart of ours.

    `clock` is a `SimulatedClock` in tests and simulators, and may be a real one. Same seed, same calls at the same
    times: same answers. `cluster` is open to tests: its `truth`, `force_next`, `crash` and `reachable`.
    """

    def __init__(
        self,
        *,
        name: str,
        total: Resources,
        seed: int,
        clock: Clock,
        faults: Faults = RELIABLE,
        delays: Delays = Delays(),  # noqa: B008  frozen
        isolation: Isolation = Isolation.PER_ATTEMPT,
        behave: Callable[[JobRequest], Behaviour] = declared,
        cluster: Cluster | None = None,
        features: frozenset[Feature] = frozenset(),
        domestic: bool = False,
    ) -> None:
        """`features`: what it says that it offers; a simulated job is not changed by any. `domestic` may be changed."""
        self.name, self.domestic = name, domestic
        self._features = features
        self.cluster = cluster or Cluster(total=total, seed=seed, faults=faults, delays=delays, behave=behave)
        self._clock = clock
        self._isolation = isolation

    def reconnected(self) -> SimulatedBackend:
        return SimulatedBackend(
            name=self.name,
            total=self.cluster.total,
            seed=self.cluster.chance.seed,
            clock=self._clock,
            isolation=self._isolation,
            cluster=self.cluster,
            features=self._features,
            domestic=self.domestic,
        )

    def capabilities(self) -> Capabilities:
        qpu = {"qpu_s", "shot"} if self.cluster.total.qpus else set()
        return Capabilities(
            name=self.name,
            isolation=self._isolation,
            payloads=frozenset({Script, Circuit} if qpu else {Script}),
            components=frozenset({"gpu_s", "cpu_s"} | qpu),
            settle_window_s=self.cluster.delays.settle_s,
            accounting_lag_s=self.cluster.delays.accounting_lag_s,
            features=self._features,
            domestic=self.domestic,
        )

    async def capacity(self) -> Capacity:
        now = self._arrive()
        return Capacity(at=now, total=self.cluster.total, free=self.cluster.unclaimed())

    async def submit(self, request: JobRequest) -> Ref:
        now = self._arrive()
        if (known := self.cluster.known(request.attempt_id)) is not None:
            return self._ref(known)
        self._refuse_what_never_fits(request)
        fate = self.cluster.fate_of_next_submission(request.attempt_id)
        if fate.answer is Answer.LOST_REQUEST:
            _silence()
        if not request.resources.fits(self.cluster.unclaimed()):
            raise Unavailable("no-room", maybe_done=False)
        self.cluster.accept(request, fate, now)
        accepted = self.cluster.known(request.attempt_id)
        if fate.answer is not Answer.GIVEN or accepted is None:
            _silence()
        return self._ref(accepted)

    async def find(self, attempt_id: UUID) -> Ref | None:
        self._arrive()
        known = self.cluster.known(attempt_id)
        return None if known is None else self._ref(known)

    async def observe(self, refs: Sequence[Ref]) -> Sequence[Observation | Forgotten]:
        now = self._arrive()
        return [self._observation(ref, now) for ref in refs]

    async def cancel(self, ref: Ref) -> None:
        now = self._arrive()
        self._known(ref)
        for job in self.cluster.incarnations(ref.attempt_id):
            self.cluster.cancel(job, now)
        if self._chance("cancel answer", ref, self.cluster.faults.lost_cancel_answer):
            _silence()

    async def accounting(self, window: Window) -> Sequence[UsageRow]:
        now = self._arrive()
        return list(accounting.rows(self.cluster, window, now))

    async def logs(self, ref: Ref, stream: Stream, offset: int = 0, limit: int = 65_536) -> LogChunk:
        self._arrive()
        job = self._known(ref)
        written = _written(job, stream)
        data = written[offset : offset + limit]
        end = offset + len(data)
        return LogChunk(
            data=data, offset=offset, next_offset=end, ended=job.ended_at is not None and end >= len(written)
        )

    async def health(self) -> Health:
        up = self.cluster.reachable and not self.cluster.burst_left
        return Health(ok=up, checked_at=self._clock(), detail="" if up else "connection refused")

    async def close(self) -> None:
        """Nothing to let go of; the cluster lives on."""

    # -- one's own affairs --------------------------------------------------------------------------------------------

    def _arrive(self) -> datetime:
        """Let the cluster's time pass, and perhaps find its door shut. Nothing has been asked of it yet."""
        now = self._clock()
        cluster = self.cluster
        cluster.catch_up(now)
        call = next(cluster.calls)
        if cluster.burst_left:
            cluster.burst_left -= 1
        elif cluster.chance.happens(cluster.faults.flapping, "flap", call):
            cluster.burst_left = cluster.faults.flapping_calls - 1
        elif cluster.reachable:
            return now
        raise Unavailable("connection-refused", maybe_done=False)

    def _refuse_what_never_fits(self, request: JobRequest) -> None:
        if type(request.payload) not in self.capabilities().payloads:
            raise Rejected("unsupported-payload", payload=type(request.payload).__name__.lower())
        refuse_unoffered(request, self.capabilities())
        for unit in ("gpus", "cpus", "memory_mb", "qpus"):
            asked, limit = getattr(request.resources, unit), getattr(self.cluster.total, unit)
            if asked > limit:
                raise Rejected("too-large", unit=unit, asked=asked, limit=limit)
        if self._isolation is Isolation.SINGLE_TENANT:
            tenants = {jobs[0].request.tenant for jobs in self.cluster.by_attempt.values()}
            if tenants - {request.tenant}:
                raise Rejected("single-tenant-backend")

    def _ref(self, job: Incarnation) -> Ref:
        return Ref(self.name, job.request.attempt_id, job.native_id)

    def _known(self, ref: Ref) -> Incarnation:
        """The native id is only believed when it belongs to the attempt: ids are given away again here."""
        natives = {job.native_id for job in self.cluster.incarnations(ref.attempt_id)}
        known = self.cluster.known(ref.attempt_id)
        if known is None or ref.native_id not in natives or ref.backend != self.name:
            raise Forgotten(ref.attempt_id)
        return known

    def _observation(self, ref: Ref, now: datetime) -> Observation | Forgotten:
        try:
            job = self._known(ref)
        except Forgotten as forgotten:
            return forgotten
        faults = self.cluster.faults
        if self._chance("unknown state", ref, faults.unknown_state):
            return Observation(ref=self._ref(job), seen=Seen.UNKNOWN, observed_at=now, detail="unreadable-state")
        if job.told and self._chance("stale status", ref, faults.stale_status):
            which = self.cluster.chance.of("which", next(self.cluster.calls), ref.attempt_id)
            return job.told[int(which * len(job.told))]
        seen = _seen_now(job, self._ref(job), now)
        if not job.told or job.told[-1].seen is not seen.seen:
            job.told.append(seen)
        return seen

    def _chance(self, what: str, ref: Ref, probability: float) -> bool:
        return self.cluster.chance.happens(probability, what, next(self.cluster.calls), ref.attempt_id)


def _silence() -> NoReturn:
    raise Unavailable("no-answer", maybe_done=True)


def _seen_now(job: Incarnation, ref: Ref, now: datetime) -> Observation:
    return Observation(
        ref=ref,
        seen=job.seen,
        observed_at=now,
        started_at=job.started_at if job.passed_gate else None,
        ended_at=job.ended_at,
        exit_code=job.exit_code,
        detail="" if job.ending is None else job.ending.value.replace("_", "-"),
    )


def _written(job: Incarnation, stream: Stream) -> bytes:
    """The stream as far as it is written: the end of the text comes when the code ends by itself."""
    by_itself = job.ending in {Seen.SUCCEEDED, Seen.FAILED}
    match stream:
        case Stream.STDOUT:
            return ("started\n" * job.passed_gate + job.behaviour.stdout * by_itself).encode()
        case Stream.STDERR:
            return (job.behaviour.stderr * by_itself).encode()
        case Stream.RESULT:
            left = job.behaviour.result if by_itself else None
            return b"" if left is None else json.dumps(left).encode()
