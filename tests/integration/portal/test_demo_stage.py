from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from portal.demo.ground import MARK, InUse, NotOurs, cleared
from portal.demo.stage import Children, OutOfTime, ProcessDied
from portal.supervise import Child

STUBBORN = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"


def child(name: str, program: str) -> Child:
    return Child(name, (sys.executable, "-c", program), os.environ)


def test_the_death_of_a_child_interrupts_whatever_the_demo_waits_for(tmp_path: Path) -> None:
    children = Children(tmp_path)
    children.start(child("worker", "print('what\\nis wrong'); raise SystemExit(7)"))
    began = time.monotonic()
    with pytest.raises(ProcessDied) as died, children.watched(limit_s=50):
        time.sleep(40)
    children.stop()
    assert time.monotonic() - began < 30
    assert (died.value.name, died.value.code) == ("worker", 7)
    assert died.value.tail.endswith("is wrong")


def test_the_demo_never_runs_longer_than_its_limit(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGALRM)
    with pytest.raises(OutOfTime), Children(tmp_path).watched(limit_s=1):
        time.sleep(30)
    assert signal.getsignal(signal.SIGALRM) == before


def test_children_are_ended_and_a_stubborn_one_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("portal.demo.stage.STOP_LIMIT_S", 0.5)
    children = Children(tmp_path)
    children.start(child("sleeper", "import time; time.sleep(60)"))
    children.start(child("stubborn", STUBBORN))
    while not (tmp_path / "stubborn.log").read_text():
        time.sleep(0.02)
    children.check()
    children.stop()
    children.stop()


def test_only_a_folder_of_a_demo_is_cleared(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(NotOurs), cleared(tmp_path):
        pass
    assert (tmp_path / "thesis.tex").exists()


def test_a_second_run_begins_with_nothing_of_the_first(tmp_path: Path) -> None:
    with cleared(tmp_path / "demo") as folder:
        (folder / "backends").mkdir()
        (folder / "summary.json").write_text("{}")
    with cleared(tmp_path / "demo") as folder:
        assert {entry.name for entry in folder.iterdir()} == {MARK, ".lock", "backends.toml"}


def test_two_demos_do_not_share_a_folder(tmp_path: Path) -> None:
    with cleared(tmp_path), pytest.raises(InUse), cleared(tmp_path):
        pass
