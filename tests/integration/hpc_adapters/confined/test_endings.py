"""How a run ends, and that nothing of it stays behind."""

from __future__ import annotations

import os
import signal
from datetime import timedelta
from pathlib import Path

import pytest

from hpc_adapters.confined import sandbox
from hpc_adapters.confined.model import Phase
from hpc_adapters.contract import Isolation, Seen
from tests.support.machine import Machine, a_run

pytestmark = pytest.mark.sandbox

HOG = "exec /usr/bin/perl -e 'my @hoard; push @hoard, \"x\" x 1048576 while 1'"


@pytest.mark.parametrize(
    ("script", "ending", "exit_code"),
    [
        ("exit 0", Seen.SUCCEEDED, 0),
        ("exit 3", Seen.FAILED, 3),
        ("kill -9 $$", Seen.FAILED, 137),
        ("exec /no/such/program", Seen.FAILED, 127),
    ],
)
async def test_a_program_that_ends_by_itself_says_how(
    machine: Machine, script: str, ending: Seen, exit_code: int
) -> None:
    state = await machine.run(a_run(script))
    assert (state.phase, state.ending, state.exit_code, state.detail) == (Phase.ENDED, ending, exit_code, "")
    assert state.started_at is not None
    assert state.ended_at is not None
    assert state.accepted_at <= state.started_at < state.ended_at
    assert state.cpu_used_s is not None
    assert state.peak_memory_mb is not None
    assert state.peak_memory_mb > 0


async def test_a_program_is_asked_at_its_walltime_and_may_still_save_its_work(machine: Machine) -> None:
    spec = a_run("trap 'echo saved > saved; exit 0' TERM; sleep 60 & wait", walltime_s=0.3)
    state = await machine.run(spec)
    assert (state.ending, state.exit_code) == (Seen.TIMED_OUT, 0)
    assert (machine.work(spec.attempt_id) / "saved").read_text() == "saved\n"


async def test_a_program_that_will_not_listen_is_killed_after_the_grace(machine: Machine) -> None:
    spec = a_run("trap '' TERM; (trap '' TERM; sleep 60) & while :; do sleep 60; done", walltime_s=0.3, grace_s=0.5)
    state = await machine.run(spec)
    assert (state.ending, state.exit_code) == (Seen.TIMED_OUT, 137)
    assert state.started_at is not None
    assert state.ended_at is not None
    assert timedelta(seconds=0.8) <= state.ended_at - state.started_at < timedelta(seconds=5)
    assert machine.processes(spec.attempt_id) == set()


@pytest.mark.parametrize("script", ["echo up; sleep 60", "trap '' TERM; echo up; while :; do sleep 60; done"])
async def test_a_cancelled_program_ends(machine: Machine, script: str) -> None:
    spec = a_run(script, grace_s=0.5)
    await machine.runs.start(spec)
    await machine.until_prints(spec.attempt_id, "up")
    assert await machine.runs.cancel(spec.attempt_id)
    state = await machine.until_over(spec.attempt_id)
    assert (state.phase, state.ending) == (Phase.ENDED, Seen.CANCELLED)
    assert machine.processes(spec.attempt_id) == set()


async def test_a_cancel_after_the_end_changes_nothing(machine: Machine) -> None:
    spec = a_run("exit 0")
    before = await machine.run(spec)
    assert await machine.runs.cancel(spec.attempt_id)
    machine.restart()
    assert await machine.runs.state(spec.attempt_id) == before


async def test_what_a_program_leaves_in_the_background_ends_with_it(machine: Machine) -> None:
    spec = a_run("setsid sleep 60 & (sleep 60 &) & exit 0")
    state = await machine.run(spec)
    assert state.ending is Seen.SUCCEEDED
    assert machine.processes(spec.attempt_id) == set()


@pytest.mark.parametrize("control_groups", [True, False])
async def test_a_program_that_takes_too_much_memory_is_ended(tmp_path: Path, *, control_groups: bool) -> None:
    machine = Machine(tmp_path, control_groups=control_groups)
    state = await machine.run(a_run(HOG, memory_mb=64))
    assert state.ending is Seen.OUT_OF_MEMORY
    assert state.peak_memory_mb is not None
    assert state.peak_memory_mb >= 60


