"""A function that runs as a job, as submitit's Job."""

from __future__ import annotations

from typing import Any

from kyoyo.errors import UsageError
from kyoyo.executor import outcome
from kyoyo.executor.errors import FailedJobError, ForgedResult, UncompletedJobError
from kyoyo.jobs import Job as PortalJob
from kyoyo.shims.words import state_of

LAST_LINES = 20


class Job:
    """One call. Inside `with executor.batch()` it has no id yet; asking for anything is a UsageError until the end."""

    def __init__(self, *, key: bytes | None = None, index: int = 0, pickled: bool = True) -> None:
        self._key, self._index, self._pickled = key, index, pickled
        self._job: PortalJob | None = None
        self._outcome: tuple[Any, Exception | None] | None = None

    def __repr__(self) -> str:
        return (
            f"Job(job_id={self._job.record.label!r}, state={self.state!r})" if self._job else "Job(not submitted yet)"
        )

    def _submitted(self, job: PortalJob, *, key: bytes, index: int) -> None:
        self._job, self._key, self._index = job, key, index

    @property
    def portal_job(self) -> PortalJob:
        """The job behind it, with its cost and its story. UsageError: not submitted yet."""
        if self._job is None:
            raise UsageError(key="wrong.in_batch")
        return self._job

    @property
    def job_id(self) -> str:
        """Its number, N_k for a task of an array."""
        return self.portal_job.record.label

    @property
    def task_id(self) -> int:
        """A job of ours is one task."""
        return 0

    @property
    def num_tasks(self) -> int:
        """A job of ours is one task."""
        return 1

    @property
    def state(self) -> str:
        """Slurm's word for its state, asked anew."""
        return state_of(self.portal_job.refresh())

    def done(self, *, force_check: bool = False) -> bool:  # noqa: ARG002  every check asks the portal
        """Whether it has ended for good."""
        return self._outcome is not None or self.portal_job.refresh().ended

    def wait(self) -> None:
        """Wait for its end."""
        if self._outcome is None:
            self.portal_job.wait()

    def cancel(self, *, check: bool = True) -> None:  # noqa: ARG002  a refusal is always raised
        """Wish it to end."""
        self.portal_job.cancel()

    def result(self) -> Any:
        """What the function returned. FailedJobError with its traceback; UncompletedJobError; ForgedResult."""
        value, error = self._ended()
        if error is not None:
            raise error
        return value

    def results(self) -> list[Any]:
        """The results of all tasks: of the one."""
        return [self.result()]

    def exception(self) -> Exception | None:
        """What result() would raise, or None."""
        return self._ended()[1]

    def stdout(self) -> str | None:
        """What it wrote so far; None before it starts."""
        return self._written("stdout")

    def stderr(self) -> str | None:
        """The same of its error stream."""
        return self._written("stderr")

    def _written(self, stream: str) -> str | None:
        text = "".join(self.portal_job.logs(stream=stream))
        return text if text or self.portal_job.refresh().started_at else None

    def _ended(self) -> tuple[Any, Exception | None]:
        if self._outcome is None:
            record = self.portal_job.wait()
            told = self.portal_job.result()
            self._outcome = self._read(told, state_of(record))
        return self._outcome

    def _read(self, left: object, state: str) -> tuple[Any, Exception | None]:
        kind = outcome.kind_of(left)
        if kind == outcome.ERROR:
            return None, FailedJobError(f"job {self.job_id}:\n{outcome.traceback_of(left)}")
        if kind != outcome.SUCCESS or state != "COMPLETED":
            return None, UncompletedJobError(f"job {self.job_id} is {state}\n{self._last_lines()}")
        try:
            key = self._key if self._pickled else None
            return outcome.value_of(left, job=self.job_id, key=key, index=self._index), None
        except ForgedResult as forged:
            return None, forged

    def _last_lines(self) -> str:
        return "\n".join((self.stderr() or "").splitlines()[-LAST_LINES:])
