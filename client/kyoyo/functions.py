"""Functions that run as jobs with a QPU: `hybrid_job`, and the job that each call of one is.

@kyoyo.hybrid_job(gpus=1, qpu="qpu-demo", calls=50, shots=50_000, max_cost=30_000)
def vqe(session):
    ...
    return energy

print(vqe().result())
"""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Callable, Mapping
from dataclasses import fields
from decimal import Decimal
from types import ModuleType
from typing import Any, Self

from kyoyo import calling
from kyoyo import rounds as within
from kyoyo.client import Client
from kyoyo.errors import Unavailable, UsageError
from kyoyo.executor import outcome, payload
from kyoyo.executor.delayed import DelayedSubmission
from kyoyo.executor.errors import FailedJobError, UncompletedJobError
from kyoyo.hybrid import HybridJob, Phase, Repeat
from kyoyo.jobs import Job
from kyoyo.quantum.failures import failure_of
from kyoyo.script.times import seconds_of
from kyoyo.spec import JobSpec, QpuBeside
from kyoyo.texts import Texts, language_of

PROPOSE, MEASURE = "propose", "measure"
_PYTHON = "/usr/bin/env python3"
_KEY_BYTES = 32


class FunctionJob(Job):
    """The job of one call. As any other, but its result is what the function returned."""

    _key: bytes | None = None

    @classmethod
    def of(cls, job: Job, *, key: bytes | None = None) -> Self:
        """The same job. key: of its submission, without which no pickled value is read."""
        made = cls(job._transport, job.record)  # noqa: SLF001  our own base class
        made._key = key
        return made

    def result(self, *, timeout_s: float | None = None) -> Any:
        """What the function returned; of a loop, the value of its Done. Waits for the end, at most so many seconds.

        FailedJobError: the function raised, with its traceback. JobFailed: the job did not succeed, and why.
        UncompletedJobError: all rounds are used, without a Done. UsageError: the value is pickled, and was submitted by
        another process. ForgedResult, TimeoutError, Unavailable.
        """
        record = self.wait(timeout_s=timeout_s)
        left, texts = self.left(), Texts(language_of(os.environ))
        kind = outcome.kind_of(left)
        if kind == outcome.ERROR:
            raise FailedJobError(f"job {record.handle}:\n{outcome.traceback_of(left)}")
        if not record.succeeded:
            raise failure_of(record, left)
        if left is None:
            raise Unavailable("result-missing", f"job {record.handle} succeeded, and its result is not there")
        if kind != outcome.SUCCESS:
            raise UncompletedJobError(texts("wrong.no_done", job=record.handle))
        if self._key is None and outcome.is_pickled(left):
            raise UsageError(key="wrong.value_elsewhere", job=record.handle)
        return outcome.value_of(left, job=record.handle, key=self._key)

    def left(self) -> object:
        """The JSON that the job left, as it is; None while there is none."""
        return super().result()


class JobFunction:
    """A function that runs as a job. Calling it submits it.

    specified: makes the job of the function, of the key by which a pickled value is sealed, and of what was said.
    """

    def __init__(self, function: Callable[..., Any], specified: Callable[..., JobSpec], **said: Any) -> None:
        self.function = function
        self._specified = specified
        self._said = said

    def __call__(self, *, client: Client | None = None, **changed: Any) -> FunctionJob:
        """Submit it. `changed`: anything that the decorator takes."""
        key = secrets.token_bytes(_KEY_BYTES)
        return FunctionJob.of((client or Client()).submit(self._spec(key, changed)), key=key)

    def spec(self, **changed: Any) -> JobSpec:
        """What would be submitted."""
        return self._spec(secrets.token_bytes(_KEY_BYTES), changed)

    def job(self, job: str | int, *, client: Client | None = None) -> FunctionJob:
        """A call of any earlier process, by its job's number or id. NotFound."""
        return FunctionJob.of((client or Client()).job(job))

    def _spec(self, key: bytes, changed: Mapping[str, Any]) -> JobSpec:
        name = getattr(self.function, "__name__", None) or type(self.function).__name__
        return self._specified(self.function, key, **{"name": name, **self._said, **changed})


