"""Commands as somebody else: what they say, and that none of theirs stays behind."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from hpc_adapters.errors import Unavailable
from hpc_adapters.pbs.commands import LocalCommands

LIKE_SUDO = ("/bin/sh", "-c", 'echo for {user} >&2; "$@" <&3 & wait $!', "sh")
AS_SOMEBODY = ("/bin/sh", "-c", 'exec 3<&0; exec "$@"', "sh", *LIKE_SUDO)


@pytest.fixture
def fifo(tmp_path: Path) -> Iterator[int]:
    """Both ends of `tmp_path / "fifo"` in one."""
    os.mkfifo(tmp_path / "fifo")
    fd = os.open(tmp_path / "fifo", os.O_RDWR | os.O_NONBLOCK)
    yield fd
    os.close(fd)


async def test_a_command_is_run_as_somebody_and_told_in_full() -> None:
    commands = LocalCommands(AS_SOMEBODY, timeout_s=10)
    done = await commands.run(["/bin/sh", "-c", "cat; exit 3"], user="alice", stdin=b"script")
    assert (done.exit_code, done.out, done.err) == (3, b"script", "for alice")


async def test_a_command_that_is_not_there_left_nothing_behind() -> None:
    with pytest.raises(Unavailable) as told:
        await LocalCommands((), timeout_s=10).run(["/no/such/qsub"], user="alice")
    assert not told.value.maybe_done


async def test_a_command_out_of_time_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    reading = os.open(tmp_path / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    held = f"exec >{tmp_path}/fifo; echo up; exec sleep 60"
    with pytest.raises(Unavailable) as told:
        async with asyncio.timeout(30):
            await LocalCommands(AS_SOMEBODY, timeout_s=1).run(["/bin/sh", "-c", held], user="alice")
    assert told.value.maybe_done
    assert os.read(reading, 100) == b"up\n"
    assert os.read(reading, 100) == b"", "somebody still holds the other end"
    os.close(reading)


async def test_a_command_that_may_not_be_killed_is_not_waited_for(
    tmp_path: Path, fifo: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(_group: int, _signal: int) -> None:
        raise PermissionError

    monkeypatch.setattr("hpc_adapters.pbs.commands.os.killpg", forbidden)
    with pytest.raises(Unavailable) as told:
        await LocalCommands((), timeout_s=0.1).run(["/bin/sh", "-c", f"read word <{tmp_path}/fifo"], user="alice")
    assert told.value.maybe_done
    left = asyncio.all_tasks() - {asyncio.current_task()}
    os.write(fifo, b"go\n")
    await asyncio.wait_for(asyncio.gather(*left), 10)
    assert left
