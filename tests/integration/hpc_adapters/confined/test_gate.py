"""The user's code starts at most once, whoever asks how often and dies where."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from hpc_adapters.confined import folder, sandbox
from hpc_adapters.confined.model import Phase, RunSpec
from hpc_adapters.contract import Seen, Stream
from infra.clock import new_id
from tests.support.machine import Machine, a_run

pytestmark = pytest.mark.sandbox

LOGGED = "echo started >> log; echo hello"
SUBMITTER = """
import asyncio, sys
from pathlib import Path
from uuid import UUID
from tests.support.machine import Machine, a_run
machine = Machine(Path(sys.argv[1]))
spec = a_run(sys.argv[3], attempt_id=UUID(sys.argv[2]))
print("ready", flush=True)
sys.stdin.readline()
asyncio.run(machine.runs.start(spec))
print("started", flush=True)
"""


def starts(machine: Machine, spec: RunSpec) -> int:
    """By the job's own log."""
    return (machine.work(spec.attempt_id) / "log").read_text().count("started")


async def submitter(machine: Machine, spec: RunSpec) -> asyncio.subprocess.Process:
    """Another process, ready to start this run at a line of input."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SUBMITTER, str(machine.root), str(spec.attempt_id), LOGGED,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[4],
    )  # fmt: skip
    assert process.stdout is not None
    assert await process.stdout.readline() == b"ready\n"
    return process


def release(process: asyncio.subprocess.Process) -> None:
    assert process.stdin is not None
    process.stdin.write(b"\n")


async def test_a_run_started_again_and_again_runs_once(machine: Machine) -> None:
    spec = a_run(LOGGED)
    await asyncio.gather(*(machine.runs.start(spec) for _ in range(8)))
    await machine.until_over(spec.attempt_id)
    machine.restart()
    await machine.runs.start(spec)
    state = await machine.until_over(spec.attempt_id)
    assert (state.phase, state.ending, starts(machine, spec)) == (Phase.ENDED, Seen.SUCCEEDED, 1)


async def test_several_processes_that_start_one_run_at_once_run_it_once(machine: Machine) -> None:
    spec = a_run(LOGGED)
    processes = [await submitter(machine, spec) for _ in range(4)]
    for process in processes:
        release(process)
    assert [await process.wait() for process in processes] == [0, 0, 0, 0]
    await machine.until_over(spec.attempt_id)
    assert starts(machine, spec) == 1


@pytest.mark.parametrize("delay_ms", [0, 2, 5, 8, 12, 20, 30, 45, 60, 90, 130])
async def test_a_submitter_killed_at_any_moment_leaves_a_run_that_can_be_started_again(
    machine: Machine, delay_ms: int
) -> None:
    spec = a_run(LOGGED)
    process = await submitter(machine, spec)
    release(process)
    await asyncio.sleep(delay_ms / 1000)
    with suppress(ProcessLookupError):  # it may have been quicker
        process.kill()
    await process.wait()
    await machine.runs.start(spec)
    state = await machine.until_over(spec.attempt_id)
    assert (state.ending, starts(machine, spec)) == (Seen.SUCCEEDED, 1)
    assert await machine.runs.all_ids() == [spec.attempt_id]


@pytest.mark.parametrize("kind", [None, sandbox.USER, sandbox.NONE])
async def test_a_supervisor_killed_while_it_builds_the_walls_leaves_nobody_unwatched(
    tmp_path: Path, kind: str | None
) -> None:
    """1. The supervisor forks, and bubblewrap forks in turn. 2. kill -9 of the supervisor, before bubblewrap has asked
    the kernel to die with it. 3. Its half-built sandbox would go on for ever, or run the job with nobody watching.
    """
    machine = Machine(tmp_path, kind=kind)
    for delay_ms in range(0, 24, 2):
        spec = a_run("echo started >> log; sleep 60")
        await machine.runs.start(spec)
        await asyncio.sleep(delay_ms / 1000)
        for supervisor in machine.supervisors(spec.attempt_id):
            os.kill(supervisor, signal.SIGKILL)
        state = await machine.runs.state(spec.attempt_id)
        if state is not None and not state.is_over:  # killed before the gate: looking has set it going
            await machine.runs.cancel(spec.attempt_id)
        state = await machine.until_over(spec.attempt_id)
        assert state.ending in {Seen.NODE_FAILED, Seen.CANCELLED}
        assert machine.processes(spec.attempt_id) == set()
        log = machine.work(spec.attempt_id) / "log"
        assert not log.exists() or starts(machine, spec) <= 1  # an empty log: killed between opening and writing


async def test_a_run_accepted_by_a_process_that_died_is_set_going_by_looking(machine: Machine) -> None:
    spec = a_run(LOGGED)
    await asyncio.to_thread(machine.runs.accept_now, spec)
    state = await machine.until_over(spec.attempt_id)
    assert (state.ending, starts(machine, spec)) == (Seen.SUCCEEDED, 1)


async def test_a_run_cancelled_before_its_start_never_starts(machine: Machine) -> None:
    spec = a_run(LOGGED)
    await asyncio.to_thread(machine.runs.accept_now, spec)
    await machine.runs.cancel(spec.attempt_id)
    state = await machine.until_over(spec.attempt_id)
    assert (state.ending, state.started_at) == (Seen.CANCELLED, None)
    assert not (machine.work(spec.attempt_id) / "log").exists()


async def test_a_run_whose_supervisor_died_between_gate_and_program_has_vanished_unstarted(machine: Machine) -> None:
    spec = a_run(LOGGED)
    await asyncio.to_thread(machine.runs.accept_now, spec)
    place = str(machine.root / str(spec.attempt_id))
    lock = folder.acquire(place, folder.SUPERVISOR)
    assert lock is not None
    assert folder.acquire(place, folder.SUPERVISOR) is None
    assert folder.pass_gate(place)
    state = await machine.runs.state(spec.attempt_id)
    assert state is not None
    assert state.phase is Phase.STARTING
    os.close(lock)
    state = await machine.runs.state(spec.attempt_id)
    assert state is not None
    assert (state.phase, state.ending, state.started_at) == (Phase.VANISHED, Seen.NODE_FAILED, None)
    await machine.runs.start(spec)
    assert not (machine.work(spec.attempt_id) / "log").exists()


async def test_a_running_program_survives_a_restart_of_its_server(machine: Machine) -> None:
    spec = a_run("echo up; while [ ! -e go ]; do sleep 0.05; done; echo done")
    await machine.runs.start(spec)
    await machine.until_prints(spec.attempt_id, "up")
    machine.restart()
    state = await machine.runs.state(spec.attempt_id)
    assert state is not None
    assert state.phase is Phase.RUNNING
    (machine.work(spec.attempt_id) / "go").touch()
    assert (await machine.until_over(spec.attempt_id)).ending is Seen.SUCCEEDED
    assert await machine.output(spec.attempt_id) == "up\ndone\n"


async def test_what_is_not_here_is_not_known(machine: Machine) -> None:
    stranger = new_id()
    assert await machine.runs.state(stranger) is None
    assert not await machine.runs.cancel(stranger)
    assert await machine.runs.read(stranger, Stream.STDOUT) is None
    assert await machine.runs.all_ids() == []
