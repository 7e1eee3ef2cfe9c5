"""Functions that run as jobs: the scripts really run, in processes of their own."""

from __future__ import annotations

import base64
import os
import pickle
import signal
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

import kyoyo
from kyoyo.errors import UsageError
from kyoyo.executor import Checkpointable, DelayedSubmission, FailedJobError, ForgedResult, UncompletedJobError
from kyoyo.executor.parameters import parameters_of
from kyoyo.executor.sealing import KEY_FILE
from tests.support.fake_portal import URL
from tests.support.running_portal import RunningPortal

HERE = sys.modules[__name__]


class Point:
    def __init__(self, x: int) -> None:
        self.x = x


class Exploding:
    """A pickle that runs code where it is read."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.system, ("touch exploded",))


class Counting(Checkpointable):
    """Waits at its third step when it runs for the first time, and goes on from there. It speaks through a pipe."""

    def __init__(self, pipe: Path) -> None:
        self.done = 0
        self.starts = 0
        self.pipe = pipe

    def __call__(self, most: int) -> list[int]:
        self.starts += 1
        while self.done < most:
            self.done += 1
            if self.starts == 1 and self.done == 3:
                self.pipe.write_text("waiting")
                signal.pause()
        return [self.done, self.starts]

    def checkpoint(self, *args: Any, **kwargs: Any) -> DelayedSubmission:
        self.pipe.write_text("saving")
        return super().checkpoint(*args, **kwargs)


def add(a: int, b: int = 1) -> int:
    sys.stdout.write(f"adding {a} {b}\n")
    return a + b


def make_point(x: int) -> Point:
    return Point(x)


def fail(what: str) -> None:
    raise ValueError(what)


@pytest.fixture
def portal(tmp_path: Path) -> RunningPortal:
    (tmp_path / "portal").mkdir()
    return RunningPortal(tmp_path / "portal")


@pytest.fixture
def executor(portal: RunningPortal, tmp_path: Path) -> kyoyo.AutoExecutor:
    client = kyoyo.Client(URL, "kyo_t", environment={}, http=portal.http)
    found = kyoyo.AutoExecutor(tmp_path / "runs", client=client, by_value=[HERE])
    found.update_parameters(timeout_min=5)
    return found


def test_a_result_comes_back(executor: kyoyo.AutoExecutor) -> None:
    job = executor.submit(add, 2, b=3)
    assert (job.result(), job.results(), job.exception(), job.state) == (5, [5], None, "COMPLETED")
    assert job.done()
    assert job.stdout() == "adding 2 3\n"
    assert job.job_id == "1"


def test_many_calls_are_one_array(executor: kyoyo.AutoExecutor, portal: RunningPortal) -> None:
    executor.update_parameters(slurm_array_parallelism=2)
    jobs = executor.map_array(add, [1, 2, 3], [10, 20, 30])
    assert [job.result() for job in jobs] == [11, 22, 33]
    assert [job.job_id for job in jobs] == ["1_0", "1_1", "1_2"]
    assert portal.submitted[0]["array"] == {"indices": [0, 1, 2], "max_running": 2}


def test_a_batch_is_submitted_at_its_end_or_not_at_all(executor: kyoyo.AutoExecutor, portal: RunningPortal) -> None:
    with executor.batch():
        jobs = [executor.submit(add, number) for number in range(2)]
        with pytest.raises(UsageError, match="at the end of the with block"):
            jobs[0].result()
    assert [job.result() for job in jobs] == [1, 2]
    with pytest.raises(RuntimeError), executor.batch():
        executor.submit(add, 1)
        raise RuntimeError
    assert len(portal.submitted) == 1


@pytest.mark.parametrize(
    "value",
    [None, True, 7, 2.5, 1e22, "文字", [1, {"a": [None]}], (1, 2), {1: 2}, float("inf"), b"bytes", {"x": (1,)}, 2**80],
)
def test_a_value_comes_back_as_it_was(executor: kyoyo.AutoExecutor, value: object) -> None:
    back = executor.submit(lambda: value).result()
    assert (back, type(back)) == (value, type(value))


def test_an_object_comes_back_by_a_sealed_pickle(executor: kyoyo.AutoExecutor, portal: RunningPortal) -> None:
    assert executor.submit(make_point, 4).result().x == 4


def test_an_exception_comes_back_as_its_traceback(executor: kyoyo.AutoExecutor) -> None:
    job = executor.submit(fail, "not today")
    with pytest.raises(FailedJobError, match="ValueError: not today") as told:
        job.result()
    assert "in fail" in str(told.value)
    assert isinstance(job.exception(), FailedJobError)


@pytest.mark.parametrize("seal", ["", "0" * 64, None])
def test_a_forged_pickle_is_never_read(
    executor: kyoyo.AutoExecutor,
    portal: RunningPortal,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    seal: str | None,
) -> None:
    monkeypatch.chdir(tmp_path)
    evil = base64.b64encode(pickle.dumps(Exploding())).decode()
    portal.wound = lambda told: {**told, "pickle": evil, "seal": seal if seal is not None else told["seal"]}
    with pytest.raises(ForgedResult):
        executor.submit(make_point, 4).result()
    assert not Path("exploded").exists()


def test_a_true_pickle_of_another_job_or_task_is_forged_too(
    executor: kyoyo.AutoExecutor, portal: RunningPortal
) -> None:
    seen: list[dict[str, Any]] = []
    portal.wound = lambda told: seen.append(told) or seen[0]  # type: ignore[func-returns-value]  # keep and replay
    assert executor.submit(make_point, 1).result().x == 1
    with pytest.raises(ForgedResult):
        executor.submit(make_point, 2).result()
    seen.clear()
    first, second = executor.map_array(make_point, [1, 2])
    assert first.result().x == 1
    with pytest.raises(ForgedResult):
        second.result()


def test_without_pickles_only_plain_values_come_back(portal: RunningPortal, tmp_path: Path) -> None:
    client = kyoyo.Client(URL, "kyo_t", environment={}, http=portal.http)
    executor = kyoyo.AutoExecutor(tmp_path / "plain", client=client, by_value=[HERE], pickled_results=False)
    executor.update_parameters(timeout_min=1)
    assert executor.submit(add, 1).result() == 2
    with pytest.raises(FailedJobError, match="no plain JSON value but Point"):
        executor.submit(make_point, 1).result()


def test_a_result_that_is_too_large_is_named(executor: kyoyo.AutoExecutor) -> None:
    with pytest.raises(FailedJobError, match=r"too large: 2,000,0\d\d bytes, at most 1,000,000"):
        executor.submit(lambda: "x" * 2_000_000).result()


def test_what_cannot_be_sent_is_refused_before_anything_is_sent(
    executor: kyoyo.AutoExecutor, portal: RunningPortal
) -> None:
    with pytest.raises(UsageError, match="cannot be sent"):
        executor.submit(lambda lock: None, sys._getframe())
    with pytest.raises(UsageError, match="at most 1,048,576"):
        executor.submit(len, os.urandom(2_000_000))
    with pytest.raises(UsageError, match="more than 1,000 tasks"):
        executor.map_array(add, range(1001))
    assert executor.map_array(add, []) == []
    assert portal.submitted == []


def test_a_job_without_a_result_tells_how_it_ended(executor: kyoyo.AutoExecutor) -> None:
    job = executor.submit(lambda: os._exit(9))
    with pytest.raises(UncompletedJobError, match="job 1 is FAILED"):
        job.result()


def test_another_process_finds_its_jobs_again(
    executor: kyoyo.AutoExecutor, portal: RunningPortal, tmp_path: Path
) -> None:
    number = executor.submit(make_point, 6).job_id
    client = kyoyo.Client(URL, "kyo_t", environment={}, http=portal.http)
    again = kyoyo.AutoExecutor(tmp_path / "runs", client=client)
    assert again.job(number).result().x == 6
    with pytest.raises(UsageError, match="not submitted from"):
        kyoyo.AutoExecutor(tmp_path / "others", client=client).job(number)


def test_the_key_is_its_owners_alone(executor: kyoyo.AutoExecutor, tmp_path: Path) -> None:
    path = tmp_path / "runs" / KEY_FILE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_bytes().hex() not in str(executor.submit(add, 1).portal_job.record.raw)
    path.chmod(0o644)
    with pytest.raises(UsageError, match="0600"):
        kyoyo.AutoExecutor(tmp_path / "runs")


def test_an_interrupted_call_goes_on_from_its_checkpoint(
    executor: kyoyo.AutoExecutor, portal: RunningPortal, tmp_path: Path
) -> None:
    executor.update_parameters(slurm_signal_delay_s=30, slurm_max_num_timeout=1)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    job = executor.submit(Counting(pipe), 5)
    body = portal.submitted[0]
    assert (body["signal"], body["max_timeouts"], body["max_attempts"]) == ({"name": "USR2", "before_s": 30}, 1, 3)
    attempt = portal.attempt("j-1")
    assert pipe.read_text() == "waiting"
    attempt.send_signal(signal.SIGUSR2)
    assert pipe.read_text() == "saving"
    assert attempt.poll() is None  # it waits for the site's own end: a program that ends by itself has failed
    attempt.send_signal(signal.SIGTERM)
    assert attempt.wait(timeout=60) == 143
    portal.end("j-1", portal.attempt("j-1").wait(timeout=60))
    assert job.result() == [5, 2]


def test_parameters_are_submitits(executor: kyoyo.AutoExecutor) -> None:
    said = parameters_of(
        {
            "timeout_min": 1.5,
            "slurm_partition": "gpu",
            "gpus_per_node": 2,
            "nodes": 1,
            "tasks_per_node": 1,
            "mem_gb": 4,
            "slurm_array_parallelism": 8,
            "slurm_additional_parameters": {"gres": "gpu:a100:2", "exclusive": True},
            "slurm_comment": None,
        }
    )
    asked = said.asked
    assert (asked.walltime_s, asked.offering, said.array_parallelism, asked.exclusive) == (90, "gpu", 8, True)
    assert asked.memory is not None
    assert asked.memory.mb == 4096


@pytest.mark.parametrize(
    ("said", "named"),
    [
        ({"slurm_setup": ["module load x"]}, "setup is no parameter"),
        ({"slurm_use_srun": False}, "use_srun"),
        ({"slurm_exclude": "n1"}, "--exclude is not supported"),
        ({"nodes": 2}, "a function runs once"),
        ({"tasks_per_node": 8}, "kyoyo train"),
        ({"timeout_min": "soon"}, "not a time limit"),
        ({"mem_gb": -1}, "mem_gb"),
        ({"slurm_array_parallelism": "8"}, "array_parallelism"),
    ],
)
def test_a_parameter_that_cannot_be_kept_is_refused_by_name(
    executor: kyoyo.AutoExecutor, said: dict[str, Any], named: str
) -> None:
    with pytest.raises(UsageError, match=named):
        executor.update_parameters(**said)
    assert executor.parameters == {"timeout_min": 5}
