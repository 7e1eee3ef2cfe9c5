"""A bridge: a process that may answer late, never, wrongly, or die."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from hpc_adapters.errors import Rejected, Unavailable
from hpc_adapters.quantum.bridge import Bridge, Program
from hpc_adapters.quantum.bridge_end import Method, serve

SECRET = "token-of-a-vendor"
THIS_FOLDER = str(Path(__file__).parent)


def main() -> None:
    """The other end, in the process."""
    serve(_methods)


def _methods(hello: Mapping[str, Any]) -> Mapping[str, Method]:
    if hello.get("token") is None:
        raise Unavailable("no-token", maybe_done=False)

    def refuse(params: Mapping[str, Any]) -> None:
        raise Rejected("too-many-qubits", **params)

    def fail(params: Mapping[str, Any]) -> None:
        raise ValueError(f"said with {hello['token']}")

    def look(params: Mapping[str, Any]) -> Mapping[str, Any]:
        sys.stdout.write("an SDK prints\n")
        return {"environment": dict(os.environ), "argv": Path("/proc/self/cmdline").read_text(), "pid": os.getpid()}

    def sleep(params: Mapping[str, Any]) -> object:
        time.sleep(params["s"])
        return params["s"]

    return {
        "echo": lambda params: params,
        "die": lambda params: os.kill(os.getpid(), signal.SIGKILL),
        "refuse": refuse,
        "fail": fail,
        "look": look,
        "sleep": sleep,
    }


class _Here(Program):
    """The program is this file: the child could not import it by its dotted name."""

    def argv(self) -> list[str]:
        boot = f"import sys; sys.path[:0] = [{THIS_FOLDER!r}]; " + super().argv()[-1]
        return [sys.executable, "-I", "-B", "-c", boot]


@pytest.fixture
async def bridge() -> AsyncIterator[Bridge]:
    program = _Here(module="test_bridge", environment={"PLAIN": "yes"})
    made = Bridge(program, hello=lambda: {"token": SECRET}, deadline_s=20, line_bytes=200_000)
    yield made
    await made.close()


async def test_answers_find_their_questions_whatever_their_order(bridge: Bridge) -> None:
    slow = asyncio.create_task(bridge.call("sleep", {"s": 0.3}))
    assert await bridge.call("echo", {"a": [1, "é"]}) == {"a": [1, "é"]}
    assert not slow.done()
    assert await slow == 0.3


async def test_a_secret_is_in_no_environment_and_on_no_command_line(bridge: Bridge) -> None:
    seen = await bridge.call("look", {})
    assert seen["environment"]["PLAIN"] == "yes"
    assert set(seen["environment"]) <= {"PATH", "LANG", "HOME", "PLAIN", "LC_CTYPE"}
    assert SECRET not in str(seen)


async def test_errors_are_the_ports_families_and_repeat_no_secret(bridge: Bridge) -> None:
    with pytest.raises(Rejected) as refused:
        await bridge.call("refuse", {"qubits": 9})
    assert (refused.value.code, refused.value.facts) == ("too-many-qubits", {"qubits": 9})
    with pytest.raises(Unavailable) as failed:
        await bridge.call("fail", {})
    assert (failed.value.detail, failed.value.maybe_done) == ("sdk-ValueError", True)


async def test_a_death_is_an_unknown_outcome_and_the_next_call_starts_another(bridge: Bridge) -> None:
    first = (await bridge.call("look", {}))["pid"]
    with pytest.raises(Unavailable) as died:
        await bridge.call("die", {})
    assert died.value.maybe_done
    assert (await bridge.call("look", {}))["pid"] != first


async def test_who_keeps_silent_is_ended(bridge: Bridge) -> None:
    first = (await bridge.call("look", {}))["pid"]
    with pytest.raises(Unavailable) as silent:
        await bridge.call("sleep", {"s": 60}, deadline_s=0.2)
    assert (silent.value.detail, silent.value.maybe_done) == ("bridge-silent", True)
    assert (await bridge.call("look", {}))["pid"] != first


async def test_messages_have_a_limit_in_both_directions(bridge: Bridge) -> None:
    with pytest.raises(Unavailable) as ours:
        await bridge.call("echo", {"a": "x" * 200_000})
    assert (ours.value.detail, ours.value.maybe_done) == ("message-too-long", False)
    with pytest.raises(Unavailable) as theirs:
        await bridge.call("echo", {"a": "é" * 30_000, "b": "\x01" * 10_000, "c": "x" * 1_000_000})
    assert not theirs.value.maybe_done
    assert await bridge.call("echo", {}) == {}


async def test_what_cannot_start_has_done_nothing() -> None:
    for program, token in (
        (Program(module="hpc_adapters.no_such_module"), SECRET),
        (Program(module="json", python="/nonexistent/python"), SECRET),
        (_Here(module="test_bridge"), None),
    ):
        bridge = Bridge(program, hello=lambda token=token: {"token": token}, deadline_s=20)
        with pytest.raises(Unavailable) as problem:
            await bridge.call("echo", {})
        assert not problem.value.maybe_done
        await bridge.close()


async def test_a_secret_that_cannot_be_read_is_no_crash(tmp_path: Path) -> None:
    def hello() -> Mapping[str, Any]:
        return {"token": (tmp_path / "absent").read_text()}

    bridge = Bridge(_Here(module="test_bridge"), hello=hello, deadline_s=20)
    with pytest.raises(Unavailable) as problem:
        await bridge.call("echo", {})
    assert problem.value.detail == "credentials-unreadable-FileNotFoundError"
