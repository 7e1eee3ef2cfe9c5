"""Handles on quantum jobs with Qiskit's words. A handle may be made again in any later process from the job's id."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from qiskit.primitives import BasePrimitiveJob, PrimitiveResult
from qiskit.providers import JobStatus, JobV1
from qiskit.result import Result

from kyoyo.errors import Unavailable
from kyoyo.jobs import Job
from kyoyo.models import ENDED, Cost, Fields, JobRecord
from kyoyo.qiskit.decoding import Layout, circuits_result, primitive_result
from kyoyo.quantum.failures import failure_of

_STATUS: Mapping[str, JobStatus] = {
    "QUEUED": JobStatus.QUEUED,
    "DISPATCHING": JobStatus.QUEUED,
    "RUNNING": JobStatus.RUNNING,
    "CANCELLING": JobStatus.RUNNING,
    "SUCCEEDED": JobStatus.DONE,
    "CANCELLED": JobStatus.CANCELLED,
}


def status_of(record: JobRecord) -> JobStatus:
    """Qiskit's word for a state. One that this version does not know is not an end."""
    return _STATUS.get(record.state, JobStatus.ERROR if record.state in ENDED else JobStatus.RUNNING)


def usage_of(job: Job) -> Mapping[str, Decimal]:
    """What it has used as far as the portal knows: 'qpu_s', 'shot', 'session_s', 'sim_s'. Empty: nothing yet."""
    told = Fields(job.refresh().raw).inner("usage")
    return {name: told.needed_yen(name) for name in told.told}


def result_of(job: Job, timeout_s: float | None) -> object:
    """Wait for the end; what it left. JobFailed, TimeoutError, Unavailable('result-missing')."""
    record = job.wait(timeout_s=timeout_s)
    left = job.result()
    if not record.succeeded:
        raise failure_of(record, left)
    if left is None:
        raise Unavailable("result-missing", f"job {job.id} succeeded, and its result is not there")
    return left


class PrimitiveJob(BasePrimitiveJob):  # type: ignore[misc]  # Qiskit tells no types
    """One run of a Sampler or an Estimator, which is one job of the portal."""

    def __init__(self, job: Job) -> None:
        super().__init__(job.id)
        self.job = job

    def result(self, timeout: float | None = None) -> PrimitiveResult:
        """Wait for it, at most so many seconds. JobFailed, TimeoutError, Unavailable."""
        return primitive_result(result_of(self.job, timeout))

    def status(self) -> JobStatus:
        """Ask the portal."""
        return status_of(self.job.refresh())

    def done(self) -> bool:
        """Whether it succeeded."""
        return self.status() is JobStatus.DONE

    def running(self) -> bool:
        """Whether it runs."""
        return self.status() is JobStatus.RUNNING

    def cancelled(self) -> bool:
        """Whether it was cancelled."""
        return self.status() is JobStatus.CANCELLED

    def in_final_state(self) -> bool:
        """Whether it is over, however it ended."""
        return self.job.refresh().ended

    def cancel(self) -> None:
        """Wish it to end; what it used until then is charged."""
        self.job.cancel()

    def usage(self) -> Mapping[str, Decimal]:
        """QPU-seconds, shots and the like by component, as far as they are known."""
        return usage_of(self.job)

    def cost(self) -> Cost:
        """Promised at most, held, and charged once it is final."""
        return self.job.cost

    def wait_for_final_state(self, timeout: float | None = None) -> None:
        """Wait for its end, whatever it is. TimeoutError."""
        self.job.wait(timeout_s=timeout)

    def errored(self) -> bool:
        """Whether it failed."""
        return self.status() is JobStatus.ERROR

    def __repr__(self) -> str:
        return f"PrimitiveJob(id={self.job.id!r}, state={self.job.state!r})"


class CircuitJob(JobV1):  # type: ignore[misc]  # as above
    """What `backend.run` answers with."""

    def __init__(self, backend: Any, job: Job, layouts: Sequence[Layout]) -> None:
        super().__init__(backend, job.id)
        self.job = job
        self._layouts = layouts
        self._result: Result | None = None

    def submit(self) -> None:
        """Nothing: it was submitted before there was a handle."""

    def result(self, timeout: float | None = None) -> Result:
        """Counts and memory of each circuit, once it has ended. JobFailed, TimeoutError, Unavailable."""
        if self._result is None:
            left = result_of(self.job, timeout)
            self._result = circuits_result(left, self._layouts, backend=self.backend().name, job_id=self.job.id)
        return self._result

    def status(self) -> JobStatus:
        """Ask the portal."""
        return status_of(self.job.refresh())

    def cancel(self) -> bool:
        """Wish it to end."""
        self.job.cancel()
        return True

    def wait_for_final_state(
        self,
        timeout: float | None = None,
        wait: float = 0,  # noqa: ARG002  Qiskit's: the pace is ours
        callback: Callable[..., None] | None = None,
    ) -> None:
        """Wait for its end, whatever it is. TimeoutError."""
        self.job.wait(timeout_s=timeout)
        if callback is not None:
            callback(self.job.id, status_of(self.job.record), self)

    def usage(self) -> Mapping[str, Decimal]:
        """As of a primitive's job."""
        return usage_of(self.job)

    def cost(self) -> Cost:
        """As of a primitive's job."""
        return self.job.cost
