"""The head of a job, run by a real bash: the gate, the words, the signals, the ends."""

from __future__ import annotations

import json
import os
import pwd
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hpc_adapters.jobhead.wrapper import SUPERSEDED, Head, batch_script, secrets_file

SHOW = f"""#!{sys.executable}
import json, os, sys
json.dump([sys.argv[1:], {{k: v for k, v in os.environ.items()}}], open("seen.json", "w"))
""".encode()
TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40)
NASTY = st.sampled_from(
    ["$(touch hit)", "`touch hit`", "';touch hit;'", '"', "\\", "\n", "-n", "--", "=", "*", "~", "あ"]
)
VALUES = st.one_of(TEXT, NASTY)
NAMES = st.from_regex(r"[A-Z_a-z][A-Z_a-z0-9]{0,20}", fullmatch=True).map(lambda name: f"T_{name}")
JOB = {"PATH": "/usr/local/bin:/usr/bin:/bin", "SLURM_JOB_ID": "17", "SLURM_JOB_START_TIME": "1000"}


@pytest.fixture
def work() -> Iterator[Path]:
    with TemporaryDirectory(prefix="ky") as folder:  # pytest's own names hold characters that no site's folder has
        yield Path(folder)


def start(work: Path, head: Head, **more: str) -> subprocess.Popen[bytes]:
    path = work / "batch"
    path.write_text(batch_script(head), encoding="utf-8")
    return subprocess.Popen(
        ["/bin/bash", str(path)], env={**JOB, **more}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd="/"
    )


def run(work: Path, head: Head, **more: str) -> tuple[int, bytes, bytes]:
    with start(work, head, **more) as process:
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err


def sh(work: Path, lines: str, **more: object) -> Head:
    return Head(work=str(work), program=f"#!/bin/sh\n{lines}\n".encode(), **more)  # type: ignore[arg-type]


def told(work: Path, name: str) -> Mapping[str, object]:
    read: Mapping[str, object] = json.loads((work / name).read_text())
    return read


def ended(work: Path) -> Mapping[str, object]:
    """What is written of the end, but for the time, which is now."""
    read = dict(told(work, "end.json"))
    assert abs((work / "end.json").stat().st_mtime - int(str(read.pop("at")))) < 60
    return read


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    arguments=st.lists(VALUES, max_size=4),
    environment=st.dictionaries(NAMES, VALUES, max_size=4),
    secrets=st.dictionaries(NAMES.map(lambda name: f"S{name}"), VALUES, max_size=3),
)
def test_every_word_arrives_as_it_was_and_none_is_read_by_a_shell(
    arguments: list[str], environment: dict[str, str], secrets: dict[str, str]
) -> None:
    with TemporaryDirectory(prefix="ky") as folder:
        work = Path(folder)
        (work / ".secrets").write_bytes(secrets_file(secrets))
        head = Head(
            work=folder,
            program=SHOW,
            arguments=arguments,
            environment={**environment, "KYOYO_ATTEMPT_ID": "theirs"},
            own={"KYOYO_ATTEMPT_ID": "ours"},
            secrets=len(secrets),
        )
        text = batch_script(head)
        assert not any(len(value) > 8 and value in text for value in secrets.values())
        code, _, err = run(work, head)
        assert code == 0, err
        seen_arguments, seen = json.loads((work / "seen.json").read_text())
        assert seen_arguments == arguments
        wanted = {**environment, **secrets, "KYOYO_ATTEMPT_ID": "ours"}
        assert {name: seen.get(name) for name in wanted} == wanted
        assert not (work / "hit").exists()
        assert bool(secrets) <= (not (work / ".secrets").exists())
        assert not any(name.startswith("ky_") for name in seen)


def test_the_program_runs_once_and_the_next_start_repeats_its_end(work: Path) -> None:
    head = sh(work, "echo started; exit 3")
    assert run(work, head)[:2] == (3, b"started\n")
    assert told(work, "started.json")["job_id"] == 17
    assert told(work, "started.json")["start"] == 1000
    assert ended(work) == {"exit_code": 3, "by_itself": True, "head": False}
    assert run(work, head, SLURM_JOB_ID="18")[:2] == (3, b"")
    assert told(work, "started.json")["job_id"] == 17


