"""Programs that really die, and ranks that really meet: checkpoints stay whole, and all stop at the same step."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kyoyo import training
from tests.support.repository import ROOT

# Dies by SIGKILL inside the n-th call of those that change a file, before it (even n) or after it (odd n).
DYING = """\
import os, pathlib, signal, sys
from kyoyo import training
n, calls = int(sys.argv[1]), iter(range(10**6))
def deadly(function):
    def call(*arguments, **options):
        here = next(calls)
        if 2 * here == n: os.kill(os.getpid(), signal.SIGKILL)
        answer = function(*arguments, **options)
        if 2 * here + 1 == n: os.kill(os.getpid(), signal.SIGKILL)
        return answer
    return call
training.save_checkpoint({"step": 1}, 1, saver=training.JsonSaver(), keep=1)
for owner, name in ((os, "fsync"), (pathlib.Path, "rename"), (pathlib.Path, "open"), (pathlib.Path, "unlink")):
    setattr(owner, name, deadly(getattr(owner, name)))
training.JsonSaver.save = deadly(training.JsonSaver.save)
training.save_checkpoint({"step": 2}, 2, saver=training.JsonSaver(), keep=1)
print("saved")
"""


def test_a_kill_at_any_moment_of_saving_leaves_a_whole_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes = []
    for moment in range(40):
        folder = tmp_path / str(moment)
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "client"), "KYOYO_CHECKPOINT_DIR": str(folder)}
        done = subprocess.run(
            [sys.executable, "-c", DYING, str(moment)], env=environment, check=False, capture_output=True, text=True
        )
        assert done.returncode in {0, -signal.SIGKILL}, done.stderr
        monkeypatch.setenv("KYOYO_CHECKPOINT_DIR", str(folder))
        latest = training.latest_checkpoint()
        assert latest is not None
        outcomes.append(int(latest.name[5:17]))
        assert json.loads(latest.read_bytes()) == {"step": outcomes[-1]}
        training.save_checkpoint({}, 3, keep=1, saver=training.JsonSaver())  # the next attempt cleans up
        assert [path.name[5:17] for path in folder.iterdir()] == ["000000000003"]
        if done.returncode == 0:
            break
    else:
        raise AssertionError("never reached the end")
    assert outcomes == sorted(outcomes)  # first the old one, from some moment on the new one
    assert set(outcomes) == {1, 2}
    assert len(outcomes) > 10


WARNED = """\
import signal, sys, threading, os, time
from kyoyo import training
training.resume(saver=training.JsonSaver())
assert not training.should_stop()
os.kill(os.getpid(), signal.SIGUSR2)
assert training.should_stop()
training.save_checkpoint({"a": 1}, 1, saver=training.JsonSaver())
threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGTERM)).start()
began = time.monotonic()
try:
    training.leave()
finally:
    print(round(time.monotonic() - began, 1), "torch" in sys.modules, "httpx2" in sys.modules)
"""


def test_after_a_warning_a_program_waits_for_its_end_and_is_no_success(tmp_path: Path) -> None:
    """Neither torch nor the rest of the package is needed for that: the one file is enough."""
    alone = tmp_path / "kyoyo"
    alone.mkdir()
    (alone / "training.py").write_text((ROOT / "client/kyoyo/training.py").read_text(encoding="utf-8"))
    environment = {"PYTHONPATH": str(tmp_path), "KYOYO_CHECKPOINT_DIR": str(tmp_path / "c"), "PATH": os.environ["PATH"]}
    done = subprocess.run(
        [sys.executable, "-S", "-c", WARNED], env=environment, check=False, capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == training.STOPPED == 143, done.stderr
    waited, *loaded = done.stdout.split()
    assert float(waited) >= 0.5
    assert loaded == ["False", "False"]


RANKS = """\
import os, signal
import torch.distributed as dist
from kyoyo import training
rank = int(os.environ["RANK"])
dist.init_process_group("gloo", init_method=os.environ["MEET"], rank=rank, world_size=2)
saver = training.JsonSaver()
assert training.resume(saver=saver) is None
for step in range(1, 10_000):
    if rank == 1 and step == 25:
        os.kill(os.getpid(), signal.SIGTERM)  # one of them is told; the other learns it from it
    if training.should_stop():
        break
training.save_checkpoint({"step": step}, step, saver=saver)
dist.barrier()
with open(f"{os.environ['PLACE']}/{rank}", "w") as file:
    file.write(str(step))
dist.destroy_process_group()
"""


@pytest.mark.torch
def test_all_ranks_stop_at_the_same_step(tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT / "client"),
        "KYOYO_CHECKPOINT_DIR": str(tmp_path / "checkpoint"),
        "MEET": f"file://{tmp_path}/meet",
        "PLACE": str(tmp_path),
        "OMP_NUM_THREADS": "1",
    }
    running = [
        subprocess.Popen([sys.executable, "-c", RANKS], env={**environment, "RANK": str(rank)}) for rank in (0, 1)
    ]
    assert [process.wait(timeout=120) for process in running] == [0, 0]
    assert [int((tmp_path / f"{rank}").read_text()) for rank in (0, 1)] == [25, 25]
    assert [path.name[5:17] for path in (tmp_path / "checkpoint").iterdir()] == ["000000000025"]
