"""What a run leaves to be read, and that no job can make us read anything else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hpc_adapters.contract import Seen, Stream
from tests.support.machine import Machine, a_run

pytestmark = pytest.mark.sandbox


async def test_streams_are_kept_apart_and_read_in_pieces(machine: Machine) -> None:
    spec = a_run(r"printf 'one\000\377two'; echo oops >&2")
    await machine.run(spec)
    first = await machine.runs.read(spec.attempt_id, Stream.STDOUT, 0, 4)
    assert first is not None
    assert (first.data, first.next_offset, first.ended) == (b"one\0", 4, False)
    rest = await machine.runs.read(spec.attempt_id, Stream.STDOUT, first.next_offset)
    assert rest is not None
    assert (rest.data, rest.next_offset, rest.ended, rest.truncated) == (b"\xfftwo", 8, True, False)
    assert await machine.output(spec.attempt_id, Stream.STDERR) == "oops\n"


async def test_a_stream_is_cut_at_its_cap_and_says_so_while_the_job_goes_on(machine: Machine) -> None:
    spec = a_run("head -c 5000000 /dev/zero; head -c 1000 /dev/zero >&2; echo done > done", stdout_cap_bytes=1000)
    state = await machine.run(spec)
    assert state.ending is Seen.SUCCEEDED
    assert (machine.work(spec.attempt_id) / "done").exists()
    chunk = await machine.runs.read(spec.attempt_id, Stream.STDOUT)
    assert chunk is not None
    assert (len(chunk.data), chunk.ended, chunk.truncated) == (1000, True, True)
    exact = await machine.runs.read(spec.attempt_id, Stream.STDERR)
    assert exact is not None
    assert (len(exact.data), exact.truncated) == (1000, False)
    assert (machine.root / str(spec.attempt_id) / "stdout").stat().st_size == 1000


async def test_a_stream_can_be_followed_while_it_grows(machine: Machine) -> None:
    spec = a_run("echo up; while [ ! -e go ]; do sleep 0.05; done")
    await machine.runs.start(spec)
    await machine.until_prints(spec.attempt_id, "up")
    beyond = await machine.runs.read(spec.attempt_id, Stream.STDOUT, 3)
    assert beyond is not None
    assert (beyond.data, beyond.ended) == (b"", False)
    (machine.work(spec.attempt_id) / "go").touch()
    await machine.until_over(spec.attempt_id)
    beyond = await machine.runs.read(spec.attempt_id, Stream.STDOUT, 3)
    assert beyond is not None
    assert (beyond.data, beyond.ended) == (b"", True)


async def test_a_result_is_kept_as_the_job_wrote_it(machine: Machine) -> None:
    spec = a_run("""echo '{"accuracy": 0.97}' > result.json""")
    await machine.run(spec)
    assert await machine.output(spec.attempt_id, Stream.RESULT) == '{"accuracy": 0.97}\n'


async def test_without_a_result_there_is_none(machine: Machine) -> None:
    spec = a_run("exit 0")
    state = await machine.run(spec)
    chunk = await machine.runs.read(spec.attempt_id, Stream.RESULT)
    assert chunk is not None
    assert (chunk.data, chunk.ended, chunk.truncated, state.truncated) == (b"", True, False, frozenset())


@pytest.mark.parametrize(
    "trick",
    [
        "ln -s {secret} result.json",
        "mkfifo result.json",
        "mkdir result.json",
        "truncate -s 1T result.json || truncate -s 10G result.json",
        "head -c 2000000 /dev/zero > result.json",
        "ln -s /dev/zero result.json",
    ],
)
async def test_a_result_that_is_a_trick_is_not_read(machine: Machine, tmp_path: Path, trick: str) -> None:
    secret = tmp_path / "secret"
    secret.write_text("the server's secret")
    spec = a_run(trick.format(secret=secret))
    state = await machine.run(spec)
    assert state.ending is Seen.SUCCEEDED
    assert state.truncated == {"result"}
    chunk = await machine.runs.read(spec.attempt_id, Stream.RESULT)
    assert chunk is not None
    assert (chunk.data, chunk.ended, chunk.truncated) == (b"", True, True)


@pytest.mark.root
async def test_a_working_folder_belongs_to_a_user_of_its_own(machine: Machine) -> None:
    specs = [a_run("id -u; touch mine"), a_run("id -u; touch mine")]
    for spec in specs:
        await machine.run(spec)
    owners = {machine.work(spec.attempt_id).stat().st_uid for spec in specs}
    assert len(owners) == 2
    assert owners.isdisjoint({0, os.getuid()})
    assert {int(await machine.output(spec.attempt_id)) for spec in specs} == owners