def test_a_start_beside_a_running_one_is_turned_away(work: Path) -> None:
    (work / "gate").mkdir()
    code, out, err = run(work, sh(work, "echo started"))
    assert (code, out) == (SUPERSEDED, b"")
    assert b"started before" in err
    assert not (work / "script").exists()


def test_an_end_that_was_forced_is_not_repeated(work: Path) -> None:
    (work / "gate").mkdir()
    (work / "end.json").write_text('{"exit_code": 143, "by_itself": false, "head": false}\n')
    assert run(work, sh(work, "echo started"))[0] == SUPERSEDED


def test_a_program_without_a_shebang_is_one_of_the_shell(work: Path) -> None:
    assert run(work, Head(work=str(work), program=b'echo "$0 $1"', arguments=["x"]))[1] == f"{work}/script x\n".encode()


def test_a_launch_runs_instead_and_gives_its_exit_code(work: Path) -> None:
    head = Head(work=str(work), program=b"ignored", launch='echo "$KYOYO_X"\nexit 7\n', own={"KYOYO_X": "a b"})
    assert run(work, head)[:2] == (7, b"a b\n")


def test_words_before_the_program_come_first(work: Path) -> None:
    head = sh(work, 'echo "$1"', prefix=("/usr/bin/env", "T=1 2"), arguments=["x y"])
    assert run(work, head)[1] == b"x y\n"


def test_the_user_is_the_one_that_it_was_handed_over_for(work: Path) -> None:
    """Where nobody said who that is, the node is asked."""
    lines = 'echo "$USER $LOGNAME"'
    assert run(work, sh(work, lines, user="alice"))[1] == b"alice alice\n"


def test_a_node_is_asked_who_it_is_where_nobody_said_so(work: Path) -> None:
    me = pwd.getpwuid(os.geteuid()).pw_name
    assert run(work, sh(work, 'echo "$USER $LOGNAME"'))[1] == f"{me} {me}\n".encode()


def test_words_that_are_cut_off_stop_it_before_the_program(work: Path) -> None:
    text = batch_script(sh(work, "echo started", arguments=["a", "b"])).replace("ky_counts=(0 2 ", "ky_counts=(0 3 ")
    (work / "batch").write_text(text)
    done = subprocess.run(["/bin/bash", str(work / "batch")], env=JOB, capture_output=True, check=False, cwd="/")
    assert (done.returncode, done.stdout) == (73, b"")


SAMPLER = b"""
import json, os, signal, sys, time
def end(*_):
    with open("gpu.json", "w") as file:
        json.dump({"ended": True}, file)
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
open("sampling", "w").close()
time.sleep(5)
"""


def test_gpus_are_measured_where_there_is_a_device_and_the_end_waits_for_the_figures_alone(work: Path) -> None:
    (work / ".sampler.py").write_bytes(SAMPLER)
    lines = f"while [ ! -e {work}/sampling ]; do sleep 0.01; done; ls /proc/self/fd"
    began = time.monotonic()
    code, out, _ = run(work, replace(sh(work, lines), devices="/dev/nul[a-l]"))
    assert time.monotonic() - began < 2
    assert (code, out.split()) == (0, [b"0", b"1", b"2", b"3"])  # the program holds no end of the pipe
    assert told(work, "gpu.json") == {"ended": True}


def test_a_sampler_that_does_not_end_holds_nobody_up_for_long(work: Path) -> None:
    (work / ".sampler.py").write_bytes(SAMPLER.replace(b"sys.exit", b"print"))
    lines = f"while [ ! -e {work}/sampling ]; do sleep 0.01; done"
    with start(work, replace(sh(work, lines), devices="/dev/null")) as process:
        assert process.wait(timeout=20) == 0


def test_without_a_device_no_sampler_starts_and_nothing_is_said_to_be_measured(work: Path) -> None:
    (work / ".sampler.py").write_bytes(SAMPLER)
    assert run(work, replace(sh(work, "true"), devices="/dev/nosuch[0-9]* /dev/nosuch"))[0] == 0
    assert told(work, "gpu.json") == {"measured": False, "reason": "no-device"}
    assert not (work / "sampling").exists()


def test_secrets_that_are_missing_stop_it_before_the_program(work: Path) -> None:
    assert run(work, sh(work, "echo started", secrets=1))[:2] == (73, b"")
    assert told(work, "end.json")["head"] is True