def _loop(
    function: Callable[..., Any],
    key: bytes,
    *,
    gpus: int,
    qpu: str | None,
    shots: int,
    rounds: int,
    time: str | int,
    gpu_offering: str | None,
    python: str,
    **more: Any,
) -> HybridJob:
    """A propose function as a loop of GPU and QPU phases."""
    call = DelayedSubmission(within.one_round, function, PROPOSE, MEASURE)
    script = _script(call, function, within, key=key, python=python)
    return HybridJob(
        phases=(
            Phase.gpu(script, name=PROPOSE, gpus=gpus, time=time, offering=gpu_offering),
            Phase.qpu(name=MEASURE, program_from=within.PROGRAM, shots=shots, time=time, offering=qpu),
        ),
        repeat=Repeat(PROPOSE, MEASURE, rounds),
        **more,
    )


def _caller(
    function: Callable[..., Any],
    key: bytes,
    *,
    gpus: int,
    qpu: str | None,
    time: str | int,
    gpu_offering: str | None,
    python: str,
    **more: Any,
) -> JobSpec:
    """A function that calls a QPU while it runs."""
    if qpu is None:
        raise UsageError(key="wrong.qpu_unnamed")
    beside = {each.name: more.pop(each.name) for each in fields(QpuBeside) if each.name in more}
    return JobSpec(
        kind="batch",
        body=_script(DelayedSubmission(calling.with_session, function), function, calling, key=key, python=python),
        walltime_s=seconds_of(time),
        offering=gpu_offering,
        gpus=gpus,
        qpu=QpuBeside(offering=qpu, **beside),
        **more,
    )


def _script(call: DelayedSubmission, function: object, ours: ModuleType, *, key: bytes, python: str) -> str:
    """The call by value, with its own module and ours, which need not be where the job runs."""
    own = sys.modules.get(getattr(function, "__module__", ""))
    by_value = (ours,) if own is None or own.__name__ == "__main__" else (ours, own)
    return payload.script_of([payload.dumped(call, by_value)], key=key, signal=None, pickled=True, python=python)


def hybrid_job(
    *,
    shots: int,
    gpus: int = 1,
    qpu: str | None = None,
    rounds: int = 30,
    calls: int | None = None,
    max_cost: Decimal | int | None = None,
    time: str | int = "10:00",
    gpu_offering: str | None = None,
    python: str = _PYTHON,
    **more: Any,
) -> Callable[[Callable[..., Any] | type], Any]:
    """Make a loop of a function propose(state, result) -> (state, program), or of a class with such a method.

        @kyoyo.hybrid_job(gpus=1, qpu="qpu-demo", shots=27_000, max_cost=30_000)
        def vqe(state, result):
            ...
            return state, circuit        # or: return state, kyoyo.Done(energy)

        print(vqe().result())            # waits: the energy, or the job's error

    shots: executions of one round at most. qpu: a quantum offering. max_cost: yen with tax, for all rounds together.

    With `calls` it is one job that keeps its GPU and calls the QPU while it runs, so many times at most; shots are then
    those of all calls, and the function is given the session (kyoyo.QpuSession):

        @kyoyo.hybrid_job(gpus=1, qpu="qpu-demo", calls=50, shots=50_000, max_cost=30_000)
        def vqe(session):
            ...
            return session.run(circuit, shots=1_000)["counts"]
    """
    said = {"gpus": gpus, "qpu": qpu, "shots": shots, "max_cost": max_cost, "time": time, "python": python, **more}

    def made(what: Callable[..., Any] | type) -> JobFunction:
        if calls is not None:
            return JobFunction(what, _caller, calls=calls, gpu_offering=gpu_offering, **said)
        propose = what().propose if isinstance(what, type) else what
        return JobFunction(propose, _loop, rounds=rounds, gpu_offering=gpu_offering, **said)

    return made