async def test_memory_is_that_of_all_processes_together(tmp_path: Path) -> None:
    machine = Machine(tmp_path, control_groups=False)
    hold = "/usr/bin/perl -e '$x = \"x\" x (30*1048576); sleep 60'"
    state = await machine.run(a_run(f"{hold} & {hold} & {hold} & wait", memory_mb=128))
    assert state.ending is Seen.OUT_OF_MEMORY


async def test_memory_that_processes_share_counts_once(tmp_path: Path) -> None:
    machine = Machine(tmp_path, control_groups=False)
    share = '$x = "x" x (60*1048576); for (1..4) { if (!fork) { sleep 1; exit } } 1 while wait > 0; exit 0'
    state = await machine.run(a_run(f"exec /usr/bin/perl -e '{share}'", memory_mb=200))
    assert (state.ending, state.exit_code) == (Seen.SUCCEEDED, 0)


async def test_a_fork_bomb_stays_within_its_bound_and_ends_at_its_walltime(machine: Machine) -> None:
    spec = a_run("boom() { boom | boom & }; boom; sleep 60", processes=40, walltime_s=1.0, grace_s=0.2)
    await machine.runs.start(spec)
    most = 0
    while not (await machine.until(spec.attempt_id, lambda _: True)).is_over:
        most = max(most, len(machine.processes(spec.attempt_id)))
    assert 1 < most <= 40
    assert machine.processes(spec.attempt_id) == set()


async def test_a_program_that_fills_the_disk_is_ended(machine: Machine) -> None:
    state = await machine.run(a_run("for i in 1 2 3; do head -c 10000000 /dev/zero > $i; done; sleep 60", disk_mb=20))
    assert (state.ending, state.detail) == (Seen.FAILED, "disk-limit")


async def test_walls_that_cannot_be_built_are_our_fault(machine: Machine) -> None:
    state = await machine.run(a_run("exit 0", read_only=[Path("/no/such/folder")]))
    assert (state.ending, state.detail) == (Seen.NODE_FAILED, "sandbox-failed")


@pytest.mark.parametrize("kind", [None, sandbox.USER])
async def test_a_supervisor_killed_takes_its_program_along_and_the_run_has_vanished(
    tmp_path: Path, kind: str | None
) -> None:
    machine = Machine(tmp_path, kind=kind)
    spec = a_run("trap '' TERM; (setsid sleep 60 &) ; echo up; while :; do sleep 60; done")
    await machine.runs.start(spec)
    await machine.until_prints(spec.attempt_id, "up")
    assert len(machine.processes(spec.attempt_id)) >= 3
    [supervisor] = machine.supervisors(spec.attempt_id)
    os.kill(supervisor, signal.SIGKILL)
    state = await machine.until_over(spec.attempt_id)
    assert machine.processes(spec.attempt_id) == set()
    assert (state.phase, state.ending, state.detail) == (Phase.VANISHED, Seen.NODE_FAILED, "supervisor-vanished")
    assert state.started_at is not None
    assert state.ended_at is not None
    assert state.started_at <= state.ended_at

    machine.restart()
    await machine.runs.start(spec)  # the gate was passed: never again
    assert await machine.runs.state(spec.attempt_id) == state
    assert (await machine.output(spec.attempt_id)).count("up") == 1


@pytest.mark.parametrize("kind", [sandbox.USER, sandbox.NONE])
async def test_other_kinds_of_machines_end_runs_in_the_same_way(tmp_path: Path, kind: str) -> None:
    machine = Machine(tmp_path, kind=kind)
    wanted = Isolation.SINGLE_TENANT if kind == sandbox.NONE else Isolation.PER_ATTEMPT
    assert machine.runs.isolation is wanted
    finished = await machine.run(a_run("pwd; echo '{}' > result.json; exit 3"))
    assert (finished.ending, finished.exit_code) == (Seen.FAILED, 3)
    stuck = a_run(
        "trap '' TERM; (trap '' TERM; setsid sleep 60) & while :; do sleep 60; done", walltime_s=0.3, grace_s=0.3
    )
    state = await machine.run(stuck)
    assert (state.ending, state.exit_code) == (Seen.TIMED_OUT, 137)
    assert machine.processes(stuck.attempt_id) == set()
