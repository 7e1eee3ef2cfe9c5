"""One customer's world at a pretended IBM Quantum: jobs on one serial device that Aer simulates, sessions, usage.

Seen only through `ibm_stub`, which speaks HTTP for it. A job holds the device for `base_s` and `shot_s` for each
execution, then its circuits run on Aer, whatever was cancelled or failed on purpose meanwhile.
"""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import qiskit_ibm_runtime
from qiskit.primitives.containers.estimator_pub import EstimatorPub
from qiskit.primitives.containers.sampler_pub import SamplerPub
from qiskit_aer.primitives import EstimatorV2, SamplerV2
from qiskit_ibm_runtime.json import RuntimeDecoder, RuntimeEncoder

from infra.clock import utc_now

DEVICE = "ibm_kyoyo"
LIVE = ("Queued", "Running")
_RECORDED = Path(qiskit_ibm_runtime.__file__).parent / "fake_provider" / "backends" / "manila"


def now() -> float:
    return utc_now().timestamp()


def utc(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")


def device_configuration() -> dict[str, Any]:
    told: dict[str, Any] = json.loads((_RECORDED / "conf_manila.json").read_text())
    return told | {"backend_name": DEVICE}


def device_properties() -> dict[str, Any]:
    told: dict[str, Any] = json.loads((_RECORDED / "props_manila.json").read_text())
    return told | {"backend_name": DEVICE}


@dataclass
class Job:
    """As the vendor keeps it."""

    id: str
    program: str
    params: dict[str, Any]
    tags: list[str]
    cost: int | None
    session: str | None
    created: float
    status: str = "Queued"
    reason: str | None = None
    reason_code: int | None = None
    running: float | None = None
    finished: float | None = None
    result: str | None = None
    usage_s: float = 0.0
    usage_final: bool = False
    hidden_until: float = 0.0

    def end(self, status: str, *, reason: str | None = None, code: int | None = None) -> None:
        self.finished = now()
        self.status, self.reason, self.reason_code = status, reason, code
        if self.running is not None:
            self.usage_s = round(self.finished - self.running, 6)

    def told(self) -> dict[str, Any]:
        """GET /jobs/ID without its parameters."""
        state = {"status": self.status, "reason": self.reason, "reason_code": self.reason_code}
        return {
            "id": self.id,
            "backend": DEVICE,
            "state": {name: value for name, value in state.items() if value is not None},
            "status": self.status,
            "program": {"id": self.program},
            "created": utc(self.created),
            "tags": self.tags,
            "cost": self.cost,
            "session_id": self.session,
            "estimated_running_time_seconds": 1.0,
        }

    def asked(self) -> dict[str, Any]:
        """What it was asked for beside its PUBs."""
        return {"asked": {name: value for name, value in self.params.items() if name != "pubs"}}

    def metrics(self) -> dict[str, Any]:
        stamps = {"created": self.created, "running": self.running, "finished": self.finished}
        usage = {"status": "final" if self.usage_final else "pending", "qpu_charge_time_seconds": self.usage_s}
        return {
            "timestamps": {name: None if at is None else utc(at) for name, at in stamps.items()},
            "usage": usage,
            "num_circuits": len(self.params.get("pubs", [])),
        }


@dataclass
class Session:
    """A session, or a batch."""

    id: str
    mode: str
    max_ttl: int
    created: float
    accepting: bool = True
    activated: float | None = None
    last_started: float | None = None
    last_completed: float | None = None
    closed: float | None = None

    def told(self) -> dict[str, Any]:
        stamps = {
            "started_at": self.activated,
            "activated_at": self.activated,
            "closed_at": self.closed,
            "last_job_started": self.last_started,
            "last_job_completed": self.last_completed,
        }
        state = "closed" if self.closed else "active" if self.activated else "open"
        used = 0.0 if self.activated is None else (self.closed or now()) - self.activated
        return {
            "id": self.id,
            "backend_name": DEVICE,
            "mode": self.mode,
            "max_ttl": self.max_ttl,
            "interactive_ttl": 60,
            "active_ttl": self.max_ttl,
            "state": state,
            "accepting_jobs": self.accepting and not self.closed,
            "elapsed_time": round(used, 3),
            **{name: None if at is None else utc(at) for name, at in stamps.items()},
        }


@dataclass
class World:
    """All that one instance (CRN) has. Its own thread runs the jobs, one after the other."""

    base_s: float = 0.02
    shot_s: float = 0.001
    failing_shots: dict[int, tuple[int, str]] = field(default_factory=dict)
    """Jobs of so many executions fail with this code and reason."""
    usage_waits: bool = False
    """Usage stays pending after the end."""
    listing_delay_s: float = 0.0
    """A new job is not in the list for so long."""
    listing_twice: bool = False
    operational: bool = True
    out_of_time: bool = False
    jobs: dict[str, Job] = field(default_factory=dict)
    sessions: dict[str, Session] = field(default_factory=dict)
    starts: dict[str, int] = field(default_factory=dict)
    """How often a job of this tag reached the device."""
    lock: threading.RLock = field(default_factory=threading.RLock)
    numbers: Any = field(default_factory=lambda: count(1))
    closed: bool = False

    def run(self) -> None:
        """Until the world is closed."""
        while not self.closed:
            with self.lock:
                self._expire()
                job = next((each for each in self._in_line() if each.status == "Queued"), None)
                if job is not None:
                    self._begin(job)
            if job is None:
                time.sleep(0.01)
            else:
                self._hold(job)

    def _in_line(self) -> list[Job]:
        """Jobs of an active session first."""
        active = {each.id for each in self.sessions.values() if each.activated and not each.closed}
        return sorted(self.jobs.values(), key=lambda job: (job.session not in active, job.created, job.id))

    def _begin(self, job: Job) -> None:
        job.status, job.running = "Running", now()
        for tag in job.tags:
            self.starts[tag] = self.starts.get(tag, 0) + 1
        session = self.sessions.get(job.session or "")
        if session is not None:
            session.activated = session.activated or job.running
            session.last_started = job.running

    def _hold(self, job: Job) -> None:
        assert job.running is not None
        executions = executions_of(job)
        until = job.running + self.base_s + self.shot_s * executions
        cut = until if job.cost is None else min(until, job.running + job.cost)
        while now() < cut and job.status == "Running" and job.id in self.jobs:
            time.sleep(0.01)
        failure = self.failing_shots.get(executions)
        result, wrong = None, None
        if failure is None and cut == until and job.status == "Running":
            try:
                result = simulate(job)
            except Exception as error:  # noqa: BLE001  the vendor's container would have failed, too
                wrong = f"{type(error).__name__}: {error}"
        with self.lock:
            self._finish(job, result=result, failure=failure or (wrong and (5203, wrong)) or None, cut=cut < until)

    def _finish(self, job: Job, *, result: str | None, failure: tuple[int, str] | None, cut: bool) -> None:
        if job.status == "Running":
            if failure is not None:
                job.end("Failed", code=failure[0], reason=failure[1])
            elif cut:
                job.end("Cancelled", code=1305, reason="Job ran longer than maximum execution time.")
            else:
                job.result = result
                job.end("Completed")
        elif job.finished is None:
            job.finished = now()
        job.usage_final = not self.usage_waits
        session = self.sessions.get(job.session or "")
        if session is not None:
            session.last_completed = job.finished

    def _expire(self) -> None:
        for session in self.sessions.values():
            if session.activated and not session.closed and now() > session.activated + session.max_ttl:
                self.close_session(session.id)
            elif not session.accepting and not session.closed and not self._live_in(session.id):
                session.closed = now()

    def _live_in(self, session_id: str) -> list[Job]:
        return [job for job in self.jobs.values() if job.session == session_id and job.status in LIVE]

    # -- what the API does ----------------------------------------------------------------------------------------

    def create_job(self, asked: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        session = self.sessions.get(asked.get("session_id") or "")
        if asked.get("session_id") and (session is None or session.closed or not session.accepting):
            return 400, problem(1217, "Session has been closed.")
        if asked.get("backend") != DEVICE:
            return 404, problem(1007, "Backend not found.")
        job = Job(
            id=f"job{next(self.numbers):06d}",
            program=asked["program_id"],
            params=asked["params"],
            tags=list(asked.get("tags", [])),
            cost=asked.get("cost"),
            session=asked.get("session_id"),
            created=now(),
            hidden_until=now() + self.listing_delay_s,
        )
        with self.lock:
            self.jobs[job.id] = job
        return 200, {"id": job.id, "backend": DEVICE}

    def list_jobs(self, query: dict[str, list[str]]) -> dict[str, Any]:
        def first(name: str, otherwise: str = "") -> str:
            return query.get(name, [otherwise])[0]

        wanted = set(query.get("tags", []))
        found = [job for job in self.jobs.values() if wanted <= set(job.tags) and now() >= job.hidden_until]
        if "pending" in query:
            found = [job for job in found if (job.status in LIVE) == (first("pending") == "true")]
        for name, keep in _BY_TIME.items():
            if name in query:
                limit = datetime.fromisoformat(first(name)).timestamp()
                found = [job for job in found if keep(job.created, limit)]
        found.sort(key=lambda job: (job.created, job.id), reverse=first("sort") != "ASC")
        if self.listing_twice:
            found = [job for job in found for _ in range(2)]
        offset, limit_n = int(first("offset", "0")), int(first("limit", "200"))
        page = found[offset : offset + limit_n]
        return {"jobs": [job.told() for job in page], "count": len(found), "limit": limit_n, "offset": offset}

    def cancel(self, job: Job, *, reason: str | None = None, code: int | None = None) -> int:
        with self.lock:
            if job.status not in LIVE:
                return 409
            job.end("Cancelled", reason=reason, code=code)
            job.usage_final = not self.usage_waits
            return 204

    def fail(self, job: Job, *, code: int, reason: str) -> None:
        with self.lock:
            job.end("Failed", code=code, reason=reason)
            job.usage_final = not self.usage_waits

    def create_session(self, asked: dict[str, Any]) -> dict[str, Any]:
        session = Session(
            id=f"session{next(self.numbers):04d}",
            mode=asked.get("mode", "dedicated"),
            max_ttl=int(asked.get("max_ttl") or 28_800),
            created=now(),
        )
        with self.lock:
            self.sessions[session.id] = session
        return session.told()

    def close_session(self, session_id: str) -> None:
        """At once: what waits or runs in it ends."""
        with self.lock:
            session = self.sessions[session_id]
            session.accepting = False
            session.closed = session.closed or now()
            for job in self._live_in(session_id):
                self.cancel(job, reason="Job is part of a session that's been closed", code=4001)


_BY_TIME: dict[str, Callable[[float, float], bool]] = {
    "created_after": lambda created, limit: created >= limit,
    "created_before": lambda created, limit: created <= limit,
}


def problem(code: int, message: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": message}, "errors": [{"code": code, "message": message}]}


def executions_of(job: Job) -> int:
    """Shots of all PUBs; an estimator's precision is turned into shots, as qiskit does."""
    total = 0
    for pub in job.params.get("pubs", []):
        last = pub[-1]
        total += int(last or 1024) if job.program == "sampler" else math.ceil(1 / (last or 0.015625) ** 2 - 1e-9)
    return total


def simulate(job: Job) -> str:
    """The result as the vendor writes it."""
    params = json.loads(json.dumps(job.params), cls=RuntimeDecoder)
    if job.program == "sampler":
        sampled = [
            SamplerPub.coerce((circuit, _values(circuit, values), shots)) for circuit, values, shots in params["pubs"]
        ]
        outcome: Any = SamplerV2(seed=1).run(sampled).result()
    else:
        estimated = [
            EstimatorPub.coerce((circuit, observables, _values(circuit, values), precision))
            for circuit, observables, values, precision in params["pubs"]
        ]
        outcome = EstimatorV2().run(estimated).result()
    return json.dumps(outcome, cls=RuntimeEncoder)


def _values(circuit: Any, values: Any) -> Any:
    return values if circuit.num_parameters else None