def await_line(process: subprocess.Popen[bytes]) -> bytes:
    assert process.stdout is not None
    return process.stdout.readline()


HANDLER = f"""exec {sys.executable} -c '
import signal, sys
signal.signal(signal.SIGUSR1, lambda *_: (print("warned", flush=True), sys.exit(5)))
print("ready", flush=True)
while True: signal.pause()
'"""


@pytest.mark.parametrize("between", ["", "sh -c 'exec \"$@\"' - "])
def test_a_warning_reaches_who_waits_for_it(work: Path, between: str) -> None:
    """Also a program that a shell runs for us: the shell has no handler, and must not die of the signal."""
    body = HANDLER if not between else "\n" + HANDLER.removeprefix("exec ") + "\nexit $?"
    with start(work, sh(work, body)) as process:
        assert await_line(process) == b"ready\n"
        process.send_signal(signal.SIGUSR1)
        out, err = process.communicate(timeout=30)
        assert (out, process.returncode) == (b"warned\n", 5), err
    assert told(work, "end.json")["by_itself"] is True


@pytest.mark.parametrize("_", range(8))  # the end may come while the head deals with the signal: bash lost one of five
def test_a_warning_that_nobody_waits_for_harms_nobody(work: Path, _: int) -> None:
    os.mkfifo(work / "fifo")
    with start(work, sh(work, "echo ready; read line <fifo; echo done")) as process:
        assert await_line(process) == b"ready\n"
        process.send_signal(signal.SIGUSR2)
        (work / "fifo").write_text("go\n")
        out, _ = process.communicate(timeout=30)
        assert (out, process.returncode) == (b"done\n", 0)


def test_the_end_reaches_every_process_and_is_recorded_as_forced(work: Path) -> None:
    with start(work, sh(work, "echo ready; sleep 600; echo never")) as process:
        assert await_line(process) == b"ready\n"
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=30)
        assert (out, process.returncode) == (b"", 143)
    assert ended(work) == {"exit_code": 143, "by_itself": False, "head": False}


def children(pid: int) -> list[int]:
    return [int(word) for path in Path(f"/proc/{pid}/task").glob("*/children") for word in path.read_text().split()]


def deepest_first(top: int) -> list[int]:
    """Everything below one process in the order in which Slurm's linuxproc ends it: of two families the elder first."""
    below = sorted(children(top))
    return [each for child in below for each in deepest_first(child)] + below


def eldest_first(top: int) -> list[int]:
    """The same as a control group lists it."""
    return [top, *sorted(deepest_first(top))]


@pytest.mark.parametrize(("order", "said"), [(deepest_first, b"done\n"), (eldest_first, b"")])
def test_a_program_of_which_the_site_has_killed_a_part_has_no_end_of_its_own(
    work: Path, order: Callable[[int], list[int]], said: bytes
) -> None:
    """Slurm, which has forgotten the job, kills it process by process; a slow one lets what lives go on meanwhile."""
    with start(work, sh(work, "echo ready; sleep 600; echo done; exit 0")) as process:
        assert await_line(process) == b"ready\n"
        while not (asleep := [pid for pid in deepest_first(process.pid) if name_of(pid) == "sleep"]):
            pass
        found = order(process.pid)
        for pid in found[: found.index(asleep[0]) + 1]:
            with suppress(ProcessLookupError):  # it ended with the one before
                os.kill(pid, signal.SIGKILL)
        assert process.communicate(timeout=30)[0] == said  # the deepest first: as if nothing had happened
        assert process.returncode in {137, -signal.SIGKILL}
    assert not (work / "end.json").exists()


def name_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def test_a_program_that_is_killed_alone_has_an_end_of_its_own(work: Path) -> None:
    assert run(work, sh(work, "kill -9 $$"))[0] == 137
    assert ended(work) == {"exit_code": 137, "by_itself": True, "head": False}


def test_what_the_program_left_behind_may_save_its_work_before_we_go(work: Path) -> None:
    saver = f"""{sys.executable} -c '
import signal, sys
def save(*_):
    open("saved", "w").write("all"); sys.exit(0)
signal.signal(signal.SIGTERM, save)
print("ready", flush=True)
while True: signal.pause()
'"""
    with start(work, sh(work, saver)) as process:
        assert await_line(process) == b"ready\n"
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
    assert (work / "saved").read_text() == "all"
