"""Sessions: a device held for the circuits of one program. Each is a job of its own with a quote, a hold and a bill.

Open is a submitted session job that runs, closed is that job cancelled or ended. Nothing here keeps one open: a program
that dies leaves it idle, and the portal closes it after `idle_s`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar, Token
from dataclasses import dataclass
from decimal import Decimal
from types import TracebackType
from typing import Any, Self

from kyoyo.errors import NotFound, Refused
from kyoyo.jobs import NOT_STARTED, Job
from kyoyo.models import Cost
from kyoyo.qiskit.backend import KyoyoBackend
from kyoyo.qiskit.jobs import usage_of
from kyoyo.quantum.errors import SessionOver
from kyoyo.script import walltime_s
from kyoyo.spec import Choices, SessionWish, spec_of_session

MAX_TIME_S = 600
IDLE_S = 60
_OVER = "session-over"
_active: ContextVar[Session | None] = ContextVar("kyoyo_session", default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionUsage:
    """`session_s`: wall time that it was open; `qpu_s`, `shots`: of the jobs that this object has sent."""

    session_s: Decimal
    qpu_s: Decimal
    shots: Decimal
    jobs: int


class Session:
    """A device for this program alone, from its opening to `close()`, `idle_s` without work, or `max_time`.

    It is asked for at the first run or on entering `with`, and a run waits until it is open. `max_time`: seconds, or
    words such as "30m", at first ten minutes; the quote is for that long. `idle_s`: at first a minute. Both are less
    where the offering sells less. `max_cost_yen`: the portal refuses it when its ceiling with tax
    lies above.
    """

    dedicated = True

    def __init__(
        self,
        backend: KyoyoBackend,
        *,
        max_time: int | str | None = None,
        idle_s: int | None = None,
        max_cost_yen: int | None = None,
        name: str | None = None,
        project: str | None = None,
    ) -> None:
        self.backend = backend
        sale = backend.device.sale
        longest, idlest = (sale.max_session_s, sale.max_session_idle_s) if sale else (0, 0)
        said = walltime_s(max_time) if isinstance(max_time, str) else max_time
        self._limit_s = min(MAX_TIME_S, longest or MAX_TIME_S) if said is None else said
        self._wish = SessionWish(
            idle_s=min(IDLE_S, idlest or IDLE_S) if idle_s is None else idle_s, dedicated=self.dedicated
        )
        self._max_cost_yen = max_cost_yen
        self._choices = Choices(name=name, offering=backend.device.offering, project=project, walltime_s=self._limit_s)
        self._job: Job | None = None
        self._sent: list[Job] = []
        self._token: Token[Session | None] | None = None

    @classmethod
    def from_id(cls, session_id: str, service: Any) -> Self:
        """The handle on a session that another process has opened. NotFound."""
        job = service.client.job(session_id)
        session = cls(service.backend(job.record.offering))
        session._job = job
        return session

    def __enter__(self) -> Self:
        self.open()
        self._token = _active.set(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._token is not None:
            _active.reset(self._token)
            self._token = None
        self.close() if kind is None else self.cancel()

    def open(self) -> Job:
        """Ask for it, once; the job that is the session. It is open when that runs. Refused and the like."""
        if self._job is None:
            name = type(self).__name__.lower()
            spec = spec_of_session(self._wish, name=name, choices=self._choices)
            self._job = self.backend.client.submit(spec, max_cost_yen=self._max_cost_yen)
        return self._job

    @property
    def session_id(self) -> str | None:
        """Id of its job; None: not asked for yet."""
        return None if self._job is None else self._job.id

    def status(self) -> str:
        """State of its job: QUEUED while it waits, RUNNING while it is open. CLOSED: it was never asked for."""
        return "CLOSED" if self._job is None else self._job.refresh().state

    def wait_open(self, timeout: float | None = None) -> None:
        """Wait until it is open. SessionOver, TimeoutError."""
        job = self.open()
        record = job.wait_started(timeout_s=timeout) if job.state in NOT_STARTED else job.refresh()
        if record.ended or record.state == "CANCELLING":
            raise SessionOver(language=self.backend.client.language, session=job.id, state=record.state)

    def run(self, send: Callable[[str], Job]) -> Job:
        """Send a job into it; `send` gets its id. SessionOver."""
        self.wait_open()
        session = self.open()
        try:
            job = send(session.id)
        except Refused as refused:
            if refused.code != _OVER:
                raise
            language = self.backend.client.language
            raise SessionOver(language=language, session=session.id, state=refused.code) from refused
        self._sent.append(job)
        return job

    def close(self) -> None:
        """Wait for what was sent, then let go of the device. Again is harmless."""
        if self._job is None or self._job.record.ended:
            return
        for job in self._sent:
            job.wait()
        self._let_go(self._job)

    def cancel(self) -> None:
        """Let go of it at once, and cancel what was sent."""
        for job in (*self._sent, self._job):
            if job is not None:
                self._let_go(job)

    @staticmethod
    def _let_go(job: Job) -> None:
        with suppress(Refused, NotFound):  # it may have ended by itself meanwhile
            job.cancel()

    def usage(self) -> SessionUsage:
        """What it and its jobs have used, as far as the portal knows."""
        own = {} if self._job is None else usage_of(self._job)
        inner = [usage_of(job) for job in self._sent]
        zero = Decimal(0)
        return SessionUsage(
            session_s=own.get("session_s", zero),
            qpu_s=sum((each.get("qpu_s", zero) for each in inner), zero),
            shots=sum((each.get("shot", zero) for each in inner), zero),
            jobs=len(self._sent),
        )

    def cost(self) -> Cost:
        """Money of the session itself, without that of its jobs."""
        return self.open().cost


class Batch(Session):
    """Jobs that belong together, on a device that others may use between them."""

    dedicated = False


def active_session() -> Session | None:
    """The session whose `with` block this is in."""
    return _active.get()
