"""`kyoyod demo --once`, as `make demo ARGS=--once` runs it: everything real, from nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import psutil
import pytest

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.sandbox,
    pytest.mark.quantum,
    pytest.mark.torch,
    pytest.mark.timeout(420),
]

LIMIT_S = 400
SHOTS = 4000


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    folder = tmp_path_factory.mktemp("demo")
    done = subprocess.run(
        [sys.executable, "-m", "portal", "demo", "--once", "--data-dir", str(folder)],
        env={**os.environ, "KYOYO_LANG": "ja", "KYOYO_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/production"},
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


def test_a_real_network_was_trained(summary: dict[str, Any]) -> None:
    training = job(summary, "training", "SUCCEEDED")
    assert training["backend"] == "local"
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


def test_nothing_outlives_it(ran: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    folder = str(ran[0])
    left = [
        process.info
        for process in psutil.process_iter(["cmdline"])
        if folder in " ".join(process.info["cmdline"] or ())
    ]
    assert left == []


def test_a_folder_that_is_not_ours_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    done = subprocess.run(
        [sys.executable, "-m", "portal", "demo", "--once", "--data-dir", str(tmp_path)],
        env={**os.environ, "KYOYO_LANG": "en"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "no folder of a demo" in done.stdout.replace("\n", " ")
    assert (tmp_path / "thesis.tex").exists()
