"""`kyoyod demo --once`, as `make demo ARGS=--once` runs it: everything real, from nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any, TypeVar

import psutil
import pytest

from infra.slurm import cluster as clusters
from infra.slurm.namespace import ClusterFailed

pytestmark = [
    pytest.mark.xdist_group("demo"),
    pytest.mark.takes(10),
    pytest.mark.postgres,
    pytest.mark.sandbox,
    pytest.mark.quantum,
    pytest.mark.torch,
    pytest.mark.timeout(420),
]

T = TypeVar("T")
LIMIT_S = 400
SHOTS = 4000


def demo(folder: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "portal", "demo", "--data-dir", str(folder), *words]


def environment(**changes: str) -> dict[str, str]:
    return {**os.environ, "KYOYO_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/production", **changes}


@pytest.fixture(scope="module", params=["local", pytest.param("slurm", marks=pytest.mark.slurm)])
def backend(request: pytest.FixtureRequest) -> str:
    """Where the training runs: all that is promised is promised for both."""
    return str(request.param)


@pytest.fixture(scope="module")
def ran(backend: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    folder = tmp_path_factory.mktemp("demo")
    done = subprocess.run(
        demo(folder, "--once", "--backend", backend),
        env=environment(KYOYO_LANG="ja"),
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder, done


@pytest.fixture(scope="module")
def summary(ran: tuple[Path, subprocess.CompletedProcess[str]]) -> dict[str, Any]:
    text = (ran[0] / "summary.json").read_text(encoding="utf-8")
    found = json.loads(text, parse_float=Decimal)
    assert isinstance(found, dict)
    return found


def job(summary: dict[str, Any], kind: str, state: str) -> dict[str, Any]:
    [found] = [each for each in summary["jobs"] if (each["kind"], each["state"]) == (kind, state)]
    assert isinstance(found, dict)
    return found


def test_the_summary_has_the_promised_shape(summary: dict[str, Any]) -> None:
    assert set(summary) == {"jobs", "refused", "ledger", "audit", "kpi"}
    for each in summary["jobs"]:
        assert set(each) == {
            "id",
            "kind",
            "backend",
            "state",
            "attempts",
            "quote_yen",
            "charge_yen",
            "usage",
            "result",
        }
        assert set(each["usage"]) == {"gpu_hours", "qpu_seconds"}
    assert set(summary["kpi"]) == {"users", "organisations", "gpu_hours", "qpu_seconds", "utilisation"}


def test_a_real_network_was_trained(summary: dict[str, Any], backend: str) -> None:
    training = job(summary, "training", "SUCCEEDED")
    assert training["backend"] == backend
    assert Decimal("0.95") <= training["result"]["accuracy"] <= 1
    assert training["result"]["epochs"] > 1
    assert 0 < training["charge_yen"] < training["quote_yen"]
    assert training["usage"]["gpu_hours"] > 0


def test_the_counts_are_those_of_a_ghz_state(summary: dict[str, Any]) -> None:
    quantum = job(summary, "quantum", "SUCCEEDED")
    counts = quantum["result"]["counts"]
    assert set(counts) == {"000", "111"}
    assert sum(counts.values()) == SHOTS
    assert abs(counts["000"] - SHOTS // 2) < 5 * (SHOTS / 4) ** 0.5
    assert quantum["usage"]["qpu_seconds"] > 0
    assert 0 < quantum["charge_yen"] <= quantum["quote_yen"]


def test_the_cancelled_job_is_charged_for_what_ran(summary: dict[str, Any]) -> None:
    cancelled = job(summary, "training", "CANCELLED")
    assert 0 < cancelled["charge_yen"] < cancelled["quote_yen"]


def test_the_job_beyond_the_wallet_was_refused_by_name(summary: dict[str, Any]) -> None:
    assert summary["refused"] == [{"code": "insufficient-funds"}]


def test_the_books_are_right_and_nothing_is_left_open(summary: dict[str, Any]) -> None:
    assert summary["ledger"] == {"imbalance": 0, "open_holds": 0}
    assert summary["audit"] == {"unexplained": 0}


def test_the_officer_sees_the_same_hours(summary: dict[str, Any]) -> None:
    hours = sum(each["usage"]["gpu_hours"] for each in summary["jobs"])
    assert abs(summary["kpi"]["gpu_hours"] - hours) <= Decimal("0.000003")
    assert summary["kpi"]["users"] >= 1
    assert summary["kpi"]["organisations"] == 3
    assert 0 < summary["kpi"]["utilisation"] <= 1


def test_it_is_told_in_the_readers_language(ran: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    told = ran[1].stdout
    assert "epoch" in told
    assert "すべて約束どおりです。" in told
    assert "\x1b[" not in told


def left_of(folder: Path) -> list[object]:
    """Processes that name the folder, or work in it."""
    found: list[object] = []
    for process in psutil.process_iter(["cmdline", "cwd"]):
        words = [*(process.info["cmdline"] or ()), process.info["cwd"] or ""]
        if str(folder) in " ".join(words):
            found.append(words)
    return found


def test_nothing_outlives_it(ran: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    assert left_of(ran[0]) == []
    assert not (ran[0] / "slurm").exists()


@pytest.mark.slurm
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_no_cluster_outlives_a_demo_that_is_stopped(number: signal.Signals, short_path: Path) -> None:
    with (short_path / "out").open("w+b") as out, started(short_path / "demo", out) as demonstration:
        inside = wait_for(lambda: daemons_of(short_path / "demo" / "slurm") or ended(demonstration, out), "it runs")
        os.killpg(demonstration.pid, number)  # as a terminal does: to every process in front
        demonstration.wait(60)
    assert demonstration.returncode != 0
    wait_for(lambda: not any(psutil.pid_exists(pid) for pid in inside), "all daemons have ended")
    assert left_of(short_path / "demo") == []


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A cluster's folder holds sockets, whose paths are short; pytest's own are long beside other workers."""
    with TemporaryDirectory(prefix="ky") as folder:
        yield Path(folder)


def ended(demonstration: subprocess.Popen[bytes], out: IO[bytes]) -> list[int]:
    """Nothing while it runs; what it said is the failure when it does not."""
    if demonstration.poll() is None:
        return []
    out.seek(0)
    raise AssertionError(out.read().decode())


@contextmanager
def started(folder: Path, out: IO[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    words = demo(folder, "--once", "--backend", "slurm")
    with subprocess.Popen(words, env=environment(), stdout=out, stderr=out, start_new_session=True) as process:
        try:
            yield process
        finally:
            process.kill()


def daemons_of(folder: Path) -> list[int]:
    try:
        return [pid for pid, _ in clusters.attach(folder).space.processes()]
    except ClusterFailed:
        return []


def wait_for(look: Callable[[], T], what: str) -> T:
    """The first answer that is not empty."""
    for _ in range(600):
        if found := look():
            return found
        time.sleep(0.1)
    raise AssertionError(f"never: {what}")


def test_without_slurm_it_says_what_is_missing(tmp_path: Path) -> None:
    done = subprocess.run(
        demo(tmp_path / "demo", "--once", "--backend", "slurm"),
        env=environment(KYOYO_LANG="en", XDG_CACHE_HOME=str(tmp_path)),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "infra/slurm/roots.sh" in done.stdout


def test_a_folder_that_is_not_ours_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    done = subprocess.run(
        demo(tmp_path, "--once"),
        env=environment(KYOYO_LANG="en"),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "no folder of a demo" in done.stdout.replace("\n", " ")
    assert (tmp_path / "thesis.tex").exists()
