"""AutoExecutor: submit functions as jobs of the portal."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from kyoyo.client import Client
from kyoyo.errors import UsageError
from kyoyo.executor import payload, sealing
from kyoyo.executor.delayed import DelayedSubmission, is_checkpointable
from kyoyo.executor.job import Job
from kyoyo.executor.parameters import ATTEMPTS, SIGNAL, Parameters, parameters_of
from kyoyo.script import Directives, over
from kyoyo.script.arrays import Array
from kyoyo.script.relations import SignalWish
from kyoyo.spec import Choices, JobSpec, spec_of_text


class AutoExecutor:
    """With submitit's surface: a program changes its import, and its functions run behind the portal.

        executor = kyoyo.AutoExecutor("runs")
        executor.update_parameters(timeout_min=60, slurm_partition="gpu", gpus_per_node=1, slurm_array_parallelism=4)
        jobs = executor.map_array(train, learning_rates)
        print([job.result() for job in jobs])

    `folder` keeps the key that our pickled results are known by (mode 0600) and what is needed to find them again; see
    `kyoyo.executor.sealing` for what that protects from. Functions of `__main__` travel by value; those of other
    modules by name, unless the module is in `by_value`. The job needs the same Python version, and of a site's software
    only what the function itself imports. A function runs once, on the first node.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        client: Client | None = None,
        by_value: Sequence[ModuleType] = (),
        pickled_results: bool = True,
    ) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            self._master = sealing.master_key(self.folder)
        except (OSError, ValueError) as wrong:
            raise UsageError(key="wrong.executor_key", path=wrong) from wrong
        self._client = client
        self._by_value = tuple(by_value)
        self._pickled = pickled_results
        self._said: dict[str, object] = {}
        self._batch: list[tuple[DelayedSubmission, Job]] | None = None

    @property
    def client(self) -> Client:
        """The one that was given, or one for the login in force."""
        if self._client is None:
            self._client = Client()
        return self._client

    @property
    def parameters(self) -> dict[str, object]:
        """What was said so far."""
        return dict(self._said)

    def update_parameters(self, **said: object) -> None:
        """Take submitit's parameters, with or without `slurm_`, and any option of sbatch. UsageError names a wrong one.

        Of ours: max_cost_yen, max_attempts, environment, secrets, python (what stands after `#!`).
        """
        parameters_of(together := {**self._said, **said})
        self._said = together

    def submit(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Job:
        """Submit one call."""
        [job] = self._take([DelayedSubmission(function, *args, **kwargs)])
        return job

    def map_array(self, function: Callable[..., Any], *iterables: Iterable[Any]) -> list[Job]:
        """One call for each set of arguments, as one array: all of it is accepted, or nothing."""
        return self._take([DelayedSubmission(function, *args) for args in zip(*iterables, strict=False)])

    def submit_array(self, functions: Sequence[Callable[[], Any]]) -> list[Job]:
        """The same for functions without arguments."""
        return self._take([DelayedSubmission(function) for function in functions])

    @contextmanager
    def batch(self, *, allow_implicit_submissions: bool = False) -> Iterator[None]:  # noqa: ARG002  submitit's
        """Everything submitted inside becomes one array at the end; after an exception nothing is submitted."""
        if self._batch is not None:
            raise UsageError(key="wrong.batch_in_batch")
        self._batch = []
        try:
            yield
            collected = self._batch
        finally:
            self._batch = None
        if collected:
            self._send([call for call, _ in collected], [job for _, job in collected])

    def job(self, job_id: str | int) -> Job:
        """A job of this folder that was submitted earlier, even by another process. UsageError: it is none."""
        found = self.client.job(job_id)
        path = self.folder / f"{found.id}.json"
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as none:
            raise UsageError(key="wrong.not_executors", job=job_id, folder=self.folder) from none
        job = Job(pickled=self._pickled)
        job._submitted(found, key=sealing.submission_key(self._master, told["nonce"]), index=told["index"])  # noqa: SLF001
        return job

    def _take(self, calls: Sequence[DelayedSubmission]) -> list[Job]:
        jobs = [Job(pickled=self._pickled) for _ in calls]
        if self._batch is not None:
            self._batch += zip(calls, jobs, strict=True)
        elif calls:
            self._send(calls, jobs)
        return jobs

    def _send(self, calls: Sequence[DelayedSubmission], jobs: Sequence[Job]) -> None:
        said = parameters_of(self._said)
        nonce = secrets.token_hex(16)
        key = sealing.submission_key(self._master, nonce)
        continues = all(is_checkpointable(call.function) for call in calls)
        script = payload.script_of(
            [payload.dumped(call, self._by_value) for call in calls],
            key=key,
            signal=SIGNAL if continues else None,
            pickled=self._pickled,
            python=said.python,
        )
        spec = _spec(script, calls, said, continues=continues)
        first = self.client.submit(spec, max_cost_yen=said.max_cost_yen, key=f"executor-{nonce}")
        for index, (job, found) in enumerate(zip(jobs, first.tasks(), strict=True)):
            self._remember(found.id, nonce, index)
            job._submitted(found, key=key, index=index)  # noqa: SLF001  our own class

    def _remember(self, job_id: str, nonce: str, index: int) -> None:
        path = self.folder / f"{job_id}.json"
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            json.dump({"nonce": nonce, "index": index}, file)


def _spec(script: str, calls: Sequence[DelayedSubmission], said: Parameters, *, continues: bool) -> JobSpec:
    array = Array(tuple(range(len(calls))), said.array_parallelism) if len(calls) > 1 else None
    wish = SignalWish(SIGNAL, said.signal_delay_s) if continues else None
    name = getattr(calls[0].function, "__name__", None) or type(calls[0].function).__name__
    choices = Choices(
        asked=over(Directives(signal=wish), over(said.asked, Directives(array=array))),
        environment=said.environment,
        secrets=said.secrets,
        max_attempts=said.max_attempts or (ATTEMPTS if continues else None),
        max_timeouts=said.max_timeouts,
    )
    return spec_of_text(script, name=name, choices=choices)
